//! A network as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::network::{Dhcp, Dns, NetworkKind, StormControl, Subnet};
use crate::quantity::ShutTime;
use crate::schema::WordOrTable;
use crate::written::{Written, is_default};

/// A network as it is written. What is missing is kept, or allocated the first time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkEntry {
    /// Its IP prefixes; a network without any carries frames and answers nothing.
    #[serde(default)]
    pub subnets: Vec<Subnet>,
    /// What it carries, and how.
    #[serde(rename = "type", default, skip_serializing_if = "is_default")]
    pub kind: NetworkKind,
    /// Its number in the tunnel header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16_777_215))]
    pub vni: Option<u32>,
    /// The largest IP packet that its ports may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Carry the guests' own VLAN tags.
    #[serde(default, skip_serializing_if = "is_default")]
    pub vlan_transparent: bool,
    /// Copy frames to unknown addresses to all members.
    #[serde(default, skip_serializing_if = "is_default")]
    pub flood_unknown: bool,
    /// Answer DHCP: `true`, `false`, or how.
    #[serde(
        default,
        serialize_with = "write_dhcp",
        deserialize_with = "read_dhcp",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "WordOrTable<bool, Dhcp>")]
    pub dhcp: Option<Dhcp>,
    /// Answer router solicitations; left out: where DHCP is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router_advertisements: Option<bool>,
    /// What ports are told of DNS.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dns: Dns,
    /// Its ports answer DHCP and send router advertisements, not Coax.
    #[serde(default, skip_serializing_if = "is_default")]
    pub own_servers: bool,
    /// Its ports are isolated from each other unless they say otherwise.
    #[serde(default, skip_serializing_if = "is_default")]
    pub isolated: bool,
    /// How many ports it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_endpoints: Option<u32>,
    /// What each of its ports may send to everybody.
    #[serde(default, skip_serializing_if = "is_default")]
    pub storm_control: StormControl,
    /// How long a guard shuts a port.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shut_time: ShutTime,
}

fn write_dhcp<S: Serializer>(dhcp: &Option<Dhcp>, serializer: S) -> Result<S::Ok, S::Error> {
    match dhcp {
        None => false.serialize(serializer),
        Some(dhcp) if is_default(dhcp) => true.serialize(serializer),
        Some(dhcp) => dhcp.serialize(serializer),
    }
}

fn read_dhcp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Dhcp>, D::Error> {
    Ok(match Written::<bool, Dhcp>::deserialize(deserializer)? {
        Written::Short(false) => None,
        Written::Short(true) => Some(Dhcp::default()),
        Written::Long(dhcp) => Some(dhcp),
    })
}
