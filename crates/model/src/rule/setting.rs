//! The rules that settings of networks and ports must keep among each other.

use std::net::IpAddr;

use thiserror::Error;

use crate::name::{Name, ObjectName};

/// The most addresses that a port may use besides its own.
pub const MAX_ALLOWED: usize = 32;

/// A rule about settings, with the values that break it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingRule {
    /// A routed network floods nothing, and carries IP alone.
    #[error(
        "a routed network cannot have `{setting}`: it carries only IP packets, and only to addresses that somebody has"
    )]
    Routed {
        /// What was written.
        setting: &'static str,
    },
    /// A foreign tunnel endpoint floods and learns.
    #[error("network `{network}` is routed: foreign tunnel endpoints cannot be members of it")]
    RoutedForeign {
        /// The network.
        network: Name,
    },
    /// DHCP offers what subnets have.
    #[error("there is no subnet whose addresses `{setting}` could offer")]
    NothingToOffer {
        /// What was written.
        setting: &'static str,
    },
    /// Two servers would contradict each other.
    #[error("`own_servers` and `{setting}` contradict each other: one of the two answers")]
    TwoServers {
        /// What was written beside it.
        setting: &'static str,
    },
    /// A network is as large as its owner wants one failure to be.
    #[error("network `{network}` has room for {max} endpoints, and this would be number {count}")]
    Endpoints {
        /// The network.
        network: Name,
        /// Its limit.
        max: u32,
        /// How many it would have.
        count: usize,
    },
    /// A limit holds for those who are there.
    #[error("network `{network}` has {count} endpoints already, more than {max}")]
    EndpointsThere {
        /// The network.
        network: Name,
        /// Its limit.
        max: u32,
        /// How many it has.
        count: usize,
    },
    /// A port's own address is safe from others.
    #[error("address {address} is port {by}'s own, so no other port may use it")]
    AllowedTaken {
        /// The address.
        address: IpAddr,
        /// Who has it.
        by: ObjectName,
    },
    /// A port is in a network once.
    #[error("the port is in network `{network}` already")]
    NetworkTwice {
        /// The network.
        network: Name,
    },
    /// A frame's tag says one thing.
    #[error(
        "network `{network}` carries VLAN tags of its guests, so a trunk could not tell them from its own"
    )]
    TrunkTransparent {
        /// The network of the port's untagged frames.
        network: Name,
    },
}

impl SettingRule {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Routed { .. } => "routed-cannot",
            Self::RoutedForeign { .. } => "routed-foreign",
            Self::NothingToOffer { .. } => "nothing-to-offer",
            Self::TwoServers { .. } => "two-servers",
            Self::Endpoints { .. } | Self::EndpointsThere { .. } => "endpoints-exceeded",
            Self::AllowedTaken { .. } => "allowed-taken",
            Self::NetworkTwice { .. } => "network-twice",
            Self::TrunkTransparent { .. } => "trunk-transparent",
        }
    }

    pub(super) fn hint(&self) -> String {
        match self {
            Self::Routed { setting } => {
                format!("remove `{setting}`, or write `type: bridged`")
            }
            Self::RoutedForeign { .. } => {
                "write `type: bridged` for the network, or take it from the endpoint's list".into()
            }
            Self::NothingToOffer { setting } => {
                format!("add a subnet to the network, or remove `{setting}`")
            }
            Self::TwoServers { setting } => {
                format!("remove `own_servers`, or write `{setting}: false`")
            }
            Self::Endpoints { .. } => {
                "use another network, or raise `max_endpoints` if one failure may reach so many"
                    .into()
            }
            Self::EndpointsThere { count, .. } => {
                format!("write `max_endpoints: {count}` or more, or move ports elsewhere first")
            }
            Self::AllowedTaken { .. } => {
                "list a shared address under `allowed_addresses` of all who share it, and under \
                 `addresses` of none"
                    .into()
            }
            Self::NetworkTwice { .. } => "remove it from `trunk`".into(),
            Self::TrunkTransparent { .. } => {
                "put the port's untagged frames into a network without `vlan_transparent`".into()
            }
        }
    }
}
