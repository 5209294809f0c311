//! The lab: a whole data centre on one machine. Spines, leaves and hypervisors are network namespaces,
//! cables are veth pairs, VMs are namespaces plugged in by veth, and the kernel of each namespace
//! routes. The lab is only a helper around Coax: controller and agents are the real processes and
//! know nothing of it.
//!
//! | module | does |
//! | --- | --- |
//! | [`file`], [`name`], [`state`] | the lab file; names of everything; the record of a running lab |
//! | [`build`], [`site`] | namespaces, cables, addresses; the same, open |
//! | [`routing`], [`supervise`] | the routing protocol and the VM manager of the lab |
//! | [`daemon`], [`process`] | controller, agents and supervisor as processes |
//! | [`vm`], [`migrate`] | VMs and their live migration |
//! | [`measure`] | real traffic and what became of it |
//! | [`fault`] | breaking and healing |
//! | [`up`], [`down`], [`status`], [`enter`], [`graph`] | the commands of these names |
//! | [`accounting`] | the law that no frame vanishes, seen from the API |
//! | [`demo`] | the main job, measured |
//! | [`args`], [`commands`] | `coax lab …` |
//!
//! Invariant: whatever `up` makes is named after the lab or recorded before it is made, so that
//! `down` finds it after any crash.

pub mod accounting;
pub mod args;
pub mod build;
pub mod commands;
pub mod daemon;
pub mod demo;
pub mod down;
pub mod enter;
pub mod error;
pub mod fault;
pub mod file;
pub mod graph;
pub mod measure;
pub mod migrate;
pub mod name;
pub mod process;
pub mod routing;
pub mod site;
pub mod state;
pub mod status;
pub mod supervise;
pub mod up;
pub mod vm;

pub use args::{Args, Format};
pub use commands::run;
pub use error::Error;
pub use file::LabFile;
pub use name::LabName;

use coax_api::{Client, Endpoint};

/// A client of a lab's controller.
pub fn client(lab: &LabName) -> Client {
    Client::new(Endpoint::Unix(lab.api_socket()))
}
