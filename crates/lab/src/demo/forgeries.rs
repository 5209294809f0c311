//! What the hostile VM of point 8 sends, in both families, each with the reason for which it must be dropped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use coax_model::GATEWAY_MAC;
use coax_sim::craft::{self, Discovery, Ipv4, Ipv6};
use coax_wire::MacAddress;

const BROADCAST: MacAddress = MacAddress([0xff; 6]);
const STRANGER: MacAddress = MacAddress([0x02, 0xba, 0xd0, 0, 0, 1]);
const BRIDGES: MacAddress = MacAddress([0x01, 0x80, 0xc2, 0, 0, 0]);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Ethertype of the storm.
const STORM: u16 = 0x88b6;
const TCP: u8 = 6;
const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
const ICMPV6: u8 = 58;
const SYN: u8 = 2;

/// An end of what is forged: its addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) mac: MacAddress,
    pub(super) ipv4: Ipv4Addr,
    pub(super) ipv6: Ipv6Addr,
}

impl End {
    /// The address that it has without being given one (RFC 4291, appendix A).
    fn link_local(&self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.mac.0.map(u16::from);
        Ipv6Addr::new(
            0xfe80,
            0,
            0,
            0,
            (a ^ 2) << 8 | b,
            c << 8 | 0xff,
            0xfe00 | d,
            e << 8 | f,
        )
    }
}

/// Who forges, whom it pretends to be, and a server behind the router that it may open connections to.
#[derive(Debug)]
pub(super) struct Forger {
    pub(super) own: End,
    pub(super) neighbour: End,
    pub(super) server: End,
    /// A service of the server that rules allow.
    pub(super) service: u16,
}

