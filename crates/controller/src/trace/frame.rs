//! The frames of a trace, and what is read from those that come back.

use std::net::{IpAddr, Ipv6Addr};

use coax_api::Traffic;
use coax_sim::craft::{self, Discovery, Ipv4, Ipv6};
use coax_wire::MacAddress;

/// The first source port for traced packets: nobody waits there.
pub const EPHEMERAL: u16 = 49_152;
/// Bytes of an IPv4 header, and of a TCP header without options.
const SHORT_HEADER: usize = 20;
/// Bytes of an IPv6 header.
const LONG_HEADER: usize = 40;

/// Flags of TCP segments (RFC 9293 section 3.1).
pub mod flag {
    /// The sender is done.
    pub const FIN: u8 = 1;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 2;
    /// Reset the connection.
    pub const RST: u8 = 4;
    /// Hand it on at once.
    pub const PSH: u8 = 8;
    /// The acknowledgement counts.
    pub const ACK: u8 = 16;

    /// All of them, as they are written.
    pub const NAMES: [(&str, u8); 5] = [
        ("syn", SYN),
        ("fin", FIN),
        ("rst", RST),
        ("psh", PSH),
        ("ack", ACK),
    ];
}

/// Flags as they are written: `rst,ack`.
pub fn flag_names(flags: u8) -> String {
    let set = flag::NAMES.iter().filter(|(_, bit)| flags & bit != 0);
    let names: Vec<&str> = set.map(|(name, _)| *name).collect();
    names.join(",")
}

/// The flags that a text names, if it names any and nothing else.
pub fn flags_of(text: &str) -> Option<u8> {
    text.split(',').try_fold(0, |flags, name| {
        let (_, bit) = flag::NAMES.iter().find(|(known, _)| *known == name)?;
        Some(flags | bit)
    })
}

/// What a TCP segment says beside its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Its flags.
    pub flags: u8,
    /// Sequence number of its first byte.
    pub sequence: u32,
    /// What it acknowledges.
    pub acknowledgement: u32,
}

impl Numbers {
    /// A connection is asked for.
    pub const SYN: Self = Self {
        flags: flag::SYN,
        sequence: 1,
        acknowledgement: 1,
    };
    /// It is granted.
    pub const SYN_ACK: Self = Self {
        flags: flag::SYN | flag::ACK,
        acknowledgement: 2,
        ..Self::SYN
    };
}

/// A packet and its answer, whoever sends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Talk {
    /// Protocol, and the port that the packet is for.
    pub traffic: Traffic,
    /// The port that it comes from; ICMP: the identifier of the echo.
    pub from_port: u16,
    /// Bytes of the packet from the IP header on, if that is more than needed.
    pub size: Option<u32>,
    /// TCP: what the packet says.
    pub packet: Numbers,
    /// TCP: what the answer says; none: there is no answer to the packet, whatever the protocol.
    pub answer: Option<Numbers>,
}

/// A side of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Party {
    /// Its MAC address.
    pub mac: MacAddress,
    /// Its address.
    pub address: IpAddr,
}

/// "Who has `target`?", as a VM asks.
pub fn question(from: Party, target: IpAddr) -> Vec<u8> {
    match (from.address, target) {
        (IpAddr::V4(own), IpAddr::V4(target)) => {
            let asked = (MacAddress([0; 6]), target);
            let packet = craft::arp(1, (from.mac, own), asked);
            craft::ethernet(MacAddress([0xff; 6]), from.mac, craft::ARP, &packet)
        }
        (own, target) => {
            let (own, target) = (ipv6(own), ipv6(target));
            let packet = Discovery::solicitation((from.mac, own), target).packet();
            let group = craft::group_mac(craft::solicited_node(target));
            craft::ethernet(group, from.mac, craft::IPV6, &packet)
        }
    }
}

/// The MAC address in an answer to [`question`].
pub fn answered_mac(frame: &[u8]) -> Option<MacAddress> {
    let field = |at: usize| {
        let bytes = frame.get(at..at + 6)?;
        bytes.try_into().ok().map(MacAddress)
    };
    match frame.get(12..14)? {
        // The sender of the ARP reply.
        [0x08, 0x06] => field(22),
        // The target link-layer address option of the advertisement (RFC 4861 section 4.4).
        [0x86, 0xdd] if frame.get(54) == Some(&136) => field(80),
        _ => None,
    }
}

