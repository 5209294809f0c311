//! Policies of the reference model as the product compiles them.

use coax_compile::policy::{
    Action, AddressPrefix, Domain, Element, Label, Limits, Match, Operation, Place, Policy, Rule,
    Selector, ServiceRange, Settings, Verdict,
};
use coax_sim::SimRows;
use coax_sim::reference::policy::{self as written, End};
use coax_sim::reference::stage::Compiler;
use coax_sim::reference::world::{World, domain_of, scope_of};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// The policies of both projects as they are compiled, change by change.
#[derive(Default)]
pub struct Compiled {
    domains: BTreeMap<usize, (Domain, Policy)>,
    tables: u32,
}

impl Compiler for Compiled {
    fn change(&mut self, project: usize, world: &World, rows: [&mut SimRows; 2]) -> u32 {
        let policy = policy(&world.policies[project], scope_of(project));
        self.tables += 1;
        let mut number = |name: &Label| name[1..].parse().unwrap();
        let (domain, update) = match self.domains.remove(&project) {
            Some((domain, before)) => {
                let change = before.change_to(&policy);
                let table = self.tables + 100;
                domain.update(&policy, &change, table, &mut number).unwrap()
            }
            None => {
                let place = Place {
                    domain: domain_of(project),
                    table: self.tables,
                    generation: 1,
                    scopes: [scope_of(project)].into(),
                    limits: Limits::DEFAULT,
                };
                Domain::compile(place, &policy, &mut number).unwrap()
            }
        };
        for rows in rows {
            for operation in update.make.iter().chain(&update.clean) {
                apply(rows, operation);
            }
        }
        let version = domain.row().generation;
        self.domains.insert(project, (domain, policy));
        version
    }
}

fn apply(rows: &mut SimRows, operation: &Operation) {
    match *operation {
        Operation::PutDomain(key, row) => drop(rows.domains.insert(key, row)),
        Operation::DeleteDomain(key) => drop(rows.domains.remove(&key)),
        Operation::PutClass(key, row) => drop(rows.classes.insert(key, row)),
        Operation::DeleteClass(key) => drop(rows.classes.remove(&key)),
        Operation::PutService(key, row) => drop(rows.services.insert(key, row)),
        Operation::DeleteService(key) => drop(rows.services.remove(&key)),
        Operation::PutPolicy(key, row) => drop(rows.policies.insert(key, row)),
        Operation::DeletePolicy(key) => drop(rows.policies.remove(&key)),
    }
}

fn policy(written: &written::Policy, scope: u32) -> Policy {
    let mut groups: BTreeMap<Label, BTreeSet<Element>> = BTreeMap::new();
    for (name, members) in &written.groups {
        let host = |address: &IpAddr| Element {
            scope: Some(scope),
            prefix: AddressPrefix::host(*address),
        };
        groups.insert(group(*name), members.iter().map(host).collect());
    }
    for (name, prefixes) in &written.addresses {
        let element = |prefix: &written::Prefix| Element {
            scope: None,
            prefix: prefix_of(*prefix),
        };
        groups.insert(addresses(*name), prefixes.iter().map(element).collect());
    }
    groups.retain(|_, elements| !elements.is_empty());
    let all = written.rails.iter().chain(&written.rules);
    let rules = (1..).zip(all).map(|(order, written)| rule(order, written));
    let default = Verdict {
        action: action(written.otherwise),
        log: false,
        audit: false,
    };
    Policy {
        settings: Settings {
            default,
            quota: written.quota,
        },
        rules: rules
            .map(|rule| (rule.name.clone(), Arc::new(rule)))
            .collect(),
        groups,
    }
}

fn group(name: u8) -> Label {
    format!("group/{name}").into()
}

fn addresses(name: u8) -> Label {
    format!("addresses/{name}").into()
}

fn prefix_of((address, length): written::Prefix) -> AddressPrefix {
    AddressPrefix::new(address, length).unwrap()
}

const fn action(written: written::Action) -> Action {
    match written {
        written::Action::Allow => Action::Allow,
        written::Action::Deny => Action::Deny,
        written::Action::Reject => Action::Reject,
    }
}

fn matching<T, U>(written: &[T], convert: impl Fn(&T) -> U) -> Match<U> {
    if written.is_empty() {
        Match::Any
    } else {
        Match::OneOf(written.iter().map(convert).collect())
    }
}

fn selector(end: &End) -> Selector {
    match end {
        End::Group(name) => Selector::Group(group(*name)),
        End::Addresses(name) => Selector::Group(addresses(*name)),
        End::Prefix(prefix) => Selector::Prefix(prefix_of(*prefix)),
    }
}

fn rule(order: u32, written: &written::Rule) -> Rule {
    Rule {
        name: format!("r{}", written.number).into(),
        order,
        from: matching(&written.from, selector),
        to: matching(&written.to, selector),
        services: matching(&written.services, |(protocol, first, last)| ServiceRange {
            protocol: *protocol,
            first: *first,
            last: *last,
        }),
        verdict: Verdict {
            action: action(written.action),
            log: written.log,
            audit: written.audit,
        },
    }
}
