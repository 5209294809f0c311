//! The intent: everything that users and hosts have told Coax, as one plain value, and [`Change`], the
//! only way in which it ever changes. Nothing here decides anything; [`mod@crate::plan`] makes changes
//! from files and `coax-compile` makes slices from intent.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use coax_wire::{MacAddress, Mtu, Vni};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::name::{HostName, Name, NetworkName, ObjectName, PortName, VtepName};

/// What the tunnel headers take from an underlay packet at worst: an IPv6 (40), a UDP (8) and a VXLAN
/// header (8) and the Ethernet header of the frame inside (14).
pub const OVERHEAD: u32 = 70;

/// What two VLAN tags of a guest's own take on top, where a network carries them.
pub const TAGS: u32 = 8;

/// The underlay MTU that a deployment is assumed to have unless it says otherwise.
pub const DEFAULT_UNDERLAY_MTU: u32 = 1600;

/// One virtual cable: a layer-2 broadcast domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The number in the tunnel header, unique in the deployment.
    pub vni: Vni,
    /// The largest IP packet that its ports may send.
    pub mtu: Mtu,
    /// Its IP prefixes, sorted, without overlap.
    pub subnets: Vec<IpNet>,
    /// Frames with VLAN tags of the guests' own are carried as they are.
    #[serde(default)]
    pub vlan_transparent: bool,
    /// Frames to unknown unicast addresses are copied to all members instead of being dropped.
    #[serde(default)]
    pub flood_unknown: bool,
}

/// One virtual NIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The network it is plugged into, in the same project.
    pub network: Name,
    /// Its MAC address, unique in the network.
    pub mac: MacAddress,
    /// Its IP addresses, each inside one of the network's subnets, unique in the network.
    pub addresses: Vec<IpAddr>,
    /// Where its VM is to run, if the user said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
}

/// A tunnel endpoint that no Coax agent runs: a switch, another system's host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vtep {
    /// Its underlay address.
    pub address: IpAddr,
    /// The networks of the same project that it is a member of, sorted.
    pub networks: Vec<Name>,
    /// MAC addresses known to live behind it, sorted; others are learned from flooded frames.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub macs: Vec<MacAddress>,
    /// It accepts UDP without checksum over IPv6 (RFC 6935), which is what Coax sends.
    #[serde(default)]
    pub udp6_zero_checksum: bool,
}

/// A machine that runs the vSwitch, as its agent presented itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The address of its tunnel endpoint over IPv4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Addr>,
    /// The address of its tunnel endpoint over IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
    /// The smallest MTU of its uplinks.
    pub underlay_mtu: u32,
}

/// Where a port's device is, and where it is going.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The host that has the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// The host that prepares to take it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_to: Option<HostName>,
    /// The host that had it and still forwards stragglers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<HostName>,
}

impl Binding {
    /// The port's device is at this host, and nothing is under way.
    pub fn at(host: HostName) -> Self {
        Self {
            host: Some(host),
            moving_to: None,
            moved_from: None,
        }
    }

    /// Every host that plays a part, in the order: has it, gets it, had it.
    pub fn hosts(&self) -> impl Iterator<Item = &HostName> {
        [&self.host, &self.moving_to, &self.moved_from]
            .into_iter()
            .flatten()
    }
}

/// Everything that users and hosts have told Coax.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The largest IP packet that every path between hosts carries.
    pub underlay_mtu: u32,
    /// All networks.
    pub networks: BTreeMap<NetworkName, Network>,
    /// All ports.
    pub ports: BTreeMap<PortName, Port>,
    /// All foreign tunnel endpoints.
    pub vteps: BTreeMap<VtepName, Vtep>,
    /// All hosts that ever presented themselves.
    pub hosts: BTreeMap<HostName, Host>,
    /// Where ports are. A port without an entry is nowhere.
    pub bindings: BTreeMap<PortName, Binding>,
}

impl Default for Intent {
    fn default() -> Self {
        Self::new(DEFAULT_UNDERLAY_MTU)
    }
}

