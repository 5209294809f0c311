//! Policies on the wire: the policy of one project, whole ([`PolicySlice`]) and as a step
//! ([`PolicyDelta`]). Protobuf messages derived in place, like those of networks. What comes in is
//! checked here, once; [`super::rule`] has the checked form.

mod convert;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prost::Message;
use thiserror::Error;

use super::change::{GroupChange, PolicyChange};
use super::rule::{Element, Policy};
use convert::{elements, group_message, rule, rule_message, settings, settings_message};

/// The policy of one project, whole.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PolicySlice {
    /// The project.
    #[prost(string, tag = "1")]
    pub project: String,
    /// The revision of its last change.
    #[prost(uint64, tag = "2")]
    pub revision: u64,
    /// What holds for the whole policy.
    #[prost(message, optional, tag = "3")]
    pub settings: Option<PolicySettings>,
    /// Its rules, sorted by name.
    #[prost(message, repeated, tag = "4")]
    pub rules: Vec<RuleMessage>,
    /// The groups that its rules name, sorted by name.
    #[prost(message, repeated, tag = "5")]
    pub groups: Vec<GroupMessage>,
    /// The number by which messages call it.
    #[prost(uint32, tag = "6")]
    pub number: u32,
}

/// The step of one policy from one revision to the next.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PolicyDelta {
    /// The project.
    #[prost(string, tag = "1")]
    pub project: String,
    /// The revision that the receiver must have.
    #[prost(uint64, tag = "2")]
    pub from_revision: u64,
    /// The revision that the receiver has afterwards.
    #[prost(uint64, tag = "3")]
    pub to_revision: u64,
    /// What holds for the whole policy, if it changed.
    #[prost(message, optional, tag = "4")]
    pub settings: Option<PolicySettings>,
    /// New and changed rules.
    #[prost(message, repeated, tag = "5")]
    pub upsert_rules: Vec<RuleMessage>,
    /// Names of rules that went.
    #[prost(string, repeated, tag = "6")]
    pub remove_rules: Vec<String>,
    /// Who joins a group.
    #[prost(message, repeated, tag = "7")]
    pub joins: Vec<GroupMessage>,
    /// Who leaves a group.
    #[prost(message, repeated, tag = "8")]
    pub leaves: Vec<GroupMessage>,
}

/// What holds for the whole policy.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct PolicySettings {
    /// What happens where no rule matches.
    #[prost(message, optional, tag = "1")]
    pub default: Option<VerdictMessage>,
    /// Connections that ports under the policy may have on one host.
    #[prost(uint32, tag = "2")]
    pub quota: u32,
}

/// What happens to what matches.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct VerdictMessage {
    /// 1: allow, 2: deny, 3: reject.
    #[prost(uint32, tag = "1")]
    pub action: u32,
    /// Every match is reported.
    #[prost(bool, tag = "2")]
    pub log: bool,
    /// What would be denied is admitted and reported.
    #[prost(bool, tag = "3")]
    pub audit: bool,
}

/// One rule. A part that is missing names everything; one that is there and empty names nothing.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RuleMessage {
    /// Its full name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its place in written order.
    #[prost(uint32, tag = "2")]
    pub order: u32,
    /// Who opens the connection.
    #[prost(message, optional, tag = "3")]
    pub from: Option<EndMessage>,
    /// To whom.
    #[prost(message, optional, tag = "4")]
    pub to: Option<EndMessage>,
    /// To which service.
    #[prost(message, optional, tag = "5")]
    pub services: Option<ServicesMessage>,
    /// What happens then.
    #[prost(message, optional, tag = "6")]
    pub verdict: Option<VerdictMessage>,
}

/// One end of a rule: any of these.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct EndMessage {
    /// Groups by name.
    #[prost(string, repeated, tag = "1")]
    pub groups: Vec<String>,
    /// Prefixes.
    #[prost(message, repeated, tag = "2")]
    pub prefixes: Vec<ElementMessage>,
}

/// Services: any of these.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ServicesMessage {
    /// Ranges of ports.
    #[prost(message, repeated, tag = "1")]
    pub ranges: Vec<RangeMessage>,
}

/// Ports of one protocol.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct RangeMessage {
    /// IP protocol, or next header.
    #[prost(uint32, tag = "1")]
    pub protocol: u32,
    /// First port.
    #[prost(uint32, tag = "2")]
    pub first: u32,
    /// Last port.
    #[prost(uint32, tag = "3")]
    pub last: u32,
}

