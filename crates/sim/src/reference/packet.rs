//! Packets as values, and their bytes.

use crate::craft::{self, Ipv4, Ipv6};
use std::net::IpAddr;

/// Flags of TCP segments.
pub mod flag {
    /// The sender is done.
    pub const FIN: u8 = 1;
    /// Begins a connection.
    pub const SYN: u8 = 2;
    /// Ends a connection at once.
    pub const RST: u8 = 4;
    /// The acknowledgement counts.
    pub const ACK: u8 = 16;
}

/// A TCP segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Ports of sender and receiver.
    pub ports: (u16, u16),
    /// Its flags.
    pub flags: u8,
    /// Its sequence number.
    pub sequence: u32,
    /// What it acknowledges.
    pub acknowledgement: u32,
    /// Its window as it stands there.
    pub window: u16,
    /// The window scale that it offers.
    pub scale: Option<u8>,
    /// Bytes of data.
    pub data: usize,
}

impl Segment {
    /// The flag is set.
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Bytes of its header.
    pub const fn header(&self) -> usize {
        if self.scale.is_some() { 28 } else { 20 }
    }
}

/// What a packet carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// A TCP segment.
    Tcp(Segment),
    /// A UDP datagram: ports, and bytes of data.
    Udp((u16, u16), usize),
    /// An SCTP packet.
    Sctp((u16, u16)),
    /// An echo request or reply.
    Echo {
        /// It asks.
        request: bool,
        /// Its identifier.
        identifier: u16,
    },
    /// An ICMP message that is neither echo nor error: type and code.
    Icmp(u8, u8),
    /// An ICMP error about a packet.
    Error {
        /// Type and code.
        kind: (u8, u8),
        /// The MTU that it asks for; "too big" only.
        mtu: u32,
        /// The packet.
        about: Box<Packet>,
    },
    /// Another IP protocol.
    Other(u8),
}

/// A part of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// Names the datagram.
    pub identification: u16,
    /// Where it begins, in units of eight bytes.
    pub offset: u16,
    /// How many bytes it has.
    pub length: usize,
    /// More come behind it.
    pub more: bool,
}

/// An IP packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Sender.
    pub source: IpAddr,
    /// Receiver, of the same family.
    pub destination: IpAddr,
    /// Options headers of IPv6, words of options of IPv4.
    pub headers: usize,
    /// What it carries, or what the whole datagram does.
    pub content: Content,
    /// Which part of it, if not all.
    pub part: Option<Part>,
}

impl Packet {
    /// A whole packet without options.
    pub const fn new(source: IpAddr, destination: IpAddr, content: Content) -> Self {
        Self {
            source,
            destination,
            headers: 0,
            content,
            part: None,
        }
    }

    /// It is IPv6.
    pub const fn is_ipv6(&self) -> bool {
        self.source.is_ipv6()
    }

    /// The receiver is many.
    pub const fn is_to_group(&self) -> bool {
        self.destination.is_multicast()
    }

    /// Number of the protocol that it carries.
    pub const fn protocol(&self) -> u8 {
        match self.content {
            Content::Tcp(_) => 6,
            Content::Udp(..) => 17,
            Content::Sctp(_) => 132,
            Content::Other(protocol) => protocol,
            Content::Echo { .. } | Content::Icmp(..) | Content::Error { .. } => {
                if self.is_ipv6() {
                    58
                } else {
                    1
                }
            }
        }
    }

    /// Its bytes from the IP header on.
    pub fn bytes(&self) -> Vec<u8> {
        let all = self.transport();
        let payload = match self.part {
            None => all,
            Some(part) => {
                let start = usize::from(part.offset) * 8;
                let filler = std::iter::repeat(b'x');
                let bytes = all.into_iter().chain(filler);
                bytes.skip(start).take(part.length).collect()
            }
        };
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = Ipv4::new(source, destination, self.protocol());
                let header = header.with_options(&vec![1; self.headers * 4]);
                let Some(part) = self.part else {
                    return header.packet(&payload);
                };
                let more = if part.more { 0x2000 } else { 0 };
                let mut packet = header.with_fragment(part.offset | more).packet(&payload);
                packet[4..6].copy_from_slice(&part.identification.to_be_bytes());
                packet[10..12].fill(0);
                let sum = craft::checksum(&[&packet[..20 + self.headers * 4]]);
                packet[10..12].copy_from_slice(&sum.to_be_bytes());
                packet
            }
            (source, destination) => {
                let [source, destination] = [source, destination].map(as_ipv6);
                let (mut next, mut chain) = (self.protocol(), Vec::new());
                if let Some(part) = self.part {
                    let [high, low] = (part.offset << 3 | u16::from(part.more)).to_be_bytes();
                    let [a, b] = part.identification.to_be_bytes();
                    chain = vec![next, 0, high, low, 0, 0, a, b];
                    next = 44;
                }
                for _ in 0..self.headers {
                    chain.splice(0..0, [next, 0, 1, 4, 0, 0, 0, 0]);
                    next = 60;
                }
                Ipv6::new(source, destination, next).packet(&[chain, payload].concat())
            }
        }
    }

    fn transport(&self) -> Vec<u8> {
        let (source, destination) = (self.source, self.destination);
        match &self.content {
            Content::Tcp(segment) => segment_bytes(segment, source, destination),
            Content::Udp(ports, data) => craft::udp(
                (source, ports.0),
                (destination, ports.1),
                &vec![b'x'; *data],
            ),
            Content::Sctp((from, to)) => {
                [&from.to_be_bytes()[..], &to.to_be_bytes(), &[0; 8]].concat()
            }
            Content::Echo {
                request,
                identifier,
            } => {
                let kind = match (self.is_ipv6(), request) {
                    (false, true) => 8,
                    (false, false) => 0,
                    (true, true) => 128,
                    (true, false) => 129,
                };
                let [high, low] = identifier.to_be_bytes();
                self.icmp((kind, 0), [high, low, 0, 1], b"ping")
            }
            Content::Icmp(kind, code) => self.icmp((*kind, *code), [0; 4], b"what"),
            Content::Error { kind, mtu, about } => {
                let quote = about.bytes();
                self.icmp(*kind, mtu.to_be_bytes(), &quote[..quote.len().min(500)])
            }
            Content::Other(_) => b"something else, of which nobody knows more".to_vec(),
        }
    }

    fn icmp(&self, (kind, code): (u8, u8), rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let body = [&rest, payload].concat();
                craft::icmpv6(source, destination, kind, code, &body)
            }
            _ => craft::icmp(kind, code, rest, payload),
        }
    }
}

const fn as_ipv6(address: IpAddr) -> std::net::Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// The bytes of a TCP segment between two addresses.
pub fn segment_bytes(segment: &Segment, source: IpAddr, destination: IpAddr) -> Vec<u8> {
    let options = match segment.scale {
        Some(scale) => vec![2, 4, 5, 0xb4, 1, 3, 3, scale],
        None => Vec::new(),
    };
    let mut bytes = craft::tcp(
        (source, segment.ports.0),
        (destination, segment.ports.1),
        &options,
        &vec![b'x'; segment.data],
    );
    bytes[4..8].copy_from_slice(&segment.sequence.to_be_bytes());
    bytes[8..12].copy_from_slice(&segment.acknowledgement.to_be_bytes());
    bytes[13] = segment.flags;
    bytes[14..16].copy_from_slice(&segment.window.to_be_bytes());
    bytes
}
