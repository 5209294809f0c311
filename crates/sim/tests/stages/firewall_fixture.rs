//! The network of `fixture` with a firewall, and packets of connections.

use crate::fixture::*;
use coax_sim::craft::{self, Ipv4, Ipv6};
use coax_sim::noise::{ipv4, ipv6, mac};
use coax_sim::reference::packet;
use coax_sim::rules::{Policy, Prefix, Rule, Service};
use coax_sim::{Device, Enters, SimRows};
use coax_tables::{DomainId, PolicyRow};
use coax_wire::ip;
use std::net::IpAddr;

pub const DOMAIN: DomainId = DomainId(1);
pub const TABLE: u32 = 5;

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;

pub fn whole(address: IpAddr) -> Prefix {
    Prefix::whole(match address {
        IpAddr::V4(address) => ip::mapped(address.octets()),
        IpAddr::V6(address) => address.octets(),
    })
}

pub fn address(vm: u8, over_ipv6: bool) -> IpAddr {
    if over_ipv6 {
        ipv6(vm).into()
    } else {
        ipv4(vm).into()
    }
}

/// A rule about connections from one VM to another.
pub fn rule(from: u8, to: u8, over_ipv6: bool, service: (u8, Option<u16>), action: u8) -> Rule {
    Rule {
        source: Some(whole(address(from, over_ipv6))),
        destination: Some(whole(address(to, over_ipv6))),
        service: Some(Service {
            protocol: service.0,
            port: service.1,
        }),
        action,
        flags: 0,
    }
}

/// VM 1 may open TCP connections to port 80, and send datagrams to port 53 and echoes, to everybody.
/// Port 23 is rejected. Nothing else is allowed.
pub fn policy() -> Policy {
    let mut rules = Vec::new();
    for over_ipv6 in [false, true] {
        let from = Some(whole(address(1, over_ipv6)));
        let icmp = if over_ipv6 { 58 } else { 1 };
        let to = |protocol, port, action| Rule {
            source: from,
            destination: None,
            service: Some(Service { protocol, port }),
            action,
            flags: 0,
        };
        rules.extend([
            to(6, Some(80), PolicyRow::ALLOW),
            to(17, Some(53), PolicyRow::ALLOW),
            to(icmp, None, PolicyRow::ALLOW),
            to(6, Some(23), PolicyRow::REJECT),
            to(17, Some(23), PolicyRow::REJECT),
        ]);
    }
    Policy {
        rules,
        otherwise: PolicyRow::DENY,
    }
}

/// The network's rows with this policy at all ports.
pub fn guarded(policy: &Policy) -> SimRows {
    let mut rows = rows();
    rows.host.seed = 0x0123_4567_89ab_cdef;
    for port in rows.ports.values_mut() {
        port.policy = DOMAIN;
        port.scope = NETWORK.0;
    }
    for mac in rows.macs.values_mut() {
        if mac.has(coax_tables::MacRow::LOCAL) {
            mac.policy = DOMAIN;
            mac.scope = NETWORK.0;
        }
    }
    policy.put(&mut rows, DOMAIN, TABLE, NETWORK.0);
    rows
}

/// A TCP segment between two VMs.
#[derive(Clone, Debug)]
pub struct Segment {
    pub from: u8,
    pub to: u8,
    pub over_ipv6: bool,
    pub ports: (u16, u16),
    pub flags: u8,
    pub sequence: u32,
    pub acknowledgement: u32,
    pub window: u16,
    pub scale: Option<u8>,
    pub payload: usize,
}

impl Segment {
    /// The IP packet.
    pub fn packet(&self) -> Vec<u8> {
        let (source, destination) = (
            address(self.from, self.over_ipv6),
            address(self.to, self.over_ipv6),
        );
        let segment = packet::Segment {
            ports: self.ports,
            flags: self.flags,
            sequence: self.sequence,
            acknowledgement: self.acknowledgement,
            window: self.window,
            scale: self.scale,
            data: self.payload,
        };
        let segment = packet::segment_bytes(&segment, source, destination);
        in_packet(source, destination, 6, &segment)
    }

    /// The frame, by the sender's device.
    pub fn enters(&self) -> Enters {
        frame(self.from, self.to, self.over_ipv6, &self.packet())
    }
}

/// An IP packet of either family.
pub fn in_packet(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Ipv4::new(source, destination, protocol).packet(payload)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Ipv6::new(source, destination, protocol).packet(payload)
        }
        _ => panic!("two families"),
    }
}

