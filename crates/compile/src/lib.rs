//! Compiling intent: from what the user asked for to what every host has to know of a network
//! ([`slice`]), and from that to what one host looks up.

pub mod slice;

pub use slice::{
    DeltaError, ForeignVtep, HostVtep, Member, NetworkParams, NetworkSlice, SliceDelta,
};
