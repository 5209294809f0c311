//! The stack file: one project's networks, ports and foreign tunnel endpoints, as the user writes
//! them. Everything that Coax can find itself is optional.

use std::collections::BTreeMap;
use std::net::IpAddr;

use coax_wire::MacAddress;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

use crate::diagnostic::Diagnostic;
use crate::locate::{Places, place_of};
use crate::name::{HostName, Name};
use crate::rule::Refusals;
use crate::suggest::nearest;

/// The version of the file format that this build reads and writes.
pub const FILE_VERSION: u32 = 1;

/// One project as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackFile {
    /// The version of the format: 1.
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
}

/// A network as it is written. What is missing is kept, or allocated the first time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkEntry {
    /// Its IP prefixes; a network without any carries frames and answers nothing.
    #[serde(default, deserialize_with = "subnets")]
    pub subnets: Vec<IpNet>,
    /// Its number in the tunnel header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vni: Option<u32>,
    /// The largest IP packet that its ports may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Carry the guests' own VLAN tags.
    #[serde(default, skip_serializing_if = "is_false")]
    pub vlan_transparent: bool,
    /// Copy frames to unknown addresses to all members.
    #[serde(default, skip_serializing_if = "is_false")]
    pub flood_unknown: bool,
}

/// A port as it is written. What is missing is kept, or allocated the first time; only `host`, a wish,
/// is withdrawn by leaving it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortEntry {
    /// The network it is plugged into.
    pub network: Name,
    /// Where its VM is to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// Its MAC address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddress>,
    /// Its IP addresses; an empty list means none, no list means one for each subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<IpAddr>>,
}

/// A foreign tunnel endpoint as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VtepEntry {
    /// Its underlay address.
    pub address: IpAddr,
    /// The networks that it is a member of.
    pub networks: Vec<Name>,
    /// MAC addresses known to live behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub macs: Vec<MacAddress>,
    /// It accepts UDP without checksum over IPv6 (RFC 6935).
    #[serde(default, skip_serializing_if = "is_false")]
    pub udp6_zero_checksum: bool,
}

impl StackFile {
    /// A file without objects.
    pub fn empty(project: Name) -> Self {
        let (networks, ports, vteps) = Default::default();
        Self {
            version: FILE_VERSION,
            project,
            networks,
            ports,
            vteps,
        }
    }

    /// Reads a file, or says where and why not.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        serde_saphyr::from_str(text).map_err(|error| syntax(error.without_snippet()))
    }
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

fn is_false(value: &bool) -> bool {
    !value
}

/// A subnet that says more than "invalid syntax" when it is none.
struct Subnet(IpNet);

impl<'de> Deserialize<'de> for Subnet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let what = "is no subnet, which is an address and a prefix length: 10.10.1.0/24";
        text.parse()
            .map(Self)
            .map_err(|_| de::Error::custom(format_args!("`{text}` {what}")))
    }
}

fn subnets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let subnets = Vec::<Subnet>::deserialize(deserializer)?;
    Ok(subnets.into_iter().map(|Subnet(subnet)| subnet).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
