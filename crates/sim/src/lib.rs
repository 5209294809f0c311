//! The forwarding function over byte vectors and maps: the same code as in the kernel, on a host
//! that is a value.
//!
//! - [`SimFrame`], [`SimTables`] and [`SimSink`] are what the pipeline needs of its surroundings.
//! - [`Host`] is one vSwitch made of them, [`Network`] many of them joined by an underlay.
//! - [`craft`] builds frames without using the pipeline's own header code.
//! - [`Stand`] names the devices, addresses and routes on which a [`Scenario`] plays; the kernel's
//!   executor builds the same stand of namespaces and veth pairs.
//! - [`golden`] writes and reads scenarios with their outcome as files in tests/golden.
//! - [`trace`] plays one frame and notes every row that decided, for `coax trace`.
//! - [`noise`] makes a scenario out of any bytes, for property tests and fuzzers.
//! - [`reference`] is a firewall written the slow way, which the pipeline's is compared with.

pub mod craft;
pub mod frame;
pub mod golden;
pub mod host;
pub mod network;
pub mod noise;
pub mod reference;
pub mod rows;
pub mod rules;
pub mod scenario;
pub mod sink;
pub mod stand;
pub mod state;
pub mod tables;
pub mod trace;

pub use frame::{Operation, Punt, SimFrame};
pub use host::{AccountingError, Host, Outcome, Side};
pub use network::Network;
pub use rows::SimRows;
pub use scenario::{Enters, Scenario};
pub use sink::{SimSink, Tally};
pub use stand::{Device, Stand};
pub use state::SimState;
pub use tables::{SimTables, Underlay};
