//! What rows are made from beside a slice, and what comes out.

use std::collections::{BTreeMap, BTreeSet};

use coax_tables::{
    AddressKey, AddressRow, DomainId, MacKey, MacRow, NetworkRow, PortKey, PortRow, ReplicaRow,
    RouteKey, RouteRow, SourceKey, SourceRow, TunnelKey, TunnelRow,
};
use thiserror::Error;

/// The family of tunnel packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underlay {
    /// IPv4, where both ends have it.
    #[default]
    Ipv4,
    /// IPv6, where both ends have it.
    Ipv6,
}

/// The host for which rows are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// Its name.
    pub host: String,
    /// It has an IPv4 tunnel address.
    pub ipv4: bool,
    /// It has an IPv6 tunnel address.
    pub ipv6: bool,
    /// Which of the two it would rather use.
    pub prefer: Underlay,
    /// The domain whose policy the network's ports obey; 0: none.
    pub policy: DomainId,
}

impl Here {
    /// Whether the host has a tunnel address of a family.
    pub(super) fn has(&self, ipv6: bool) -> bool {
        if ipv6 { self.ipv6 } else { self.ipv4 }
    }
}

/// A device of this host that is a port of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPort {
    /// The port's full name.
    pub port: String,
    /// The kernel's index of the device.
    pub ifindex: u32,
    /// The index of the port's counters in this network.
    pub slot: u32,
    /// The device is one end of a veth pair whose other end takes frames directly.
    pub peer_redirect: bool,
}

/// The rows of one network on one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkRows {
    /// Endpoints that frames are taken from.
    pub tunnels: BTreeMap<TunnelKey, TunnelRow>,
    /// Where MAC addresses live.
    pub macs: BTreeMap<MacKey, MacRow>,
    /// MAC addresses that move with a shared address: the data plane notes by itself where they live.
    pub learnable: BTreeSet<MacKey>,
    /// Who owns an address.
    pub addresses: BTreeMap<AddressKey, AddressRow>,
    /// Who gets copies, in the order of their slots.
    pub replicas: Vec<ReplicaRow>,
    /// The network itself. Its generation is 0: who writes the rows knows which one is free.
    pub network: Option<NetworkRow>,
    /// Local ports.
    pub ports: BTreeMap<PortKey, PortRow>,
    /// Addresses that local ports may send from, beyond one of each family.
    pub sources: BTreeMap<SourceKey, SourceRow>,
    /// Routes of a routed network that no router joins.
    pub routes: BTreeMap<RouteKey, RouteRow>,
    /// What could not be made into rows.
    pub problems: BTreeSet<RowProblem>,
}

/// Why a part of a slice has no rows here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum RowProblem {
    /// The other host has no tunnel address of a family that this host has.
    #[error("host {host} has no tunnel address of a family that this host has, too")]
    Unreachable {
        /// The other host.
        host: String,
    },
    /// The foreign endpoint has an address of a family that this host does not have.
    #[error("this host has no tunnel address of the family that {vtep} needs")]
    NoFamily {
        /// The endpoint.
        vtep: String,
    },
    /// A message holds an address of impossible length.
    #[error("the controller sent an address of {object} that is none")]
    BadAddress {
        /// The port, host or endpoint.
        object: String,
    },
}
