//! Firewall policy in its simplest form: a list of rules that is walked from top to bottom.
//!
//! This is what the classes of the policy tables are compared with. It also makes such tables, one row for
//! each combination of what rules name, without any cleverness.

use crate::SimRows;
use coax_tables::{ClassKey, ClassRow, DomainId, DomainRow, PolicyKey, PolicyRow, ServiceKey};
use std::collections::BTreeSet;

/// A prefix of addresses, IPv4 in mapped form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Prefix {
    /// The address.
    pub address: [u8; 16],
    /// Bits that count, 96 more for IPv4.
    pub bits: u32,
}

impl Prefix {
    /// One address.
    pub const fn whole(address: [u8; 16]) -> Self {
        Self { address, bits: 128 }
    }

    /// The address is in the prefix.
    pub fn holds(&self, address: &[u8; 16]) -> bool {
        (0..self.bits as usize)
            .all(|bit| (self.address[bit / 8] ^ address[bit / 8]) & 0x80 >> (bit % 8) == 0)
    }
}

/// A protocol, and a port, or type and code of ICMP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Service {
    /// IP protocol.
    pub protocol: u8,
    /// The port; nothing: all.
    pub port: Option<u16>,
}

/// A rule; what it does not name is anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Who opens the connection.
    pub source: Option<Prefix>,
    /// The other end.
    pub destination: Option<Prefix>,
    /// What for.
    pub service: Option<Service>,
    /// An action of `PolicyRow`.
    pub action: u8,
    /// Flags of `PolicyRow`.
    pub flags: u8,
}

/// Rules in order; the first that names a packet decides.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// The rules. The first has number 1.
    pub rules: Vec<Rule>,
    /// What happens where no rule matches: an action of `PolicyRow`.
    pub otherwise: u8,
}

/// A decision: action, flags, number of the rule.
pub type Decision = (u8, u8, u32);

impl Policy {
    /// Walks the rules.
    pub fn decide(
        &self,
        source: &[u8; 16],
        destination: &[u8; 16],
        protocol: u8,
        port: u16,
    ) -> Decision {
        let named = |prefix: Option<Prefix>, address| prefix.is_none_or(|one| one.holds(address));
        let serves = |service: Option<Service>| {
            service.is_none_or(|one| {
                one.protocol == protocol && one.port.is_none_or(|own| own == port)
            })
        };
        let found = self.rules.iter().zip(1..).find(|(rule, _)| {
            named(rule.source, source)
                && named(rule.destination, destination)
                && serves(rule.service)
        });
        match found {
            Some((rule, number)) => (rule.action, rule.flags, number),
            None => (self.otherwise, 0, PolicyRow::NO_RULE),
        }
    }

    /// Writes the policy as the table `table` of `domain`.
    pub fn put(&self, rows: &mut SimRows, domain: DomainId, table: u32, scope: u32) {
        let prefixes: BTreeSet<Prefix> = self
            .rules
            .iter()
            .flat_map(|rule| [rule.source, rule.destination])
            .flatten()
            .collect();
        let services: BTreeSet<Service> =
            self.rules.iter().filter_map(|rule| rule.service).collect();
        for (class, prefix) in (2..).zip(&prefixes) {
            let key = ClassKey::new(table, scope, prefix.address, prefix.bits);
            rows.classes.insert(key, ClassRow { class });
        }
        for (class, service) in (2..).zip(&services) {
            let key = match service.port {
                Some(port) => ServiceKey::new(table, service.protocol, port, 16),
                None => ServiceKey::new(table, service.protocol, 0, 0),
            };
            rows.services.insert(key, ClassRow { class });
        }
        let addressed = |named: Option<Prefix>| -> Vec<u32> {
            let Some(named) = named else {
                return vec![0];
            };
            let classes = (2..).zip(&prefixes);
            let inside =
                classes.filter(|(_, one)| one.bits >= named.bits && named.holds(&one.address));
            inside.map(|(class, _)| class).collect()
        };
        let served = |named: Option<Service>| -> Vec<u32> {
            let Some(named) = named else {
                return vec![0];
            };
            let classes = (2..).zip(&services);
            let inside = classes.filter(|(_, one)| {
                one.protocol == named.protocol && (named.port.is_none() || one.port == named.port)
            });
            inside.map(|(class, _)| class).collect()
        };
        let mut kinds = 0;
        for (rule, number) in self.rules.iter().zip(1..) {
            for source in addressed(rule.source) {
                for destination in addressed(rule.destination) {
                    for service in served(rule.service) {
                        let key = PolicyKey {
                            table,
                            source,
                            destination,
                            service,
                        };
                        kinds |= 1 << key.kind();
                        rows.policies.entry(key).or_insert(PolicyRow {
                            order: number,
                            rule: number,
                            action: rule.action,
                            flags: rule.flags,
                            zero: [0; 2],
                        });
                    }
                }
            }
        }
        rows.domains.insert(domain, self.domain_row(table, kinds));
    }

    const fn domain_row(&self, table: u32, kinds: u32) -> DomainRow {
        DomainRow {
            table,
            generation: table,
            quota: 64,
            kinds,
            default_action: self.otherwise,
            flags: 0,
            zero: [0; 2],
        }
    }
}
