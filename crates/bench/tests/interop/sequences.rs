//! The recorded set of TCP segments in tests/tcp, and what became of each of them.

use etherparse::{IpHeaders, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder};
use etherparse::{TcpHeader, TcpOptionElement};
use serde::Deserialize;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The server's port.
pub const SERVER: u16 = 80;

/// A segment by its name in the file.
#[derive(Clone, Debug)]
pub struct Segment {
    /// 0: the client sends, 1: the server.
    pub from: usize,
    /// As in the file, without the mark.
    text: String,
    /// What the file says became of it.
    pub mark: String,
    header: TcpHeader,
    data: usize,
}

/// Segments one after the other.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// The name.
    pub name: String,
    /// The segments.
    pub segments: Vec<Segment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    sequence: Vec<WrittenSequence>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSequence {
    name: String,
    about: String,
    segments: String,
    #[serde(default = "first_numbers")]
    isn: [u32; 2],
    #[serde(default = "windows")]
    window: [u16; 2],
    #[serde(default = "scales")]
    scale: [i16; 2],
}

const fn first_numbers() -> [u32; 2] {
    [1_000_000, 3_000_000_000]
}

const fn windows() -> [u16; 2] {
    [65_000, 65_000]
}

const fn scales() -> [i16; 2] {
    [7, 7]
}

/// The file.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tcp/sequences.toml")
}

/// Reads the recorded set.
pub fn read() -> Vec<Sequence> {
    let text = std::fs::read_to_string(path()).unwrap();
    let written: Written = toml::from_str(&text).unwrap();
    let sequences = (0..).zip(written.sequence);
    sequences
        .map(|(number, one)| sequence(number, &one))
        .collect()
}

fn sequence(number: u16, written: &WrittenSequence) -> Sequence {
    assert!(!written.about.is_empty(), "{}", written.name);
    let mut next = written.isn;
    let lines = written.segments.lines();
    let client = 20_000 + number;
    let segments = lines
        .map(|line| segment(line, written, client, &mut next))
        .collect();
    Sequence {
        name: written.name.clone(),
        segments,
    }
}

fn flag(header: &mut TcpHeader, word: &str) -> bool {
    match word {
        "SYN" => header.syn = true,
        "ACK" => header.ack = true,
        "FIN" => header.fin = true,
        "RST" => header.rst = true,
        "PSH" => header.psh = true,
        "URG" => header.urg = true,
        "NONE" => {}
        _ => return false,
    }
    true
}

/// A number, or a distance from one.
fn moved(natural: u32, value: &str) -> u32 {
    match (value.strip_prefix('+'), value.strip_prefix('-')) {
        (Some(more), _) => natural.wrapping_add(more.parse().unwrap()),
        (_, Some(less)) => natural.wrapping_sub(less.parse().unwrap()),
        _ => value.parse().unwrap(),
    }
}

fn segment(line: &str, written: &WrittenSequence, client: u16, next: &mut [u32; 2]) -> Segment {
    let (text, mark) = line.split_once('|').unwrap_or((line, ""));
    let mut words = text.split_whitespace();
    let from = match words.next() {
        Some(">") => 0,
        Some("<") => 1,
        other => panic!("{}: {other:?} begins a segment", written.name),
    };
    let ports = if from == 0 {
        (client, SERVER)
    } else {
        (SERVER, client)
    };
    let mut header = TcpHeader::new(ports.0, ports.1, 0, written.window[from]);
    let (mut data, mut sequence, mut acknowledges) = (0, None, next[1 - from]);
    for word in words {
        if flag(&mut header, word) {
            continue;
        }
        match word.split_once('=') {
            Some(("data", value)) => data = value.parse().unwrap(),
            Some(("win", value)) => header.window_size = value.parse().unwrap(),
            Some(("ack", value)) => acknowledges = moved(next[1 - from], value),
            Some(("seq", value)) => sequence = Some(moved(next[from], value)),
            // The sender goes on from there.
            Some(("jump", value)) => {
                next[from] = next[from].wrapping_add(value.parse().unwrap());
            }
            _ => panic!("{}: {word}", written.name),
        }
    }
    header.sequence_number = sequence.unwrap_or(next[from]);
    header.acknowledgment_number = if header.ack { acknowledges } else { 0 };
    if header.syn && written.scale[from] >= 0 {
        let scale = TcpOptionElement::WindowScale(written.scale[from] as u8);
        header
            .set_options(&[TcpOptionElement::Noop, scale])
            .unwrap();
    }
    if sequence.is_none() && !header.rst {
        let numbers = u32::from(header.syn) + u32::from(header.fin);
        next[from] = next[from].wrapping_add(data as u32 + numbers);
    }
    Segment {
        from,
        text: text.trim_end().to_owned(),
        mark: mark.trim().to_owned(),
        header,
        data,
    }
}

