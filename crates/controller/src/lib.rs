//! The controller: keeps intent, tells agents what they need, answers users.
//!
//! [`core`] decides everything and does nothing; this shell does it: [`tasks`] runs the core and
//! draws who talks to whom, `agents` serves the agents' streams, `rest` the users, [`records`] lays
//! intent into the store, [`history`] what was asked for, `metrics` counts; [`trace`] follows packets from agent to agent,
//! `pcapng` writes captures down.

mod agents;
pub mod core;
mod error;
pub mod history;
mod metrics;
mod pcapng;
pub mod records;
mod rest;
mod run;
pub mod tasks;
pub mod trace;

pub use error::Error;
pub use rest::openapi::document as openapi;
pub use run::{Addresses, EtcdAddresses, Options, run, run_until};
