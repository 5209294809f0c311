//! The rules that groups, firewalls and rails must keep.

use thiserror::Error;

use super::Rule;
use crate::firewall::Selector;
use crate::name::{Name, RAILS};

/// The most rules that a project may have.
pub const MAX_RULES: usize = 131_072;
/// The most rules that the operator's rails may have.
pub const MAX_RAILS: usize = 16_384;
/// The most selectors on one side of a rule, and the most services of a rule.
pub const MAX_IN_RULE: usize = 256;
/// The most groups of one kind that a project may have.
pub const MAX_GROUPS: usize = 4096;
/// The most prefixes of an address group.
pub const MAX_PREFIXES: usize = 65_536;
/// The most checks of a project.
pub const MAX_CHECKS: usize = 1024;
/// The most labels of a port.
pub const MAX_LABELS: usize = 32;

/// A rule about policy, with the values that break it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PolicyRule {
    /// Drops, flows and traces call a rule by its name.
    #[error("rule {number} of the list is called `{name}` already")]
    NameTaken {
        /// The name.
        name: Name,
        /// Which rule has it, counted from 1.
        number: usize,
    },
    /// A rule does one thing.
    #[error("rule `{name}` {}", if *actions == 0 { "says neither `allow` nor `deny` nor `reject`" } else { "says more than one of `allow`, `deny` and `reject`" })]
    Action {
        /// The rule.
        name: Name,
        /// How many actions it has.
        actions: usize,
    },
    /// An empty list matches nothing, which is never what was meant.
    #[error("rule `{rule}` matches nothing, because its `{field}` is an empty list")]
    Empty {
        /// The rule.
        rule: Name,
        /// The list.
        field: &'static str,
    },
    /// A packet is of one family.
    #[error("rule `{rule}` matches nothing: {from} and {to} are of different IP families")]
    Families {
        /// The rule.
        rule: Name,
        /// Who opens the connection.
        from: Selector,
        /// Who is connected to.
        to: Selector,
    },
    /// A rail names nothing that a project can change.
    #[error("rail `{rule}` names {selector}, which belongs to projects")]
    RailSelector {
        /// The rail.
        rule: Name,
        /// What it names.
        selector: Selector,
    },
    /// What a firewall rule says must keep the rules of everything.
    #[error("rule `{rule}`: {broken}")]
    Within {
        /// The firewall rule.
        rule: Name,
        /// What it breaks.
        broken: Box<Rule>,
    },
    /// A check is about somebody, by something.
    #[error("the check says nothing, because its `{field}` is an empty list")]
    CheckEmpty {
        /// The list.
        field: &'static str,
    },
    /// A group has members, now or later.
    #[error("group `{name}` can never have a member: nothing is in it")]
    GroupEmpty {
        /// The group.
        name: Name,
    },
    /// The name is the operator's.
    #[error("a project cannot be called `{RAILS}`: rules of that name are the operator's")]
    ProjectReserved,
}

impl PolicyRule {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NameTaken { .. } => "rule-name-taken",
            Self::Action { .. } => "rule-action",
            Self::Empty { .. } => "rule-empty",
            Self::Families { .. } => "rule-families",
            Self::RailSelector { .. } => "rail-selector",
            Self::Within { broken, .. } => broken.code(),
            Self::CheckEmpty { .. } => "check-empty",
            Self::GroupEmpty { .. } => "group-empty",
            Self::ProjectReserved => "project-reserved",
        }
    }

    pub(super) fn hint(&self) -> String {
        match self {
            Self::NameTaken { .. } => "give one of the two another name".into(),
            Self::Action { actions: 0, .. } => {
                "add what it does, like `allow: [tcp/443]` or `deny: [any]`".into()
            }
            Self::Action { .. } => "make it two rules, in the order in which they count".into(),
            Self::Empty {
                field: "from" | "to",
                ..
            } => "write `any` if everybody is meant".into(),
            Self::Empty { .. } => "write `[any]` if everything is meant".into(),
            Self::Families { .. } => "write prefixes of one family, or `any`".into(),
            Self::RailSelector { .. } => {
                "use `any`, prefixes, and groups under `rails.address_groups`: a project could open \
                 what the rail closes by changing its own objects"
                    .into()
            }
            Self::Within { broken, .. } => broken.hint(),
            Self::CheckEmpty { field: "port" } => "write a service like `tcp/443`, or `any`".into(),
            Self::CheckEmpty { .. } => "write `any` if every port of the project is meant".into(),
            Self::GroupEmpty { .. } => {
                "add `match: { vm: \"web-*\" }`, `match: { labels: { role: web } }` or `ports: [web-1]`"
                    .into()
            }
            Self::ProjectReserved => "choose another name".into(),
        }
    }
}
