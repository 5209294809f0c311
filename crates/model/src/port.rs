//! Ports: virtual network cards, and what their guests may send.

use std::collections::BTreeMap;
use std::net::IpAddr;

use coax_wire::{MacAddress, VlanId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::group::Labels;
use crate::name::{HostName, Name};
use crate::written::{Written, is_default};

/// One virtual NIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The network it is plugged into, in the same project: that of untagged frames.
    pub network: Name,
    /// Its MAC address, unique in the network and in those of its trunk.
    pub mac: MacAddress,
    /// Its IP addresses, each inside one of the network's subnets, unique in the network.
    pub addresses: Vec<IpAddr>,
    /// Where its VM is to run, if the user said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// What it is marked with, for groups.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Addresses that it may use besides its own, and may share with others: of a cluster, of VRRP.
    /// Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_addresses: Vec<AllowedAddress>,
    /// It reaches no other isolated port of its network.
    #[serde(default, skip_serializing_if = "is_default")]
    pub isolated: bool,
    /// The networks of its tagged frames, by VLAN; empty: tagged frames are dropped.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub trunk: BTreeMap<VlanId, TrunkVlan>,
    /// It may send from any IP address: it routes, balances or translates.
    #[serde(default, skip_serializing_if = "is_default")]
    pub any_address: bool,
    /// It may send from any MAC address: it bridges.
    #[serde(default, skip_serializing_if = "is_default")]
    pub any_mac: bool,
    /// It may answer DHCP and send router advertisements.
    #[serde(default, skip_serializing_if = "is_default")]
    pub may_serve: bool,
}

/// An address that a port may use besides its own. Written as the address alone where the MAC address
/// is the port's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AllowedAddress {
    /// The address, inside one of the network's subnets.
    pub ip: IpAddr,
    /// The MAC address that it is used with; nothing: the port's own.
    pub mac: Option<MacAddress>,
}

/// One network of a trunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrunkVlan {
    /// The network, in the port's project.
    pub network: Name,
    /// The port's IP addresses there, each inside one of the network's subnets, unique in it.
    pub addresses: Vec<IpAddr>,
}

impl Port {
    /// A port without addresses or rights.
    pub fn new(network: Name, mac: MacAddress) -> Self {
        Self {
            network,
            mac,
            addresses: Vec::new(),
            host: None,
            labels: Labels::new(),
            allowed_addresses: Vec::new(),
            isolated: false,
            trunk: BTreeMap::new(),
            any_address: false,
            any_mac: false,
            may_serve: false,
        }
    }

    /// Every network that it is in, with its own addresses there: the untagged one first, then those
    /// of its trunk by VLAN.
    pub fn networks(&self) -> impl Iterator<Item = (Option<VlanId>, &Name, &[IpAddr])> {
        let untagged = (None, &self.network, self.addresses.as_slice());
        let tagged = self
            .trunk
            .iter()
            .map(|(vlan, to)| (Some(*vlan), &to.network, to.addresses.as_slice()));
        std::iter::once(untagged).chain(tagged)
    }

    /// Every address that it may use, with the network in which it may: its own, and those allowed on
    /// top, which belong to the untagged network.
    pub fn usable_addresses(&self) -> impl Iterator<Item = (&Name, IpAddr)> {
        let own = self
            .networks()
            .flat_map(|(_, network, addresses)| addresses.iter().map(move |ip| (network, *ip)));
        let allowed = self.allowed_addresses.iter();
        own.chain(allowed.map(|allowed| (&self.network, allowed.ip)))
    }
}

/// An allowed address in its long form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowedTable {
    ip: IpAddr,
    #[serde(default)]
    mac: Option<MacAddress>,
}

impl Serialize for AllowedAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { ip, mac } = *self;
        match mac {
            None => ip.serialize(serializer),
            Some(_) => AllowedTable { ip, mac }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for AllowedAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(
            match Written::<IpAddr, AllowedTable>::deserialize(deserializer)? {
                Written::Short(ip) => Self { ip, mac: None },
                Written::Long(AllowedTable { ip, mac }) => Self { ip, mac },
            },
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn an_allowed_address_is_itself_or_a_table() {
        let json = r#"["10.0.0.100",{"ip":"10.0.0.101","mac":"00:00:5e:00:01:07"}]"#;
        let allowed: Vec<AllowedAddress> = serde_json::from_str(json).unwrap();
        assert_eq!(allowed[0].mac, None);
        assert_eq!(allowed[1].mac, Some(MacAddress([0, 0, 0x5e, 0, 1, 7])));
        assert_eq!(serde_json::to_string(&allowed).unwrap(), json);
    }

    #[test]
    fn addresses_belong_to_the_network_in_which_they_are_used() {
        let mut port = Port::new("web".parse().unwrap(), MacAddress([2, 0, 0, 0, 0, 1]));
        port.addresses = vec!["10.0.0.2".parse().unwrap()];
        port.allowed_addresses = vec![AllowedAddress {
            ip: "10.0.0.100".parse().unwrap(),
            mac: None,
        }];
        let vlan = VlanId::try_from(7_u32).unwrap();
        let to = TrunkVlan {
            network: "db".parse().unwrap(),
            addresses: vec!["10.3.0.2".parse().unwrap()],
        };
        port.trunk.insert(vlan, to);
        let usable: Vec<String> = port
            .usable_addresses()
            .map(|(network, ip)| format!("{network} {ip}"))
            .collect();
        assert_eq!(usable, ["web 10.0.0.2", "db 10.3.0.2", "web 10.0.0.100"]);
    }
}
