//! From firewall rules to the policy rows of a host.
//!
//! A packet is judged in constant time, however many rules there are. Addresses and services are told
//! apart only as far as rules do: all addresses that the same groups and prefixes name are one *class*,
//! found by one longest match, and so are all services. A pair of address classes and a service class,
//! each of which may also be "any", is one key of the policy table: eight keys fit a packet, and the
//! row that stands first in written order decides.
//!
//! | module | holds |
//! | --- | --- |
//! | [`rule`] | what a policy says |
//! | [`change`] | the step from a policy to the next |
//! | [`message`] | both on the wire |
//! | [`compiler`] | from the intent to the policies of projects |
//! | [`domain`] | a policy in the tables of a host, change by change |
//! | `dimension` | selectors to classes |
//! | `cells` | which rules name a key |
//! | [`operation`] | what becomes of it: row operations in order |

mod cells;
pub mod change;
pub mod compiler;
mod dimension;
pub mod domain;
pub mod message;
pub mod operation;
mod prefix;
pub mod rule;
mod rules;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod samples;
mod selectors;

pub use change::{GroupChange, PolicyChange};
pub use compiler::{Policies, PolicyNews, PolicyStep};
pub use domain::{Domain, Idle, Place};
pub use message::{BadPolicy, PolicyDelta, PolicySlice};
pub use operation::{LimitedTable, Limits, Operation, PolicyTooLarge, Update};
pub use rule::{
    Action, AddressFamily, AddressPrefix, Element, Label, Match, Policy, Rule, Selector,
    ServiceRange, Settings, Verdict,
};
