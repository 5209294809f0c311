//! Who is told that a packet goes no further, and what.

use super::packet::{Content, Packet, Segment, flag};

/// More headers than anybody reads.
pub const fn has_too_many_headers(packet: &Packet) -> bool {
    packet.is_ipv6() && packet.headers + packet.part.is_some() as usize > 8
}

/// Nobody is told about a reset.
pub const fn is_rejected_loudly(packet: &Packet) -> bool {
    match &packet.content {
        Content::Tcp(segment) => !segment.has(flag::RST) && may_be_told(packet),
        _ => may_be_told(packet),
    }
}

/// Nobody is told about errors, what is for many, later fragments of IPv4 and of ICMP, and messages of IPv4 that are no echoes.
pub const fn may_be_told(packet: &Packet) -> bool {
    let about = match &packet.content {
        Content::Icmp(..) => packet.is_ipv6(),
        Content::Error { .. } => false,
        _ => true,
    };
    let later = match packet.part {
        Some(part) => part.offset > 0 && (!packet.is_ipv6() || packet.protocol() == 58),
        None => false,
    };
    about && !later && !packet.is_to_group()
}

/// What the sender of a rejected packet is told: a reset (RFC 9293 section 3.10.7.1), or an ICMP error.
pub fn refusal(packet: &Packet) -> Packet {
    let content = match &packet.content {
        Content::Tcp(segment) => Content::Tcp(reset(packet, segment)),
        _ => Content::Error {
            kind: if packet.is_ipv6() { (1, 1) } else { (3, 13) },
            mtu: 0,
            about: Box::new(packet.clone()),
        },
    };
    Packet::new(packet.destination, packet.source, content)
}

fn reset(packet: &Packet, segment: &Segment) -> Segment {
    let numbers = [flag::SYN, flag::FIN].map(|flag| u32::from(segment.has(flag)));
    // How long a datagram is, its first fragment does not say.
    let data = match packet.part {
        Some(part) if part.more => 0xffff,
        _ => segment.data as u32,
    };
    let end = segment
        .sequence
        .wrapping_add(data + numbers[0] + numbers[1]);
    let answers = segment.has(flag::ACK);
    Segment {
        ports: (segment.ports.1, segment.ports.0),
        flags: if answers {
            flag::RST
        } else {
            flag::RST | flag::ACK
        },
        sequence: if answers { segment.acknowledgement } else { 0 },
        acknowledgement: if answers { 0 } else { end },
        window: 0,
        scale: None,
        data: 0,
    }
}
