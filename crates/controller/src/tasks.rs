//! Who runs, and who talks to whom.
//!
//! ```text
//!   agent ══gRPC══► reader (one per stream) ──┐                    ┌──► stream (one per agent) ══► agent
//!                                             │ Event      Message │
//!                                             │ [4096]     [65536] │
//!                                             ▼                    │
//!   user ═══HTTP══► handler ──Event [4096]─► core thread ──────────┤
//!                      ▲                      ▲  │  ▲              │
//!                      │ read lock            │  │  └─ time        └──► oneshot ──► handler ══► user
//!                      └──── Core ◄───────────┼──┤
//!                                Event [4096] │  ▼ one transaction at a time
//!                  follower thread ───────────┴─ store thread ──► store (one fsync per revision)
//! ```
//!
//! - The core thread is the only one that changes the [`Core`]. It never waits for the store: while a
//!   transaction is under way it hears agents and answers users.
//! - The follower is there only if others write to the store, too.
//! - All channels are bounded but the one to the store thread, where the core has one transaction at a time. A full
//!   event channel slows its senders down. A full message channel means an agent that does not read: its stream is
//!   ended, and when it attaches again it is sent what it lacks.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use coax_api::Problem;
use coax_api::agent::controller_message::Body;
use coax_api::agent::{AgentMessage, ControllerMessage};
use coax_store::{Range, Revision, Store, StoreError};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tracing::{info, warn};

use crate::audit::AuditLog;
use crate::core::Core;
use crate::core::message::{Answer, Command, Input, Request, RequestId, SessionId, Stored};
use crate::event_log::EventLog;
use crate::follow::{Barrier, Following, Storing};
use crate::metrics::Metrics;
use crate::records::{Loaded, News};

/// Events that may wait for the core.
pub const EVENTS: usize = 4096;
/// Messages that may wait for an agent. More than a host has networks; only pointers wait.
pub const MESSAGES: usize = 65_536;

/// How long what others stored may take to come in before something is wrong.
const BEHIND: Duration = Duration::from_secs(8);
/// Requests that ask the store at a time.
const ASKING: usize = 32;

/// What a request is answered with.
pub type Reply = Result<Answer, Box<Problem>>;

/// What happens outside of the core.
#[derive(Debug)]
pub enum Event {
    /// An agent opened a stream.
    Opened {
        /// A number that no other stream has.
        session: SessionId,
        /// Where to send to; ends the stream when it is dropped.
        messages: mpsc::Sender<ControllerMessage>,
    },
    /// An agent said something.
    Said {
        /// Its stream.
        session: SessionId,
        /// What.
        message: AgentMessage,
    },
    /// An agent's stream ended.
    Closed {
        /// The stream.
        session: SessionId,
    },
    /// A user wants something.
    Asked {
        /// What.
        request: Request,
        /// Where to answer.
        reply: oneshot::Sender<Reply>,
    },
    /// The store said what became of a transaction.
    Stored {
        /// Which.
        number: u64,
        /// What.
        outcome: Stored,
    },
    /// The store has a new revision.
    News(News),
    /// The store was read as a whole.
    Reread {
        /// As it was read.
        range: Range,
        /// As it was understood.
        loaded: Box<Loaded>,
    },
    /// The store cannot be followed any more.
    Lost {
        /// Why, for people.
        reason: String,
    },
    /// The controller is to end.
    Stop,
}

/// How everybody else reaches the core.
#[derive(Clone)]
pub struct Handle {
    core: Arc<RwLock<Core>>,
    events: mpsc::Sender<Event>,
    /// The core's revision.
    revision: watch::Receiver<Revision>,
    barrier: Option<Barrier>,
    /// Places to ask the store: one that does not answer must not take all threads.
    asking: Arc<Semaphore>,
    event_log: Arc<EventLog>,
}

impl Handle {
    /// The core, to read.
    pub fn read(&self) -> RwLockReadGuard<'_, Core> {
        self.core.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happened lately.
    pub fn event_log(&self) -> &EventLog {
        &self.event_log
    }

