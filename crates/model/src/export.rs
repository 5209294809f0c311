//! From the intent back to a file. The canonical file says everything, also what was chosen, so that
//! it makes the same project anywhere; applied where it came from it changes nothing.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::file::{
    FILE_VERSION, FirewallEntry, GroupEntry, NetworkEntry, PortEntry, RailsEntry, RailsFile,
    RouterEntry, RuleEntry, StackFile, TrunkEntry, VtepEntry,
};
use crate::group::{AddressGroup, Group};
use crate::intent::{Intent, Network, Port, Vtep};
use crate::name::{Name, ObjectName};
use crate::router::Router;

/// A project as a file.
pub fn export(project: &Name, intent: &Intent) -> StackFile {
    let ports = intent.ports_of(project).map(|(name, port)| {
        let network = ObjectName::new(project.clone(), port.network.clone());
        let isolated = intent
            .networks
            .get(&network)
            .map(|network| network.isolated);
        let entry = port_entry(port, isolated.unwrap_or_default());
        (name.name.clone(), entry)
    });
    StackFile {
        version: FILE_VERSION,
        project: project.clone(),
        networks: entries(intent.networks_of(project), network_entry),
        ports: ports.collect(),
        vteps: entries(intent.vteps_of(project), vtep_entry),
        routers: entries(intent.routers_of(project), router_entry),
        groups: entries(intent.groups_of(project), group_entry),
        address_groups: entries(intent.address_groups_of(project), AddressGroup::clone),
        firewall: intent.firewalls.get(project).map(|firewall| FirewallEntry {
            default: firewall.default,
            mode: firewall.mode,
            rules: rule_entries(project, intent),
        }),
        checks: intent
            .checks
            .get(project)
            .map_or_else(Vec::new, |checks| checks.0.clone()),
        moved: Vec::new(),
    }
}

/// The operator's rails as a file.
pub fn export_rails(intent: &Intent) -> RailsFile {
    let project = Name::rails();
    RailsFile::new(RailsEntry {
        address_groups: entries(intent.address_groups_of(&project), AddressGroup::clone),
        rules: rule_entries(&project, intent),
    })
}

fn entries<'a, T: 'a, E>(
    objects: impl Iterator<Item = (&'a ObjectName, &'a T)>,
    entry: impl Fn(&T) -> E,
) -> BTreeMap<Name, E> {
    objects
        .map(|(name, object)| (name.name.clone(), entry(object)))
        .collect()
}

fn rule_entries(project: &Name, intent: &Intent) -> Vec<RuleEntry> {
    let rules = intent.rules_in_order(project).into_iter();
    rules
        .map(|(name, rule)| RuleEntry::of(&name.name, rule))
        .collect()
}

fn network_entry(network: &Network) -> NetworkEntry {
    let answers = network.router_advertisements;
    NetworkEntry {
        subnets: network.subnets.clone(),
        kind: network.kind,
        vni: Some(network.vni.get()),
        mtu: Some(network.mtu.get().into()),
        vlan_transparent: network.vlan_transparent,
        flood_unknown: network.flood_unknown,
        dhcp: network.dhcp.clone(),
        router_advertisements: (answers != network.dhcp.is_some()).then_some(answers),
        dns: network.dns.clone(),
        own_servers: network.own_servers,
        isolated: network.isolated,
        max_endpoints: network.max_endpoints,
        storm_control: network.storm_control,
        shut_time: network.shut_time,
    }
}

fn port_entry(port: &Port, isolated: bool) -> PortEntry {
    let trunk = port.trunk.iter().map(|(vlan, trunk)| {
        let entry = TrunkEntry {
            network: trunk.network.clone(),
            addresses: Some(trunk.addresses.clone()),
        };
        (*vlan, entry)
    });
    PortEntry {
        network: port.network.clone(),
        host: port.host.clone(),
        mac: Some(port.mac),
        addresses: Some(port.addresses.clone()),
        labels: port.labels.clone(),
        allowed_addresses: port.allowed_addresses.clone(),
        isolated: (port.isolated != isolated).then_some(port.isolated),
        trunk: trunk.collect(),
        any_address: port.any_address,
        any_mac: port.any_mac,
        may_serve: port.may_serve,
    }
}

fn vtep_entry(vtep: &Vtep) -> VtepEntry {
    VtepEntry {
        address: vtep.address,
        networks: vtep.networks.clone(),
        macs: vtep.macs.clone(),
        udp6_zero_checksum: vtep.udp6_zero_checksum,
    }
}

fn router_entry(router: &Router) -> RouterEntry {
    RouterEntry {
        networks: router.networks.iter().cloned().collect(),
        routes: router.routes.iter().copied().collect(),
    }
}

fn group_entry(group: &Group) -> GroupEntry {
    GroupEntry {
        matching: group.matching.clone(),
        ports: group.ports.iter().cloned().collect(),
    }
}

/// A file as text that people read: equal files give equal text, byte for byte.
pub fn to_yaml(file: &impl Serialize) -> Result<String, serde_saphyr::SerializeError> {
    serde_saphyr::to_string(file)
}
