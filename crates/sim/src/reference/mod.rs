//! A switch with a stateful firewall, written the slow way, to compare the pipeline with.
//!
//! It is made from docs/explanation/connections.md alone and shares nothing with the pipeline: rules are
//! lists that are walked in written order, connections and datagrams are lists that are searched from the front, and
//! what is known of a TCP connection is the list of all its segments. Packets are values, so nothing is
//! parsed. Nobody would want to use it; everybody can read it.
//!
//! | file | holds |
//! | --- | --- |
//! | [`packet`] | packets as values, and their bytes |
//! | [`policy`] | rails, rules, groups and address groups |
//! | [`tcp`] | what is known of a TCP connection |
//! | [`datagrams`] | datagrams in fragments |
//! | [`connections`] | the connections of one host, and how many there may be |
//! | [`firewall`] | the firewall of one host |
//! | [`world`] | VMs on two hosts, their ports, networks and projects |
//! | [`switch`] | the way of a packet between them, with and without VLAN tags |
//! | [`refusals`] | what senders are told |
//! | [`neighbours`] | ARP and neighbour discovery |
//! | [`placement`] | where a connection may be kept |
//! | [`rows`] | what the simulated hosts are told of a world |
//! | [`script`] | worlds, packets and changes of policy out of any bytes |
//! | [`census`] | connections in a simulated host's memory |
//! | [`stage`] | both in turn: the model, and the pipeline on two simulated hosts |

pub mod census;
pub mod connections;
pub mod datagrams;
pub mod firewall;
pub mod neighbours;
pub mod packet;
pub mod placement;
pub mod policy;
pub mod refusals;
pub mod rows;
pub mod script;
pub mod stage;
pub mod switch;
pub mod tcp;
pub mod world;

pub use firewall::Firewall;
pub use packet::Packet;
pub use policy::Policy;
pub use script::Script;
pub use world::World;
