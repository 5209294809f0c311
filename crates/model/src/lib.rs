//! What the user asked for. [`StackFile`] is one project as a file; [`Intent`] is everything that is
//! stored; [`Change`] is the only step from one intent to the next. Pure values and functions: no
//! clock, no IO, no knowledge of who stores or realises them.
//!
//! The way of a file: [`file`] reads it and says where it is wrong, [`plan`] compares it with the
//! intent, lets [`allocate`] fill in what was left out and [`validate`] refuse what cannot be, and
//! gives changes with sentences for people. [`export`] writes the intent back as a file.

pub mod file;
pub mod intent;
pub mod name;

pub use file::{NetworkEntry, PortEntry, StackFile, VtepEntry};
pub use intent::{
    Binding, Change, DEFAULT_UNDERLAY_MTU, Host, Intent, Network, OVERHEAD, Port, Vtep,
};
pub use name::{HostName, Name, NameError, NetworkName, ObjectName, PortName, VtepName};
