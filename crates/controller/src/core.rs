//! The controller without IO: intent, bindings, who needs what and who has what.
//!
//! [`Core::handle`] takes something that happened and the time, and answers with what is to be done.
//! It never waits: a change of intent is a [`Command::Commit`], and only when the store says that it is
//! done does the change exist, for users and for agents. So what an agent was told is always on disk.
//! Where several controllers share a store, what the others stored comes as news and is told the same way.
//!
//! ```text
//!  request ─► plan ─┐                 news ─┐    ┌─► deltas, snapshots ─► agents
//!                   ├─► commit ─► store ────┴► publish
//!  claims ─► decide ┘      ▲         │           └─► reply
//!                          └─ lost ◄─┘                    agents ─► realised ─► waits, moves settled
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`message`] | inputs and commands |
//! | `agents` | what agents say |
//! | `writes` | from requests and claims to changes, one transaction at a time |
//! | `outcome` | what became of a transaction, and what others stored |
//! | `publish` | from stored changes to messages |
//! | [`submission`] | who wants a change, why, and on which conditions |
//! | `moves` | ports that go to another host |
//! | `foresight` | what a plan would do to hosts and connectivity |
//! | `history` | going back, and changes that are to be confirmed |
//! | `revisions` | what the history says |
//! | `refusals` | claims that are not granted |
//! | `peers` | controllers that share the store |
//! | `presence` | whether nobody hears a host any more |
//! | `requests` | waiting for hosts, collecting reports |
//! | [`events`] | what happens, for people who watch |
//! | `inquiries` | questions to one agent |
//! | `handover` | connections of ports that move |
//! | [`binding`] | where a port is to be |
//! | `view` | the objects as users see them |
//!
//! Invariants:
//! - At most one commit is under way; nothing is decided on state that it would change.
//! - A commit happens only on the state that it was decided on. Whoever was slower takes in what the other
//!   did, and decides anew.
//! - A host is sent what changes of a network or router exactly while it needs that: see
//!   [`coax_compile::reach`].
//! - Everything sent to a host is followed by a `Current` of that revision.

mod agents;
pub mod binding;
pub mod events;
mod foresight;
mod handover;
mod history;
mod host;
mod inquiries;
pub mod message;
mod moves;
mod outcome;
mod overview;
mod peers;
mod presence;
mod problem;
mod publish;
mod quotas;
mod refusals;
mod requests;
mod revisions;
pub mod submission;
mod view;
mod writes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use coax_compile::Compiler;
use coax_compile::policy::Policies;
use coax_compile::reach::Reach;
use coax_model::{Host, HostName, Intent, Name, PortName};
use coax_store::Revision;

use self::history::Countdown;
use self::host::{HostState, Session};
use self::inquiries::Inquiry;
use self::message::{Command, Input, Request, SessionId};
use self::peers::Peers;
use self::presence::Doubts;
use self::publish::Snapshots;
use self::requests::{Collection, Wait};
use self::submission::Clock;
use self::writes::{Asked, Pending};
use crate::history::{History, Limits};
use crate::records::{Loaded, ObjectRevisions};

pub use self::foresight::proofs;
pub use self::presence::OBJECTION;
pub use self::problem::{host_attached, no_such, not_in_history, store_silent};
pub use self::view::{Listing, quota_view};

/// How long a host that is not attached still counts as one that will be back at once.
pub const AWAY_GRACE: Duration = Duration::from_secs(5);
/// How long a host must be away before another one may have its ports.
pub const LOST_AFTER: Duration = Duration::from_secs(15);
/// How long a stream may be silent before a sign of life is asked for.
pub const QUIET: Duration = Duration::from_secs(15);
/// How long a stream may be silent before it is taken for dead.
pub const DEAD: Duration = Duration::from_secs(45);
/// How long reports are waited for.
pub const REPORT_DEADLINE: Duration = Duration::from_secs(2);
/// How long the answer to a question is waited for. An agent may watch its uplinks for a part of it.
pub const QUESTION_DEADLINE: Duration = Duration::from_secs(3);
/// How often silence, absence and failed commits are looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// The state of the controller. See the module.
pub struct Core {
    generation: u64,
    /// This run of a controller: a number that no other run has.
    run: u64,
    /// Whether others store in the same store.
    shared: bool,
    /// The newest revision of anything that a controller stored.
    revision: Revision,
    clock: Clock,
    intent: Intent,
    history: History,
    limits: Limits,
    unconfirmed: BTreeMap<Name, Countdown>,
    compiler: Compiler,
    policies: Policies,
    /// When each object last changed.
    revisions: ObjectRevisions,
    snapshots: Snapshots,
    hosts: BTreeMap<HostName, HostState>,
    doubts: Doubts,
    peers: Peers,
    /// Hosts that wait for a revision that is not known here.
    behind: BTreeSet<HostName>,
    /// Ports about whose place another controller decides or has decided: looked at with the next tick.
    recheck: BTreeSet<PortName>,
    /// Those of which that is known since the last tick: what the other one does may still be under way to here.
    recheck_next: BTreeSet<PortName>,
    sessions: BTreeMap<SessionId, Session>,
    /// Who claims a port, also of hosts that are away and for ports that do not exist yet.
    claimants: BTreeMap<PortName, BTreeSet<HostName>>,
    /// Claims that were refused, so that each is said once.
    refused: BTreeMap<PortName, BTreeSet<HostName>>,
    /// Ports whose place must be decided again.
    dirty: BTreeSet<PortName>,
    /// Hosts that presented themselves with other addresses than are stored.
    presented: BTreeMap<HostName, Host>,
    /// Moved ports whose old host still forwards, and the revision that ends that.
    moves: BTreeMap<PortName, Revision>,
    queue: VecDeque<Asked>,
    pending: Option<Pending>,
    last_commit: u64,
    waits: Vec<Wait>,
    collections: BTreeMap<u64, Collection>,
    last_collection: u64,
    inquiries: BTreeMap<u64, Inquiry>,
    last_inquiry: u64,
    next_housekeeping: Instant,
    /// After a failed commit, decisions of the core's own are not tried again before this.
    rest_until: Instant,
}

