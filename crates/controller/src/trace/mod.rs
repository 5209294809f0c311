//! "Why can't A reach B?": follows a packet from vSwitch to vSwitch and says in one sentence what becomes of it.
//!
//! The controller makes the frames that the VMs would send; each agent plays them with the pipeline's own
//! code on the rows of its kernel's tables and the routes of its host. So it is the host that answers,
//! not what the controller believes of it; the controller's own knowledge only explains the result.
//!
//! ```text
//!   names ─► facts ─► known ─────────────── certain without a packet ──────────────┐
//!                       │                                                          ▼
//!                       └─► walk: question ─► packet ─► … ─► answer ─► … ──► one sentence, hops
//!                                   │  ▲                        │
//!                                   ▼  │ run, watch, send       └─► diagnosis: what a drop means here
//!                                  agents
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`facts`] | who is meant, and what is stored of them |
//! | `known` | what is wrong before any packet |
//! | `frame` | the frames |
//! | `walk` | from host to host |
//! | `underlay` | packets on the real path between two hosts |
//! | `injection` | the packet for real, and what counters say |
//! | `diagnosis` | from a drop to its cause |
//! | [`cause`] | the names of causes |

mod answer;
pub mod cause;
mod diagnosis;
pub mod facts;
mod frame;
mod injection;
mod known;
mod underlay;
mod walk;

use coax_api::question::{HostAnswer, HostQuestion};
use coax_api::{Trace, TraceLeg, TraceVerdict};

pub use self::cause::Cause;
pub use self::facts::Facts;
use self::walk::Walk;

/// The way to the agents.
pub trait Hosts: Sync {
    /// Asks the agent of a host. `Err`: why it says nothing.
    fn ask(
        &self,
        host: &str,
        question: HostQuestion,
    ) -> impl Future<Output = Result<HostAnswer, String>> + Send;

    /// Bytes that no other packet in the fabric holds.
    fn marker(&self) -> [u8; 8];

    /// Waits until packets on their way have arrived.
    fn pause(&self) -> impl Future<Output = ()> + Send;
}

/// Why the packet does not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) cause: Cause,
    pub(crate) verdict: TraceVerdict,
    /// One sentence without its first capital letter and full stop.
    pub(crate) summary: String,
    /// What to do.
    pub(crate) hint: String,
    /// The smallest rule that would let it pass.
    pub(crate) allow: Option<String>,
}

impl Ending {
    pub(crate) fn lost(cause: Cause, summary: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            cause,
            verdict: TraceVerdict::Lost,
            summary: summary.into(),
            hint: hint.into(),
            allow: None,
        }
    }

    pub(crate) fn unknown(
        cause: Cause,
        summary: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            verdict: TraceVerdict::Unknown,
            ..Self::lost(cause, summary, hint)
        }
    }
}

/// Follows the packet.
pub async fn trace(facts: &Facts, hosts: &impl Hosts) -> Trace {
    let mut walk = Walk::new(facts, hosts);
    let ending = match known::before(facts) {
        Ok(()) => walk.whole().await.err(),
        Err(ending) => Some(ending),
    };
    let (reached, hops, packet) = (walk.reached, walk.hops, walk.packet);
    let mut trace = Trace {
        from: facts.source.name.clone(),
        to: facts.destination.name.clone(),
        traffic: facts.traffic.to_string(),
        addresses: [&facts.source, &facts.destination]
            .map(|end| end.address.to_string())
            .into(),
        notes: walk.notes,
        ..Trace::default()
    };
    let vswitches = hops
        .iter()
        .filter(|hop| hop.leg == TraceLeg::Packet)
        .count();
    let arrival = arrival(facts, vswitches);
    match ending {
        None => {
            trace.verdict = TraceVerdict::Delivered;
            trace.summary = arrival;
        }
        Some(ending) => {
            trace.verdict = ending.verdict;
            trace.cause = ending.cause.name().to_owned();
            trace.hint = ending.hint;
            trace.allow = ending.allow;
            trace.summary = match (reached, ending.cause) {
                (true, Cause::SenderDrops) => format!("would be {arrival}, but {}", ending.summary),
                (true, _) => format!("{arrival}, but the answer is lost: {}", ending.summary),
                (false, _) => ending.summary,
            };
        }
    }
    trace.hops = hops;
    if facts.inject {
        injection::inject(facts, hosts, &mut trace, packet.as_deref()).await;
    }
    trace
}

fn arrival(facts: &Facts, vswitches: usize) -> String {
    let Some(host) = facts.destination.host() else {
        return format!("delivered to {}", facts.destination.name);
    };
    let plural = if vswitches == 1 { "hop" } else { "hops" };
    format!(
        "delivered to {} on {host} in {vswitches} {plural}",
        facts.destination.name
    )
}
