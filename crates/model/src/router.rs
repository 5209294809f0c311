//! Routers: what joins networks of a project. A router is distributed: it exists on every host that
//! has a port in one of its networks, and answers there for the gateway address of each subnet.

use std::collections::BTreeSet;
use std::net::IpAddr;

use coax_wire::{MacAddress, Vni};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::schema::{Address, Cidr};

/// The MAC address of every router in every network on every host.
pub const GATEWAY_MAC: MacAddress = MacAddress([0x02, 0xc0, 0xa0, 0, 0, 1]);

/// A router. Its interfaces are the networks' gateway addresses; a network is in at most one router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Router {
    /// Its number in the tables of hosts, unique in the deployment.
    pub number: RouterNumber,
    /// The networks that it joins, of its own project.
    pub networks: BTreeSet<Name>,
    /// What lies behind other routers, sorted, each destination once.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub routes: BTreeSet<Route>,
}

/// A static route.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The destination; `0.0.0.0/0` and `::/0` are everything else.
    #[schemars(with = "Cidr")]
    pub to: IpNet,
    /// The next hop: an address, of the same family, in a subnet of a joined network.
    #[schemars(with = "Address")]
    pub via: IpAddr,
}

/// The number of a router in the tables of hosts, where it names the address plan of its networks. It is
/// above all VNIs, because a network that no router joins is an address plan under its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RouterNumber(u32);

impl RouterNumber {
    /// The lowest.
    pub const LEAST: Self = Self(Vni::MOST.get() + 1);

    /// The next higher one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Default for RouterNumber {
    fn default() -> Self {
        Self::LEAST
    }
}
