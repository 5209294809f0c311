//! Networks: virtual layer-2 broadcast domains, their subnets, and what Coax answers and limits on
//! them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use coax_wire::{Mtu, Vni};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::allocate::gateway;
use crate::name::DomainName;
use crate::quantity::{LeaseTime, PacketRate, ShutTime};
use crate::router::Route;
use crate::schema::Address;
use crate::written::{Written, is_default, short_text, text_form};

/// One virtual cable: a layer-2 broadcast domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The number in the tunnel header, unique in the deployment.
    pub vni: Vni,
    /// The largest IP packet that its ports may send.
    pub mtu: Mtu,
    /// Its IP prefixes, sorted, without overlap.
    pub subnets: Vec<Subnet>,
    /// Frames with VLAN tags of the guests' own are carried as they are.
    #[serde(default)]
    pub vlan_transparent: bool,
    /// Frames to unknown unicast addresses are copied to all members instead of being dropped.
    #[serde(default)]
    pub flood_unknown: bool,
    /// What it carries, and how.
    #[serde(rename = "type", default, skip_serializing_if = "is_default")]
    pub kind: NetworkKind,
    /// DHCPv4 and DHCPv6 are answered for its ports; nothing: they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<Dhcp>,
    /// Router solicitations are answered for its ports.
    #[serde(default, skip_serializing_if = "is_default")]
    pub router_advertisements: bool,
    /// What ports are told of DNS.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dns: Dns,
    /// All its ports may answer DHCP and send router advertisements; Coax does neither.
    #[serde(default, skip_serializing_if = "is_default")]
    pub own_servers: bool,
    /// Its ports are isolated unless they say otherwise; each port says what holds for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub isolated: bool,
    /// How many ports it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_endpoints: Option<u32>,
    /// What each of its ports may send to everybody.
    #[serde(default, skip_serializing_if = "is_default")]
    pub storm_control: StormControl,
    /// How long a guard shuts a port that sent a BPDU or closed a loop.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shut_time: ShutTime,
}

/// What a network carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkKind {
    /// Ethernet frames of any kind: true layer 2.
    #[default]
    Bridged,
    /// IP packets to addresses that somebody has, and nothing else; nothing is flooded.
    Routed,
}

/// An IP prefix on a network. Written as the prefix alone where nothing else is special.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subnet {
    /// The prefix.
    pub prefix: IpNet,
    /// The address of the router, if the network is joined to one. Otherwise a port may have it.
    pub gateway: IpAddr,
    /// DHCP offers addresses of this subnet, where the network has DHCP.
    pub dhcp: bool,
}

impl Subnet {
    /// The prefix with its first address as the gateway.
    pub fn new(prefix: IpNet) -> Self {
        Self {
            prefix,
            gateway: gateway(prefix),
            dhcp: true,
        }
    }
}

impl From<IpNet> for Subnet {
    fn from(prefix: IpNet) -> Self {
        Self::new(prefix)
    }
}

/// A subnet in its long form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubnetTable {
    prefix: Prefix,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gateway: Option<IpAddr>,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    dhcp: bool,
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

/// A prefix that says more than "invalid syntax" when it is none.
#[derive(Clone, Copy)]
pub(crate) struct Prefix(pub(crate) IpNet);

/// A text is no prefix.
#[derive(Debug, Error)]
#[error("`{text}` is no subnet, which is an address and a prefix length: 10.10.1.0/24")]
pub(crate) struct PrefixError {
    text: String,
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let prefix = text.parse().map(Self);
        prefix.map_err(|_| PrefixError { text: text.into() })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

text_form!(Prefix);
short_text!(Prefix);

impl Serialize for Subnet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            prefix,
            gateway,
            dhcp,
        } = *self;
        let plain = Self::new(prefix);
        if plain == *self {
            return prefix.serialize(serializer);
        }
        let table = SubnetTable {
            prefix: Prefix(prefix),
            gateway: (gateway != plain.gateway).then_some(gateway),
            dhcp,
        };
        table.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Subnet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(
            match Written::<Prefix, SubnetTable>::deserialize(deserializer)? {
                Written::Short(Prefix(prefix)) => Self::new(prefix),
                Written::Long(table) => Self {
                    prefix: table.prefix.0,
                    gateway: table.gateway.unwrap_or_else(|| gateway(table.prefix.0)),
                    dhcp: table.dhcp,
                },
            },
        )
    }
}

/// How DHCP is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dhcp {
    /// How long an address is promised.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lease_time: LeaseTime,
    /// Routes that ports are told of, beside the one to everywhere through the gateway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// What ports are told of DNS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// The domain below which `PORT.NETWORK.PROJECT` is a name, too, and in which they search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
    /// The servers that they ask for names that are not of the project, which Coax answers at the gateway address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Address>")]
    pub servers: Vec<IpAddr>,
}

/// How many packets a second a port may send to everybody, by kind. Bursts of a second's worth pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StormControl {
    /// Broadcasts.
    pub broadcast: PacketRate,
    /// Multicasts.
    pub multicast: PacketRate,
    /// Unicasts to addresses that nobody has.
    pub unknown: PacketRate,
}

/// Enough for what guests do by themselves, a thousandth of what one can send.
impl Default for StormControl {
    fn default() -> Self {
        Self {
            broadcast: PacketRate::limit(500),
            multicast: PacketRate::limit(1000),
            unknown: PacketRate::limit(500),
        }
    }
}

impl Network {
    /// A bridged network without subnets, on which Coax answers nothing but ARP and discovery.
    pub fn new(vni: Vni, mtu: Mtu) -> Self {
        Self {
            vni,
            mtu,
            subnets: Vec::new(),
            vlan_transparent: false,
            flood_unknown: false,
            kind: NetworkKind::Bridged,
            dhcp: None,
            router_advertisements: false,
            dns: Dns::default(),
            own_servers: false,
            isolated: false,
            max_endpoints: None,
            storm_control: StormControl::default(),
            shut_time: ShutTime::default(),
        }
    }

    /// The subnet that an address lies in.
    pub fn subnet_of(&self, address: IpAddr) -> Option<&Subnet> {
        self.subnets
            .iter()
            .find(|subnet| subnet.prefix.contains(&address))
    }

    /// Its prefixes.
    pub fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        self.subnets.iter().map(|subnet| subnet.prefix)
    }
}

impl NetworkKind {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bridged => "bridged",
            Self::Routed => "routed",
        }
    }
}

impl fmt::Display for NetworkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_subnet_is_its_prefix() {
        let plain = Subnet::new("10.0.0.0/24".parse().unwrap());
        assert_eq!(serde_json::to_string(&plain).unwrap(), r#""10.0.0.0/24""#);
        let json = r#"{"prefix":"10.0.0.0/24","gateway":"10.0.0.254"}"#;
        let special: Subnet = serde_json::from_str(json).unwrap();
        assert_eq!(special.gateway.to_string(), "10.0.0.254");
        assert_eq!(serde_json::to_string(&special).unwrap(), json);
    }

    #[test]
    fn rates_are_numbers_or_unlimited() {
        let rates: StormControl =
            serde_json::from_str(r#"{"broadcast": 20, "unknown": "unlimited"}"#).unwrap();
        assert_eq!(rates.broadcast.get(), Some(20));
        assert_eq!(rates.multicast, StormControl::default().multicast);
        assert_eq!(rates.unknown, PacketRate::UNLIMITED);
        let json = serde_json::to_string(&rates).unwrap();
        assert_eq!(
            json,
            r#"{"broadcast":20,"multicast":1000,"unknown":"unlimited"}"#
        );
        assert!("0".parse::<PacketRate>().is_err());
    }
}
