//! Frames for tests and traces, made byte by byte and without the pipeline's own header code.
//!
//! Functions take the payload and give the bytes with their header in front, so a frame reads from
//! the outside in: `ethernet(to, from, 0x0800, &ipv4.packet(&udp(…)))`.

mod tunnel;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use coax_wire::MacAddress;

pub use self::tunnel::Tunnel;

/// Ethertype of IPv4.
pub const IPV4: u16 = 0x0800;
/// Ethertype of ARP.
pub const ARP: u16 = 0x0806;
/// Ethertype of IPv6.
pub const IPV6: u16 = 0x86dd;
/// Ethertype of a customer tag.
pub const C_TAG: u16 = 0x8100;
/// Ethertype of a service tag.
pub const S_TAG: u16 = 0x88a8;
/// An ethertype for experiments (IEEE 802), which nobody parses.
pub const EXPERIMENT: u16 = 0x88b5;

/// Adds an Ethernet header.
pub fn ethernet(to: MacAddress, from: MacAddress, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [to.0, from.0].concat();
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Puts a tag behind the MAC addresses.
pub fn tagged(frame: &[u8], protocol: u16, control: u16) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(12.min(frame.len()));
    let mut tagged = addresses.to_vec();
    tagged.extend(protocol.to_be_bytes());
    tagged.extend(control.to_be_bytes());
    tagged.extend(rest);
    tagged
}

/// Ones' complement sum over all words, the last byte filled up with zero.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let mut sum: u64 = bytes
        .chunks(2)
        .map(|word| u64::from(word[0]) << 8 | u64::from(word.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// The fields of an IPv4 header that tests care for.
#[derive(Clone, Debug)]
pub struct Ipv4 {
    /// Sender.
    pub source: Ipv4Addr,
    /// Receiver.
    pub destination: Ipv4Addr,
    /// What follows.
    pub protocol: u8,
    /// DSCP and ECN.
    pub class: u8,
    /// Flags and offset of a fragment.
    pub fragment: u16,
    /// Options, a multiple of four bytes.
    pub options: Vec<u8>,
}

impl Ipv4 {
    /// A packet that routers must not cut.
    pub const fn new(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8) -> Self {
        Self {
            source,
            destination,
            protocol,
            class: 0,
            fragment: 0x4000,
            options: Vec::new(),
        }
    }

    /// With DSCP and ECN.
    #[must_use]
    pub const fn with_class(mut self, class: u8) -> Self {
        self.class = class;
        self
    }

    /// With flags and offset of a fragment.
    #[must_use]
    pub const fn with_fragment(mut self, fragment: u16) -> Self {
        self.fragment = fragment;
        self
    }

    /// With options.
    #[must_use]
    pub fn with_options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }

    /// Adds the header.
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let words = 5 + self.options.len() / 4;
        let mut packet = vec![0; 20];
        packet[0] = 0x40 | words as u8;
        packet[1] = self.class;
        put(&mut packet, 2, (words * 4 + payload.len()) as u16);
        put(&mut packet, 4, 0x1234);
        put(&mut packet, 6, self.fragment);
        packet[8] = 64;
        packet[9] = self.protocol;
        packet[12..16].copy_from_slice(&self.source.octets());
        packet[16..20].copy_from_slice(&self.destination.octets());
        packet.extend(&self.options);
        let sum = checksum(&[&packet]);
        put(&mut packet, 10, sum);
        packet.extend(payload);
        packet
    }
}

/// The fields of an IPv6 header that tests care for.
#[derive(Clone, Debug)]
pub struct Ipv6 {
    /// Sender.
    pub source: Ipv6Addr,
    /// Receiver.
    pub destination: Ipv6Addr,
    /// What follows.
    pub next_header: u8,
    /// DSCP and ECN.
    pub class: u8,
    /// Hops left.
    pub hop_limit: u8,
}

impl Ipv6 {
    /// A packet.
    pub const fn new(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8) -> Self {
        Self {
            source,
            destination,
            next_header,
            class: 0,
            hop_limit: 64,
        }
    }

    /// With DSCP and ECN.
    #[must_use]
    pub const fn with_class(mut self, class: u8) -> Self {
        self.class = class;
        self
    }

    /// With another hop limit.
    #[must_use]
    pub const fn with_hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// Adds the header.
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 8];
        packet[0] = 0x60 | self.class >> 4;
        packet[1] = self.class << 4;
        put(&mut packet, 4, payload.len() as u16);
        packet[6] = self.next_header;
        packet[7] = self.hop_limit;
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(payload);
        packet
    }
}

fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    bytes.extend((length as u32).to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    bytes
}

