//! What Wireshark's parser says of everything that golden cases send into the fabric or answer.
//!
//! Without tshark the test says so and ends: it is a judge, not a need.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use coax_pipeline::Verdict;
use coax_sim::Stand;
use coax_sim::golden::{self, Case};
use std::io::Write;
use std::process::{Command, Stdio};

/// What no frame of ours may be. Zero UDP checksums over IPv6 are RFC 6935's.
const WRONG: &str = "_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0 \
    || icmp.checksum.status == 0 || icmpv6.checksum.status == 0 || udp.length.bad \
    || ip.bogus_ip_length || ipv6.plen_exceeds_framing || vxlan.flag_i == 0";

/// Cases whose VMs send what they should not.
const NOT_PROPER: [&str; 1] = ["parse/not-really-ip"];

struct Sent {
    case: String,
    bytes: Vec<u8>,
}

/// Frames of ours: tunnel packets and answers, in cases whose VMs send proper frames.
fn everything() -> Vec<Sent> {
    let stand = Stand::default();
    let mut all = Vec::new();
    let mut names = golden::names().unwrap();
    names.retain(|name| !NOT_PROPER.contains(&name.as_str()));
    for case in names {
        let Case {
            scenario, outcomes, ..
        } = Case::read(&case, &stand).unwrap();
        for (frame, outcome) in scenario.frames.iter().zip(outcomes) {
            for (device, bytes) in outcome.sent() {
                let uplink = stand.device(device).unwrap().is_uplink();
                // The lengths of a frame to be cut are written when it is cut.
                let whole = !uplink || frame.segment_payload == 0;
                if whole && (uplink || outcome.verdict == Verdict::Answer) {
                    let bytes = bytes.to_vec();
                    let case = case.clone();
                    all.push(Sent { case, bytes });
                }
            }
        }
    }
    all
}

fn pcap(frames: &[Sent]) -> Vec<u8> {
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
    let mut file = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 1 << 18, 1]);
    for (number, frame) in frames.iter().enumerate() {
        let length = frame.bytes.len() as u32;
        file.extend(words(&[number as u32, 0, length, length]));
        file.extend(&frame.bytes);
    }
    file
}

/// Numbers, from 0, of the frames that match a display filter.
fn matching(file: &std::path::Path, filter: &str) -> Vec<usize> {
    let mut command = Command::new("tshark");
    for preference in [
        "ip.check_checksum:TRUE",
        "udp.check_checksum:TRUE",
        "udp.ignore_ipv6_zero_checksum:TRUE",
        "tcp.check_checksum:TRUE",
    ] {
        command.args(["-o", preference]);
    }
    command.args(["-n", "-r"]).arg(file);
    command.args(["-Y", filter, "-T", "fields", "-e", "frame.number"]);
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let numbers = String::from_utf8(output.stdout).unwrap();
    let numbers = numbers.lines().map(|line| line.trim().parse::<usize>());
    numbers.map(|number| number.unwrap() - 1).collect()
}

#[test]
fn wireshark_finds_nothing_wrong() {
    let frames = everything();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&pcap(&frames)).unwrap();
    let wrong = matching(file.path(), WRONG);
    let wrong: Vec<&str> = wrong.iter().map(|at| frames[*at].case.as_str()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let tunnels = matching(
        file.path(),
        "vxlan.vni in {7, 8} && udp.dstport == 4789 && udp.srcport >= 49152",
    );
    let answers = matching(
        file.path(),
        "!vxlan && (arp.opcode == 2 || icmpv6.type == 136 || icmpv6.type in {1..4, 129} \
            || icmp.type in {0, 3, 11} || (tcp.flags.reset == 1 && !icmp && !icmpv6))",
    );
    assert_eq!(tunnels.len() + answers.len(), frames.len());
    assert!(tunnels.len() > 100 && answers.len() > 30);
}