    /// Whether others write to the store, too.
    pub fn is_shared(&self) -> bool {
        self.barrier.is_some()
    }

    /// Returns when the core knows everything that anybody was told is stored. What is answered after that is not
    /// older than the question. A store that nobody else writes to needs no waiting.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        let Some(barrier) = self.barrier.clone() else {
            return Ok(());
        };
        let place = self.asking.clone().acquire_owned().await;
        let asked = tokio::task::spawn_blocking(move || {
            let _place = place;
            barrier.newest()
        });
        let asked = asked.await;
        let gone = |what: &str| StoreError::Unreachable {
            reason: what.to_owned(),
        };
        let newest = asked.map_err(|_| gone("the controller is stopping"))??;
        let mut revision = self.revision.clone();
        let reached = revision.wait_for(|known| *known >= newest);
        match tokio::time::timeout(BEHIND, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(gone("the controller is stopping")),
            Err(_) => Err(gone("what others stored does not come in")),
        }
    }

    /// Tells the core; says whether it is still there.
    pub async fn tell(&self, event: Event) -> bool {
        self.events.send(event).await.is_ok()
    }

    /// Returns when the core is gone.
    pub async fn ended(&self) {
        self.events.closed().await;
    }

    /// Asks the core. `None`: it is gone.
    pub async fn ask(&self, request: Request) -> Option<Reply> {
        let (reply, answer) = oneshot::channel();
        self.tell(Event::Asked { request, reply })
            .await
            .then_some(())?;
        answer.await.ok()
    }
}

/// That others write to the store, too.
pub struct Shared {
    /// The store's revision when the core was loaded.
    pub read_at: Revision,
    /// What the controller was told of the underlay.
    pub underlay_mtu: u32,
    /// Where hosts reach this controller.
    pub for_hosts: Vec<String>,
}

/// Runs a core on a thread of its own until it is told [`Event::Stop`]. `log` is the one that everybody in this process appends
/// with. The receiver gets a value when it has ended.
pub fn spawn(
    mut core: Core,
    store: Arc<dyn Store>,
    log: Arc<AuditLog>,
    shared: Option<Shared>,
    metrics: Arc<Metrics>,
) -> std::io::Result<(Handle, oneshot::Receiver<()>)> {
    let (events, inbox) = mpsc::channel(EVENTS);
    let storing = Storing::start(store.clone(), log, metrics, events.clone())?;
    let following = match &shared {
        Some(Shared {
            read_at,
            underlay_mtu,
            for_hosts,
        }) => {
            core.share(for_hosts.clone());
            let store = store.clone();
            Some(Following::start(
                store,
                *underlay_mtu,
                *read_at,
                events.clone(),
            )?)
        }
        None => None,
    };
    let (revision, heard) = watch::channel(core.revision());
    let event_log = Arc::new(EventLog::new(core.run()));
    let core = Arc::new(RwLock::new(core));
    let handle = Handle {
        core: core.clone(),
        events,
        revision: heard,
        barrier: shared.map(|_| Barrier::new(store)),
        asking: Arc::new(Semaphore::new(ASKING)),
        event_log: event_log.clone(),
    };
    let (ended, end) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let mut runner = Runner {
        core,
        storing,
        under_way: 0,
        revision,
        sessions: HashMap::new(),
        replies: HashMap::new(),
        last_request: 0,
        event_log,
    };
    let barrier = handle.barrier.clone();
    std::thread::Builder::new()
        .name("core".to_owned())
        .spawn(move || {
            runtime.block_on(runner.run(inbox));
            // The store is closed before anybody hears of the end and opens it again.
            barrier.inspect(Barrier::close);
            following.into_iter().for_each(Following::end);
            runner.storing.end();
            // Nobody may be waiting for the end any more.
            let _ = ended.send(());
        })?;
    Ok((handle, end))
}

