//! A port as it is written.

use std::collections::BTreeMap;
use std::net::IpAddr;

use coax_wire::{MacAddress, VlanId};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::group::Labels;
use crate::name::{HostName, Name};
use crate::port::AllowedAddress;
use crate::schema::{Address, Mac, Vlan, WordOrTable};
use crate::written::{Written, is_default};

/// A port as it is written. Addresses that are missing are kept, or allocated the first time;
/// everything else that is missing is not, or no longer, wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PortEntry {
    /// The network it is plugged into.
    pub network: Name,
    /// Where its VM is to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// Its MAC address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Mac>")]
    pub mac: Option<MacAddress>,
    /// Its IP addresses; an empty list means none, no list means one for each subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Address>>")]
    pub addresses: Option<Vec<IpAddr>>,
    /// What it is marked with.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Addresses that it may use besides its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_addresses: Vec<AllowedAddress>,
    /// It reaches no other isolated port; left out: what its network says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolated: Option<bool>,
    /// The networks of its tagged frames.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<Vlan, WordOrTable<Name, TrunkTable>>")]
    pub trunk: BTreeMap<VlanId, TrunkEntry>,
    /// It may send from any IP address.
    #[serde(default, skip_serializing_if = "is_default")]
    pub any_address: bool,
    /// It may send from any MAC address.
    #[serde(default, skip_serializing_if = "is_default")]
    pub any_mac: bool,
    /// It may answer DHCP and send router advertisements.
    #[serde(default, skip_serializing_if = "is_default")]
    pub may_serve: bool,
}

/// One network of a trunk: its name alone, or with the port's addresses there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkEntry {
    /// The network.
    pub network: Name,
    /// The port's IP addresses there; an empty list means none, no list means one for each subnet.
    pub addresses: Option<Vec<IpAddr>>,
}

/// The network of a VLAN, with the port's addresses there.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TrunkTable {
    network: Name,
    #[serde(default)]
    #[schemars(with = "Option<Vec<Address>>")]
    addresses: Option<Vec<IpAddr>>,
}

impl Serialize for TrunkEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { network, addresses } = self.clone();
        match addresses {
            None => network.serialize(serializer),
            Some(_) => TrunkTable { network, addresses }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for TrunkEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(
            match Written::<Name, TrunkTable>::deserialize(deserializer)? {
                Written::Short(network) => Self {
                    network,
                    addresses: None,
                },
                Written::Long(TrunkTable { network, addresses }) => Self { network, addresses },
            },
        )
    }
}
