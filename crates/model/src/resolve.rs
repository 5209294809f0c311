//! A file made whole: what it leaves out is taken from what is stored, and chosen if nothing is.
//! Only values that have no meaning at all are refused here; whether the result keeps the rules is
//! [`crate::validate`]'s question.

mod ports;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use coax_wire::{Mtu, Vni};

use crate::allocate::VniPool;
use crate::check::Checks;
use crate::diagnostic::FieldPath;
use crate::file::{
    GroupEntry, NetworkEntry, RailsEntry, RouterEntry, RuleEntry, StackFile, VtepEntry,
};
use crate::firewall::{Firewall, FirewallRule, RuleOrder};
use crate::group::{AddressGroup, Group};
use crate::intent::{Intent, Network, Port, Vtep};
use crate::name::{Name, NetworkName, ObjectName, PortName, RouterName, RuleName, VtepName};
use crate::order;
use crate::plan::Kind;
use crate::router::{Router, RouterNumber};
use crate::rule::{Refusals, Rule};

/// A project as it will be stored.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Its networks.
    pub networks: BTreeMap<NetworkName, Network>,
    /// Its ports.
    pub ports: BTreeMap<PortName, Port>,
    /// Its foreign tunnel endpoints.
    pub vteps: BTreeMap<VtepName, Vtep>,
    /// Its routers.
    pub routers: BTreeMap<RouterName, Router>,
    /// Its groups of ports.
    pub groups: BTreeMap<ObjectName, Group>,
    /// Its groups of addresses.
    pub address_groups: BTreeMap<ObjectName, AddressGroup>,
    /// Its firewall.
    pub firewall: Option<Firewall>,
    /// Its firewall rules.
    pub rules: BTreeMap<RuleName, FirewallRule>,
    /// Its checks.
    pub checks: Option<Checks>,
}

/// Makes a file whole.
pub fn resolve(file: &StackFile, intent: &Intent, refusals: &mut Refusals) -> Resolved {
    let project = &file.project;
    for (name, entry) in &file.vteps {
        let path = || FieldPath::keys(&["vteps", name.as_str(), "networks"]);
        for (index, network) in entry.networks.iter().enumerate() {
            if !file.networks.contains_key(network) {
                refusals.push(path().item(index), unknown_network(network, file));
            }
        }
    }
    let rules = file.firewall.iter().flat_map(|firewall| &firewall.rules);
    Resolved {
        networks: networks(file, intent, refusals),
        ports: ports::ports(file, intent, refusals),
        vteps: named(project, &file.vteps, vtep),
        routers: routers(file, intent),
        groups: named(project, &file.groups, group),
        address_groups: named(project, &file.address_groups, AddressGroup::clone),
        firewall: file.firewall.as_ref().map(|firewall| Firewall {
            default: firewall.default,
            mode: firewall.mode,
        }),
        rules: rules_in(project, rules, PROJECTS, intent),
        checks: (!file.checks.is_empty()).then(|| Checks(file.checks.clone())),
    }
}

/// Makes the operator's file whole.
pub fn resolve_rails(rails: &RailsEntry, intent: &Intent) -> Resolved {
    let project = Name::rails();
    Resolved {
        address_groups: named(&project, &rails.address_groups, AddressGroup::clone),
        rules: rules_in(&project, rails.rules.iter(), RAILS, intent),
        ..Resolved::default()
    }
}

fn named<E, T>(
    project: &Name,
    entries: &BTreeMap<Name, E>,
    make: impl Fn(&E) -> T,
) -> BTreeMap<ObjectName, T> {
    let full = |name: &Name| ObjectName::new(project.clone(), name.clone());
    entries
        .iter()
        .map(|(name, entry)| (full(name), make(entry)))
        .collect()
}

/// The numbers that places of rails come from: in front of those of all projects.
const RAILS: Range<u32> = 0..RuleOrder::FIRST_OF_PROJECTS;
/// The numbers that places of projects' rules come from.
const PROJECTS: Range<u32> = RuleOrder::FIRST_OF_PROJECTS..u32::MAX;

/// Rules at their places. Those that are not right are left out: [`crate::validate`] refuses them.
fn rules_in<'a>(
    project: &Name,
    entries: impl Iterator<Item = &'a RuleEntry>,
    range: Range<u32>,
    intent: &Intent,
) -> BTreeMap<RuleName, FirewallRule> {
    let entries: Vec<(RuleName, &RuleEntry)> = entries
        .map(|entry| (RuleName::new(project.clone(), entry.name.clone()), entry))
        .collect();
    let had: Vec<Option<RuleOrder>> = entries
        .iter()
        .map(|(name, _)| intent.rules.get(name).map(|rule| rule.order))
        .collect();
    let numbers = order::numbers(&had, range);
    let rules = entries.into_iter().zip(numbers);
    rules
        .filter_map(|((name, entry), order)| Some((name, entry.at(order)?)))
        .collect()
}