/// A frame, and the guard that must drop it; none: another stage does, or it may pass to a server.
pub(super) type Forgery = (&'static str, Vec<u8>);

impl Forger {
    /// One of each kind.
    pub(super) fn all(&self) -> Vec<Forgery> {
        let kinds = [
            self.sources(),
            self.resolution(),
            self.servers(),
            self.layers(),
            self.fragments_ipv4(),
            self.fragments_ipv6(),
        ];
        kinds.concat()
    }

    fn to_neighbour(&self, ethertype: u16, payload: &[u8]) -> Vec<u8> {
        craft::ethernet(self.neighbour.mac, self.own.mac, ethertype, payload)
    }

    fn to_all(&self, ethertype: u16, payload: &[u8]) -> Vec<u8> {
        craft::ethernet(BROADCAST, self.own.mac, ethertype, payload)
    }

    fn to_group(&self, packet: &[u8]) -> Vec<u8> {
        craft::ethernet(
            craft::group_mac(ALL_NODES),
            self.own.mac,
            craft::IPV6,
            packet,
        )
    }

    /// Another MAC address, and the neighbour's addresses.
    fn sources(&self) -> Vec<Forgery> {
        let (own, near) = (&self.own, &self.neighbour);
        let ipv4 = datagram(near.ipv4.into(), own.ipv4.into(), 9, 9);
        let ipv6 = datagram(near.ipv6.into(), own.ipv6.into(), 9, 9);
        let ipv4 = Ipv4::new(near.ipv4, own.ipv4, UDP).packet(&ipv4);
        let ipv6 = Ipv6::new(near.ipv6, own.ipv6, UDP).packet(&ipv6);
        let stranger = craft::ethernet(BROADCAST, STRANGER, craft::EXPERIMENT, &[0; 46]);
        let as_near = craft::ethernet(BROADCAST, near.mac, craft::IPV4, &ipv4);
        vec![
            ("forged-source", stranger),
            ("forged-source", as_near),
            ("forged-address", self.to_neighbour(craft::IPV4, &ipv4)),
            ("forged-address", self.to_neighbour(craft::IPV6, &ipv6)),
        ]
    }

    /// ARP and neighbour discovery in the names of neighbour and gateway.
    fn resolution(&self) -> Vec<Forgery> {
        let (own, near) = (&self.own, &self.neighbour);
        let [a, b, c, _] = own.ipv4.octets();
        let gateway = Ipv4Addr::new(a, b, c, 1);
        let gratuitous = craft::arp(2, (own.mac, gateway), (BROADCAST, gateway));
        let poison = craft::arp(2, (own.mac, near.ipv4), (near.mac, near.ipv4));
        let mut claim = Discovery::advertisement((own.mac, near.ipv6), ALL_NODES, 0x20);
        claim.source = own.link_local();
        let mut ask = Discovery::solicitation((own.mac, own.link_local()), near.ipv6);
        ask.options = craft::link_address(1, near.mac);
        vec![
            ("forged-arp", self.to_all(craft::ARP, &gratuitous)),
            ("forged-arp", self.to_neighbour(craft::ARP, &poison)),
            ("forged-neighbour", self.to_group(&claim.packet())),
            (
                "forged-neighbour",
                self.to_neighbour(craft::IPV6, &ask.packet()),
            ),
        ]
    }

    /// Answers of DHCP servers, and router advertisements: as they are, and behind a fragment header.
    fn servers(&self) -> Vec<Forgery> {
        let own = &self.own;
        let mut offer = vec![0; 240];
        offer[..4].copy_from_slice(&[2, 1, 6, 0]);
        let everybody = Ipv4Addr::BROADCAST;
        let offer = craft::udp((own.ipv4.into(), 67), (everybody.into(), 68), &offer);
        let offer = Ipv4::new(own.ipv4, everybody, UDP).packet(&offer);
        let link = own.link_local();
        let advertise = datagram(link.into(), self.neighbour.ipv6.into(), 547, 546);
        let advertise = Ipv6::new(link, self.neighbour.ipv6, UDP).packet(&advertise);
        let router = self.router_advertisement();
        let plain = Ipv6::new(link, ALL_NODES, ICMPV6).with_hop_limit(255);
        let hidden = Ipv6::new(link, ALL_NODES, FRAGMENT).with_hop_limit(255);
        let behind = [&[ICMPV6, 0, 0, 0, 0, 0, 0, 7][..], &router].concat();
        vec![
            ("rogue-server", self.to_all(craft::IPV4, &offer)),
            ("rogue-server", self.to_neighbour(craft::IPV6, &advertise)),
            ("rogue-server", self.to_group(&plain.packet(&router))),
            ("rogue-server", self.to_group(&hidden.packet(&behind))),
        ]
    }

    fn router_advertisement(&self) -> Vec<u8> {
        let body = [64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
        craft::icmpv6(self.own.link_local(), ALL_NODES, 134, 0, &body)
    }

    /// Tags, stacks of them, LLC in front of ARP, and frames that no bridge forwards.
    fn layers(&self) -> Vec<Forgery> {
        let (own, near) = (&self.own, &self.neighbour);
        let poison = craft::arp(2, (own.mac, near.ipv4), (near.mac, near.ipv4));
        let plain = self.to_neighbour(craft::ARP, &poison);
        let tag = |frame: &[u8], vlan| craft::tagged(frame, craft::C_TAG, vlan);
        let hop = craft::tagged(&tag(&plain, 7), craft::S_TAG, 5);
        let zeros = tag(&tag(&tag(&plain, 0), 0), 0);
        let snap = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 6][..], &poison].concat();
        let snap = self.to_neighbour(snap.len() as u16, &snap);
        let pause = MacAddress([0x01, 0x80, 0xc2, 0, 0, 1]);
        vec![
            ("tagged-frame", tag(&plain, 7)),
            ("tagged-frame", hop),
            ("tagged-frame", zeros.clone()),
            ("tagged-frame", tag(&zeros, 0)),
            ("header-chain", snap),
            // The firewall is before the reason that it would have elsewhere.
            ("", craft::ethernet(pause, own.mac, 0x8808, &[0; 46])),
        ]
    }

    /// To a service that rules allow: one that covers the first one's ports, one without a first, and a first one too short to show its
    /// ports.
    fn fragments_ipv4(&self) -> Vec<Forgery> {
        const MORE: u16 = 0x2000;
        let (own, server) = (&self.own, &self.server);
        let segment = self.opening(own.ipv4.into(), server.ipv4.into(), 4000, &[0; 28]);
        let ip = |fragment| Ipv4::new(own.ipv4, server.ipv4, TCP).with_fragment(fragment);
        // The second field of the header is the packet's number: another packet for each.
        let numbered = |fragment: u16, number: u8, payload: &[u8]| {
            let mut packet = ip(fragment).packet(payload);
            packet[4..6].copy_from_slice(&[0x77, number]);
            packet[10..12].fill(0);
            let sum = craft::checksum(&[&packet[..20]]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            craft::ethernet(GATEWAY_MAC, own.mac, craft::IPV4, &packet)
        };
        vec![
            ("", numbered(MORE, 1, &segment)),
            ("fragment", numbered(1, 1, &segment[8..])),
            ("fragment", numbered(4, 2, &segment[..16])),
            ("fragment", numbered(MORE, 3, &segment[..8])),
        ]
    }

    /// The same.
    fn fragments_ipv6(&self) -> Vec<Forgery> {
        const MORE: u16 = 1;
        let (own, server) = (&self.own, &self.server);
        let segment = self.opening(own.ipv6.into(), server.ipv6.into(), 4000, &[0; 28]);
        let numbered = |units: u16, more: u16, number: u8, payload: &[u8]| {
            let [high, low] = (units << 3 | more).to_be_bytes();
            let header = [TCP, 0, high, low, 0, 0, 0x77, number];
            let packet =
                Ipv6::new(own.ipv6, server.ipv6, FRAGMENT).packet(&[&header[..], payload].concat());
            craft::ethernet(GATEWAY_MAC, own.mac, craft::IPV6, &packet)
        };
        vec![
            ("", numbered(0, MORE, 1, &segment)),
            ("fragment", numbered(1, 0, 1, &segment[8..])),
            ("fragment", numbered(4, 0, 2, &segment[..16])),
            ("fragment", numbered(0, MORE, 3, &segment[..8])),
        ]
    }

    fn opening(&self, from: IpAddr, to: IpAddr, port: u16, payload: &[u8]) -> Vec<u8> {
        craft::tcp_opening((from, port), (to, self.service), SYN, payload)
    }

    /// So many connections that are opened and never used, half of them in each family.
    pub(super) fn syn_flood(&self, number: u16) -> Vec<Vec<u8>> {
        let (own, server) = (&self.own, &self.server);
        let openings = (0..number / 2).flat_map(|place| {
            let port = 10_000 + place;
            let ipv4 = self.opening(own.ipv4.into(), server.ipv4.into(), port, &[]);
            let ipv4 = Ipv4::new(own.ipv4, server.ipv4, TCP).packet(&ipv4);
            let ipv6 = self.opening(own.ipv6.into(), server.ipv6.into(), port, &[]);
            let ipv6 = Ipv6::new(own.ipv6, server.ipv6, TCP).packet(&ipv6);
            [(craft::IPV4, ipv4), (craft::IPV6, ipv6)]
        });
        openings
            .map(|(family, packet)| craft::ethernet(GATEWAY_MAC, own.mac, family, &packet))
            .collect()
    }

    /// One frame of a broadcast storm.
    pub(super) fn storm(&self) -> Vec<u8> {
        self.to_all(STORM, &[0; 46])
    }

    /// What a bridge says to other bridges.
    pub(super) fn bpdu(&self) -> Vec<u8> {
        let mut frame = craft::ethernet(BRIDGES, self.own.mac, 38, &[0x42, 0x42, 0x03]);
        frame.resize(60, 0);
        frame
    }

    /// Whether a frame that somebody got is one of these.
    pub(super) fn sent(&self, frame: &[u8]) -> bool {
        let senders = [self.own.mac, self.neighbour.mac, STRANGER];
        let from = frame.get(6..12);
        senders.iter().any(|mac| from == Some(&mac.0[..]))
    }

    /// Whether it is one of the storm.
    pub(super) fn is_storm(frame: &[u8]) -> bool {
        frame.get(12..14) == Some(&STORM.to_be_bytes()[..])
    }
}

fn datagram(from: IpAddr, to: IpAddr, from_port: u16, to_port: u16) -> Vec<u8> {
    craft::udp((from, from_port), (to, to_port), &[0; 8])
}