/// One step from an intent to the next: puts or deletes one object. Putting what is there already and
/// deleting what is not there are no errors, so a change can be applied twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// Creates or replaces a network.
    PutNetwork {
        /// Its full name.
        name: NetworkName,
        /// Its new state.
        network: Network,
    },
    /// Removes a network.
    DeleteNetwork {
        /// Its full name.
        name: NetworkName,
    },
    /// Creates or replaces a port.
    PutPort {
        /// Its full name.
        name: PortName,
        /// Its new state.
        port: Port,
    },
    /// Removes a port, and its binding with it.
    DeletePort {
        /// Its full name.
        name: PortName,
    },
    /// Creates or replaces a foreign tunnel endpoint.
    PutVtep {
        /// Its full name.
        name: VtepName,
        /// Its new state.
        vtep: Vtep,
    },
    /// Removes a foreign tunnel endpoint.
    DeleteVtep {
        /// Its full name.
        name: VtepName,
    },
    /// Creates or replaces a host.
    PutHost {
        /// Its name.
        name: HostName,
        /// Its new state.
        host: Host,
    },
    /// Removes a host.
    DeleteHost {
        /// Its name.
        name: HostName,
    },
    /// Says where a port is.
    PutBinding {
        /// The port's full name.
        port: PortName,
        /// Where it is.
        binding: Binding,
    },
    /// The port is nowhere.
    DeleteBinding {
        /// The port's full name.
        port: PortName,
    },
}

impl Intent {
    /// An intent without objects over an underlay of this MTU.
    pub fn new(underlay_mtu: u32) -> Self {
        Self {
            underlay_mtu,
            networks: BTreeMap::new(),
            ports: BTreeMap::new(),
            vteps: BTreeMap::new(),
            hosts: BTreeMap::new(),
            bindings: BTreeMap::new(),
        }
    }

    /// Takes one step.
    pub fn apply(&mut self, change: &Change) {
        match change.clone() {
            Change::PutNetwork { name, network } => drop(self.networks.insert(name, network)),
            Change::DeleteNetwork { name } => drop(self.networks.remove(&name)),
            Change::PutPort { name, port } => drop(self.ports.insert(name, port)),
            Change::DeletePort { name } => {
                self.ports.remove(&name);
                self.bindings.remove(&name);
            }
            Change::PutVtep { name, vtep } => drop(self.vteps.insert(name, vtep)),
            Change::DeleteVtep { name } => drop(self.vteps.remove(&name)),
            Change::PutHost { name, host } => drop(self.hosts.insert(name, host)),
            Change::DeleteHost { name } => drop(self.hosts.remove(&name)),
            Change::PutBinding { port, binding } => drop(self.bindings.insert(port, binding)),
            Change::DeleteBinding { port } => drop(self.bindings.remove(&port)),
        }
    }

    /// The largest MTU of a network that the underlay carries. A network that carries VLAN tags has
    /// less: its MTU, like that of every device, does not count them.
    pub fn largest_mtu(&self, vlan_transparent: bool) -> Option<Mtu> {
        let tags = if vlan_transparent { TAGS } else { 0 };
        let room = self.underlay_mtu.saturating_sub(OVERHEAD + tags);
        Mtu::try_from(room.min(Mtu::MOST.get().into())).ok()
    }

    /// The networks of a project.
    pub fn networks_of<'a>(
        &'a self,
        project: &'a Name,
    ) -> impl Iterator<Item = (&'a NetworkName, &'a Network)> {
        of_project(&self.networks, project)
    }

    /// The ports of a project.
    pub fn ports_of<'a>(
        &'a self,
        project: &'a Name,
    ) -> impl Iterator<Item = (&'a PortName, &'a Port)> {
        of_project(&self.ports, project)
    }

    /// The foreign tunnel endpoints of a project.
    pub fn vteps_of<'a>(
        &'a self,
        project: &'a Name,
    ) -> impl Iterator<Item = (&'a VtepName, &'a Vtep)> {
        of_project(&self.vteps, project)
    }

    /// Every project that owns something, sorted.
    pub fn projects(&self) -> Vec<Name> {
        let names = self
            .networks
            .keys()
            .chain(self.ports.keys())
            .chain(self.vteps.keys());
        let unique: std::collections::BTreeSet<Name> =
            names.map(|name| name.project.clone()).collect();
        unique.into_iter().collect()
    }
}

/// The objects of one project: a range, because the project comes first in the key.
fn of_project<'a, T>(
    objects: &'a BTreeMap<ObjectName, T>,
    project: &'a Name,
) -> impl Iterator<Item = (&'a ObjectName, &'a T)> {
    let first = ObjectName {
        project: project.clone(),
        name: Name::lowest(),
    };
    objects
        .range(first..)
        .take_while(move |(name, _)| name.project == *project)
}
