//! The rules that gateways, routers and their routes must keep.

use std::net::IpAddr;

use coax_wire::MacAddress;
use ipnet::IpNet;
use thiserror::Error;

use super::list;
use crate::name::Name;

/// The most static routes of a router.
pub const MAX_ROUTES: usize = 1024;

/// A rule about routing, with the values that break it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RoutingRule {
    /// The gateway is a neighbour of those who use it.
    #[error("gateway {gateway} is outside its subnet {subnet}")]
    GatewayOutside {
        /// What was written.
        gateway: IpAddr,
        /// The subnet.
        subnet: IpNet,
    },
    /// The gateway addresses of a joined network are the router's.
    #[error("address {address} is router `{router}`'s in network `{network}`")]
    AddressIsGateway {
        /// What was written.
        address: IpAddr,
        /// The network.
        network: Name,
        /// The router.
        router: Name,
    },
    /// All routers share one MAC address.
    #[error("MAC address {mac} is that of all routers")]
    MacIsGateway {
        /// What was written.
        mac: MacAddress,
    },
    /// A subnet has one gateway.
    #[error("network `{network}` is joined to router `{by}` already")]
    NetworkJoined {
        /// The network.
        network: Name,
        /// The router that joins it.
        by: Name,
    },
    /// Routers join subnets.
    #[error("network `{network}` has no subnet that could be routed")]
    WithoutSubnets {
        /// The network.
        network: Name,
    },
    /// What a router joins has one plan of addresses.
    #[error(
        "subnet {subnet} of network `{network}` overlaps subnet {other} of network `{other_network}`, and router `{router}` joins both"
    )]
    Overlap {
        /// The router.
        router: Name,
        /// The one.
        subnet: IpNet,
        /// Where it is.
        network: Name,
        /// The other.
        other: IpNet,
        /// Where that is.
        other_network: Name,
    },
    /// A destination has one next hop.
    #[error("there is another route to {to}")]
    RouteTwice {
        /// The destination.
        to: IpNet,
    },
    /// A packet is of one family.
    #[error("the route to {to} leads over {via}, which is of the other IP family")]
    RouteFamily {
        /// The destination.
        to: IpNet,
        /// The next hop.
        via: IpAddr,
    },
    /// The next hop is a neighbour of the router.
    #[error("next hop {via} is outside the subnets that the router joins")]
    NextHopOutside {
        /// What was written.
        via: IpAddr,
        /// What the router joins.
        subnets: Vec<IpNet>,
    },
    /// The router is not its own next hop.
    #[error("next hop {via} is the router itself")]
    NextHopIsGateway {
        /// What was written.
        via: IpAddr,
    },
    /// What is joined needs no route.
    #[error("{to} lies in subnet {subnet} of network `{network}`, which the router joins")]
    RouteToJoined {
        /// The destination.
        to: IpNet,
        /// The subnet that holds it.
        subnet: IpNet,
        /// Its network.
        network: Name,
    },
}

impl RoutingRule {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::GatewayOutside { .. } => "gateway-outside",
            Self::AddressIsGateway { .. } => "address-is-gateway",
            Self::MacIsGateway { .. } => "mac-is-gateway",
            Self::NetworkJoined { .. } => "network-joined",
            Self::WithoutSubnets { .. } => "network-without-subnets",
            Self::Overlap { .. } => "router-overlap",
            Self::RouteTwice { .. } => "route-twice",
            Self::RouteFamily { .. } => "route-family",
            Self::NextHopOutside { .. } => "next-hop-outside",
            Self::NextHopIsGateway { .. } => "next-hop-is-gateway",
            Self::RouteToJoined { .. } => "route-to-joined",
        }
    }

    pub(super) fn hint(&self) -> String {
        match self {
            Self::GatewayOutside { subnet, .. } => {
                format!("leave `gateway` out, or write an address of {subnet}")
            }
            Self::AddressIsGateway { .. } => {
                "use another address, or give the subnet another `gateway`".into()
            }
            Self::MacIsGateway { .. } => "leave `mac` out and a free one is chosen".into(),
            Self::NetworkJoined { by, .. } => {
                format!("take the network from one of the two, or put all networks into `{by}`")
            }
            Self::WithoutSubnets { .. } => "add a subnet to the network first".into(),
            Self::Overlap { .. } => {
                "give one of the two networks another prefix, or a router of its own".into()
            }
            Self::RouteTwice { .. } => "keep one of the two".into(),
            Self::RouteFamily { .. } => "write a next hop of the destination's family".into(),
            Self::NextHopOutside { subnets, .. } if subnets.is_empty() => {
                "the router joins no subnet: add a network to it first".into()
            }
            Self::NextHopOutside { subnets, .. } => {
                format!("use an address of {}", list(subnets))
            }
            Self::NextHopIsGateway { .. } => {
                "write the address of the port that routes further".into()
            }
            Self::RouteToJoined { .. } => {
                "remove the route: the router delivers there by itself".into()
            }
        }
    }
}