fn networks(
    file: &StackFile,
    intent: &Intent,
    refusals: &mut Refusals,
) -> BTreeMap<NetworkName, Network> {
    let stored = intent.networks.values().map(|network| network.vni.get());
    let written = file.networks.values().filter_map(|entry| entry.vni);
    let mut pool = VniPool::without(stored.chain(written));
    let mut networks = BTreeMap::new();
    for (name, entry) in &file.networks {
        let path = FieldPath::keys(&["networks", name.as_str()]);
        let full = ObjectName::new(file.project.clone(), name.clone());
        let stored = intent.networks.get(&full);
        let vni = vni(entry, stored, &mut pool).map_err(|rule| (path.key("vni"), rule));
        let mtu = mtu(entry, stored, intent).map_err(|rule| (path.key("mtu"), rule));
        match (vni, mtu) {
            (Ok(vni), Ok(mtu)) => {
                networks.insert(full, network(entry, vni, mtu));
            }
            (vni, mtu) => {
                for (path, rule) in [vni.err(), mtu.err()].into_iter().flatten() {
                    refusals.push(path, rule);
                }
            }
        }
    }
    networks
}

fn network(entry: &NetworkEntry, vni: Vni, mtu: Mtu) -> Network {
    let mut subnets = entry.subnets.clone();
    subnets.sort();
    Network {
        vni,
        mtu,
        subnets,
        vlan_transparent: entry.vlan_transparent,
        flood_unknown: entry.flood_unknown,
        kind: entry.kind,
        dhcp: entry.dhcp.clone(),
        router_advertisements: entry.router_advertisements.unwrap_or(entry.dhcp.is_some()),
        dns: entry.dns.clone(),
        own_servers: entry.own_servers,
        isolated: entry.isolated,
        max_endpoints: entry.max_endpoints,
        storm_control: entry.storm_control,
        shut_time: entry.shut_time,
    }
}

fn vni(entry: &NetworkEntry, stored: Option<&Network>, pool: &mut VniPool) -> Result<Vni, Rule> {
    match (entry.vni, stored) {
        (Some(written), _) => Vni::try_from(written).map_err(Rule::VniRange),
        (None, Some(stored)) => Ok(stored.vni),
        (None, None) => pool.take().ok_or(Rule::VnisExhausted),
    }
}

/// A stored MTU that the underlay no longer carries is not kept: leaving `mtu` out must be a way out.
fn mtu(entry: &NetworkEntry, stored: Option<&Network>, intent: &Intent) -> Result<Mtu, Rule> {
    if let Some(written) = entry.mtu {
        return Mtu::try_from(written).map_err(Rule::MtuRange);
    }
    let underlay = intent.underlay_mtu;
    let largest = intent
        .largest_mtu(entry.vlan_transparent)
        .ok_or(Rule::UnderlayTooSmall { underlay })?;
    Ok(stored.map_or(largest, |stored| stored.mtu.min(largest)))
}

fn vtep(entry: &VtepEntry) -> Vtep {
    let networks: BTreeSet<Name> = entry.networks.iter().cloned().collect();
    let macs: BTreeSet<_> = entry.macs.iter().copied().collect();
    Vtep {
        address: entry.address,
        networks: networks.into_iter().collect(),
        macs: macs.into_iter().collect(),
        udp6_zero_checksum: entry.udp6_zero_checksum,
    }
}

/// A router keeps its number; a new one gets the lowest that is free.
fn routers(file: &StackFile, intent: &Intent) -> BTreeMap<RouterName, Router> {
    let stored = intent.routers.values().map(|router| router.number);
    let mut taken: BTreeSet<RouterNumber> = stored.collect();
    let mut number = |name: &RouterName| match intent.routers.get(name) {
        Some(stored) => stored.number,
        None => {
            let mut number = RouterNumber::LEAST;
            while !taken.insert(number) {
                number = number.next();
            }
            number
        }
    };
    let routers = file.routers.iter().map(|(name, entry)| {
        let name = ObjectName::new(file.project.clone(), name.clone());
        let number = number(&name);
        (name, router(entry, number))
    });
    routers.collect()
}

fn router(entry: &RouterEntry, number: RouterNumber) -> Router {
    Router {
        number,
        networks: entry.networks.iter().cloned().collect(),
        routes: entry.routes.iter().copied().collect(),
    }
}

fn group(entry: &GroupEntry) -> Group {
    Group {
        matching: entry.matching.clone(),
        ports: entry.ports.iter().cloned().collect(),
    }
}

fn unknown_network(name: &Name, file: &StackFile) -> Rule {
    Rule::unknown(Kind::Network, name, file.networks.keys())
}
