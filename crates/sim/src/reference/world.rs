//! VMs on two hosts, their networks and projects.
//!
//! ```text
//!   project 0: networks 7 (10.0.0.0/24, fd00::/64) and 8 (10.0.1.0/24, fd01::/64), one router
//!   project 1: network 9, with the addresses of network 7
//!   host 0: VMs 1 to 3       host 1: VMs 4 to 6       each on the devices of the stand
//!   ports:  1 to 6, the VMs' devices without a tag; 7 and 8, VLANs 10 and 20 of VM 1's; 9 and 10, those of VM 4's
//!   strangers, behind the foreign endpoint of a network: 11 and 12 of network 7, 13 and 14 of 8, 15 and 16 of 9
//! ```
//!
//! Of two strangers the hosts have been told where the first one's MAC address is, and nothing of the other one.

use super::policy::Policy;
use crate::noise::mac;
use crate::stand::Device;
use coax_tables::{DomainId, NetworkId};
use coax_wire::MacAddress;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// VMs there are; they are numbered from 1.
pub const VMS: u8 = 6;
/// Ports there may be: those of VMs, which have their numbers, and VLANs of trunks.
pub const PORTS: u8 = 10;
/// What is behind foreign endpoints.
pub const STRANGERS: std::ops::RangeInclusive<u8> = 11..=16;
/// All that is behind foreign endpoints, where a frame goes there.
pub const ABROAD: u8 = 99;
/// Networks there are.
pub const NETWORKS: u8 = 3;
/// What the router of project 0 is called.
pub const ROUTER: u32 = 1 << 24;
/// The number of gateways among addresses.
pub const GATE: u8 = 254;
const DEVICES: [Device; 3] = [Device::Vm1, Device::Vm2, Device::Vm3];

/// Number of a network for the hosts.
pub const fn network_id(network: u8) -> NetworkId {
    NetworkId(7 + network as u32)
}

/// The project that a network belongs to.
pub const fn project_of(network: u8) -> usize {
    if network == 2 { 1 } else { 0 }
}

/// It is no port of ours, but behind a foreign endpoint.
pub fn is_stranger(port: u8) -> bool {
    STRANGERS.contains(&port)
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

/// The VM that a port belongs to.
pub const fn vm_of(port: u8) -> u8 {
    match port {
        7 | 8 => 1,
        9 | 10 => 4,
        vm => vm,
    }
}

/// The VLAN of a port on its device; zero: without a tag.
pub const fn vlan_of(port: u8) -> u16 {
    match port {
        7 | 9 => 10,
        8 | 10 => 20,
        _ => 0,
    }
}

/// The host that a port is on.
pub const fn host_of(port: u8) -> usize {
    if vm_of(port) > 3 { 1 } else { 0 }
}

/// The device of a port on its host.
pub fn device_of(port: u8) -> Device {
    DEVICES[usize::from((vm_of(port) - 1) % 3)]
}

/// The MAC address of a port.
pub const fn mac_of(port: u8) -> MacAddress {
    mac(vm_of(port))
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

/// The link-local address that is made of a MAC address (RFC 4291 appendix A).
pub fn link_local(mac: MacAddress) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    let [one, two, three, four] = [(a ^ 2, b), (c, 0xff), (0xfe, d), (e, f)]
        .map(|(high, low)| u16::from_be_bytes([high, low]));
    Ipv6Addr::new(0xfe80, 0, 0, 0, one, two, three, four)
}

/// Where the VMs are, and what the projects want.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct World {
    /// The network of each port that there is.
    pub homes: BTreeMap<u8, u8>,
    /// The ports that reach no other isolated one of their network.
    pub isolated: BTreeSet<u8>,
    /// The networks that carry IP only, looked up by its address.
    pub routed: BTreeSet<u8>,
    /// The networks that have a foreign endpoint.
    pub foreign: BTreeSet<u8>,
    /// The policy of each project.
    pub policies: [Policy; 2],
    /// How many connections a host has room for, if that is few. Then time passes before each packet.
    pub crowded: Option<usize>,
}

impl World {
    /// All ports.
    pub fn ports(&self) -> impl Iterator<Item = u8> {
        self.homes.keys().copied()
    }

    /// The network of a port, or of a stranger.
    pub fn home(&self, port: u8) -> u8 {
        if is_stranger(port) {
            return (port - STRANGERS.start()) / 2;
        }
        self.homes.get(&port).copied().unwrap_or_default()
    }

    /// Everybody behind foreign endpoints.
    pub fn strangers(&self) -> impl Iterator<Item = u8> {
        STRANGERS.filter(|stranger| self.foreign.contains(&self.home(*stranger)))
    }

    /// Both are isolated ports of one network.
    pub fn kept_apart(&self, one: u8, other: u8) -> bool {
        self.home(one) == self.home(other)
            && self.isolated.contains(&one)
            && self.isolated.contains(&other)
    }

    /// The ports of a network.
    pub fn members(&self, network: u8) -> impl Iterator<Item = u8> {
        self.ports().filter(move |port| self.home(*port) == network)
    }

    /// The address of a port: its VM has the same number in all of its networks.
    pub fn address(&self, port: u8, ipv6: bool) -> IpAddr {
        address(self.home(port), ipv6, vm_of(port))
    }

    /// The ports of a project that a port of it can reach, if they are not isolated, and the strangers in its network. A
    /// stranger reaches the ports of its network.
    pub fn neighbours(&self, port: u8) -> Vec<u8> {
        let network = self.home(port);
        if is_stranger(port) {
            return self.members(network).collect();
        }
        let others = self.ports().filter(|other| *other != port);
        let own = others.filter(|other| project_of(self.home(*other)) == project_of(network));
        let strangers = self.strangers();
        own.chain(strangers.filter(|other| self.home(*other) == network))
            .collect()
    }

    /// Frames of a VM's device may have tags.
    pub fn is_trunk(&self, vm: u8) -> bool {
        self.ports().any(|port| vm_of(port) == vm && port != vm)
    }

    /// The port by which a device, without a tag or in a VLAN, can be reached.
    pub fn port_at(&self, host: usize, device: Device, vlan: u16) -> Option<u8> {
        self.ports().find(|port| {
            host_of(*port) == host && device_of(*port) == device && vlan_of(*port) == vlan
        })
    }

    /// The port of a network that has a MAC address.
    pub fn owner(&self, network: u8, mac: MacAddress) -> Option<u8> {
        self.members(network).find(|port| mac_of(*port) == mac)
    }
}