/// The packet.
pub fn packet(from: Party, to: Party, talk: &Talk) -> Vec<u8> {
    conversation(from, to, talk, None)
}

/// What the receiver of [`packet`] sends back, if anything.
pub fn reply(from: Party, to: Party, talk: &Talk) -> Option<Vec<u8>> {
    Some(conversation(from, to, talk, Some(talk.answer?)))
}

fn conversation(from: Party, to: Party, talk: &Talk, answer: Option<Numbers>) -> Vec<u8> {
    let header = match from.address {
        IpAddr::V4(_) => SHORT_HEADER,
        IpAddr::V6(_) => LONG_HEADER,
    };
    let transport = match talk.traffic {
        Traffic::Tcp(_) => SHORT_HEADER,
        Traffic::Udp(_) | Traffic::Icmp => 8,
    };
    let size = talk.size.filter(|_| answer.is_none());
    let size = size.map_or(0, |size| size as usize);
    let payload = vec![0; size.saturating_sub(header + transport)];
    let ends = |port: u16| match answer {
        None => ((from.address, talk.from_port), (to.address, port)),
        Some(_) => ((from.address, port), (to.address, talk.from_port)),
    };
    let (protocol, message) = match talk.traffic {
        Traffic::Tcp(port) => {
            let (source, destination) = ends(port);
            let Numbers {
                flags,
                sequence,
                acknowledgement,
            } = answer.unwrap_or(talk.packet);
            let numbers = (flags, sequence, acknowledgement);
            (
                6,
                craft::tcp_numbered(source, destination, numbers, &payload),
            )
        }
        Traffic::Udp(port) => {
            let (source, destination) = ends(port);
            (17, craft::udp(source, destination, &payload))
        }
        Traffic::Icmp => {
            let kind = (talk.from_port, answer.is_some());
            echo(from.address, to.address, kind, &payload)
        }
    };
    match (from.address, to.address) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let packet = Ipv4::new(source, destination, protocol).packet(&message);
            craft::ethernet(to.mac, from.mac, craft::IPV4, &packet)
        }
        (source, destination) => {
            let packet = Ipv6::new(ipv6(source), ipv6(destination), protocol).packet(&message);
            craft::ethernet(to.mac, from.mac, craft::IPV6, &packet)
        }
    }
}

/// Protocol and message of an echo request or its reply, the first one with its identifier.
fn echo(
    from: IpAddr,
    to: IpAddr,
    (identifier, reply): (u16, bool),
    payload: &[u8],
) -> (u8, Vec<u8>) {
    let [high, low] = identifier.to_be_bytes();
    let identifier = [high, low, 0, 1];
    match (from, to) {
        (IpAddr::V4(_), IpAddr::V4(_)) => {
            let kind = if reply { 0 } else { 8 };
            (1, craft::icmp(kind, 0, identifier, payload))
        }
        (from, to) => {
            let kind = if reply { 129 } else { 128 };
            let body = [&identifier, payload].concat();
            (58, craft::icmpv6(ipv6(from), ipv6(to), kind, 0, &body))
        }
    }
}