struct Runner {
    core: Arc<RwLock<Core>>,
    storing: Storing,
    /// Transactions that the store has not answered yet.
    under_way: usize,
    revision: watch::Sender<Revision>,
    sessions: HashMap<SessionId, mpsc::Sender<ControllerMessage>>,
    replies: HashMap<RequestId, oneshot::Sender<Reply>>,
    last_request: u64,
    event_log: Arc<EventLog>,
}

impl Runner {
    async fn run(&mut self, mut inbox: mpsc::Receiver<Event>) {
        let mut stopping = false;
        // What the store is doing is waited for: whoever asked for it is told.
        while !(stopping && self.under_way == 0) {
            let deadline = self
                .core
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .deadline();
            let event = tokio::time::timeout_at(deadline.into(), inbox.recv()).await;
            let input = match event {
                Err(_) => Input::Tick,
                Ok(None | Some(Event::Lost { .. })) => return,
                Ok(Some(Event::Stop)) => {
                    stopping = true;
                    continue;
                }
                Ok(Some(event)) if stopping && !matches!(event, Event::Stored { .. }) => continue,
                Ok(Some(event)) => match self.input(event) {
                    Some(input) => input,
                    None => continue,
                },
            };
            self.feed(input);
        }
    }

    /// Translates an event into what the core understands, and keeps what it does not need to know.
    fn input(&mut self, event: Event) -> Option<Input> {
        match event {
            Event::Opened { session, messages } => {
                self.sessions.insert(session, messages);
                None
            }
            Event::Said { session, message } => Some(Input::Message { session, message }),
            Event::Closed { session } => {
                self.sessions.remove(&session);
                Some(Input::Closed { session })
            }
            Event::Asked { request, reply } => {
                self.last_request += 1;
                let id = RequestId(self.last_request);
                self.replies.insert(id, reply);
                Some(Input::Request { id, request })
            }
            Event::Stored { number, outcome } => {
                self.under_way -= 1;
                Some(Input::Stored { number, outcome })
            }
            Event::News(news) => Some(Input::News(news)),
            Event::Reread { range, loaded } => Some(Input::Reread { range, loaded }),
            Event::Lost { .. } | Event::Stop => None,
        }
    }

    fn feed(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let (commands, revision) = {
                let mut core = self.core.write().unwrap_or_else(PoisonError::into_inner);
                let commands = core.handle(input, Instant::now());
                (commands, core.revision())
            };
            self.revision
                .send_if_modified(|known| std::mem::replace(known, revision) != revision);
            for command in commands {
                match command {
                    Command::Commit {
                        number,
                        transaction,
                        entry,
                    } => {
                        self.under_way += 1;
                        self.storing.store(number, transaction, entry);
                    }
                    Command::Recorded(written) => written.set(),
                    Command::Send { session, message } => {
                        if !self.send(session, message) {
                            inputs.push(Input::Closed { session });
                        }
                    }
                    Command::Close { session } => drop(self.sessions.remove(&session)),
                    Command::Note(noted) => self.event_log.note(noted),
                    Command::Reply { id, answer } => {
                        if let Some(reply) = self.replies.remove(&id) {
                            // The user may have gone away meanwhile.
                            let _ = reply.send(answer);
                        }
                    }
                }
            }
        }
    }

    /// Says whether the stream is still in order.
    fn send(&mut self, session: SessionId, message: ControllerMessage) -> bool {
        let Some(messages) = self.sessions.get(&session) else {
            return true;
        };
        if let Some(Body::Refused(refused)) = &message.body {
            warn!(
                session = session.0,
                port = refused.port,
                reason = refused.reason,
                "refused"
            );
        }
        match messages.try_send(message) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => {
                info!(session = session.0, "an agent went away");
                self.sessions.remove(&session);
                false
            }
            Err(mpsc::error::TrySendError::Full(_)) => {
                warn!(
                    session = session.0,
                    "an agent does not read; its stream is ended"
                );
                self.sessions.remove(&session);
                false
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
