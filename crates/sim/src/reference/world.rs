//! VMs on two hosts, their networks and projects, and the way of a packet between them.
//!
//! ```text
//!   project 0: networks 7 (10.0.0.0/24, fd00::/64) and 8 (10.0.1.0/24, fd01::/64), one router
//!   project 1: network 9, with the addresses of network 7
//!   host 0: VMs 1 to 3       host 1: VMs 4 to 6       each on the devices of the stand
//! ```

use super::firewall::{Fate, Firewall, Moment};
use super::packet::{Content, Packet, Segment, flag};
use super::policy::Policy;
use crate::noise::{GATEWAY, mac};
use crate::rows::Receiver;
use crate::stand::{Device, Stand, Vtep, host_row};
use crate::{SimRows, craft};
use coax_tables::{
    AddressKey, AddressRow, DomainId, DropReason, MacRow, NetworkId, PortRow, RouteRow,
};
use coax_wire::{MacAddress, ip};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// VMs there are; they are numbered from 1.
pub const VMS: u8 = 6;
/// Networks there are.
pub const NETWORKS: u8 = 3;
const ROUTER: u32 = 1 << 24;
const GATE: u8 = 254;
const MTU: u32 = 1500;
const DEVICES: [Device; 3] = [Device::Vm1, Device::Vm2, Device::Vm3];

/// Number of a network for the hosts.
pub const fn network_id(network: u8) -> NetworkId {
    NetworkId(7 + network as u32)
}

/// The project that a network belongs to.
pub const fn project_of(network: u8) -> usize {
    if network == 2 { 1 } else { 0 }
}

/// The address plan of a project.
pub const fn scope_of(project: usize) -> u32 {
    if project == 0 {
        ROUTER
    } else {
        network_id(2).0
    }
}

/// The domain that is a project's policy on both hosts.
pub const fn domain_of(project: usize) -> DomainId {
    DomainId(project as u32 + 1)
}

/// The host that a VM lives on.
pub const fn host_of(vm: u8) -> usize {
    if vm > 3 { 1 } else { 0 }
}

/// The device of a VM on its host.
pub fn device_of(vm: u8) -> Device {
    DEVICES[usize::from((vm - 1) % 3)]
}

/// Number `number` of a network.
pub fn address(network: u8, ipv6: bool, number: u8) -> IpAddr {
    let plan = u16::from(network % 2);
    if ipv6 {
        Ipv6Addr::new(0xfd00 + plan, 0, 0, 0, 0, 0, 0, number.into()).into()
    } else {
        Ipv4Addr::new(10, 0, plan as u8, number).into()
    }
}

fn key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => ip::mapped(address.octets()),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Where the VMs are, and what the projects want.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct World {
    /// The network of each VM.
    pub homes: [u8; VMS as usize],
    /// The policy of each project.
    pub policies: [Policy; 2],
}

/// Who sends to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// The VM that sends.
    pub from: u8,
    /// The VM that it is for; none: a group.
    pub to: Option<u8>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fates {
    /// At its sender's host.
    pub here: Fate,
    /// Its sender hears that it was rejected.
    pub told: bool,
    /// At the other host, if it comes so far.
    pub there: Option<Fate>,
}

impl World {
    /// The network of a VM.
    pub fn home(&self, vm: u8) -> u8 {
        self.homes[usize::from(vm - 1)]
    }

    /// The address of a VM.
    pub fn address(&self, vm: u8, ipv6: bool) -> IpAddr {
        address(self.home(vm), ipv6, vm)
    }

    /// The VMs of a project that a VM of it can reach.
    pub fn neighbours(&self, vm: u8) -> Vec<u8> {
        let project = project_of(self.home(vm));
        let others = (1..=VMS).filter(|other| *other != vm);
        others
            .filter(|other| project_of(self.home(*other)) == project)
            .collect()
    }

    /// The frame around a packet.
    pub fn frame(&self, way: Way, packet: &Packet) -> Vec<u8> {
        let to = match (way.to, packet.destination) {
            (Some(to), _) if self.home(to) == self.home(way.from) => mac(to),
            (Some(_), _) => GATEWAY,
            (None, IpAddr::V6(group)) => craft::group_mac(group),
            (None, IpAddr::V4(group)) => {
                let [_, a, b, c] = group.octets();
                MacAddress([1, 0, 0x5e, a & 0x7f, b, c])
            }
        };
        let ethertype = if packet.is_ipv6() {
            craft::IPV6
        } else {
            craft::IPV4
        };
        craft::ethernet(to, mac(way.from), ethertype, &packet.bytes())
    }

    /// The other host has a VM in the network.
    fn is_spread(&self, way: Way) -> bool {
        let mut others = (1..=VMS).filter(|vm| host_of(*vm) != host_of(way.from));
        others.any(|vm| self.home(vm) == self.home(way.from))
    }

