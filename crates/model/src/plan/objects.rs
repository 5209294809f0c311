//! What plans say of each kind of object.

use std::fmt;

use super::{Kind, Planned};
use crate::check::Checks;
use crate::firewall::{Firewall, FirewallRule};
use crate::group::{AddressGroup, Group};
use crate::intent::{Binding, Change, Intent, Network, Port, Vtep};
use crate::name::ObjectName;
use crate::network::StormControl;
use crate::router::{Route, Router};

/// One property of an object in words.
pub(super) struct Fact {
    /// What it is called, as in the file.
    pub(super) what: &'static str,
    /// Its value.
    pub(super) value: String,
    /// It is what it would be if nothing were written: not worth a word of a new object.
    pub(super) plain: bool,
}

fn fact(what: &'static str, value: impl fmt::Display) -> Fact {
    Fact {
        what,
        value: value.to_string(),
        plain: false,
    }
}

/// A property that most objects have in common.
fn seldom<T: PartialEq + fmt::Display>(what: &'static str, value: T, usual: T) -> Fact {
    Fact {
        plain: value == usual,
        ..fact(what, value)
    }
}

/// A list that is mostly empty.
fn list<T: fmt::Display>(what: &'static str, items: impl IntoIterator<Item = T>) -> Fact {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    let value = match items.as_slice() {
        [] => "none".to_owned(),
        items => items.join(" "),
    };
    Fact {
        plain: items.is_empty(),
        ..fact(what, value)
    }
}

fn route(route: &Route) -> String {
    format!("{} via {}", route.to, route.via)
}

impl Planned for Network {
    const KIND: Kind = Kind::Network;

    fn facts(&self) -> Vec<Fact> {
        let limit = |limit: Option<u32>| limit.map_or("none".to_owned(), |it| it.to_string());
        let gateways = self
            .subnets
            .iter()
            .filter(|subnet| subnet.gateway != crate::allocate::gateway(subnet.prefix));
        let silent = self.subnets.iter().filter(|subnet| !subnet.dhcp);
        let dhcp = if self.dhcp.is_some() { "on" } else { "off" };
        let options = self.dhcp.clone().unwrap_or_default();
        let (storm, usual) = (self.storm_control, StormControl::default());
        let mut facts = vec![
            fact("VNI", self.vni),
            fact("MTU", self.mtu),
            list("subnets", self.prefixes()),
            list("gateways", gateways.map(|subnet| subnet.gateway)),
            seldom("type", self.kind.name(), "bridged"),
            seldom("vlan_transparent", self.vlan_transparent, false),
            seldom("flood_unknown", self.flood_unknown, false),
            seldom("dhcp", dhcp, "off"),
            list("subnets without dhcp", silent.map(|subnet| subnet.prefix)),
        ];
        facts.extend([
            seldom("lease_time", options.lease_time, Default::default()),
            list("dhcp routes", options.routes.iter().map(route)),
            seldom(
                "router_advertisements",
                self.router_advertisements,
                self.dhcp.is_some(),
            ),
            list("dns domain", &self.dns.domain),
            list("dns servers", &self.dns.servers),
            seldom("own_servers", self.own_servers, false),
            seldom("isolated", self.isolated, false),
            seldom("max_endpoints", limit(self.max_endpoints), limit(None)),
            seldom("broadcasts/s", storm.broadcast, usual.broadcast),
            seldom("multicasts/s", storm.multicast, usual.multicast),
            seldom("unknown/s", storm.unknown, usual.unknown),
            seldom("shut_time", self.shut_time, Default::default()),
        ]);
        facts
    }

    fn put(name: ObjectName, network: Self) -> Change {
        Change::PutNetwork { name, network }
    }

    fn delete(name: ObjectName) -> Change {
        Change::DeleteNetwork { name }
    }
}

impl Planned for Port {
    const KIND: Kind = Kind::Port;

    fn facts(&self) -> Vec<Fact> {
        let host = self.host.as_ref();
        let host = host.map_or("any".to_owned(), ToString::to_string);
        let labels = self.labels.iter();
        let allowed = self.allowed_addresses.iter().map(|it| match it.mac {
            Some(mac) => format!("{} with {mac}", it.ip),
            None => it.ip.to_string(),
        });
        let trunk = self.trunk.iter().map(|(vlan, trunk)| {
            let addresses = trunk.addresses.iter().map(|address| format!(" {address}"));
            let addresses: String = addresses.collect();
            format!("{vlan}:{}{addresses}", trunk.network)
        });
        vec![
            fact("network", &self.network),
            fact("MAC", self.mac),
            list("addresses", &self.addresses),
            seldom("host", host, "any".to_owned()),
            list(
                "labels",
                labels.map(|(key, label)| format!("{key}={label}")),
            ),
            list("allowed_addresses", allowed),
            seldom("isolated", self.isolated, false),
            list("trunk", trunk),
            seldom("any_address", self.any_address, false),
            seldom("any_mac", self.any_mac, false),
            seldom("may_serve", self.may_serve, false),
        ]
    }

    fn loss(name: &ObjectName, intent: &Intent) -> String {
        match intent.bindings.get(name) {
            Some(Binding {
                host: Some(host), ..
            }) => {
                format!("it is plugged in on {host} and loses its network")
            }
            _ => String::new(),
        }
    }

