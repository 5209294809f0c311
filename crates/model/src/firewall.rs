//! The firewall of a project: what happens by default, and rules in written order, the first of which
//! that matches decides. The operator's rails have the same form and come before every project's rules.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::group::{AddressError, read_prefix, write_prefix};
use crate::name::{Name, NameError};
use crate::service::Service;
use crate::written::{is_default, one_or_more, text_form};

/// What a project's firewall does where no rule says otherwise. A project without one has no firewall:
/// everything passes, unless the operator has set rails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// What becomes of a new connection that no rule matches.
    pub default: DefaultAction,
    /// Whether the project's rules and its default are enforced. Rails are, always.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
}

/// What becomes of a new connection that no rule matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DefaultAction {
    /// It is dropped.
    #[default]
    Deny,
    /// It is admitted.
    Allow,
}

/// Whether a verdict counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// What would be denied is admitted and reported.
    Audit,
}

/// What a rule does with a new connection that it matches. Replies always follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleAction {
    /// It is admitted.
    Allow,
    /// It is dropped.
    Deny,
    /// It is dropped, and who opens it is told: a TCP reset, an ICMP error.
    Reject,
}

/// Where a rule stands: the smaller one decides. Rails have the numbers below
/// [`RuleOrder::FIRST_OF_PROJECTS`], rules of projects the others. Numbers have gaps, so that a new
/// rule between two others changes neither of them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct RuleOrder(pub u32);

impl RuleOrder {
    /// The smallest number of a project's rule.
    pub const FIRST_OF_PROJECTS: u32 = 1 << 30;
}

/// A rule: who may open which connections to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallRule {
    /// Its place among the rules of the same project.
    pub order: RuleOrder,
    /// Who opens the connection: any of these. Never empty.
    #[serde(serialize_with = "one_or_list", deserialize_with = "one_or_more")]
    pub from: Vec<Selector>,
    /// Who is connected to: any of these. Never empty.
    #[serde(serialize_with = "one_or_list", deserialize_with = "one_or_more")]
    pub to: Vec<Selector>,
    /// What becomes of the connection.
    pub action: RuleAction,
    /// Which connections: any of these. Never empty.
    pub services: Vec<Service>,
    /// Every match is reported as a flow.
    #[serde(default, skip_serializing_if = "is_default")]
    pub log: bool,
    /// Whether the rule is enforced.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
}

/// One side of a rule. Names are of the rule's own project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// Everybody: `any`.
    Any,
    /// The ports of a group, by the addresses that they may use: `group/web`.
    Group(Name),
    /// The prefixes of an address group: `address-group/office`.
    AddressGroup(Name),
    /// The subnets of a network: `network/web`.
    Network(Name),
    /// A prefix, `192.0.2.0/24`, or one address, `192.0.2.7`.
    Prefix(IpNet),
}

/// Why a text is no side of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectorError {
    /// Neither a kind of object with a name nor a prefix.
    #[error(
        "`{text}` is nobody; write any, group/NAME, address-group/NAME, network/NAME or a prefix like 192.0.2.0/24"
    )]
    Unknown {
        /// What was written.
        text: String,
    },
    /// The name of an object is none.
    #[error("{0}")]
    Name(#[from] NameError),
    /// A prefix that is not written by its first address.
    #[error("{0}")]
    Address(AddressError),
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        if text == "any" {
            return Ok(Self::Any);
        }
        match read_prefix(text) {
            Ok(prefix) => return Ok(Self::Prefix(prefix)),
            Err(error @ AddressError::HostBits { .. }) => {
                return Err(SelectorError::Address(error));
            }
            Err(AddressError::Unknown { .. }) => {}
        }
        match text.split_once('/') {
            Some(("group", name)) => Ok(Self::Group(Name::new(name)?)),
            Some(("address-group", name)) => Ok(Self::AddressGroup(Name::new(name)?)),
            Some(("network", name)) => Ok(Self::Network(Name::new(name)?)),
            _ => Err(SelectorError::Unknown { text: text.into() }),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Group(name) => write!(f, "group/{name}"),
            Self::AddressGroup(name) => write!(f, "address-group/{name}"),
            Self::Network(name) => write!(f, "network/{name}"),
            Self::Prefix(prefix) => write_prefix(*prefix, f),
        }
    }
}

text_form!(Selector);

/// A list of one as the one.
pub(crate) fn one_or_list<T: Serialize, S: serde::Serializer>(
    items: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match items {
        [one] => one.serialize(serializer),
        more => more.serialize(serializer),
    }
}

impl DefaultAction {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
        }
    }
}

impl RuleAction {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Reject => "reject",
        }
    }
}

impl Mode {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Audit => "audit",
        }
    }

    /// The mode of what is inside something of another mode: audit wins.
    pub fn within(self, outer: Self) -> Self {
        match (self, outer) {
            (Self::Enforce, Self::Enforce) => Self::Enforce,
            _ => Self::Audit,
        }
    }
}

macro_rules! shown_by_name {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    )*};
}

shown_by_name!(DefaultAction, RuleAction, Mode);

/// `allow tcp/443 from any to group/web`.
impl fmt::Display for FirewallRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: &[Selector]| {
            let texts: Vec<String> = items.iter().map(Selector::to_string).collect();
            texts.join(", ")
        };
        let services: Vec<String> = self.services.iter().map(Service::to_string).collect();
        write!(
            f,
            "{} {} from {} to {}",
            self.action,
            services.join(", "),
            list(&self.from),
            list(&self.to)
        )?;
        if self.log {
            f.write_str(", logged")?;
        }
        match self.mode {
            Mode::Enforce => Ok(()),
            Mode::Audit => f.write_str(", audit only"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn selectors_have_one_form() {
        for text in [
            "any",
            "group/web",
            "address-group/office",
            "network/db",
            "192.0.2.0/24",
            "192.0.2.7",
            "2001:db8::/32",
            "2001:db8::7",
        ] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
        let one = "192.0.2.7/32".parse::<Selector>().unwrap();
        assert_eq!(one, "192.0.2.7".parse().unwrap());
    }

    #[test]
    fn what_is_no_selector_says_why() {
        let error = |text: &str| text.parse::<Selector>().unwrap_err().to_string();
        assert!(error("web").contains("group/NAME"));
        assert!(error("lb/site").contains("`lb/site` is nobody"));
        assert!(error("192.0.2.7/24").contains("write 192.0.2.0/24"));
        assert!(error("group/Web").contains("`W`"));
    }

    #[test]
    fn a_rule_is_a_sentence() {
        let json = r#"{"order": 1, "from": "any", "to": ["group/web", "10.0.0.7"],
            "action": "allow", "services": ["tcp/443", "icmp"], "log": true}"#;
        let rule: FirewallRule = serde_json::from_str(json).unwrap();
        assert_eq!(
            rule.to_string(),
            "allow tcp/443, icmp from any to group/web, 10.0.0.7, logged"
        );
        let text = serde_json::to_string(&rule).unwrap();
        assert!(text.contains(r#""from":"any""#));
        assert_eq!(serde_json::from_str::<FirewallRule>(&text).unwrap(), rule);
    }
}
