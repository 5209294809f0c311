//! Whether the settings of networks and ports fit together.

use std::collections::BTreeMap;

use crate::diagnostic::FieldPath;
use crate::file::{NetworkEntry, PortEntry, StackFile};
use crate::intent::Intent;
use crate::name::{Name, ObjectName};
use crate::network::NetworkKind;
use crate::rule::{Refusals, SettingRule};

/// Checks the settings of networks and ports.
pub fn check(file: &StackFile, intent: &Intent, refusals: &mut Refusals) {
    for (name, entry) in &file.networks {
        let path = FieldPath::keys(&["networks", name.as_str()]);
        for (field, rule) in wrong(entry) {
            refusals.push(path.key(field), rule);
        }
    }
    for (name, entry) in &file.vteps {
        let path = FieldPath::keys(&["vteps", name.as_str(), "networks"]);
        for (index, network) in entry.networks.iter().enumerate() {
            let kind = file.networks.get(network).map(|network| network.kind);
            if kind == Some(NetworkKind::Routed) {
                let network = network.clone();
                refusals.push(path.item(index), SettingRule::RoutedForeign { network });
            }
        }
    }
    for (name, entry) in &file.ports {
        let path = FieldPath::keys(&["ports", name.as_str(), "trunk"]);
        check_trunk(entry, file, &path, refusals);
    }
    check_endpoints(file, intent, refusals);
}

/// What is wrong with a network by itself, with the field to look at.
fn wrong(entry: &NetworkEntry) -> Vec<(&'static str, SettingRule)> {
    let mut wrong = Vec::new();
    let answers = entry.router_advertisements == Some(true);
    let settings = [
        ("dhcp", entry.dhcp.is_some()),
        ("router_advertisements", answers),
    ];
    for (setting, on) in settings {
        if on && entry.own_servers {
            wrong.push((setting, SettingRule::TwoServers { setting }));
        }
        if on && entry.subnets.is_empty() {
            wrong.push((setting, SettingRule::NothingToOffer { setting }));
        }
    }
    if entry.kind == NetworkKind::Routed {
        let settings = [
            ("vlan_transparent", entry.vlan_transparent),
            ("flood_unknown", entry.flood_unknown),
            ("own_servers", entry.own_servers),
        ];
        for (setting, on) in settings {
            if on {
                wrong.push((setting, SettingRule::Routed { setting }));
            }
        }
    }
    wrong
}

/// A port is in each network once, and its tags are its own.
fn check_trunk(entry: &PortEntry, file: &StackFile, path: &FieldPath, refusals: &mut Refusals) {
    let transparent = file
        .networks
        .get(&entry.network)
        .is_some_and(|network| network.vlan_transparent);
    if transparent && !entry.trunk.is_empty() {
        let network = entry.network.clone();
        refusals.push(path.clone(), SettingRule::TrunkTransparent { network });
    }
    let mut seen = vec![&entry.network];
    for (vlan, trunk) in &entry.trunk {
        if seen.contains(&&trunk.network) {
            let network = trunk.network.clone();
            let path = path.key(&vlan.to_string());
            refusals.push(path, SettingRule::NetworkTwice { network });
        }
        seen.push(&trunk.network);
    }
}

/// Where a network has a limit, those who are there already come first, then the new ones by name;
/// whoever is over the limit is refused. A limit below those who are there is wrong itself.
fn check_endpoints(file: &StackFile, intent: &Intent, refusals: &mut Refusals) {
    let mut members: BTreeMap<&Name, Vec<(FieldPath, bool)>> = BTreeMap::new();
    for (name, entry) in &file.ports {
        let full = ObjectName::new(file.project.clone(), name.clone());
        let stored = intent.ports.get(&full);
        let there = |network: &Name| {
            stored.is_some_and(|port| port.networks().any(|(_, it, _)| it == network))
        };
        let path = FieldPath::keys(&["ports", name.as_str()]);
        let mut join = |network, path| {
            let is_new = !there(network);
            members.entry(network).or_default().push((path, is_new));
        };
        join(&entry.network, path.key("network"));
        for (vlan, trunk) in &entry.trunk {
            join(&trunk.network, path.key("trunk").key(&vlan.to_string()));
        }
    }
    for (name, entry) in &file.networks {
        let (Some(max), Some(mut members)) = (entry.max_endpoints, members.remove(name)) else {
            continue;
        };
        let room = usize::try_from(max).unwrap_or(usize::MAX);
        let network = || name.clone();
        members.sort_by_key(|(_, is_new)| *is_new);
        let count = members.iter().filter(|(_, is_new)| !is_new).count();
        if count > room {
            let path = FieldPath::keys(&["networks", name.as_str(), "max_endpoints"]);
            let network = network();
            let rule = SettingRule::EndpointsThere {
                network,
                max,
                count,
            };
            refusals.push(path, rule);
        }
        let over = members.into_iter().enumerate().skip(room);
        for (index, (path, _)) in over.filter(|(_, (_, is_new))| *is_new) {
            let (network, count) = (network(), index + 1);
            let rule = SettingRule::Endpoints {
                network,
                max,
                count,
            };
            refusals.push(path, rule);
        }
    }
}