    /// The model: the sender's network judges, then the receiver's, unless both are one network of one host.
    pub fn judge(
        &self,
        firewalls: &mut [Firewall; 2],
        way: Way,
        packet: &Packet,
        (now, versions): (Duration, [u32; 2]),
    ) -> Fates {
        let mut judge_packet = |packet: &Packet, host: usize, network: u8| {
            let project = project_of(network);
            let moment = Moment {
                policy: &self.policies[project],
                version: versions[project],
                network: network_id(network).0,
                now,
            };
            firewalls[host].judge(packet, moment)
        };
        let mut judge = |host: usize, network: u8| judge_packet(packet, host, network);
        let mut fates = Fates {
            here: Err(DropReason::HeaderChain),
            told: false,
            there: None,
        };
        // More headers than anybody reads: guards drop them at the port.
        if packet.is_ipv6() && packet.headers + usize::from(packet.part.is_some()) > 8 {
            return fates;
        }
        let (here, own) = (host_of(way.from), self.home(way.from));
        fates.here = judge(here, own);
        if fates.here.is_err() {
            fates.told = fates.here == Err(DropReason::Rejected) && may_be_told(packet);
            return fates;
        }
        let Some(to) = way.to else {
            fates.there = self.is_spread(way).then(|| judge(1 - here, own));
            return fates;
        };
        let (there, other) = (host_of(to), self.home(to));
        if there != here {
            fates.there = Some(judge(there, other));
        } else if other != own {
            fates.here = judge(here, other);
            // The refusal goes back through the sender's own network, like any packet of the receiver.
            if fates.here == Err(DropReason::Rejected) && may_be_told(packet) {
                let passes = judge_packet(&refusal(packet), here, own);
                fates.here = passes.and(fates.here);
            }
        }
        fates
    }

    /// The rows of a host, but for those of policies.
    pub fn rows(&self, host: usize, seed: u64, stand: &Stand) -> SimRows {
        let mut rows = SimRows::new(host_row());
        rows.host.seed = seed;
        let other = Vtep::PEER.row(false);
        for network in 0..NETWORKS {
            let members = (1..=VMS).filter(|vm| self.home(*vm) == network);
            let mut receivers = Vec::new();
            for vm in members {
                if host_of(vm) == host {
                    let ifindex = stand.index(device_of(vm));
                    self.port(&mut rows, vm, ifindex);
                    let slot = slot_of(vm);
                    receivers.push(Receiver::Port { ifindex, slot });
                } else {
                    let row = MacRow {
                        vtep: other,
                        mtu: MTU,
                        ..MacRow::default()
                    };
                    rows.mac(network_id(network), mac(vm), row);
                    if !receivers.contains(&Receiver::Host(other)) {
                        receivers.push(Receiver::Host(other));
                    }
                }
                for ipv6 in [false, true] {
                    let address = key(self.address(vm, ipv6));
                    rows.address(network_id(network), address, mac(vm));
                }
            }
            rows.tunnel(other, network_id(network), 0);
            rows.network(network_id(network), MTU, 0, &receivers);
            if project_of(network) == 0 {
                gateway(&mut rows, network);
            }
        }
        rows
    }

    fn port(&self, rows: &mut SimRows, vm: u8, ifindex: u32) {
        let network = self.home(vm);
        let project = project_of(network);
        let (policy, scope) = (domain_of(project), scope_of(project));
        let [.., a, b, c, d] = key(self.address(vm, false));
        let slot = slot_of(vm);
        let port = PortRow {
            network: network_id(network),
            slot,
            mtu: MTU,
            mac: mac(vm),
            ipv4: [a, b, c, d],
            ipv6: key(self.address(vm, true)),
            policy,
            scope,
            ..PortRow::default()
        };
        rows.port(ifindex, port);
        let row = MacRow {
            ifindex,
            slot,
            mtu: MTU,
            flags: MacRow::LOCAL,
            policy,
            scope,
            ..MacRow::default()
        };
        rows.mac(network_id(network), mac(vm), row);
    }
}

/// Nobody is told about resets, errors, what is for many, and messages of IPv4 that are no echoes.
const fn may_be_told(packet: &Packet) -> bool {
    let about = match &packet.content {
        Content::Tcp(segment) => !segment.has(flag::RST),
        Content::Icmp(..) => packet.is_ipv6(),
        Content::Error { .. } => false,
        _ => true,
    };
    about && !packet.is_to_group()
}

/// What the sender of a rejected packet is told: a reset (RFC 9293 section 3.10.7.1), or an ICMP error.
fn refusal(packet: &Packet) -> Packet {
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

fn slot_of(vm: u8) -> u32 {
    u32::from((vm - 1) % 3) + 1
}

fn gateway(rows: &mut SimRows, network: u8) {
    let id = network_id(network);
    let flags = MacRow::ROUTER;
    let row = MacRow {
        flags,
        ..MacRow::default()
    };
    rows.mac(id, GATEWAY, row);
    let row = rows.networks.entry(id).or_default();
    (row.router, row.gateway_mac) = (ROUTER, GATEWAY);
    for ipv6 in [false, true] {
        let gate = address(network, ipv6, GATE);
        match gate {
            IpAddr::V4(gate) => row.gateway_ipv4 = gate.octets(),
            IpAddr::V6(gate) => row.gateway_ipv6 = gate.octets(),
        }
    }
    for ipv6 in [false, true] {
        let owner = AddressRow {
            mac: GATEWAY,
            flags: AddressRow::ROUTER,
        };
        let address_key = AddressKey {
            address: key(address(network, ipv6, GATE)),
            network: id,
        };
        rows.addresses.insert(address_key, owner);
        let to = RouteRow {
            network: id,
            ..RouteRow::default()
        };
        let bits = if ipv6 { 64 } else { 96 + 24 };
        rows.route(ROUTER, key(address(network, ipv6, 0)), bits, to);
    }
}