/// A prefix, in an address plan.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ElementMessage {
    /// The number of the address plan; 0: every one.
    #[prost(uint32, tag = "1")]
    pub scope: u32,
    /// Its address, 4 or 16 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub address: Vec<u8>,
    /// How many bits count.
    #[prost(uint32, tag = "3")]
    pub length: u32,
}

/// Some elements of a group.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GroupMessage {
    /// Its name in the policy.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The elements, sorted.
    #[prost(message, repeated, tag = "2")]
    pub elements: Vec<ElementMessage>,
}

/// A message says what no controller says.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadPolicy {
    /// A prefix is none.
    #[error("{object} has a prefix of {length} bits of an address of {bytes} bytes")]
    Prefix {
        /// The rule or group.
        object: String,
        /// Bits that count.
        length: u32,
        /// Bytes of the address.
        bytes: usize,
    },
    /// A service is none.
    #[error("rule {rule} has ports {first} to {last} of protocol {protocol}")]
    Service {
        /// The rule.
        rule: String,
        /// The protocol.
        protocol: u32,
        /// The first port.
        first: u32,
        /// The last port.
        last: u32,
    },
    /// An action is none.
    #[error("{object} has action {action}, which is none")]
    Action {
        /// The rule, or the project.
        object: String,
        /// The number of the action.
        action: u32,
    },
}

impl PolicySlice {
    /// A policy as a message.
    pub fn new(number: u32, project: &str, revision: u64, policy: &Policy) -> Self {
        let groups = policy.groups.iter();
        Self {
            number,
            project: project.to_owned(),
            revision,
            settings: Some(settings_message(policy.settings)),
            rules: policy
                .rules
                .values()
                .map(|rule| rule_message(rule))
                .collect(),
            groups: groups
                .map(|(name, elements)| group_message(name, elements))
                .collect(),
        }
    }

    /// The policy, checked.
    pub fn policy(&self) -> Result<Policy, BadPolicy> {
        let mut rules = BTreeMap::new();
        for message in &self.rules {
            let rule = rule(message)?;
            rules.insert(rule.name.clone(), Arc::new(rule));
        }
        let mut groups = BTreeMap::new();
        for message in self
            .groups
            .iter()
            .filter(|group| !group.elements.is_empty())
        {
            let elements: BTreeSet<Element> = elements(message)?.into_iter().collect();
            groups.insert(message.name.as_str().into(), elements);
        }
        let settings = settings(&self.project, self.settings.unwrap_or_default())?;
        Ok(Policy {
            settings,
            rules,
            groups,
        })
    }
}

impl PolicyDelta {
    /// A step as a message.
    pub fn new(project: &str, from_revision: u64, to_revision: u64, change: &PolicyChange) -> Self {
        let groups = |elements: fn(&GroupChange) -> &Vec<Element>| {
            let groups = change.groups.iter();
            let groups = groups.filter(|(_, change)| !elements(change).is_empty());
            groups
                .map(|(name, change)| group_message(name, elements(change)))
                .collect()
        };
        Self {
            project: project.to_owned(),
            from_revision,
            to_revision,
            settings: change.settings.map(settings_message),
            upsert_rules: change.rules.iter().map(|rule| rule_message(rule)).collect(),
            remove_rules: change.removed.iter().map(ToString::to_string).collect(),
            joins: groups(|change| &change.joins),
            leaves: groups(|change| &change.leaves),
        }
    }

    /// The step, checked.
    pub fn change(&self) -> Result<PolicyChange, BadPolicy> {
        let mut change = PolicyChange::default();
        if let Some(message) = self.settings {
            change.settings = Some(settings(&self.project, message)?);
        }
        for message in &self.upsert_rules {
            change.rules.push(Arc::new(rule(message)?));
        }
        change.removed = self
            .remove_rules
            .iter()
            .map(|name| name.as_str().into())
            .collect();
        for message in &self.joins {
            let group = change
                .groups
                .entry(message.name.as_str().into())
                .or_default();
            group.joins = elements(message)?;
        }
        for message in &self.leaves {
            let group = change
                .groups
                .entry(message.name.as_str().into())
                .or_default();
            group.leaves = elements(message)?;
        }
        Ok(change)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
