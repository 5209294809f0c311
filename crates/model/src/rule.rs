//! The rules that an intent must keep, as one closed list. Each names the values that break it, has
//! a stable code for machines and a way out for people.

mod policy;
mod refusal;
mod routing;
mod setting;

use std::net::IpAddr;

use coax_wire::{MacAddress, OutOfRange};
use ipnet::IpNet;
use thiserror::Error;

use crate::file::FILE_VERSION;
use crate::intent::OVERHEAD;
use crate::name::{HostName, Name, NetworkName, ObjectName};
use crate::plan::Kind;
use crate::quota::Counted;
use crate::suggest::nearest;

pub use policy::{
    MAX_CHECKS, MAX_GROUPS, MAX_IN_RULE, MAX_LABELS, MAX_PREFIXES, MAX_RAILS, MAX_RULES, PolicyRule,
};
pub use refusal::{Refusal, Refusals};
pub use routing::{MAX_ROUTES, RoutingRule};
pub use setting::{MAX_ALLOWED, SettingRule};

/// The most subnets that a network may have.
pub const MAX_SUBNETS: usize = 16;
/// The most addresses that a port may have.
pub const MAX_ADDRESSES: usize = 32;

/// A rule, with the values that break it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rule {
    /// The file is of another format.
    #[error("this is version {found} of the file format, known is version {FILE_VERSION}")]
    FileVersion {
        /// What the file says.
        found: u32,
    },
    /// A VNI is a number of 24 bits, not 0.
    #[error("{0}")]
    VniRange(OutOfRange),
    /// A VNI stands for one network in the whole deployment.
    #[error("VNI {vni} belongs to network {by} already")]
    VniTaken {
        /// The number.
        vni: u32,
        /// Who has it.
        by: NetworkName,
    },
    /// All VNIs are taken.
    #[error("there is no VNI left")]
    VnisExhausted,
    /// Networks carry at least what IPv6 needs.
    #[error("{0}")]
    MtuRange(OutOfRange),
    /// A packet and its tunnel headers must fit into the underlay.
    #[error(
        "MTU {mtu} does not fit: an underlay of MTU {underlay} leaves {largest} to this network"
    )]
    MtuTooLarge {
        /// The network's MTU.
        mtu: u32,
        /// What tunnel headers, and tags where the network carries them, leave of the underlay's.
        largest: u32,
        /// What the underlay carries.
        underlay: u32,
    },
    /// The underlay carries no virtual network at all.
    #[error("an underlay of MTU {underlay} leaves less than the 1280 bytes that a network needs")]
    UnderlayTooSmall {
        /// What the underlay carries.
        underlay: u32,
    },
    /// Subnets of a network do not overlap.
    #[error("subnet {subnet} overlaps subnet {other} of the same network")]
    SubnetOverlap {
        /// The one.
        subnet: IpNet,
        /// The other.
        other: IpNet,
    },
    /// A subnet is written by its first address.
    #[error("{subnet} is an address inside a subnet, not a subnet")]
    SubnetHostBits {
        /// What was written.
        subnet: IpNet,
    },
    /// A subnet has room for a gateway and a port.
    #[error("subnet {subnet} has no room for a gateway and a port")]
    SubnetTooSmall {
        /// What was written.
        subnet: IpNet,
    },
    /// Some addresses mean something else everywhere.
    #[error("subnet {subnet} holds addresses that no port can have")]
    SubnetUnusable {
        /// What was written.
        subnet: IpNet,
    },
    /// A list has a limit.
    #[error("{count} {what} are more than the {max} that are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many were written.
        count: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A project keeps its quota.
    #[error("{count} {counted} are more than the {limit} that project {project} may have")]
    Quota {
        /// Of what.
        counted: Counted,
        /// How many the file makes.
        count: usize,
        /// How many are allowed.
        limit: u32,
        /// Whose quota.
        project: Name,
    },
    /// What is named is in the file.
    #[error("there is no {kind} `{name}` in the file")]
    Unknown {
        /// What it is to be.
        kind: Kind,
        /// What was written.
        name: Name,
        /// The object with the most similar name.
        nearest: Option<Name>,
        /// The first few that there are.
        known: Vec<Name>,
    },
    /// A MAC address has one owner in a network.
    #[error("MAC address {mac} belongs to {by} in the same network already")]
    MacTaken {
        /// The address.
        mac: MacAddress,
        /// Who has it.
        by: ObjectName,
    },
    /// A station has a unicast address.
    #[error("MAC address {mac} cannot belong to a port: it is {}", if mac.is_group() { "a group's" } else { "zero" })]
    MacUnusable {
        /// The address.
        mac: MacAddress,
    },
    /// An IP address has one owner in a network.
    #[error("address {address} belongs to {by} in the same network already")]
    AddressTaken {
        /// The address.
        address: IpAddr,
        /// Who has it.
        by: ObjectName,
    },
    /// An address is inside a subnet of its network.
    #[error("address {address} is outside the subnets of network `{network}`")]
    AddressOutside {
        /// The address.
        address: IpAddr,
        /// The network.
        network: Name,
        /// Its subnets.
        subnets: Vec<IpNet>,
    },
    /// The first address of a subnet, and the last one of IPv4, belong to nobody.
    #[error("address {address} stands for subnet {subnet} as a whole")]
    AddressReserved {
        /// The address.
        address: IpAddr,
        /// Its subnet.
        subnet: IpNet,
    },
    /// A subnet is full.
    #[error("subnet {subnet} has no free address left")]
    AddressesExhausted {
        /// The subnet.
        subnet: IpNet,
    },
    /// Coax sends UDP without checksum, over IPv6 only to those who take it (RFC 6935).
    #[error("a tunnel endpoint at {address} must accept UDP over IPv6 without checksum")]
    ZeroChecksum {
        /// Its address.
        address: IpAddr,
    },
    /// A tunnel endpoint has a unicast address that packets can be routed to.
    #[error("{address} cannot be the address of a tunnel endpoint")]
    EndpointUnusable {
        /// What was written.
        address: IpAddr,
    },
    /// An address stands for one tunnel endpoint of a network.
    #[error("tunnel endpoint {by} of the same network has address {address} already")]
    EndpointTaken {
        /// The address.
        address: IpAddr,
        /// Who has it.
        by: ObjectName,
    },
    /// An address is that of a host or that of a foreign endpoint.
    #[error("{address} is the tunnel address of host {by}")]
    EndpointIsHost {
        /// The address.
        address: IpAddr,
        /// Who has it.
        by: HostName,
    },
    /// A host without a tunnel address reaches nobody.
    #[error("the host has neither an IPv4 nor an IPv6 tunnel address")]
    HostWithoutAddress,
    /// A host's address is not that of a foreign endpoint.
    #[error("{address} is the address of the foreign tunnel endpoint {by}")]
    HostIsEndpoint {
        /// The address.
        address: IpAddr,
        /// Who has it.
        by: ObjectName,
    },
    /// About groups, firewalls and rails.
    #[error(transparent)]
    Policy(#[from] PolicyRule),
    /// About gateways, routers and routes.
    #[error(transparent)]
    Routing(#[from] RoutingRule),
    /// About settings of networks and ports.
    #[error(transparent)]
    Setting(#[from] SettingRule),
}

impl Rule {
    /// Something is named that is not in the file.
    pub fn unknown<'a>(
        kind: Kind,
        name: &Name,
        known: impl Iterator<Item = &'a Name> + Clone,
    ) -> Self {
        Self::Unknown {
            kind,
            name: name.clone(),
            nearest: nearest(name.as_str(), known.clone()).cloned(),
            known: known.take(8).cloned().collect(),
        }
    }

    /// A name for machines that never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::FileVersion { .. } => "file-version",
            Self::VniRange(_) => "vni-range",
            Self::VniTaken { .. } => "vni-taken",
            Self::VnisExhausted => "vnis-exhausted",
            Self::MtuRange(_) => "mtu-range",
            Self::MtuTooLarge { .. } => "mtu-too-large",
            Self::UnderlayTooSmall { .. } => "underlay-too-small",
            Self::SubnetOverlap { .. } => "subnet-overlap",
            Self::SubnetHostBits { .. } => "subnet-host-bits",
            Self::SubnetTooSmall { .. } => "subnet-too-small",
            Self::SubnetUnusable { .. } => "subnet-unusable",
            Self::TooMany { .. } => "too-many",
            Self::Quota { .. } => "quota-exceeded",
            Self::Unknown { kind, .. } => match kind {
                Kind::Network => "unknown-network",
                Kind::Port => "unknown-member",
                Kind::Group => "unknown-group",
                Kind::AddressGroup => "unknown-address-group",
                _ => "unknown-object",
            },
            Self::MacTaken { .. } => "mac-taken",
            Self::MacUnusable { .. } => "mac-unusable",
            Self::AddressTaken { .. } => "address-taken",
            Self::AddressOutside { .. } => "address-outside",
            Self::AddressReserved { .. } => "address-reserved",
            Self::AddressesExhausted { .. } => "addresses-exhausted",
            Self::ZeroChecksum { .. } => "zero-checksum",
            Self::EndpointUnusable { .. } => "endpoint-unusable",
            Self::EndpointTaken { .. } => "endpoint-taken",
            Self::EndpointIsHost { .. } => "endpoint-is-host",
            Self::HostWithoutAddress => "host-without-address",
            Self::HostIsEndpoint { .. } => "host-is-endpoint",
            Self::Policy(rule) => rule.code(),
            Self::Routing(rule) => rule.code(),
            Self::Setting(rule) => rule.code(),
        }
    }

    /// The way out, in one sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::FileVersion { .. } => format!("write `version: {FILE_VERSION}`"),
            Self::VniRange(_) | Self::VniTaken { .. } => {
                "leave `vni` out and a free one is chosen, or write another".into()
            }
            Self::VnisExhausted => "delete networks that nobody uses".into(),
            Self::MtuRange(_) => "leave `mtu` out and the largest that fits is chosen".into(),
            Self::MtuTooLarge { largest, .. } => {
                format!("leave `mtu` out or write at most {largest}")
            }
            Self::UnderlayTooSmall { .. } => {
                format!("raise the MTU of the fabric to {} or more", 1280 + OVERHEAD)
            }
            Self::SubnetOverlap { .. } => "remove one of the two, or make it smaller".into(),
            Self::SubnetHostBits { subnet } => format!("write {}", subnet.trunc()),
            Self::SubnetTooSmall { subnet } => {
                let longest = if subnet.addr().is_ipv4() { 30 } else { 126 };
                format!("use a prefix length of {longest} or less")
            }
            Self::SubnetUnusable { .. } => {
                "use a private prefix: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or fd00::/8".into()
            }
            Self::TooMany { max, .. } => format!("keep {max} and put the rest on another"),
            Self::Quota {
                counted,
                count,
                project,
                ..
            } => format!(
                "delete some, or ask the deployment's admin: `coax project set {project} --{counted} {count}`"
            ),
            Self::Unknown {
                kind,
                nearest,
                known,
                ..
            } => named_instead(*kind, nearest.as_ref(), known),
            Self::Policy(rule) => rule.hint(),
            Self::Routing(rule) => rule.hint(),
            Self::Setting(rule) => rule.hint(),
            Self::MacTaken { .. } => "leave `mac` out and a free one is chosen".into(),
            Self::MacUnusable { .. } => {
                "leave `mac` out, or write an address whose first byte is even, like 02:…".into()
            }
            Self::AddressTaken { .. } => {
                "leave `addresses` out and a free one is chosen, or write another".into()
            }
            Self::AddressOutside { subnets, .. } if subnets.is_empty() => {
                "the network has no subnets: add one to it first".into()
            }
            Self::AddressOutside { subnets, .. } => {
                format!("use an address of {}", list(subnets))
            }
            Self::AddressReserved { .. } => "use an address between the first and the last".into(),
            Self::AddressesExhausted { .. } => "add a second subnet to the network".into(),
            Self::ZeroChecksum { .. } => {
                "if it does, write `udp6_zero_checksum: true`; if not, use its IPv4 address".into()
            }
            Self::EndpointUnusable { .. } => "write the address that its packets come from".into(),
            Self::EndpointTaken { .. } => "list the networks under one endpoint".into(),
            Self::EndpointIsHost { .. } => "hosts with an agent need no `vteps` entry".into(),
            Self::HostWithoutAddress => "give the agent --vtep-ipv4 or --vtep-ipv6".into(),
            Self::HostIsEndpoint { .. } => {
                "remove the `vteps` entry, or give the agent another tunnel address".into()
            }
        }
    }
}

/// The way out where something is named that is not there.
fn named_instead(kind: Kind, nearest: Option<&Name>, known: &[Name]) -> String {
    let section = section(kind);
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => format!("add it under `{section}`"),
        None => format!("add it under `{section}`, or use one of: {}", list(known)),
    }
}

/// Where objects of a kind are written.
fn section(kind: Kind) -> &'static str {
    match kind {
        Kind::Network => "networks",
        Kind::Port => "ports",
        Kind::Vtep => "vteps",
        Kind::Router => "routers",
        Kind::Group => "groups",
        Kind::AddressGroup => "address_groups",
        Kind::Firewall | Kind::FirewallRule => "firewall",
        Kind::Checks => "checks",
    }
}

/// Things in a row, with commas.
pub(crate) fn list<T: ToString>(items: &[T]) -> String {
    items
        .iter()
        .map(T::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
