//! Keys and values of the rows that a vSwitch looks up.
//!
//! All types are `repr(C)` without padding, so that they are equal byte for byte in the kernel's
//! maps, in the simulator's hash maps and in the agent's cache. Numbers are in the byte order of
//! the machine, addresses in the order of the wire.
//!
//! `LAYOUT` names this layout. Whoever changes a type or a map changes the number: an agent
//! refuses maps of another layout instead of reading them wrongly.

#![cfg_attr(not(test), no_std)]

pub mod address;
pub mod connection;
mod connection_state;
pub mod counters;
pub mod drop_reason;
pub mod flow;
pub mod forwarding;
pub mod fragment;
pub mod guard;
pub mod host;
pub mod limit;
pub mod network;
pub mod policy;
pub mod port;
pub mod punt;
pub mod route;

pub use address::{AddressKey, AddressRow};
pub use connection::{ConnectionBucket, ConnectionKey, ConnectionWords, Tag};
pub use connection_state::{ConnectionState, ConnectionTraits};
pub use counters::{Counters, FABRIC_SLOT, drop_index};
pub use drop_reason::DropReason;
pub use flow::FlowRecord;
pub use forwarding::{MacKey, MacRow, TunnelKey, TunnelRow};
pub use fragment::{Extent, FragmentBucket, FragmentKey, FragmentState, FragmentWords};
pub use guard::{ShutRow, SourceKey, SourceRow};
pub use host::HostRow;
pub use limit::{Limit, Rate};
pub use network::{NetworkId, NetworkRow, ReplicaKey, ReplicaRow};
pub use policy::{
    ClassKey, ClassRow, DomainId, DomainRow, PolicyKey, PolicyRow, RuleCounters, ServiceKey,
};
pub use port::{PortKey, PortRow};
pub use punt::{PUNT_BYTES, PuntHeader, PuntKind, PuntRecord};
pub use route::{RouteKey, RouteRow};

/// Version of the layout of all rows and maps together.
pub const LAYOUT: u32 = 3;
