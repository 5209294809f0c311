//! Headers of requests and answers: Ethernet with its tags, IPv4 and IPv6, UDP, ICMPv6.
//!
//! Only plain packets are read: no fragments, no extension headers. Clients of these services send no others, and who hides a
//! message behind them gets no answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use coax_wire::checksum::Checksum;
use coax_wire::ip::{Ipv4, Ipv6, protocol};
use coax_wire::udp::Udp;
use coax_wire::{EtherType, Ethernet, MacAddress, VlanId, VlanTag};
use zerocopy::{FromBytes, IntoBytes};

/// Tags of a frame that are read over.
const MOST_TAGS: usize = 2;
/// Hop limit of answers; neighbour discovery wants exactly this one (RFC 4861 section 6.1.1).
pub(crate) const HOP_LIMIT: u8 = 255;

/// Sender and receiver of a packet, both of one family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Addresses {
    V4 {
        source: Ipv4Addr,
        destination: Ipv4Addr,
    },
    V6 {
        source: Ipv6Addr,
        destination: Ipv6Addr,
    },
}

/// A request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) source_mac: MacAddress,
    pub(crate) addresses: Addresses,
    pub(crate) hop_limit: u8,
    pub(crate) body: Body<'a>,
}

/// What a packet carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Body<'a> {
    Udp {
        source: u16,
        destination: u16,
        payload: &'a [u8],
    },
    /// From the type on.
    Icmpv6 { message: &'a [u8] },
}

impl Addresses {
    pub(crate) fn destination(self) -> IpAddr {
        match self {
            Self::V4 { destination, .. } => destination.into(),
            Self::V6 { destination, .. } => destination.into(),
        }
    }

    /// The way back.
    pub(crate) fn reversed(self) -> Self {
        match self {
            Self::V4 {
                source,
                destination,
            } => Self::V4 {
                source: destination,
                destination: source,
            },
            Self::V6 {
                source,
                destination,
            } => Self::V6 {
                source: destination,
                destination: source,
            },
        }
    }
}

impl<'a> Packet<'a> {
    /// Reads a frame from its Ethernet header on. Nothing: it is none of the packets that are read here.
    pub(crate) fn read(frame: &'a [u8]) -> Option<Self> {
        let (ethernet, mut rest) = Ethernet::ref_from_prefix(frame).ok()?;
        let mut ethertype = ethernet.ethertype;
        for _ in 0..MOST_TAGS {
            if !ethertype.is_tag() {
                break;
            }
            // Behind the tag's protocol come its control information and the next protocol.
            let (tag, behind) = <[u8; VlanTag::LENGTH as usize]>::ref_from_prefix(rest).ok()?;
            ethertype = EtherType([tag[2], tag[3]]);
            rest = behind;
        }
        let (addresses, hop_limit, protocol, payload) = match ethertype {
            EtherType::IPV4 => read_ipv4(rest)?,
            EtherType::IPV6 => read_ipv6(rest)?,
            _ => return None,
        };
        let body = match (protocol, addresses) {
            (protocol::UDP, _) => read_udp(payload)?,
            (protocol::ICMPV6, Addresses::V6 { .. }) => Body::Icmpv6 { message: payload },
            _ => return None,
        };
        Some(Self {
            source_mac: ethernet.source,
            addresses,
            hop_limit,
            body,
        })
    }
}

fn read_ipv4(bytes: &[u8]) -> Option<(Addresses, u8, u8, &[u8])> {
    let (header, _) = Ipv4::ref_from_prefix(bytes).ok()?;
    if !header.is_valid() || header.is_fragment() {
        return None;
    }
    let end = usize::from(u16::from_be_bytes(header.total_length));
    let payload = bytes.get(header.header_length() as usize..end)?;
    let addresses = Addresses::V4 {
        source: header.source.into(),
        destination: header.destination.into(),
    };
    Some((addresses, header.time_to_live, header.protocol, payload))
}

fn read_ipv6(bytes: &[u8]) -> Option<(Addresses, u8, u8, &[u8])> {
    let (header, rest) = Ipv6::ref_from_prefix(bytes).ok()?;
    if !header.is_valid() {
        return None;
    }
    let payload = rest.get(..usize::from(u16::from_be_bytes(header.payload_length)))?;
    let addresses = Addresses::V6 {
        source: header.source.into(),
        destination: header.destination.into(),
    };
    Some((addresses, header.hop_limit, header.next_header, payload))
}

fn read_udp(bytes: &[u8]) -> Option<Body<'_>> {
    let (header, _) = Udp::ref_from_prefix(bytes).ok()?;
    let end = usize::from(u16::from_be_bytes(header.length));
    Some(Body::Udp {
        source: u16::from_be_bytes(header.source),
        destination: u16::from_be_bytes(header.destination),
        payload: bytes.get(Udp::LENGTH as usize..end)?,
    })
}