fn ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// A packet of the same flow through the fabric as `tunnel`, of `length` bytes from its IP header on,
/// that holds `marker` and belongs to no network: its VXLAN header says that its VNI is not valid, so
/// the vSwitch at the other end drops it as `no-vni`.
pub fn probe(tunnel: &[u8], marker: [u8; 8], length: u32) -> Option<Vec<u8>> {
    let over_ipv6 = tunnel.get(12..14)? == [0x86, 0xdd];
    let header = if over_ipv6 { LONG_HEADER } else { SHORT_HEADER };
    let mut packet = tunnel.get(..14 + header + 8)?.to_vec();
    packet.extend([0; 8]);
    packet.extend(marker);
    let length = (length as usize).max(packet.len() - 14);
    packet.resize(14 + length, 0);
    let put = |packet: &mut [u8], at: usize, value: usize| {
        let bytes = u16::try_from(value).unwrap_or(u16::MAX).to_be_bytes();
        packet[at..at + 2].copy_from_slice(&bytes);
    };
    put(&mut packet, 14 + header + 4, length - header);
    put(&mut packet, 14 + header + 6, 0);
    if over_ipv6 {
        put(&mut packet, 18, length - header);
    } else {
        put(&mut packet, 16, length);
        put(&mut packet, 24, 0);
        let sum = craft::checksum(&[&packet[14..14 + header]]);
        put(&mut packet, 24, usize::from(sum));
    }
    Some(packet)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parties(ipv6: bool) -> (Party, Party) {
        let party = |last: u8| Party {
            mac: MacAddress([2, 0, 0, 0, 0, last]),
            address: match ipv6 {
                false => IpAddr::from([10, 0, 0, last]),
                true => IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last.into()]),
            },
        };
        (party(1), party(2))
    }

    #[test]
    fn packets_have_the_size_that_is_asked_for() {
        for ipv6 in [false, true] {
            let (from, to) = parties(ipv6);
            for traffic in [Traffic::Tcp(443), Traffic::Udp(53), Traffic::Icmp] {
                let talk = |size| Talk {
                    traffic,
                    from_port: EPHEMERAL,
                    size,
                    packet: Numbers::SYN,
                    answer: Some(Numbers::SYN_ACK),
                };
                let frame = packet(from, to, &talk(Some(1400)));
                assert_eq!(frame.len(), 14 + 1400, "{traffic} {ipv6}");
                assert!(packet(from, to, &talk(None)).len() < 100);
                assert!(reply(from, to, &talk(Some(1400))).unwrap().len() < 100);
            }
        }
    }

    #[test]
    fn echoes_have_an_identifier_of_their_own() {
        for (ipv6, at) in [(false, 34), (true, 54)] {
            let (from, to) = parties(ipv6);
            let talk = Talk {
                traffic: Traffic::Icmp,
                from_port: EPHEMERAL + 2,
                size: None,
                packet: Numbers::SYN,
                answer: Some(Numbers::SYN_ACK),
            };
            for frame in [packet(from, to, &talk), reply(from, to, &talk).unwrap()] {
                assert_eq!(frame[at + 4..at + 8], [0xc0, 2, 0, 1]);
            }
        }
    }

    #[test]
    fn flags_are_read_as_they_are_written() {
        for (text, flags) in [
            ("syn", 2),
            ("ack", 16),
            ("rst,ack", 20),
            ("fin,psh,ack", 25),
        ] {
            assert_eq!(flags_of(text), Some(flags));
            assert_eq!(flag_names(flags), text);
        }
        for text in ["", "urg", "syn,", "SYN"] {
            assert_eq!(flags_of(text), None, "{text}");
        }
    }

    #[test]
    fn probes_take_the_way_of_the_tunnel_packet_and_belong_to_nobody() {
        for ipv6 in [false, true] {
            let (from, to) = parties(ipv6);
            let tunnel = craft::Tunnel::new(from.address, to.address, 100).around(&[7; 60]);
            let header = if ipv6 { 54 } else { 34 };
            let probe = probe(&tunnel, *b"01234567", 1550).unwrap();
            assert_eq!(probe.len(), 14 + 1550);
            assert_eq!(
                probe[header..header + 4],
                tunnel[header..header + 4],
                "ports"
            );
            assert_eq!(probe[26..34], tunnel[26..34], "addresses");
            assert_eq!(
                probe[header + 8..header + 24],
                *b"\0\0\0\0\0\0\0\x0001234567"
            );
            if !ipv6 {
                assert_eq!(craft::checksum(&[&probe[14..34]]), 0);
            }
        }
    }

    #[test]
    fn the_answer_to_a_question_is_read() {
        let (from, to) = parties(false);
        let (IpAddr::V4(own), IpAddr::V4(other)) = (from.address, to.address) else {
            unreachable!()
        };
        let packet = craft::arp(2, (to.mac, other), (from.mac, own));
        let reply = craft::ethernet(from.mac, to.mac, craft::ARP, &packet);
        assert_eq!(answered_mac(&reply), Some(to.mac));

        let (from, to) = parties(true);
        let packet = Discovery::advertisement((to.mac, ipv6(to.address)), ipv6(from.address), 0x60);
        let reply = craft::ethernet(from.mac, to.mac, craft::IPV6, &packet.packet());
        assert_eq!(answered_mac(&reply), Some(to.mac));
        assert_eq!(answered_mac(&reply[..60]), None);
    }
}
