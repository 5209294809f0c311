//! Sets of ports in the words of those who wrote the file.

use std::collections::BTreeSet;

use crate::group::Group;
use crate::intent::Intent;
use crate::name::{GroupName, Name};

/// The most ports that are called by their names.
const MOST_NAMES: usize = 3;

/// What a set of ports is called: by the pattern or name of a group, by a network, or by names. The
/// first of the intents that has a word for it gives it.
pub(super) fn who(ports: &BTreeSet<Name>, project: &Name, intents: [&Intent; 2]) -> String {
    if let [one] = ports.iter().collect::<Vec<_>>().as_slice() {
        return one.to_string();
    }
    let group = |intent: &&Intent| group_of(ports, project, intent);
    let place = |intent: &&Intent| place_of(ports, project, intent);
    let word = intents.iter().find_map(group);
    if let Some(word) = word.or_else(|| intents.iter().find_map(place)) {
        return word;
    }
    let mut names: Vec<String> = ports.iter().take(MOST_NAMES).map(Name::to_string).collect();
    let more = ports.len().saturating_sub(MOST_NAMES);
    match (more, names.pop()) {
        (0, Some(last)) => format!("{} and {last}", names.join(", ")),
        (more, Some(last)) => format!("{}, {last} and {more} more", names.join(", ")),
        (_, None) => "nobody".to_owned(),
    }
}

fn group_of(ports: &BTreeSet<Name>, project: &Name, intent: &Intent) -> Option<String> {
    let is_it = |name: &GroupName| {
        let members = intent.members(name).map(|(port, _)| &port.name);
        members.eq(ports.iter())
    };
    let mut groups = intent.groups_of(project);
    let (name, group) = groups.find(|(name, _)| is_it(name))?;
    Some(called(name, group))
}

fn place_of(ports: &BTreeSet<Name>, project: &Name, intent: &Intent) -> Option<String> {
    let all = intent.ports_of(project).map(|(name, _)| &name.name);
    if all.eq(ports) {
        return Some(format!("every port of {project}"));
    }
    let is_it = |network: &Name| {
        let all = intent.ports_of(project);
        let in_it = all.filter(|(_, port)| port.network == *network);
        in_it.map(|(name, _)| &name.name).eq(ports)
    };
    let mut networks = intent.networks_of(project).map(|(name, _)| &name.name);
    let network = networks.find(|network| is_it(network))?;
    Some(format!("network {network}"))
}

fn called(name: &GroupName, group: &Group) -> String {
    let plain = group.ports.is_empty() && group.matching.labels.is_empty();
    match &group.matching.vm {
        Some(pattern) if plain => pattern.to_string(),
        _ => format!("group {}", name.name),
    }
}