/// Two MAC addresses and two IP addresses: who sends, and who gets it.
pub type Ends = [([u8; 6], IpAddr); 2];

impl Segment {
    /// The frame, which `number` names.
    pub fn frame(&self, ends: &Ends, number: u16) -> Vec<u8> {
        let [(from_mac, from), (to_mac, to)] = *ends;
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(from_mac, to_mac)
            .ip(ip(from, to, IpNumber::TCP, number))
            .tcp_header(self.header.clone())
            .write(&mut frame, &vec![b'x'; self.data])
            .unwrap();
        frame
    }
}

/// A datagram behind segments: when it has come, they have, if they ever do.
pub fn marker(ends: &Ends, number: u16) -> Vec<u8> {
    let [(from_mac, from), (to_mac, to)] = *ends;
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(from_mac, to_mac)
        .ip(ip(from, to, IpNumber::UDP, number))
        .udp(9, 9)
        .write(&mut frame, b"a marker")
        .unwrap();
    frame
}

/// Which one of the frames it is, and whether it is a marker.
pub fn number_of(frame: &[u8]) -> (u16, bool) {
    if frame[12] == 8 {
        (u16::from_be_bytes([frame[18], frame[19]]), frame[23] == 17)
    } else {
        (u16::from_be_bytes([frame[16], frame[17]]), frame[20] == 17)
    }
}

fn ip(from: IpAddr, to: IpAddr, protocol: IpNumber, number: u16) -> IpHeaders {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = Ipv4Header::new(0, 64, protocol, from.octets(), to.octets()).unwrap();
            header.identification = number;
            header.dont_fragment = true;
            IpHeaders::Ipv4(header, Default::default())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let header = Ipv6Header {
                flow_label: Ipv6FlowLabel::try_new(number.into()).unwrap(),
                hop_limit: 64,
                next_header: protocol,
                source: from.octets(),
                destination: to.octets(),
                ..Ipv6Header::default()
            };
            IpHeaders::Ipv6(header, Default::default())
        }
        _ => panic!("{from} and {to} are of two families"),
    }
}

/// Writes what became of the segments into the file; reasons that are there stay.
pub fn bless(found: &[Vec<[bool; 2]>]) {
    let text = std::fs::read_to_string(path()).unwrap();
    let mut results = found.iter().flatten();
    let mut sequences = read().into_iter().flat_map(|sequence| sequence.segments);
    let mut lines = Vec::new();
    for line in text.lines() {
        if !line.starts_with("> ") && !line.starts_with("< ") {
            lines.push(line.to_owned());
            continue;
        }
        let (segment, result) = (sequences.next().unwrap(), results.next().unwrap());
        let mark = mark(*result, &segment.mark);
        lines.push(format!("{:<40}| {mark}", segment.text));
    }
    std::fs::write(path(), lines.join("\n") + "\n").unwrap();
}

/// What the file should say of a segment that Coax and netfilter did or did not deliver.
pub fn mark([coax, netfilter]: [bool; 2], before: &str) -> String {
    let only = |who: &str| {
        let reason = before
            .strip_prefix(who)
            .and_then(|rest| rest.strip_prefix(": "));
        format!("{who}: {}", reason.unwrap_or("why?"))
    };
    match (coax, netfilter) {
        (true, true) => "both".to_owned(),
        (false, false) => "neither".to_owned(),
        (true, false) => only("coax"),
        (false, true) => only("netfilter"),
    }
}