/// A frame with the packet, by the sender's device.
pub fn frame(from: u8, to: u8, over_ipv6: bool, packet: &[u8]) -> Enters {
    let ethertype = if over_ipv6 { craft::IPV6 } else { craft::IPV4 };
    let bytes = craft::ethernet(mac(to), mac(from), ethertype, packet);
    let (_, device) = VMS.into_iter().find(|(vm, _)| *vm == from).unwrap();
    Enters::new(device, bytes)
}

/// A datagram.
pub fn datagram(from: u8, to: u8, over_ipv6: bool, ports: (u16, u16)) -> Enters {
    let (source, destination) = (address(from, over_ipv6), address(to, over_ipv6));
    let udp = craft::udp((source, ports.0), (destination, ports.1), b"hello");
    let packet = in_packet(source, destination, 17, &udp);
    frame(from, to, over_ipv6, &packet)
}

/// An echo request or reply.
pub fn echo(from: u8, to: u8, over_ipv6: bool, request: bool, identifier: u16) -> Enters {
    let (source, destination) = (address(from, over_ipv6), address(to, over_ipv6));
    let [high, low] = identifier.to_be_bytes();
    let packet = match (source, destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let kind = if request { 128 } else { 129 };
            let body = [high, low, 0, 1, b'p', b'i', b'n', b'g'];
            let message = craft::icmpv6(source, destination, kind, 0, &body);
            Ipv6::new(source, destination, 58).packet(&message)
        }
        _ => {
            let kind = if request { 8 } else { 0 };
            let message = craft::icmp(kind, 0, [high, low, 0, 1], b"ping");
            in_packet(source, destination, 1, &message)
        }
    };
    frame(from, to, over_ipv6, &packet)
}

/// An ICMP error "port unreachable" about a packet.
pub fn unreachable(from: u8, to: u8, over_ipv6: bool, about: &[u8]) -> Enters {
    let (source, destination) = (address(from, over_ipv6), address(to, over_ipv6));
    let quote = &about[..about.len().min(if over_ipv6 { 48 } else { 28 })];
    let packet = match (source, destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let body = [&[0; 4], quote].concat();
            let message = craft::icmpv6(source, destination, 1, 4, &body);
            Ipv6::new(source, destination, 58).packet(&message)
        }
        _ => {
            let message = craft::icmp(3, 3, [0; 4], quote);
            in_packet(source, destination, 1, &message)
        }
    };
    frame(from, to, over_ipv6, &packet)
}

/// VM 1 and VM 2 with their sequence numbers.
pub struct Talk {
    pub over_ipv6: bool,
    pub next: [u32; 2],
    pub window: u16,
    pub ports: (u16, u16),
}

impl Talk {
    pub const fn new(over_ipv6: bool) -> Self {
        Self {
            over_ipv6,
            next: [1000, 0xffff_ff00],
            window: 1000,
            ports: (4000, 80),
        }
    }

    /// The next segment of VM `from`, which acknowledges all that the other one has sent.
    pub fn says(&mut self, from: u8, flags: u8, payload: usize) -> Enters {
        let segment = self.segment(from, flags, payload);
        let own = usize::from(from - 1);
        let more = payload as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        self.next[own] = self.next[own].wrapping_add(more);
        segment.enters()
    }

    /// The same, without being noted.
    pub fn segment(&self, from: u8, flags: u8, payload: usize) -> Segment {
        let (own, other) = (usize::from(from - 1), usize::from(2 - from));
        let (client, server) = self.ports;
        Segment {
            from,
            to: 3 - from,
            over_ipv6: self.over_ipv6,
            ports: if from == 1 {
                (client, server)
            } else {
                (server, client)
            },
            flags,
            sequence: self.next[own],
            acknowledgement: if flags & ACK == 0 {
                0
            } else {
                self.next[other]
            },
            window: self.window,
            scale: (flags & SYN != 0).then_some(2),
            payload,
        }
    }

    /// The three segments that open the connection.
    pub fn open(&mut self) -> Vec<Enters> {
        vec![
            self.says(1, SYN, 0),
            self.says(2, SYN | ACK, 0),
            self.says(1, ACK, 0),
        ]
    }
}

pub const FAMILIES: [(bool, &str); 2] = [(false, "ipv4"), (true, "ipv6")];

/// The device that a frame of the VM enters by.
pub const fn device(vm: u8) -> Device {
    match vm {
        1 => Device::Vm1,
        2 => Device::Vm2,
        _ => Device::Vm3,
    }
}