impl Core {
    /// A controller that starts with what the store holds. `generation` is the store's, `run` a number that
    /// no other run of a controller has.
    pub fn new(generation: u64, run: u64, loaded: Loaded, clock: Clock) -> Self {
        let (revision, intent, now) = (loaded.revision, loaded.intent, clock.start());
        let compiler = Compiler::full(&intent, revision);
        let policies = Policies::full(&intent, revision);
        let hosts = intent.hosts.keys();
        let mut core = Self {
            generation,
            run,
            shared: false,
            revision,
            hosts: hosts
                .map(|name| (name.clone(), HostState::away(now, revision)))
                .collect(),
            clock,
            intent,
            history: loaded.history,
            limits: Limits::default(),
            unconfirmed: BTreeMap::new(),
            compiler,
            policies,
            revisions: loaded.revisions,
            snapshots: Snapshots::default(),
            doubts: Doubts::default(),
            peers: Peers::default(),
            behind: BTreeSet::new(),
            recheck: BTreeSet::new(),
            recheck_next: BTreeSet::new(),
            sessions: BTreeMap::new(),
            claimants: BTreeMap::new(),
            refused: BTreeMap::new(),
            dirty: BTreeSet::new(),
            presented: BTreeMap::new(),
            moves: BTreeMap::new(),
            queue: VecDeque::new(),
            pending: None,
            last_commit: 0,
            waits: Vec::new(),
            collections: BTreeMap::new(),
            last_collection: 0,
            inquiries: BTreeMap::new(),
            last_inquiry: 0,
            next_housekeeping: now + HOUSEKEEPING,
            rest_until: now,
        };
        let ports: Vec<PortName> = core.intent.ports.keys().cloned().collect();
        for port in ports {
            core.watch_move(&port, revision);
        }
        for (project, unconfirmed) in loaded.unconfirmed {
            core.count_down(project, Some(unconfirmed), now);
        }
        core.take_notices(loaded.notices, now);
        core
    }

    /// Sets how much history is kept.
    pub fn keep(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes in what happened and says what is to be done.
    pub fn handle(&mut self, input: Input, now: Instant) -> Vec<Command> {
        let mut out = Vec::new();
        match input {
            Input::Message { session, message } => self.message(session, message, now, &mut out),
            Input::Closed { session } => self.closed(session, now),
            Input::Request { id, request } => match request {
                Request::Write { write, submission } => {
                    self.queue.push_back(Asked::new(id, write, submission, now));
                }
                Request::Wait { revision, timeout } => {
                    self.wait(id, revision, timeout, now, &mut out);
                }
                Request::Report => self.ask_for_reports(id, now, &mut out),
                Request::Ask { host, question } => self.ask(id, host, &question, now, &mut out),
            },
            Input::Stored { number, outcome } => self.stored(number, outcome, now, &mut out),
            Input::News(news) => self.news(news, now, &mut out),
            Input::Reread { range, loaded } => self.reread(&range, *loaded, now, &mut out),
            Input::Tick => self.tick(now, &mut out),
        }
        self.tell_controllers_to_all(&mut out);
        self.answer_hosts(&mut out);
        self.answer_waits(now, &mut out);
        self.advance(now, &mut out);
        out
    }

    /// When [`Input::Tick`] is due.
    pub fn deadline(&self) -> Instant {
        let waits = self.waits.iter().map(|wait| wait.deadline);
        let collections = self
            .collections
            .values()
            .map(|collection| collection.deadline);
        let inquiries = self.inquiries.values().map(|inquiry| inquiry.deadline);
        // While a commit is under way nothing is decided: what is overdue is taken up after it.
        let idle = self.pending.is_none();
        let countdowns = self.unconfirmed.values().filter(|_| idle);
        let countdowns = countdowns.map(|countdown| countdown.deadline.max(self.rest_until));
        let commit = self.pending.iter().filter_map(|it| it.again_at);
        waits
            .chain(collections)
            .chain(inquiries)
            .chain(countdowns)
            .chain(commit)
            .min()
            .map_or(self.next_housekeeping, |first| {
                first.min(self.next_housekeeping)
            })
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Command>) {
        self.end_collections(now, out);
        self.end_inquiries(now, out);
        self.ask_again(now, out);
        if now < self.next_housekeeping {
            return;
        }
        self.next_housekeeping = now + HOUSEKEEPING;
        self.snapshots.forget();
        self.end_waiting(now, out);
        self.check_silence(now, out);
        // Claims that were refused may be granted once the host that has the port is lost.
        self.dirty.extend(self.refused.keys().cloned());
        self.dirty.append(&mut self.recheck);
        self.recheck = std::mem::take(&mut self.recheck_next);
        self.note_away(now, out);
        self.look_for_doubts(now);
    }

    /// The newest stored revision.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The store's generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// This run of a controller.
    pub fn run(&self) -> u64 {
        self.run
    }

    /// What is stored.
    pub fn intent(&self) -> &Intent {
        &self.intent
    }

    /// The slices as hosts get them.
    pub fn compiler(&self) -> &Compiler {
        &self.compiler
    }

    /// Who needs what.
    pub(crate) fn reach(&self) -> &Reach {
        self.compiler.reach()
    }
}
