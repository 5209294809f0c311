//! What one intent lets ports of a project do. A port's *role* is all that decides about it: the networks
//! that it is in, the address plan of each, and for each address which sides of rules name it.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::services::{Atoms, Services};
use crate::firewall::{Mode, RuleAction, Selector};
use crate::intent::Intent;
use crate::membership::Scope;
use crate::name::{Name, ObjectName, RuleName};
use crate::port::Port;

/// Sides of rules that name an address, by their numbers.
type Sides = BTreeSet<usize>;

/// One address of a port, or a place in a network without one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    network: Name,
    scope: Scope,
    isolated: bool,
    ipv6: Option<bool>,
    sides: Sides,
}

/// All that decides about a port.
pub(super) type Role = BTreeSet<Place>;

/// What decides about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decider<'a> {
    /// The rule; nothing for the default.
    pub(super) rule: Option<&'a RuleName>,
    /// What becomes of the connection.
    pub(super) action: RuleAction,
    /// Whether that counts.
    pub(super) mode: Mode,
}

impl Decider<'_> {
    pub(super) fn admits(&self) -> bool {
        self.action == RuleAction::Allow || self.mode == Mode::Audit
    }
}

struct Judged<'a> {
    from: Sides,
    to: Sides,
    services: Atoms,
    decider: Decider<'a>,
}

/// Addresses that a side of a rule names.
#[derive(Default)]
struct Index {
    /// Single addresses in their address plan.
    hosts: HashMap<(Option<Scope>, IpAddr), Sides>,
    /// Everything else.
    prefixes: Vec<(Option<Scope>, IpNet, usize)>,
    any: Sides,
}

pub(super) struct Judge<'a> {
    project: &'a Name,
    intent: &'a Intent,
    services: &'a Services,
    index: Index,
    rules: Vec<Judged<'a>>,
    default: Decider<'a>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(project: &'a Name, intent: &'a Intent, services: &'a Services) -> Self {
        let mut judge = Self {
            project,
            intent,
            services,
            index: Index::default(),
            rules: Vec::new(),
            default: Decider {
                rule: None,
                action: RuleAction::Allow,
                mode: Mode::Enforce,
            },
        };
        let Some(domain) = intent.domain(project) else {
            return judge;
        };
        let (action, mode) = domain.default();
        judge.default = Decider {
            rule: None,
            action,
            mode,
        };
        let mut numbers: HashMap<(Name, Selector), usize> = HashMap::new();
        for (name, rule, mode) in domain.rules() {
            let mut number = |selector: &Selector| {
                let next = numbers.len();
                let key = (name.project.clone(), selector.clone());
                let number = *numbers.entry(key).or_insert(next);
                if number == next {
                    judge.index(selector, &name.project, number);
                }
                number
            };
            let from = rule.from.iter().map(&mut number).collect();
            let to = rule.to.iter().map(&mut number).collect();
            let mut matching = services.none();
            for service in &rule.services {
                matching.add(&services.matching(*service));
            }
            judge.rules.push(Judged {
                from,
                to,
                services: matching,
                decider: Decider {
                    rule: Some(name),
                    action: rule.action,
                    mode,
                },
            });
        }
        judge
    }

    fn index(&mut self, selector: &Selector, owner: &Name, number: usize) {
        if *selector == Selector::Any {
            self.index.any.insert(number);
            return;
        }
        for named in self.intent.named_by(selector, owner, self.project) {
            let full = |name| ObjectName::new(self.project.clone(), name);
            let scope = named.network.map(|name| self.intent.scope_of(&full(name)));
            let prefix = named.prefix;
            if prefix.prefix_len() == prefix.max_prefix_len() {
                let key = (scope, prefix.addr());
                self.index.hosts.entry(key).or_default().insert(number);
            } else {
                self.index.prefixes.push((scope, prefix, number));
            }
        }
    }

    /// How many rules judge.
    pub(super) fn rules(&self) -> usize {
        self.rules.len()
    }

    fn sides(&self, scope: &Scope, address: IpAddr) -> Sides {
        let mut sides = self.index.any.clone();
        for scope in [None, Some(scope.clone())] {
            sides.extend(
                self.index
                    .hosts
                    .get(&(scope, address))
                    .into_iter()
                    .flatten(),
            );
        }
        let prefixes = self.index.prefixes.iter();
        let fitting = prefixes.filter(|(of, prefix, _)| {
            of.as_ref().is_none_or(|of| of == scope) && prefix.contains(&address)
        });
        sides.extend(fitting.map(|(_, _, number)| *number));
        sides
    }

    /// All that decides about a port.
    pub(super) fn role(&self, port: &Port) -> Role {
        let mut role = Role::new();
        for (_, network, addresses) in port.networks() {
            let full = ObjectName::new(self.project.clone(), network.clone());
            let scope = self.intent.scope_of(&full);
            let place = |ipv6, sides| Place {
                network: network.clone(),
                scope: scope.clone(),
                isolated: port.isolated,
                ipv6,
                sides,
            };
            for address in addresses {
                role.insert(place(Some(address.is_ipv6()), self.sides(&scope, *address)));
            }
            if addresses.is_empty() {
                role.insert(place(None, self.index.any.clone()));
            }
        }
        role
    }

    /// An address of a network, whoever has it.
    pub(super) fn place(&self, network: &ObjectName, address: IpAddr) -> Place {
        let scope = self.intent.scope_of(network);
        Place {
            network: network.name.clone(),
            isolated: false,
            ipv6: Some(address.is_ipv6()),
            sides: self.sides(&scope, address),
            scope,
        }
    }

    /// Whether the two sides of a rule, by its number, name two places.
    pub(super) fn names(&self, rule: usize, from: &Place, to: &Place) -> (bool, bool) {
        let rule = self.rules.get(rule);
        rule.map_or((false, false), |rule| {
            (
                !rule.from.is_disjoint(&from.sides),
                !rule.to.is_disjoint(&to.sides),
            )
        })
    }

    /// Whether a rule, by its number, is about one of the services.
    pub(super) fn serves(&self, rule: usize, wanted: &Atoms) -> bool {
        let rule = self.rules.get(rule);
        rule.is_some_and(|rule| !rule.services.both(wanted).is_empty())
    }

    /// What a port may open to another.
    pub(super) fn allowed(&self, from: &Role, to: &Role) -> Atoms {
        let mut allowed = self.services.none();
        for from in from {
            for to in to {
                if reaches(from, to) {
                    allowed.add(&self.admitted(from, to));
                }
            }
        }
        allowed
    }

    /// What a port may open from one of its places to one of another's.
    pub(super) fn admitted(&self, from: &Place, to: &Place) -> Atoms {
        let mut open = self.services.of_family(from.ipv6.or(to.ipv6));
        let mut admitted = self.services.none();
        for rule in &self.rules {
            if rule.from.is_disjoint(&from.sides) || rule.to.is_disjoint(&to.sides) {
                continue;
            }
            let decided = open.both(&rule.services);
            if rule.decider.admits() {
                admitted.add(&decided);
            }
            open = open.without(&decided);
        }
        if self.default.admits() {
            admitted.add(&open);
        }
        admitted
    }

    /// What decides about the first of these services, for a packet that finds its way.
    pub(super) fn decider(&self, from: &Place, to: &Place, wanted: &Atoms) -> Decider<'a> {
        let wanted = wanted.first();
        let mut rules = self.rules.iter();
        let decides = |rule: &&Judged<'_>| {
            !rule.from.is_disjoint(&from.sides)
                && !rule.to.is_disjoint(&to.sides)
                && !rule.services.both(&wanted).is_empty()
        };
        rules
            .find(decides)
            .map_or(self.default, |rule| rule.decider)
    }
}

