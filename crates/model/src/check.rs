//! Checks: who must and who must not reach whom, as the owners of a project state it. They change
//! nothing on any host. Beside what a plan leads to they are proved ([`mod@crate::connectivity`]), beside the
//! real hosts they are probed.

mod probes;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::firewall::one_or_list;
use crate::intent::Intent;
use crate::name::{GroupName, Name, NameError, ObjectName};
use crate::port::Port;
use crate::rule::list;
use crate::schema::OneOrMore;
use crate::service::Service;
use crate::written::{one_or_more, text_form};

pub use probes::{Probe, ProbeTraffic, Probes};

/// The checks of a project, in written order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checks(pub Vec<Check>);

/// One check. It is written as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What reports call it; without a name they use what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Who opens the connection: each of these.
    #[serde(serialize_with = "one_or_list", deserialize_with = "one_or_more")]
    #[schemars(with = "OneOrMore<CheckSide>")]
    pub from: Vec<CheckSide>,
    /// Who is connected to: each of these.
    #[serde(serialize_with = "one_or_list", deserialize_with = "one_or_more")]
    #[schemars(with = "OneOrMore<CheckSide>")]
    pub to: Vec<CheckSide>,
    /// By which services: each of these.
    #[serde(
        rename = "port",
        serialize_with = "one_or_list",
        deserialize_with = "one_or_more"
    )]
    #[schemars(with = "OneOrMore<Service>")]
    pub services: Vec<Service>,
    /// What must become of the connection.
    pub expect: Expect,
}

/// What must become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// Every port of one side reaches every port of the other, over each IP family that both have.
    Allow,
    /// No port of one side reaches any port of the other, over any IP family.
    Deny,
}

impl Expect {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// One side of a check: ports, for only ports send and receive. Names are of the check's own project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckSide {
    /// Every port of the project: `any`.
    Any,
    /// The ports of a group: `group/web`.
    Group(Name),
    /// The ports of a network: `network/web`.
    Network(Name),
    /// One port: `port/web-1`.
    Port(Name),
}

/// Why a text is no side of a check.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CheckSideError {
    /// No kind of object with a name.
    #[error("`{text}` is nobody; write any, group/NAME, network/NAME or port/NAME")]
    Unknown {
        /// What was written.
        text: String,
    },
    /// The name of an object is none.
    #[error("{0}")]
    Name(#[from] NameError),
}

impl FromStr for CheckSide {
    type Err = CheckSideError;

    fn from_str(text: &str) -> Result<Self, CheckSideError> {
        match text.split_once('/') {
            None if text == "any" => Ok(Self::Any),
            Some(("group", name)) => Ok(Self::Group(Name::new(name)?)),
            Some(("network", name)) => Ok(Self::Network(Name::new(name)?)),
            Some(("port", name)) => Ok(Self::Port(Name::new(name)?)),
            _ => Err(CheckSideError::Unknown { text: text.into() }),
        }
    }
}

impl fmt::Display for CheckSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Group(name) => write!(f, "group/{name}"),
            Self::Network(name) => write!(f, "network/{name}"),
            Self::Port(name) => write!(f, "port/{name}"),
        }
    }
}

text_form!(CheckSide);

impl CheckSide {
    /// Whether a port of the project is meant.
    pub fn names(&self, project: &Name, intent: &Intent, name: &Name, port: &Port) -> bool {
        match self {
            Self::Any => true,
            Self::Port(wanted) => wanted == name,
            Self::Network(wanted) => port.networks().any(|(_, network, _)| network == wanted),
            Self::Group(group) => {
                let group = GroupName::new(project.clone(), group.clone());
                let group = intent.groups.get(&group);
                group.is_some_and(|group| group.has(name, port))
            }
        }
    }
}

impl Check {
    /// The ports of a side, sorted by name.
    pub fn ports<'a>(
        sides: &[CheckSide],
        project: &Name,
        intent: &'a Intent,
    ) -> Vec<(&'a ObjectName, &'a Port)> {
        let meant = |(name, port): &(&ObjectName, &Port)| {
            let mut sides = sides.iter();
            sides.any(|side| side.names(project, intent, &name.name, port))
        };
        intent.ports_of(project).filter(meant).collect()
    }

    /// What reports call it.
    pub fn title(&self) -> String {
        match &self.name {
            Some(name) => name.to_string(),
            None => self.to_string(),
        }
    }
}

/// `group/web must reach group/app on tcp/9000`.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.expect {
            Expect::Allow => "must reach",
            Expect::Deny => "must not reach",
        };
        write!(
            f,
            "{} {verb} {} on {}",
            list(&self.from),
            list(&self.to),
            list(&self.services)
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_check_reads_as_it_is_written() {
        let text =
            "{ from: group/web, to: [network/app, port/db-1], port: tcp/9000, expect: allow }";
        let check: Check = serde_saphyr::from_str(text).unwrap();
        let sentence = "group/web must reach network/app, port/db-1 on tcp/9000";
        assert_eq!(check.to_string(), sentence);
        assert_eq!(check.title(), sentence);
        let again: Check = serde_json::from_str(&serde_json::to_string(&check).unwrap()).unwrap();
        assert_eq!(again, check);
        let named = text.replace("{ from", "{ name: web-to-app, from");
        let named: Check = serde_saphyr::from_str(&named).unwrap();
        assert_eq!(named.title(), "web-to-app");
    }

    #[test]
    fn a_side_is_ports_and_says_so() {
        for text in ["any", "group/web", "network/db", "port/web-1"] {
            assert_eq!(text.parse::<CheckSide>().unwrap().to_string(), text);
        }
        for text in [
            "web",
            "10.0.0.0/24",
            "address-group/office",
            "lb/site",
            "any/x",
        ] {
            let error = text.parse::<CheckSide>().unwrap_err().to_string();
            assert!(error.contains("port/NAME"), "{error}");
        }
        assert!("group/Web".parse::<CheckSide>().is_err());
    }
}
