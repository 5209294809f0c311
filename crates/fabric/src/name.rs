//! Names of fabric nodes. A switch names its interfaces after the node at the other end, so a
//! node's name must be a legal interface name that the kernel or the lab does not use already.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest name: interface names end at 15 bytes, and the lab prefixes some of them.
pub const MAX_LEN: usize = 12;

/// Names that mean something else where interfaces and namespaces are listed.
const RESERVED: [&str; 8] = [
    "all", "default", "lo", "manager", "mgmt", "mgmt0", "eth0", "vxlan",
];

/// The name of a spine, leaf or host: lower-case letters, digits and dashes, a letter first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// Why a string is no node name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty or longer than [`MAX_LEN`].
    #[error("a node name has 1 to {MAX_LEN} characters, `{0}` has {len}", len = .0.len())]
    Length(String),
    /// A character outside a-z, 0-9 and dash, or no letter first.
    #[error("`{0}`: a node name starts with a letter and has only a-z, 0-9 and -")]
    Character(String),
    /// A name with another meaning.
    #[error("`{0}` is reserved, please take another name")]
    Reserved(String),
}

impl NodeName {
    /// The name as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NodeName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        if name.is_empty() || name.len() > MAX_LEN {
            return Err(NameError::Length(name));
        }
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(legal) {
            return Err(NameError::Character(name));
        }
        if RESERVED.contains(&name.as_str()) || name.starts_with("vm-") {
            return Err(NameError::Reserved(name));
        }
        Ok(Self(name))
    }
}

impl FromStr for NodeName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::try_from(name.to_owned())
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_interfaces_are_refused() {
        for good in ["hv1", "leaf-3", "a", "abcdefghijkl"] {
            assert!(good.parse::<NodeName>().is_ok(), "{good}");
        }
        assert!(matches!("".parse::<NodeName>(), Err(NameError::Length(_))));
        assert!(matches!(
            "abcdefghijklm".parse::<NodeName>(),
            Err(NameError::Length(_))
        ));
        for bad in ["1hv", "Hv1", "hv_1", "hv/1", "-a"] {
            assert!(matches!(
                bad.parse::<NodeName>(),
                Err(NameError::Character(_))
            ));
        }
        for bad in ["lo", "all", "manager", "vm-1"] {
            assert!(matches!(
                bad.parse::<NodeName>(),
                Err(NameError::Reserved(_))
            ));
        }
    }
}
