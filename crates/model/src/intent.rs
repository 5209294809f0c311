//! The intent: everything that users and hosts have told Coax, as one plain value, and [`Change`], the
//! only way in which it ever changes. Nothing here decides anything; [`mod@crate::plan`] makes changes
//! from files and `coax-compile` makes slices from intent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use coax_wire::{MacAddress, Mtu};
use serde::{Deserialize, Serialize};

pub use crate::change::Change;
use crate::check::Checks;
use crate::firewall::{Firewall, FirewallRule};
use crate::group::{AddressGroup, Group};
use crate::name::{
    AddressGroupName, GroupName, HostName, Name, NetworkName, ObjectName, PortName, RouterName,
    RuleName, VtepName,
};
pub use crate::network::Network;
pub use crate::port::Port;
use crate::quota::Quota;
use crate::router::Router;

/// What the tunnel headers take from an underlay packet at worst: an IPv6 (40), a UDP (8) and a VXLAN
/// header (8) and the Ethernet header of the frame inside (14).
pub const OVERHEAD: u32 = 70;

/// What two VLAN tags of a guest's own take on top, where a network carries them.
pub const TAGS: u32 = 8;

/// The underlay MTU that a deployment is assumed to have unless it says otherwise.
pub const DEFAULT_UNDERLAY_MTU: u32 = 1600;

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
    /// All groups of ports.
    #[serde(default)]
    pub groups: BTreeMap<GroupName, Group>,
    /// All groups of addresses; those of the project [`RAILS`](crate::name::RAILS) are the operator's.
    #[serde(default)]
    pub address_groups: BTreeMap<AddressGroupName, AddressGroup>,
    /// The firewalls of the projects that have one.
    #[serde(default)]
    pub firewalls: BTreeMap<Name, Firewall>,
    /// All rules; those of the project [`RAILS`](crate::name::RAILS) are the operator's.
    #[serde(default)]
    pub rules: BTreeMap<RuleName, FirewallRule>,
    /// All routers.
    #[serde(default)]
    pub routers: BTreeMap<RouterName, Router>,
    /// The checks of the projects that have some.
    #[serde(default)]
    pub checks: BTreeMap<Name, Checks>,
    /// The quotas of the projects that have their own.
    #[serde(default)]
    pub quotas: BTreeMap<Name, Quota>,
    /// The quota of all others.
    #[serde(default)]
    pub default_quota: Quota,
}

impl Default for Intent {
    fn default() -> Self {
        Self::new(DEFAULT_UNDERLAY_MTU)
    }
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
            groups: BTreeMap::new(),
            address_groups: BTreeMap::new(),
            firewalls: BTreeMap::new(),
            rules: BTreeMap::new(),
            routers: BTreeMap::new(),
            checks: BTreeMap::new(),
            quotas: BTreeMap::new(),
            default_quota: Quota::default(),
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
    pub fn networks_of(
        &self,
        project: &Name,
    ) -> impl Iterator<Item = (&NetworkName, &Network)> + use<'_> {
        of_project(&self.networks, project)
    }

    /// The ports of a project.
    pub fn ports_of(&self, project: &Name) -> impl Iterator<Item = (&PortName, &Port)> + use<'_> {
        of_project(&self.ports, project)
    }

    /// The foreign tunnel endpoints of a project.
    pub fn vteps_of(&self, project: &Name) -> impl Iterator<Item = (&VtepName, &Vtep)> + use<'_> {
        of_project(&self.vteps, project)
    }

    /// The groups of a project.
    pub fn groups_of(
        &self,
        project: &Name,
    ) -> impl Iterator<Item = (&GroupName, &Group)> + use<'_> {
        of_project(&self.groups, project)
    }

    /// The address groups of a project.
    pub fn address_groups_of(
        &self,
        project: &Name,
    ) -> impl Iterator<Item = (&AddressGroupName, &AddressGroup)> + use<'_> {
        of_project(&self.address_groups, project)
    }

    /// The firewall rules of a project, by name. [`Intent::rules_in_order`] has them as written.
    pub fn rules_of(
        &self,
        project: &Name,
    ) -> impl Iterator<Item = (&RuleName, &FirewallRule)> + use<'_> {
        of_project(&self.rules, project)
    }

    /// The routers of a project.
    pub fn routers_of(
        &self,
        project: &Name,
    ) -> impl Iterator<Item = (&RouterName, &Router)> + use<'_> {
        of_project(&self.routers, project)
    }

    /// Every project that owns something, sorted. The operator's rails belong to none.
    pub fn projects(&self) -> Vec<Name> {
        let mut unique: BTreeSet<&Name> = self.firewalls.keys().collect();
        unique.extend(self.checks.keys());
        unique.extend(owners(&self.networks));
        unique.extend(owners(&self.ports));
        unique.extend(owners(&self.vteps));
        unique.extend(owners(&self.groups));
        unique.extend(owners(&self.address_groups));
        unique.extend(owners(&self.rules));
        unique.extend(owners(&self.routers));
        let projects = unique.into_iter().filter(|project| !project.is_rails());
        projects.cloned().collect()
    }
}

fn owners<T>(objects: &BTreeMap<ObjectName, T>) -> impl Iterator<Item = &Name> {
    objects.keys().map(|name| &name.project)
}

/// The objects of one project: a range, because the project comes first in the key.
pub(crate) fn of_project<'a, T>(
    objects: &'a BTreeMap<ObjectName, T>,
    project: &Name,
) -> impl Iterator<Item = (&'a ObjectName, &'a T)> + use<'a, T> {
    let project = project.clone();
    let first = ObjectName {
        project: project.clone(),
        name: Name::lowest(),
    };
    objects
        .range(first..)
        .take_while(move |(name, _)| name.project == project)
}
