//! Names: of projects and what lives in them ([`Name`]), of hosts ([`HostName`]), and the full name
//! `project/name` ([`ObjectName`]) by which every message, device alias and API path calls an object.
//!
//! A name is a DNS label, because ports will be resolvable as `port.network.project`; a host name may
//! be a whole domain name. Both are shared strings: cloning one is a reference count.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// The longest name of a project, network, port or VTEP (a DNS label).
pub const MAX_NAME: usize = 63;
/// The project to which the operator's rules and address groups belong. No file of a project may have
/// this name.
pub const RAILS: &str = "rails";
/// The longest name of a host (a DNS name).
pub const MAX_HOST_NAME: usize = 253;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing was written.
    #[error("a name must not be empty")]
    Empty,
    /// More characters than a DNS name may have.
    #[error("the name has {length} characters, {max} are allowed")]
    TooLong {
        /// Characters written.
        length: usize,
        /// Characters allowed.
        max: usize,
    },
    /// A character that no name may have.
    #[error("the name `{name}` holds `{character}`; allowed are a-z, 0-9 and `-`")]
    Character {
        /// What was written.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// A hyphen (or, in host names, a dot) at an end.
    #[error("the name `{name}` must start and end with a letter or a digit")]
    Edge {
        /// What was written.
        name: String,
    },
    /// A full name without its slash.
    #[error("`{text}` is not a full name, which is written project/name")]
    NotFull {
        /// What was written.
        text: String,
    },
}

impl NameError {
    /// The nearest legal name, if there is an obvious one.
    pub fn suggestion(&self) -> Option<String> {
        let (Self::Character { name, .. } | Self::Edge { name }) = self else {
            return None;
        };
        let replaced: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '-'
                }
            })
            .collect();
        let trimmed = replaced.trim_matches('-');
        Name::new(trimmed).ok().map(|name| name.to_string())
    }
}

/// The name of a project, or of an object inside its project: `web-1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Checks and takes over a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check_length(text, MAX_NAME)?;
        check_label(text, text)?;
        Ok(Self(text.into()))
    }

    /// The project of the operator's rules, [`RAILS`].
    pub fn rails() -> Self {
        Self(RAILS.into())
    }

    /// Whether this is the project of the operator's rules.
    pub fn is_rails(&self) -> bool {
        self.as_str() == RAILS
    }

    /// Sorts before every name: where a range over a project's objects starts.
    pub(crate) fn lowest() -> Self {
        Self("".into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a host: a label or a domain name, `hv1` or `hv1.example.org`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Arc<str>);

impl HostName {
    /// Checks and takes over a host name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check_length(text, MAX_HOST_NAME)?;
        for label in text.split('.') {
            if label.is_empty() {
                return Err(NameError::Edge {
                    name: text.to_owned(),
                });
            }
            check_label(label, text)?;
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_length(text: &str, max: usize) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        length if length > max => Err(NameError::TooLong { length, max }),
        _ => Ok(()),
    }
}

fn check_label(label: &str, whole: &str) -> Result<(), NameError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if let Some(character) = label.chars().find(|&c| !allowed(c)) {
        return Err(NameError::Character {
            name: whole.to_owned(),
            character,
        });
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(NameError::Edge {
            name: whole.to_owned(),
        });
    }
    Ok(())
}

/// The full name of an object: `project/name`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Who owns the object.
    pub project: Name,
    /// Its name, unique among the objects of its kind in the project.
    pub name: Name,
}

/// The full name of a network.
pub type NetworkName = ObjectName;
/// The full name of a port.
pub type PortName = ObjectName;
/// The full name of a foreign tunnel endpoint.
pub type VtepName = ObjectName;
/// The full name of a group of ports.
pub type GroupName = ObjectName;
/// The full name of a group of addresses.
pub type AddressGroupName = ObjectName;
/// The full name of a firewall rule; an operator's is `rails/NAME`.
pub type RuleName = ObjectName;
/// The full name of a router.
pub type RouterName = ObjectName;
/// A domain of DNS, written like the name of a host.
pub type DomainName = HostName;

impl ObjectName {
    /// Joins a project and a name.
    pub fn new(project: Name, name: Name) -> Self {
        Self { project, name }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.name)
    }
}

impl FromStr for ObjectName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let Some((project, name)) = text.split_once('/') else {
            return Err(NameError::NotFull {
                text: text.to_owned(),
            });
        };
        Ok(Self::new(Name::new(project)?, Name::new(name)?))
    }
}

macro_rules! text_impls {
    ($($type:ident),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
    )*};
}

macro_rules! serde_as_text {
    ($($type:ident),*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl TryFrom<&str> for $type {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let parsed: Result<Self, NameError> = String::deserialize(deserializer)?.parse();
                parsed.map_err(|error| match error.suggestion() {
                    Some(name) => de::Error::custom(format_args!("{error}; try `{name}`")),
                    None => de::Error::custom(error),
                })
            }
        }
    )*};
}

text_impls!(Name, HostName);
serde_as_text!(Name, HostName, ObjectName);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_empty_name_is_refused() {
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert_eq!("shop/".parse::<ObjectName>(), Err(NameError::Empty));
    }

    #[test]
    fn an_error_suggests_the_nearest_legal_name() {
        let error = Name::new("Web_1").unwrap_err();
        assert_eq!(
            error,
            NameError::Character {
                name: "Web_1".into(),
                character: 'W'
            }
        );
        assert_eq!(error.suggestion().as_deref(), Some("web-1"));
        assert_eq!(
            Name::new("-a").unwrap_err().suggestion().as_deref(),
            Some("a")
        );
    }

    #[test]
    fn sixty_three_characters_are_the_limit() {
        assert!(Name::new(&"a".repeat(63)).is_ok());
        let error = Name::new(&"a".repeat(64)).unwrap_err();
        assert_eq!(
            error,
            NameError::TooLong {
                length: 64,
                max: 63
            }
        );
    }

    #[test]
    fn hosts_may_be_domain_names() {
        assert!(HostName::new("hv1.example.org").is_ok());
        assert!(HostName::new("hv1..org").is_err());
        assert!(HostName::new(".hv1").is_err());
        assert!(Name::new("hv1.example.org").is_err());
    }

    #[test]
    fn a_full_name_needs_its_slash() {
        assert!(matches!(
            "web".parse::<ObjectName>(),
            Err(NameError::NotFull { .. })
        ));
        assert!("a/b/c".parse::<ObjectName>().is_err());
    }

    proptest! {
        #[test]
        fn full_names_survive_text_and_json(
            project in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?",
            name in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?",
        ) {
            let full = ObjectName::new(Name::new(&project).unwrap(), Name::new(&name).unwrap());
            prop_assert_eq!(full.to_string().parse::<ObjectName>().unwrap(), full.clone());
            let json = serde_json::to_string(&full).unwrap();
            prop_assert_eq!(serde_json::from_str::<ObjectName>(&json).unwrap(), full);
        }

        #[test]
        fn noise_is_never_accepted_unchecked(text in ".{0,80}") {
            if let Ok(name) = Name::new(&text) {
                prop_assert!(name.as_str().len() <= MAX_NAME);
                prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            }
        }
    }
}