    fn put(name: ObjectName, port: Self) -> Change {
        Change::PutPort { name, port }
    }

    fn delete(name: ObjectName) -> Change {
        Change::DeletePort { name }
    }
}

impl Planned for Vtep {
    const KIND: Kind = Kind::Vtep;

    fn facts(&self) -> Vec<Fact> {
        vec![
            fact("address", self.address),
            list("networks", &self.networks),
            list("MAC addresses", &self.macs),
            seldom("udp6_zero_checksum", self.udp6_zero_checksum, false),
        ]
    }

    fn loss(_: &ObjectName, _: &Intent) -> String {
        "its tunnel packets will be dropped".to_owned()
    }

    fn put(name: ObjectName, vtep: Self) -> Change {
        Change::PutVtep { name, vtep }
    }

    fn delete(name: ObjectName) -> Change {
        Change::DeleteVtep { name }
    }
}

impl Planned for Router {
    const KIND: Kind = Kind::Router;

    fn facts(&self) -> Vec<Fact> {
        let routes = self.routes.iter();
        vec![
            list("networks", &self.networks),
            list(
                "routes",
                routes.map(|it| format!("{} via {}", it.to, it.via)),
            ),
        ]
    }

    fn loss(name: &ObjectName, intent: &Intent) -> String {
        let networks = intent.routers.get(name).map_or(0, |it| it.networks.len());
        match networks {
            0 | 1 => String::new(),
            _ => "its networks no longer reach each other".to_owned(),
        }
    }

    fn put(name: ObjectName, router: Self) -> Change {
        Change::PutRouter { name, router }
    }

    fn delete(name: ObjectName) -> Change {
        Change::DeleteRouter { name }
    }
}

impl Planned for Group {
    const KIND: Kind = Kind::Group;

    fn facts(&self) -> Vec<Fact> {
        let labels = self.matching.labels.iter();
        vec![
            list("vm", &self.matching.vm),
            list(
                "labels",
                labels.map(|(key, label)| format!("{key}={label}")),
            ),
            list("ports", &self.ports),
        ]
    }

    fn put(name: ObjectName, group: Self) -> Change {
        Change::PutGroup { name, group }
    }

    fn delete(name: ObjectName) -> Change {
        Change::DeleteGroup { name }
    }
}

impl Planned for AddressGroup {
    const KIND: Kind = Kind::AddressGroup;

    fn facts(&self) -> Vec<Fact> {
        vec![list("prefixes", &self.prefixes)]
    }

    fn put(name: ObjectName, group: Self) -> Change {
        Change::PutAddressGroup { name, group }
    }

    fn delete(name: ObjectName) -> Change {
        Change::DeleteAddressGroup { name }
    }
}

impl Planned for Firewall {
    const KIND: Kind = Kind::Firewall;

    fn facts(&self) -> Vec<Fact> {
        vec![
            fact("default", self.default),
            seldom("mode", self.mode, Default::default()),
        ]
    }

    fn loss(_: &ObjectName, _: &Intent) -> String {
        "everything passes between the project's ports, but for the operator's rails".to_owned()
    }

    fn put(name: ObjectName, firewall: Self) -> Change {
        Change::PutFirewall {
            project: name.project,
            firewall,
        }
    }

    fn delete(name: ObjectName) -> Change {
        Change::DeleteFirewall {
            project: name.project,
        }
    }
}

impl Planned for FirewallRule {
    const KIND: Kind = Kind::FirewallRule;

    fn facts(&self) -> Vec<Fact> {
        let mode = seldom("mode", self.mode, Default::default());
        vec![
            list(self.action.name(), &self.services),
            list("from", &self.from),
            list("to", &self.to),
            seldom("log", self.log, false),
            mode,
        ]
    }

    /// A rule that only stands elsewhere has new effects, too. Another action changes the name of the
    /// first fact.
    fn differences(&self, to: &Self) -> Vec<String> {
        let mut words = Vec::new();
        if self.action == to.action {
            words.extend(super::changed(self, to));
        } else {
            words.push(format!("now {to}"));
        }
        if self.order != to.order {
            words.push("stands elsewhere among the rules".to_owned());
        }
        words
    }

    fn put(name: ObjectName, rule: Self) -> Change {
        Change::PutRule { name, rule }
    }

    fn delete(name: ObjectName) -> Change {
        Change::DeleteRule { name }
    }
}

impl Planned for Checks {
    const KIND: Kind = Kind::Checks;

    fn facts(&self) -> Vec<Fact> {
        vec![fact("count", self.0.len())]
    }

    fn differences(&self, to: &Self) -> Vec<String> {
        let gone = self.0.iter().filter(|check| !to.0.contains(check));
        let new = to.0.iter().filter(|check| !self.0.contains(check));
        let gone = gone.map(|check| format!("no longer: {check}"));
        let mut words: Vec<String> = gone
            .chain(new.map(|check| format!("now: {check}")))
            .collect();
        if words.is_empty() {
            words.push("in another order".to_owned());
        }
        words
    }

    fn put(name: ObjectName, checks: Self) -> Change {
        Change::PutChecks {
            project: name.project,
            checks,
        }
    }

    fn delete(name: ObjectName) -> Change {
        Change::DeleteChecks {
            project: name.project,
        }
    }
}