/// The IP families that a port has addresses of.
pub(super) fn families(role: &Role) -> BTreeSet<bool> {
    role.iter().filter_map(|place| place.ipv6).collect()
}

/// The ways that packets find from one port to another, each with its IP family; nothing: any.
pub(super) fn ways<'r>(
    from: &'r Role,
    to: &'r Role,
) -> impl Iterator<Item = (Option<bool>, &'r Place, &'r Place)> {
    let pairs = from
        .iter()
        .flat_map(move |from| to.iter().map(move |to| (from, to)));
    let found = pairs.filter(|(from, to)| reaches(from, to));
    found.map(|(from, to)| (from.ipv6.or(to.ipv6), from, to))
}

/// Why packets of a family find no way, in words.
pub(super) fn why_no_way(from: &Role, to: &Role, ipv6: Option<bool>) -> String {
    let of_family = |role: &Role| -> BTreeSet<Name> {
        let fitting = role.iter().filter(|it| ipv6.is_none() || it.ipv6 == ipv6);
        fitting.map(|place| place.network.clone()).collect()
    };
    let (own, other) = (of_family(from), of_family(to));
    let addressed = !families(from).is_empty() && !families(to).is_empty();
    let no_family = || "they have no addresses of one IP family".to_owned();
    if let Some(network) = own.intersection(&other).next() {
        return match ipv6 {
            None if addressed => no_family(),
            _ => format!("both are isolated ports of network {network}"),
        };
    }
    let mut pairs = from
        .iter()
        .flat_map(|one| to.iter().map(move |two| (one, two)));
    let joined = pairs.any(|(one, two)| one.scope == two.scope);
    let named = |networks: &BTreeSet<Name>| {
        let names: Vec<&str> = networks.iter().map(Name::as_str).collect();
        names.join(", ")
    };
    match ipv6 {
        None if addressed => no_family(),
        None if joined => {
            "a router joins their networks, but one of them has no address".to_owned()
        }
        _ => format!(
            "no router joins networks {} and {}",
            named(&own),
            named(&other)
        ),
    }
}

/// Whether packets find their way: inside of a network, or through the router that joins two.
fn reaches(from: &Place, to: &Place) -> bool {
    let families = match (from.ipv6, to.ipv6) {
        (Some(from), Some(to)) => from == to,
        _ => true,
    };
    if from.network == to.network {
        return families && !(from.isolated && to.isolated);
    }
    let addressed = from.ipv6.is_some() && to.ipv6.is_some();
    families && addressed && from.scope == to.scope
}