/// Where an answer goes, and in whose name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Envelope {
    pub(crate) source_mac: MacAddress,
    pub(crate) destination_mac: MacAddress,
    pub(crate) vlan: Option<VlanId>,
    pub(crate) addresses: Addresses,
}

impl Envelope {
    /// A frame with a UDP datagram. Nothing: the payload is larger than UDP allows.
    pub(crate) fn udp(&self, source: u16, destination: u16, payload: &[u8]) -> Option<Vec<u8>> {
        let length = u16::try_from(Udp::LENGTH as usize + payload.len()).ok()?;
        let mut header = Udp {
            source: source.to_be_bytes(),
            destination: destination.to_be_bytes(),
            length: length.to_be_bytes(),
            checksum: [0; 2],
        };
        let sum = self
            .pseudo_header(protocol::UDP, length)
            .slice(header.as_bytes())
            .slice(payload)
            .finish();
        // Zero would mean "none"; its other form in ones' complement does not (RFC 768).
        header.checksum = if sum == [0; 2] { [0xff; 2] } else { sum };
        self.frame(protocol::UDP, length, &[header.as_bytes(), payload])
    }

    /// A frame with an ICMPv6 message whose checksum field is zero so far. Nothing: it is too large, or not for IPv6.
    pub(crate) fn icmpv6(&self, mut message: Vec<u8>) -> Option<Vec<u8>> {
        let length = u16::try_from(message.len()).ok()?;
        let sum = self
            .pseudo_header(protocol::ICMPV6, length)
            .slice(&message)
            .finish();
        message.get_mut(2..4)?.copy_from_slice(&sum);
        self.frame(protocol::ICMPV6, length, &[&message])
    }

    fn pseudo_header(&self, protocol: u8, length: u16) -> Checksum {
        let sum = Checksum::new().word(protocol.into()).word(length);
        match self.addresses {
            Addresses::V4 {
                source,
                destination,
            } => sum.bytes(&source.octets()).bytes(&destination.octets()),
            Addresses::V6 {
                source,
                destination,
            } => sum.bytes(&source.octets()).bytes(&destination.octets()),
        }
    }

    fn frame(&self, protocol: u8, length: u16, parts: &[&[u8]]) -> Option<Vec<u8>> {
        let mut frame = Vec::with_capacity(64 + usize::from(length));
        let ethertype = match self.addresses {
            Addresses::V4 { .. } => EtherType::IPV4,
            Addresses::V6 { .. } => EtherType::IPV6,
        };
        frame.extend_from_slice(self.destination_mac.as_bytes());
        frame.extend_from_slice(self.source_mac.as_bytes());
        if let Some(vlan) = self.vlan {
            frame.extend_from_slice(EtherType::VLAN.as_bytes());
            frame.extend_from_slice(&vlan.get().to_be_bytes());
        }
        frame.extend_from_slice(ethertype.as_bytes());
        match self.addresses {
            Addresses::V4 {
                source,
                destination,
            } => frame.extend_from_slice(
                ipv4(source, destination, protocol, length.checked_add(20)?).as_bytes(),
            ),
            Addresses::V6 {
                source,
                destination,
            } => frame.extend_from_slice(ipv6(source, destination, protocol, length).as_bytes()),
        }
        for part in parts {
            frame.extend_from_slice(part);
        }
        Some(frame)
    }
}

fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, total_length: u16) -> Ipv4 {
    let mut header = Ipv4 {
        version_length: 0x45,
        total_length: total_length.to_be_bytes(),
        fragment: [Ipv4::DONT_FRAGMENT, 0],
        time_to_live: HOP_LIMIT,
        protocol,
        source: source.octets(),
        destination: destination.octets(),
        ..Ipv4::default()
    };
    header.checksum = Checksum::new().slice(header.as_bytes()).finish();
    header
}

fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, payload_length: u16) -> Ipv6 {
    Ipv6 {
        version_class_flow: Ipv6::first_word(0, 0),
        payload_length: payload_length.to_be_bytes(),
        next_header,
        hop_limit: HOP_LIMIT,
        source: source.octets(),
        destination: destination.octets(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};
    use proptest::prelude::*;

    fn envelope(addresses: Addresses, vlan: Option<VlanId>) -> Envelope {
        Envelope {
            source_mac: MacAddress([2, 0xc0, 0xa0, 0, 0, 1]),
            destination_mac: MacAddress([2, 0, 0, 0, 0, 9]),
            vlan,
            addresses,
        }
    }

    fn any_addresses() -> impl Strategy<Value = Addresses> {
        prop_oneof![
            any::<([u8; 4], [u8; 4])>().prop_map(|(source, destination)| Addresses::V4 {
                source: source.into(),
                destination: destination.into()
            }),
            any::<([u8; 16], [u8; 16])>().prop_map(|(source, destination)| Addresses::V6 {
                source: source.into(),
                destination: destination.into()
            }),
        ]
    }

    fn any_vlan() -> impl Strategy<Value = Option<VlanId>> {
        proptest::option::of((1u32..=4094).prop_map(|vlan| VlanId::try_from(vlan).unwrap()))
    }

    /// etherparse is not ours: it checks every length and sum.
    fn judge(frame: &[u8]) {
        let sliced = SlicedPacket::from_ethernet(frame).unwrap();
        match (sliced.net.unwrap(), sliced.transport.unwrap()) {
            (NetSlice::Ipv4(ip), TransportSlice::Udp(udp)) => {
                let header = ip.header().to_header();
                assert_eq!(header.header_checksum, header.calc_header_checksum());
                let sum = udp.to_header().calc_checksum_ipv4(&header, udp.payload());
                assert_eq!(sum.unwrap(), udp.checksum());
            }
            (NetSlice::Ipv6(ip), TransportSlice::Udp(udp)) => {
                let header = ip.header().to_header();
                let sum = udp.to_header().calc_checksum_ipv6(&header, udp.payload());
                assert_eq!(sum.unwrap(), udp.checksum());
            }
            (NetSlice::Ipv6(ip), TransportSlice::Icmpv6(icmp)) => {
                let header = ip.header().to_header();
                assert!(icmp.is_checksum_valid(header.source, header.destination));
            }
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn datagrams_are_read_as_they_were_written(
            addresses in any_addresses(),
            vlan in any_vlan(),
            source: u16,
            destination: u16,
            payload in proptest::collection::vec(any::<u8>(), 0..1400),
            padding in 0usize..20,
        ) {
            let mut frame = envelope(addresses, vlan).udp(source, destination, &payload).unwrap();
            judge(&frame);
            frame.extend(vec![0xaa; padding]);
            let packet = Packet::read(&frame).unwrap();
            prop_assert_eq!(packet.addresses, addresses);
            prop_assert_eq!(packet.body, Body::Udp { source, destination, payload: &payload });
        }

        #[test]
        fn messages_are_read_as_they_were_written(
            source: [u8; 16],
            destination: [u8; 16],
            vlan in any_vlan(),
            mut message in proptest::collection::vec(any::<u8>(), 8..200),
        ) {
            let addresses = Addresses::V6 { source: source.into(), destination: destination.into() };
            message[2..4].fill(0);
            let frame = envelope(addresses, vlan).icmpv6(message.clone()).unwrap();
            judge(&frame);
            let packet = Packet::read(&frame).unwrap();
            let Body::Icmpv6 { message: read } = packet.body else { panic!("{packet:?}") };
            prop_assert_eq!(packet.hop_limit, HOP_LIMIT);
            prop_assert_eq!(&read[4..], &message[4..]);
        }

        #[test]
        fn cut_packets_are_not_read(addresses in any_addresses(), vlan in any_vlan(), keep: prop::sample::Index) {
            let frame = envelope(addresses, vlan).udp(1, 2, &[7; 40]).unwrap();
            prop_assert_eq!(Packet::read(&frame[..keep.index(frame.len())]), None);
        }

        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Packet::read(&bytes);
        }
    }

    #[test]
    fn fragments_and_headers_in_between_are_not_read() {
        let addresses = Addresses::V4 {
            source: Ipv4Addr::new(10, 0, 0, 1),
            destination: Ipv4Addr::new(10, 0, 0, 2),
        };
        let frame = envelope(addresses, None).udp(68, 67, &[0; 8]).unwrap();
        for (at, value) in [(20, 0x20), (21, 1)] {
            let mut fragment = frame.clone();
            fragment[at] = value;
            assert_eq!(Packet::read(&fragment), None);
        }
        let addresses = Addresses::V6 {
            source: Ipv6Addr::LOCALHOST,
            destination: Ipv6Addr::LOCALHOST,
        };
        let frame = envelope(addresses, None).udp(546, 547, &[0; 8]).unwrap();
        for next_header in [0, 43, 44, 60, 6] {
            let mut hidden = frame.clone();
            hidden[20] = next_header;
            assert_eq!(Packet::read(&hidden), None);
        }
    }

    #[test]
    fn what_is_too_large_is_not_written() {
        let addresses = Addresses::V4 {
            source: Ipv4Addr::LOCALHOST,
            destination: Ipv4Addr::LOCALHOST,
        };
        assert_eq!(envelope(addresses, None).udp(1, 2, &[0; 65_520]), None);
        assert_eq!(envelope(addresses, None).udp(1, 2, &[0; 70_000]), None);
    }
}
