//! The stack file: one project's objects as the user writes them. Everything that Coax can find itself
//! is optional. The operator's file of rails has the same form and no project ([`rails`]).

mod firewall;
pub(crate) mod moved;
mod network;
mod port;
pub mod rails;

use std::collections::BTreeMap;
use std::net::IpAddr;

use coax_wire::MacAddress;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

use crate::check::Check;
use crate::diagnostic::Diagnostic;
use crate::group::{AddressGroup, Match};
use crate::locate::{Places, place_of};
use crate::name::Name;
use crate::router::Route;
use crate::rule::Refusals;
use crate::schema::{Address, Mac};
use crate::suggest::nearest;
use crate::written::is_default;

pub use firewall::{FirewallEntry, RuleEntry};
pub use moved::Moved;
pub use network::NetworkEntry;
pub use port::{PortEntry, TrunkEntry};
pub use rails::{File, RailsEntry, RailsFile};

/// The version of the file format that this build reads and writes.
pub const FILE_VERSION: u32 = 1;

/// One project as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StackFile {
    /// The version of the format: 1.
    #[schemars(extend("const" = 1))]
    pub version: u32,
    /// The project that the file owns; it says nothing about others.
    pub project: Name,
    /// Its networks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<Name, NetworkEntry>,
    /// Its ports.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<Name, PortEntry>,
    /// Its foreign tunnel endpoints.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vteps: BTreeMap<Name, VtepEntry>,
    /// Its routers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub routers: BTreeMap<Name, RouterEntry>,
    /// Its groups of ports.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<Name, GroupEntry>,
    /// Its groups of addresses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub address_groups: BTreeMap<Name, AddressGroup>,
    /// Its firewall; without one everything passes that the operator's rails let pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall: Option<FirewallEntry>,
    /// Who must and who must not reach whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// Objects that have another name than before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<Moved>,
}

/// A foreign tunnel endpoint as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VtepEntry {
    /// Its underlay address.
    #[schemars(with = "Address")]
    pub address: IpAddr,
    /// The networks that it is a member of.
    pub networks: Vec<Name>,
    /// MAC addresses known to live behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Mac>")]
    pub macs: Vec<MacAddress>,
    /// It accepts UDP without checksum over IPv6 (RFC 6935).
    #[serde(default, skip_serializing_if = "is_default")]
    pub udp6_zero_checksum: bool,
}

/// A router as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouterEntry {
    /// The networks that it joins.
    pub networks: Vec<Name>,
    /// What lies behind other routers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// A group of ports as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupEntry {
    /// Ports that are in the group for what they are called or marked with.
    #[serde(rename = "match", default, skip_serializing_if = "is_default")]
    pub matching: Match,
    /// Ports that are in the group by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Name>,
}

impl StackFile {
    /// A file without objects.
    pub fn empty(project: Name) -> Self {
        Self {
            version: FILE_VERSION,
            project,
            networks: BTreeMap::new(),
            ports: BTreeMap::new(),
            vteps: BTreeMap::new(),
            routers: BTreeMap::new(),
            groups: BTreeMap::new(),
            address_groups: BTreeMap::new(),
            firewall: None,
            checks: Vec::new(),
            moved: Vec::new(),
        }
    }

    /// Whether nothing is in the file.
    pub fn is_empty(&self) -> bool {
        *self == Self::empty(self.project.clone())
    }

    /// Reads a file, or says where and why not.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        read(text)
    }
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, Diagnostic> {
    serde_saphyr::from_str(text).map_err(|error| syntax(error.without_snippet()))
}

/// Puts broken rules into words and finds their places in the text of the file.
pub fn explain(refusals: &Refusals, text: &str) -> Vec<Diagnostic> {
    let places = Places::of(text);
    let explain = |refusal: &crate::rule::Refusal| Diagnostic {
        place: places.find(&refusal.path),
        ..refusal.diagnostic()
    };
    refusals.0.iter().map(explain).collect()
}

fn syntax(error: &Error) -> Diagnostic {
    let (code, message, hint) = match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => {
            let hint = match nearest(field, expected.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("known here are: {}", expected.join(", ")),
            };
            (
                "unknown-field",
                format!("there is no field `{field}`"),
                Some(hint),
            )
        }
        Error::SerdeMissingField { field, .. } => {
            let hint = format!("add `{field}: …`");
            (
                "missing-field",
                format!("the field `{field}` is missing"),
                Some(hint),
            )
        }
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("the key");
            let hint = "keep one of the two".to_owned();
            (
                "duplicate-key",
                format!("`{key}` is written twice"),
                Some(hint),
            )
        }
        Error::Message { msg, .. } => ("bad-value", msg.clone(), None),
        Error::MultipleDocuments { .. } => {
            let hint = "write one file for each project".to_owned();
            (
                "several-documents",
                "the file holds several documents".to_owned(),
                Some(hint),
            )
        }
        other => (
            "syntax",
            UserMessageFormatter.format_message(other).into_owned(),
            None,
        ),
    };
    let place = error.location().and_then(place_of);
    Diagnostic {
        code,
        message,
        hint,
        path: None,
        place,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
