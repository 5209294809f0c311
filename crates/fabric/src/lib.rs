//! The leaf-and-spine planner: a pure engine without IO.
//!
//! In: which spines, leaves and hosts there are and which links between them are up.
//! Out: an address for every link end and a loopback (the VTEP) for every node, the
//! equal-cost routes of every node in both address families, and drawings.
//!
//! Three rules make the routes safe to install in any order:
//! - switches forward on a shortest path, so no packet ever visits a switch twice;
//! - hosts are never transit: no route leads through a host that is not the destination;
//! - hosts spread over *every* live uplink whose leaf reaches the destination, as a server
//!   does that takes a default route from each of its leaves. (Strictly shortest paths
//!   would leave one uplink of a host idle towards hosts that share a leaf with it.)

mod addressing;
pub mod draw;
mod name;
mod plan;
mod routes;
mod topology;

pub use addressing::{AddressError, AddressPair, Addressing, LinkAddresses, Prefixes};
pub use name::{NameError, NodeName};
pub use plan::{NextHop, Plan, RouteEntry};
pub use routes::{LinkState, Route, routes};
pub use topology::{Link, LinkId, Node, NodeId, Tier, Topology, TopologyError};
