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
//! | `conversation` | the connection that the packet belongs to |
//! | `frame` | the frames |
//! | `rules` | what the stored rules say of it |
//! | `walk` | from host to host |
//! | `underlay` | packets on the real path between two hosts |
//! | `injection` | the packet for real, and what counters say |
//! | `diagnosis` | from a drop to its cause |
//! | [`cause`] | the names of causes |

mod answer;
pub mod cause;
mod conversation;
mod diagnosis;
pub mod facts;
mod frame;
mod injection;
mod known;
mod rules;
mod underlay;
mod walk;

use coax_api::question::{HostAnswer, HostQuestion};
use coax_api::{Trace, TraceLeg, TraceVerdict};

pub use self::cause::Cause;
use self::conversation::{Subject, Survey};
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

/// Kinds of connections to a service of which a trace of a new one tells whether they go on.
const MOST_KINDS: usize = 3;

/// Follows the packet.
pub async fn trace(facts: &Facts, hosts: &impl Hosts) -> Trace {
    let known = known::before(facts);
    let survey = match known {
        Ok(()) => Survey::of(facts, hosts).await,
        Err(_) => Survey::default(),
    };
    let mut subject = survey.subject(facts);
    if let Subject::Standing(standing) = &mut subject {
        standing.find_beginning(facts, hosts).await;
    }
    let mut walk = Walk::new(facts, hosts, subject.talk(facts));
    let ending = match known {
        Ok(()) => walk.whole().await.err(),
        Err(ending) => Some(ending),
    };
    let mut trace = Trace {
        from: facts.source.name.clone(),
        to: facts.destination.name.clone(),
        traffic: facts.traffic.to_string(),
        about: subject.about(facts),
        addresses: [&facts.source, &facts.destination]
            .map(|end| end.address.to_string())
            .into(),
        ..Trace::default()
    };
    end(facts, &walk, &subject, ending, &mut trace);
    let reached = walk.reached;
    let packet = walk.packet;
    trace.notes = walk.notes;
    trace.hops = walk.hops;
    match subject {
        Subject::New { .. } if facts.from_port.is_none() => {
            let passes = reached.then(|| rules::disobeyed_by_all(facts));
            trace.notes.extend(passes.flatten());
            let notes = conversation::others(facts, hosts, &survey, MOST_KINDS).await;
            trace.notes.extend(notes);
        }
        Subject::New { .. } | Subject::Stray { .. } => trace.notes.push(survey.about_none(facts)),
        Subject::Standing(_) => {}
    }
    match subject {
        Subject::Standing(_) if facts.inject => {
            let note = "no packet was sent for real: it would meddle with the connection";
            trace.notes.push(note.to_owned());
        }
        _ if facts.inject && packet.is_some() && !survey.may_send() => {
            let note = "no packet was sent for real: it may be one of a connection, since";
            trace.notes.push(format!("{note} {}", survey.missing()));
        }
        _ if facts.inject => injection::inject(facts, hosts, &mut trace, packet.as_deref()).await,
        _ => {}
    }
    trace
}

/// Says how the packet ended.
fn end<H: Hosts>(
    facts: &Facts,
    walk: &Walk<'_, H>,
    subject: &Subject,
    ending: Option<Ending>,
    trace: &mut Trace,
) {
    let hops = walk.hops.iter();
    let vswitches = hops.filter(|hop| hop.leg == TraceLeg::Packet).count();
    let arrival = arrival(facts, vswitches);
    let Some(mut ending) = ending else {
        trace.verdict = TraceVerdict::Delivered;
        trace.summary = subject.tell(facts, walk, &arrival, None);
        return;
    };
    let summary = ending.summary.clone();
    let told = subject.tell(facts, walk, &summary, Some(&mut ending));
    trace.verdict = ending.verdict;
    trace.cause = ending.cause.name().to_owned();
    trace.hint = ending.hint;
    trace.allow = ending.allow;
    trace.summary = match (walk.reached, ending.cause) {
        (true, Cause::SenderDrops) => format!("would be {arrival}, but {told}"),
        (true, _) => format!("{arrival}, but the answer is lost: {told}"),
        (false, _) => told,
    };
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
