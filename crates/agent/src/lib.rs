//! The agent of a host: keeps the rows of the data plane as the controller wants them.
//!
//! | module | holds |
//! | --- | --- |
//! | `core` | the reconciler, sans-IO: inputs and the time in, commands out |
//! | `slices` | what the controller told |
//! | `claims`, `slots` | which device is which port, and where its counters are |
//! | `mirror`, `desired`, `plan`, `execute` | rows that are there, rows that should be, the steps between, carrying them out |
//! | `policies` | which domain each project's policy is in the tables, and the steps of its changes |
//! | `services` | what DHCP, router advertisements and DNS are answered from |
//! | [`session`] | the stream to the controller: numbers, pauses |
//! | `membership` | joining a deployment, the host's certificate and its renewal |
//! | `cache` | what survives a reboot |
//! | [`trace`] | what would become of a frame here; `tracer` asks the kernel what that takes, `probe`, `inject`, `capture` and `packet_socket` send and watch |
//! | [`doctor`] | what is wrong with this host, and packets to others |
//! | [`connections`] | what the firewall follows, in users' words |
//! | `questions` | whom VMs have asked for in vain a moment ago |
//! | `canary` | what is sent to find VMs that bridge two ports |
//! | `guard_log`, `guard_reader` | what guards drop, and which ports they have shut: reading it, and what is told of it |
//! | `tasks`, `links`, `stream`, `plane`, `punts`, `answers`, `cache_thread` | the shell: tasks and channels around the core |
//! | `args`, `run` | the command line, starting and stopping |
//!
//! Invariants:
//!
//! - The data plane does not need the agent: stopping, killing or upgrading it touches nothing that forwards.
//! - A step that could not be done is reported to the controller and tried again, never forgotten.
//! - What a controller with an older generation, or an older revision of a network, says changes nothing.

mod answers;
mod args;
mod cache;
mod cache_thread;
mod canary;
mod capture;
mod claims;
pub mod connections;
mod core;
mod desired;
pub mod doctor;
mod error;
mod execute;
mod flow_thread;
mod flows;
mod guard_log;
mod guard_reader;
mod handover;
mod inject;
mod input;
mod links;
mod measure;
mod membership;
mod mirror;
mod packet_socket;
mod plan;
mod plane;
mod policies;
mod probe;
mod punts;
mod questions;
mod reader_thread;
mod run;
mod services;
pub mod session;
mod slices;
mod slots;
mod stream;
mod tasks;
pub mod trace;
mod tracer;

pub use args::{AgentCommand, Args, RunArgs, Underlay};
pub use cache::{Cache, CacheContents, CacheError, Damage};
pub use core::{Core, Found};
pub use error::{Error, JoinError};
pub use execute::execute;
pub use handover::Moving;
pub use input::{
    Batch, Command, Config, Device, Failure, FlowRecords, GuardDrops, GuardsSeen, Input, Inquiry,
    Moment, ReportRequest, Step, StepError,
};
pub use membership::join;
pub use run::{detach, run};
