//! What the user asked for. [`StackFile`] is one project as a file; [`Intent`] is everything that is
//! stored; [`Change`] is the only step from one intent to the next. Pure values and functions: no
//! clock, no IO, no knowledge of who stores or realises them.
//!
//! The way of a file: [`mod@file`] reads it and says where it is wrong, [`mod@plan`] compares it with the
//! intent, lets [`allocate`] fill in what was left out and [`validate`] refuse what cannot be, and
//! gives changes with sentences for people. [`mod@export`] writes the intent back as a file.

pub mod allocate;
pub mod diagnostic;
pub mod export;
pub mod file;
pub mod intent;
mod locate;
pub mod name;
pub mod plan;
mod resolve;
pub mod rule;
mod suggest;
pub mod validate;

pub use allocate::gateway;
pub use diagnostic::{Diagnostic, FieldPath, Place};
pub use export::{export, to_yaml};
pub use file::{NetworkEntry, PortEntry, StackFile, VtepEntry};
pub use intent::{
    Binding, Change, DEFAULT_UNDERLAY_MTU, Host, Intent, Network, OVERHEAD, Port, Vtep,
};
pub use locate::Places;
pub use name::{HostName, Name, NameError, NetworkName, ObjectName, PortName, VtepName};
pub use plan::{Action, Kind, Plan, Step, plan, plan_delete};
pub use rule::{Refusal, Refusals, Rule};
pub use suggest::nearest;
pub use validate::check_host;
