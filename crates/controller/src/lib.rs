//! The controller: keeps intent, tells agents what they need, answers users.
//!
//! [`core`] decides everything and does nothing; this shell does it: [`tasks`] runs the core and
//! draws who talks to whom, `follow` stores and hears of what others store, `agents` serves the agents' streams,
//! [`identity`] says whose they are, `rest` the users, [`records`] lays intent into the store, [`history`] what was
//! asked for, [`backup`] all of it into a file, `metrics` counts and answers scrapes; [`trace`] follows packets from agent to agent,
//! `probing` sends those of checks, `doctor` those between hosts, `pcapng` writes captures down, `suggest` makes
//! rules of flows.

mod agents;
pub mod audit;
pub mod backup;
pub mod core;
mod doctor;
mod error;
mod etcd_access;
mod etcd_addresses;
mod event_log;
mod follow;
pub mod history;
pub mod identity;
mod lifetime;
mod metrics;
mod pcapng;
mod probing;
pub mod records;
mod rest;
mod run;
mod suggest;
pub mod tasks;
pub mod trace;

pub use error::Error;
pub use etcd_access::{EtcdFlags, EtcdFlagsError, EtcdSecrets};
pub use etcd_addresses::{EtcdAddresses, EtcdAddressesError};
pub use identity::Caller;
pub use identity::{Common, IdentityError, Joined, JoiningError, OwnWay, join};
pub use identity::{Deployment, DeploymentError};
pub use lifetime::{Lifetime, LifetimeError};
pub use metrics::table::{Description as Metric, TABLE as METRICS, page as metrics_page};
pub use rest::openapi::document as openapi;
pub use rest::rights::{Right, Rule, Scope, TABLE};
pub use run::{Addresses, Options, run, run_until};
