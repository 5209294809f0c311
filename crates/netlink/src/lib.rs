//! The only place that talks rtnetlink: links, addresses, routes, neighbours and network namespaces of a Linux host.
//!
//! Two users: the agent (watches which devices claim to be ports, reads its uplinks) and the lab (builds whole
//! topologies out of namespaces). Nothing here knows about ports, networks or tunnels.
//!
//! - [`Netlink`] is a cheap clonable connection that belongs for good to the namespace in which it was opened.
//! - [`Namespace`] creates, opens, enters and deletes named namespaces. `setns` changes one thread, therefore it happens
//!   only on threads made for the purpose, never on a worker of an async runtime.
//! - [`PacketSender`] sends frames as they are.
//! - [`LinkWatch`] tells every change of a link, and lists again by itself when the kernel had to drop messages.

mod address;
mod connection;
mod error;
mod link;
mod link_create;
mod namespace;
mod neighbour;
mod packet;
mod route;
mod sysctl;
mod watch;

pub use connection::Netlink;
pub use error::Error;
pub use link::{Link, OperState, VethPeer};
pub use link_create::{VethEnd, Vxlan};
pub use namespace::{Namespace, ScopedNamespace};
pub use neighbour::Neighbour;
pub use packet::PacketSender;
pub use route::{FlowPath, NextHop, Route, RouteKind, UdpFlow};
pub use sysctl::{read_sysctl, write_sysctl};
pub use watch::{LinkEvent, LinkWatch};
