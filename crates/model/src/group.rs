//! Groups: ports and addresses that firewall rules call by one name. Who is in a group follows from
//! the ports' names and labels, now and later, so that a new VM is protected from its first packet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::name::Name;
use crate::port::Port;
use crate::written::{is_default, text_form};

/// What a port is marked with, key by key: `role: database`.
pub type Labels = BTreeMap<Name, Label>;

/// The ports of a project that a rule calls `group/NAME`: those that match, and those that are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Ports that are in the group for what they are called or marked with.
    #[serde(rename = "match", default, skip_serializing_if = "is_default")]
    pub matching: Match,
    /// Ports that are in the group by name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ports: BTreeSet<Name>,
}

/// What a port must have to match: everything that is written. Nothing written matches no port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// A name like this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<NamePattern>,
    /// These labels, and perhaps more.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// Prefixes that a rule calls `address-group/NAME`: hosts outside, whole sites. Sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<GroupPrefix>", into = "Vec<GroupPrefix>")]
pub struct AddressGroup {
    /// The prefixes, of both families.
    pub prefixes: BTreeSet<IpNet>,
}

/// A prefix of an address group: written as the address where it is one.
#[derive(Clone)]
struct GroupPrefix(IpNet);

/// A text is no prefix of an address group.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Neither an address nor a prefix.
    #[error("`{text}` is neither an address nor a prefix like 192.0.2.0/24")]
    Unknown {
        /// What was written.
        text: String,
    },
    /// A prefix is written by its first address.
    #[error("`{text}` is an address inside a prefix; write {prefix} or the address alone")]
    HostBits {
        /// What was written.
        text: String,
        /// The prefix that the address lies in.
        prefix: IpNet,
    },
}

/// Reads `192.0.2.0/24`, or one address as the prefix that holds only it.
pub(crate) fn read_prefix(text: &str) -> Result<IpNet, AddressError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let unknown = |_| AddressError::Unknown { text: text.into() };
    let written: IpNet = text.parse().map_err(unknown)?;
    let prefix = written.trunc();
    if written == prefix {
        Ok(prefix)
    } else {
        let text = text.into();
        Err(AddressError::HostBits { text, prefix })
    }
}

/// Writes what [`read_prefix`] reads.
pub(crate) fn write_prefix(prefix: IpNet, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if prefix.prefix_len() == prefix.max_prefix_len() {
        fmt::Display::fmt(&prefix.addr(), f)
    } else {
        fmt::Display::fmt(&prefix, f)
    }
}

impl FromStr for GroupPrefix {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        read_prefix(text).map(Self)
    }
}

impl fmt::Display for GroupPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_prefix(self.0, f)
    }
}

impl From<Vec<GroupPrefix>> for AddressGroup {
    fn from(written: Vec<GroupPrefix>) -> Self {
        let prefixes = written
            .into_iter()
            .map(|GroupPrefix(prefix)| prefix)
            .collect();
        Self { prefixes }
    }
}

impl From<AddressGroup> for Vec<GroupPrefix> {
    fn from(group: AddressGroup) -> Self {
        group.prefixes.into_iter().map(GroupPrefix).collect()
    }
}

impl Group {
    /// Whether a port of the group's project is in the group.
    pub fn has(&self, name: &Name, port: &Port) -> bool {
        self.ports.contains(name) || self.matching.fits(name, port)
    }
}

impl Match {
    /// Whether a port has all that is written, and something is written.
    pub fn fits(&self, name: &Name, port: &Port) -> bool {
        let named = self.vm.as_ref().is_none_or(|pattern| pattern.fits(name));
        let labelled = self
            .labels
            .iter()
            .all(|(key, label)| port.labels.get(key) == Some(label));
        !is_default(self) && named && labelled
    }
}

/// The longest label.
pub const MAX_LABEL: usize = 63;

/// The value of a label: up to [`MAX_LABEL`] letters, digits, `-`, `_` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Box<str>);

