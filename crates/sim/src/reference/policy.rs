//! Policy as people write it: lists that are walked from the top.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// A prefix: an address, and how many bits of it count.
pub type Prefix = (IpAddr, u8);

/// Whom a rule names at one of its ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// The members of a group of the project.
    Group(u8),
    /// An address group.
    Addresses(u8),
    /// A prefix.
    Prefix(Prefix),
}

/// Ports of a protocol, both ends included; types and codes of ICMP.
pub type Services = (u8, u16, u16);

/// What a rule does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Lets it pass.
    Allow,
    /// Drops it.
    Deny,
    /// Drops it and tells its sender.
    Reject,
}

/// What happens, and whether it only would.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The action.
    pub action: Action,
    /// In audit mode everything passes.
    pub audit: bool,
    /// The rule that decided; none: the default did.
    pub rule: Option<u32>,
}

impl Decision {
    /// It passes.
    pub fn passes(&self) -> bool {
        self.audit || self.action == Action::Allow
    }
}

/// A rule; an empty list names everything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its number, which it keeps wherever it stands.
    pub number: u32,
    /// Who opens the connection.
    pub from: Vec<End>,
    /// To whom.
    pub to: Vec<End>,
    /// What for.
    pub services: Vec<Services>,
    /// What happens.
    pub action: Action,
    /// It only would.
    pub audit: bool,
    /// It is reported.
    pub log: bool,
}

/// A project's policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// The operator's rules, which come first.
    pub rails: Vec<Rule>,
    /// The project's own.
    pub rules: Vec<Rule>,
    /// Addresses of the members of groups.
    pub groups: BTreeMap<u8, Vec<IpAddr>>,
    /// Address groups.
    pub addresses: BTreeMap<u8, Vec<Prefix>>,
    /// What happens where no rule matches.
    pub otherwise: Action,
    /// Connections that the project may have on one host.
    pub quota: u32,
}

/// What policy is asked about: who opens, to whom, which protocol, and its port, or ICMP type and code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// Who opens the connection.
    pub source: IpAddr,
    /// The other end.
    pub destination: IpAddr,
    /// IP protocol.
    pub protocol: u8,
    /// Destination port; type and code of ICMP; else zero.
    pub service: u16,
}

/// The address is in the prefix.
pub fn holds((prefix, length): Prefix, address: IpAddr) -> bool {
    let bits = |address: IpAddr| -> Vec<bool> {
        let bytes = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let bits = bytes
            .into_iter()
            .flat_map(|byte| (0..8).map(move |bit| byte & 0x80 >> bit != 0));
        bits.take(length.into()).collect()
    };
    prefix.is_ipv4() == address.is_ipv4() && bits(prefix) == bits(address)
}

impl Policy {
    /// Walks all rules.
    pub fn decide(&self, question: &Question) -> Decision {
        for rule in self.rails.iter().chain(&self.rules) {
            if self.names(&rule.from, question.source)
                && self.names(&rule.to, question.destination)
                && serves(&rule.services, question)
            {
                return Decision {
                    action: rule.action,
                    audit: rule.audit,
                    rule: Some(rule.number),
                };
            }
        }
        Decision {
            action: self.otherwise,
            audit: false,
            rule: None,
        }
    }

    fn names(&self, ends: &[End], address: IpAddr) -> bool {
        let is_named = |end: &End| match end {
            End::Group(name) => self
                .groups
                .get(name)
                .is_some_and(|one| one.contains(&address)),
            End::Addresses(name) => {
                let prefixes = self.addresses.get(name).into_iter().flatten();
                prefixes.into_iter().any(|prefix| holds(*prefix, address))
            }
            End::Prefix(prefix) => holds(*prefix, address),
        };
        ends.is_empty() || ends.iter().any(is_named)
    }
}

fn serves(services: &[Services], question: &Question) -> bool {
    services.is_empty()
        || services.iter().any(|(protocol, first, last)| {
            *protocol == question.protocol && (*first..=*last).contains(&question.service)
        })
}