/// A UDP datagram with its checksum, which the addresses are part of.
pub fn udp(source: (IpAddr, u16), destination: (IpAddr, u16), payload: &[u8]) -> Vec<u8> {
    let mut datagram = [source.1.to_be_bytes(), destination.1.to_be_bytes()].concat();
    datagram.extend(((8 + payload.len()) as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    let pseudo = pseudo_header(source.0, destination.0, 17, datagram.len());
    let sum = checksum(&[&pseudo, &datagram]);
    put(&mut datagram, 6, if sum == 0 { 0xffff } else { sum });
    datagram
}

/// A TCP segment with `options` (a multiple of four bytes) and its checksum.
pub fn tcp(
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    const ACK: u8 = 0x10;
    tcp_segment(source, destination, (ACK, 1, 1), options, payload)
}

/// A TCP segment that opens a connection: `flags` are those of byte 13 of its header.
pub fn tcp_opening(
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    tcp_segment(source, destination, (flags, 1, 1), &[], payload)
}

/// A TCP segment with these flags, sequence number and acknowledgement.
pub fn tcp_numbered(
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
    numbers: (u8, u32, u32),
    payload: &[u8],
) -> Vec<u8> {
    tcp_segment(source, destination, numbers, &[], payload)
}

fn tcp_segment(
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
    (flags, sequence, acknowledgement): (u8, u32, u32),
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut segment = [source.1.to_be_bytes(), destination.1.to_be_bytes()].concat();
    segment.extend(sequence.to_be_bytes());
    segment.extend(acknowledgement.to_be_bytes());
    segment.extend([
        ((20 + options.len()) * 4) as u8,
        flags,
        0xff,
        0xff,
        0,
        0,
        0,
        0,
    ]);
    segment.extend(options);
    segment.extend(payload);
    let pseudo = pseudo_header(source.0, destination.0, 6, segment.len());
    let sum = checksum(&[&pseudo, &segment]);
    put(&mut segment, 16, sum);
    segment
}

/// An ICMP message for IPv4.
pub fn icmp(kind: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend(rest);
    message.extend(payload);
    let sum = checksum(&[&message]);
    put(&mut message, 2, sum);
    message
}

/// An ICMPv6 message, whose checksum the addresses are part of.
pub fn icmpv6(source: Ipv6Addr, destination: Ipv6Addr, kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend(body);
    let pseudo = pseudo_header(source.into(), destination.into(), 58, message.len());
    let sum = checksum(&[&pseudo, &message]);
    put(&mut message, 2, sum);
    message
}

/// An ARP packet: operation, then MAC and IPv4 address of sender and target.
pub fn arp(
    operation: u16,
    sender: (MacAddress, Ipv4Addr),
    target: (MacAddress, Ipv4Addr),
) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4];
    packet.extend(operation.to_be_bytes());
    for (mac, address) in [sender, target] {
        packet.extend(mac.0);
        packet.extend(address.octets());
    }
    packet
}

/// Neighbour discovery: a message about `target` as IPv6 packet.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// Sender; unspecified in probes.
    pub source: Ipv6Addr,
    /// Receiver.
    pub destination: Ipv6Addr,
    /// 135 solicits, 136 advertises.
    pub kind: u8,
    /// Flags of an advertisement, in the first byte.
    pub flags: u8,
    /// The address that it is about.
    pub target: Ipv6Addr,
    /// Options as they stand in the packet.
    pub options: Vec<u8>,
    /// Hops left: 255 unless it is forged.
    pub hop_limit: u8,
}

impl Discovery {
    /// "Who has `target`?", asked of its solicited-node group.
    pub fn solicitation(from: (MacAddress, Ipv6Addr), target: Ipv6Addr) -> Self {
        let options = if from.1.is_unspecified() {
            Vec::new()
        } else {
            link_address(1, from.0)
        };
        Self {
            source: from.1,
            destination: solicited_node(target),
            kind: 135,
            flags: 0,
            target,
            options,
            hop_limit: 255,
        }
    }

    /// "`target` is at `mac`", told to `destination`.
    pub fn advertisement(from: (MacAddress, Ipv6Addr), destination: Ipv6Addr, flags: u8) -> Self {
        Self {
            source: from.1,
            destination,
            kind: 136,
            flags,
            target: from.1,
            options: link_address(2, from.0),
            hop_limit: 255,
        }
    }

    /// The IPv6 packet.
    pub fn packet(&self) -> Vec<u8> {
        let mut body = vec![self.flags, 0, 0, 0];
        body.extend(self.target.octets());
        body.extend(&self.options);
        let message = icmpv6(self.source, self.destination, self.kind, 0, &body);
        Ipv6::new(self.source, self.destination, 58)
            .with_hop_limit(self.hop_limit)
            .packet(&message)
    }
}

/// A link-layer address option.
pub fn link_address(kind: u8, mac: MacAddress) -> Vec<u8> {
    let mut option = vec![kind, 1];
    option.extend(mac.0);
    option
}

/// The group that everybody with an address like `target` listens to (RFC 4291 section 2.7.1).
pub fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = target.octets();
    let low = u16::from_be_bytes([b, c]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low)
}

/// The MAC address of an IPv6 group (RFC 2464 section 7).
pub fn group_mac(group: Ipv6Addr) -> MacAddress {
    let [.., a, b, c, d] = group.octets();
    MacAddress([0x33, 0x33, a, b, c, d])
}