/// A text is no value of a label.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is no label: it has 1 to {MAX_LABEL} letters, digits, `-`, `_` and `.`")]
pub struct LabelError {
    /// What was written.
    pub text: String,
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if (1..=MAX_LABEL).contains(&text.len()) && text.chars().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(LabelError { text: text.into() })
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A name with places that fit anything: `*` any number of characters, `?` one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamePattern(Box<str>);

/// A text is no pattern of names.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` fits no name: a pattern consists of a-z, 0-9, `-`, `*` and `?`")]
pub struct PatternError {
    /// What was written.
    pub text: String,
}

impl NamePattern {
    /// Whether a name is like this.
    pub fn fits(&self, name: &Name) -> bool {
        fits(self.0.as_bytes(), name.as_str().as_bytes())
    }
}

/// Takes stars greedily and goes back to the last one when the rest does not fit: linear in memory,
/// quadratic in time at worst, over texts of at most 63 characters.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut last_star = None;
    while t < text.len() {
        match (pattern.get(p), last_star) {
            (Some(b'*'), _) => {
                last_star = Some((p, t));
                p += 1;
            }
            (Some(&c), _) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            (_, Some((star, taken))) => {
                last_star = Some((star, taken + 1));
                p = star + 1;
                t = taken + 1;
            }
            _ => return false,
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

impl FromStr for NamePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '*' | '?');
        if (1..=crate::name::MAX_NAME).contains(&text.len()) && text.chars().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(PatternError { text: text.into() })
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

text_form!(Label, NamePattern, GroupPrefix);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use coax_wire::MacAddress;
    use proptest::prelude::*;

    fn port(labels: &[(&str, &str)]) -> Port {
        let labels = labels
            .iter()
            .map(|(key, label)| (key.parse().unwrap(), label.parse().unwrap()));
        Port {
            labels: labels.collect(),
            ..Port::new("web".parse().unwrap(), MacAddress([2, 0, 0, 0, 0, 1]))
        }
    }

    fn group(json: &str) -> Group {
        serde_json::from_str(json).unwrap()
    }

    fn has(group: &Group, name: &str, labels: &[(&str, &str)]) -> bool {
        group.has(&name.parse().unwrap(), &port(labels))
    }

    #[test]
    fn members_match_by_name_and_labels_or_are_listed() {
        let both = group(
            r#"{"match": {"vm": "db-*", "labels": {"role": "database"}}, "ports": ["spare"]}"#,
        );
        assert!(has(&both, "db-1", &[("role", "database"), ("tier", "3")]));
        assert!(!has(&both, "db-1", &[("role", "cache")]));
        assert!(!has(&both, "web-1", &[("role", "database")]));
        assert!(has(&both, "spare", &[]));
    }

    #[test]
    fn an_empty_match_matches_nobody() {
        assert!(!has(&group("{}"), "db-1", &[("role", "database")]));
    }

    #[test]
    fn labels_may_look_like_numbers() {
        let yaml = "match: { labels: { tier: 007, on: yes } }";
        let group: Group = serde_saphyr::from_str(yaml).unwrap();
        assert!(has(&group, "x", &[("tier", "007"), ("on", "yes")]));
        assert!("".parse::<Label>().is_err());
        assert!("two words".parse::<Label>().is_err());
    }

    /// The obvious definition.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), text_parts) => {
                naive(rest, text) || text_parts.is_some_and(|(_, tail)| naive(pattern, tail))
            }
            (Some((c, rest)), Some((d, tail))) => (*c == b'?' || c == d) && naive(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn patterns_fit_what_their_definition_says(pattern in "[ab*?]{1,8}", text in "[ab]{1,10}") {
            let expected = naive(pattern.as_bytes(), text.as_bytes());
            let name: Name = text.parse().unwrap();
            prop_assert_eq!(pattern.parse::<NamePattern>().unwrap().fits(&name), expected);
        }
    }
}
