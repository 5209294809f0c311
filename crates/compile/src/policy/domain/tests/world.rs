//! Two judges of one packet: the rules in written order, and the rows as the vSwitch looks them up.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use coax_tables::{ClassKey, ClassRow, DomainId, DomainRow, PolicyKey, PolicyRow, ServiceKey};

use crate::policy::rule::{Element, Match, Policy, Selector, ServiceRange};
use crate::policy::{AddressPrefix, Operation};

/// A packet that opens a connection.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    pub scope: u32,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    pub port: u16,
}

/// Action, flags and the rule's number.
pub type Judgement = (u8, u8, u32);

/// The number that tests give to rule `rN`.
pub fn number(name: &str) -> u32 {
    name[1..].parse::<u32>().unwrap() + 100
}

fn holds(prefix: AddressPrefix, address: IpAddr) -> bool {
    AddressPrefix::new(address, prefix.length()) == Some(prefix)
}

/// What the rules say.
pub fn by_rules(policy: &Policy, packet: &Packet) -> Judgement {
    let names = |end: &Match<Selector>, address: IpAddr| {
        let Match::OneOf(selectors) = end else {
            return true;
        };
        selectors.iter().any(|selector| match selector {
            Selector::Prefix(prefix) => holds(*prefix, address),
            Selector::Group(group) => {
                let mut members = policy.groups.get(group).into_iter().flatten();
                members.any(|Element { scope, prefix }| {
                    scope.is_none_or(|scope| scope == packet.scope) && holds(*prefix, address)
                })
            }
        })
    };
    let serves = |services: &Match<ServiceRange>| match services {
        Match::Any => true,
        Match::OneOf(ranges) => ranges.iter().any(|range| {
            range.protocol == packet.protocol && (range.first..=range.last).contains(&packet.port)
        }),
    };
    let matching = policy.rules.values().filter(|rule| {
        names(&rule.from, packet.source)
            && names(&rule.to, packet.destination)
            && serves(&rule.services)
    });
    match matching.min_by_key(|rule| rule.order) {
        Some(rule) => (
            rule.verdict.action.code(),
            rule.verdict.flags(),
            number(&rule.name),
        ),
        None => {
            let default = policy.settings.default;
            (default.action.code(), default.flags(), PolicyRow::NO_RULE)
        }
    }
}

/// The rows of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    pub domains: BTreeMap<DomainId, DomainRow>,
    pub classes: BTreeMap<ClassKey, ClassRow>,
    pub services: BTreeMap<ServiceKey, ClassRow>,
    pub policies: BTreeMap<PolicyKey, PolicyRow>,
}

impl Tables {
    pub fn apply(&mut self, operation: &Operation) {
        match *operation {
            Operation::PutDomain(key, row) => drop(self.domains.insert(key, row)),
            Operation::DeleteDomain(key) => drop(self.domains.remove(&key).unwrap()),
            Operation::PutClass(key, row) => drop(self.classes.insert(key, row)),
            Operation::DeleteClass(key) => drop(self.classes.remove(&key).unwrap()),
            Operation::PutService(key, row) => drop(self.services.insert(key, row)),
            Operation::DeleteService(key) => drop(self.services.remove(&key).unwrap()),
            Operation::PutPolicy(key, row) => drop(self.policies.insert(key, row)),
            Operation::DeletePolicy(key) => drop(self.policies.remove(&key).unwrap()),
        }
    }

    pub fn apply_all(&mut self, operations: &[Operation]) {
        operations
            .iter()
            .for_each(|operation| self.apply(operation));
    }

    /// How many rows each table has.
    pub fn sizes(&self) -> [usize; 4] {
        [
            self.domains.len(),
            self.classes.len(),
            self.services.len(),
            self.policies.len(),
        ]
    }

    fn address_class(&self, table: u32, scope: u32, address: IpAddr) -> u32 {
        let sought = u128::from_be_bytes(AddressPrefix::host(address).mapped().0);
        let fits = self.classes.iter().filter(|(key, _)| {
            let bits = key.prefix_length - ClassKey::SCOPE_BITS;
            let held = u128::from_be_bytes(key.address);
            (key.table, key.scope) == (table.to_be_bytes(), scope.to_be_bytes())
                && (held ^ sought).leading_zeros() >= bits
        });
        longest(fits.map(|(key, row)| (key.prefix_length, row)))
    }

    fn service_class(&self, table: u32, protocol: u8, port: u16) -> u32 {
        let fits = self.services.iter().filter(|(key, _)| {
            let bits = key.prefix_length - ServiceKey::PROTOCOL_BITS;
            let held = u16::from_be_bytes(key.port);
            (key.table, key.protocol) == (table.to_be_bytes(), protocol)
                && (held ^ port).leading_zeros() >= bits
        });
        longest(fits.map(|(key, row)| (key.prefix_length, row)))
    }

    /// What the rows say of each packet.
    pub fn judge(&self, domain: DomainId, packets: &[Packet]) -> Vec<Judgement> {
        let row = self.domains[&domain];
        let (mut addresses, mut services) = (HashMap::new(), HashMap::new());
        let judge = |packet: &Packet| {
            let mut class = |address| {
                let class = || self.address_class(row.table, packet.scope, address);
                *addresses
                    .entry((packet.scope, address))
                    .or_insert_with(class)
            };
            let (source, destination) = (class(packet.source), class(packet.destination));
            let service = (packet.protocol, packet.port);
            let class = || self.service_class(row.table, packet.protocol, packet.port);
            let service = *services.entry(service).or_insert_with(class);
            self.decide(&row, [source, destination, service])
        };
        packets.iter().map(judge).collect()
    }

    fn decide(&self, row: &DomainRow, [source, destination, service]: [u32; 3]) -> Judgement {
        let kinds = (0..PolicyKey::KINDS).filter(|kind| row.kinds & 1 << kind != 0);
        let found = kinds.filter_map(|kind| {
            let named = |class, bit| if kind & bit != 0 { class } else { 0 };
            self.policies.get(&PolicyKey {
                table: row.table,
                source: named(source, PolicyKey::SOURCE),
                destination: named(destination, PolicyKey::DESTINATION),
                service: named(service, PolicyKey::SERVICE),
            })
        });
        match found.min_by_key(|policy| policy.order) {
            Some(policy) => (policy.action, policy.flags, policy.rule),
            None => (row.default_action, row.flags, PolicyRow::NO_RULE),
        }
    }
}

fn longest<'a>(rows: impl Iterator<Item = (u32, &'a ClassRow)>) -> u32 {
    let longest = rows.max_by_key(|(length, _)| *length);
    longest.map_or(ClassRow::OTHER, |(_, row)| row.class)
}
