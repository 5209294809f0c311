//! The stack file: one project's networks, ports and foreign tunnel endpoints, as the user writes
//! them. Everything that Coax can find itself is optional.

use std::collections::BTreeMap;
use std::net::IpAddr;

use coax_wire::MacAddress;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::name::{HostName, Name};

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
    #[serde(default)]
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

fn is_false(value: &bool) -> bool {
    !value
}
