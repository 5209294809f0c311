//! Compiling intent, in two halves. [`Compiler`] runs in the controller: from what the user asked for
//! to what every host has to know of a network ([`mod@slice`]). [`rows`] runs in the agent: from that and
//! the devices of this host to what its vSwitch looks up. Both are pure.

mod compiler;
mod message;
pub mod policy;
pub mod reach;
pub mod rows;
pub mod slice;
mod touched;

pub use compiler::{Compiler, NetworkStep, RouterStep, Steps};
pub use rows::{Here, LocalPort, NetworkRows, RowProblem, Underlay};
pub use slice::{
    DeltaError, ForeignVtep, HostVtep, Member, NetworkParams, NetworkSlice, RouterSlice, SliceDelta,
};
