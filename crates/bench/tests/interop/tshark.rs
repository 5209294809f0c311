//! tshark as the reader of captured frames.

use crate::capture::file;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

/// What tshark checks besides its own habits. Zero UDP checksums over IPv6 are what RFC 6935 allows
/// tunnels and what we mean to send.
const OPTIONS: [&str; 10] = [
    "-o",
    "ip.check_checksum:TRUE",
    "-o",
    "udp.check_checksum:TRUE",
    "-o",
    "tcp.check_checksum:TRUE",
    "-o",
    "udp.ignore_ipv6_zero_checksum:TRUE",
    // Frames that were captured at several places look like repetitions.
    "-o",
    "tcp.analyze_sequence_numbers:FALSE",
];

/// What every layer's check came to, and what tshark itself thinks of the frame.
const CHECKS: [&str; 7] = [
    "_ws.malformed",
    "_ws.expert.severity",
    "ip.checksum.status",
    "udp.checksum.status",
    "tcp.checksum.status",
    "icmp.checksum.status",
    "icmpv6.checksum.status",
];

/// The severity from which on tshark's remarks are errors.
const ERROR: u64 = 0x80_0000;

/// The fields of one frame; a field of several layers has several values, outermost first.
pub type Fields = BTreeMap<&'static str, Vec<String>>;

/// Reads `fields` of every frame.
pub fn fields(frames: &[Vec<u8>], fields: &[&'static str]) -> Vec<Fields> {
    let mut arguments = vec!["-T", "fields", "-E", "occurrence=a", "-E", "aggregator= "];
    for field in fields {
        arguments.extend(["-e", field]);
    }
    let text = run(frames, &arguments);
    let read: Vec<Fields> = text
        .lines()
        .map(|line| {
            let values = line.split('\t').map(|all| {
                let all = all.split(' ').filter(|value| !value.is_empty());
                all.map(str::to_owned).collect()
            });
            fields.iter().copied().zip(values).collect()
        })
        .collect();
    assert_eq!(read.len(), frames.len(), "frames that tshark read");
    read
}

/// Reads `names` of every frame, of which tshark must find no fault in any layer.
pub fn judged(frames: &[Vec<u8>], names: &[&'static str]) -> Vec<Fields> {
    let read = fields(frames, &[names, &CHECKS].concat());
    for (place, packet) in read.iter().enumerate() {
        let faulty = CHECKS.iter().any(|check| is_fault(check, &packet[check]));
        if faulty {
            panic!("{}", run(&frames[place..=place], &["-V"]));
        }
    }
    read
}

fn is_fault(check: &str, values: &[String]) -> bool {
    values.iter().any(|value| match check {
        "_ws.malformed" => true,
        "_ws.expert.severity" => value.parse::<u64>().unwrap() >= ERROR,
        // 0: bad, 1: good, 2: not checked.
        _ => value == "0",
    })
}

fn run(frames: &[Vec<u8>], arguments: &[&str]) -> String {
    let mut child = Command::new("tshark")
        .args(["-r", "-", "-n"])
        .args(OPTIONS)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tshark starts");
    let bytes = file(frames);
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tshark: {said}");
    writer.join().unwrap().expect("tshark reads everything");
    String::from_utf8(output.stdout).unwrap()
}
