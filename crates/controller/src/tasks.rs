//! Who runs, and who talks to whom.
//!
//! ```text
//!   agent ══gRPC══► reader (one per stream) ──┐                    ┌──► stream (one per agent) ══► agent
//!                                             │ Event      Message │
//!                                             │ [4096]     [65536] │
//!                                             ▼                    │
//!   user ═══HTTP══► handler ──Event [4096]─► core thread ──────────┤
//!                      ▲                      │  ▲                 │
//!                      │ read lock            │  └─ time           └──► oneshot ──► handler ══► user
//!                      └──── Core ◄───────────┤
//!                                             └──► store (one fsync per revision)
//! ```
//!
//! - The core thread is the only one that changes the [`Core`] and the only one that writes to the
//!   store. It holds the lock while it decides, not while it stores.
//! - All channels are bounded. A full event channel slows its senders down. A full message channel
//!   means an agent that does not read: its stream is ended, and when it attaches again it is sent
//!   what it lacks.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

use coax_api::Problem;
use coax_api::agent::controller_message::Body;
use coax_api::agent::{AgentMessage, ControllerMessage};
use coax_store::{Outcome, Store, Transaction};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info, warn};

use crate::core::Core;
use crate::core::message::{Answer, Command, Input, Request, RequestId, SessionId};
use crate::metrics::Metrics;

/// Events that may wait for the core.
pub const EVENTS: usize = 4096;
/// Messages that may wait for an agent. More than a host has networks; only pointers wait.
pub const MESSAGES: usize = 65_536;

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
    /// The controller is to end.
    Stop,
}

/// How everybody else reaches the core.
#[derive(Clone)]
pub struct Handle {
    core: Arc<RwLock<Core>>,
    events: mpsc::Sender<Event>,
}

impl Handle {
    /// The core, to read.
    pub fn read(&self) -> RwLockReadGuard<'_, Core> {
        self.core.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the core; says whether it is still there.
    pub async fn tell(&self, event: Event) -> bool {
        self.events.send(event).await.is_ok()
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

/// Runs a core on a thread of its own until it is told [`Event::Stop`]. The receiver gets a value when
/// it has ended.
pub fn spawn(
    core: Core,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
) -> std::io::Result<(Handle, oneshot::Receiver<()>)> {
    let (events, inbox) = mpsc::channel(EVENTS);
    let core = Arc::new(RwLock::new(core));
    let handle = Handle {
        core: core.clone(),
        events,
    };
    let (ended, end) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let mut runner = Runner {
        core,
        store,
        metrics,
        sessions: HashMap::new(),
        replies: HashMap::new(),
        last_request: 0,
    };
    std::thread::Builder::new()
        .name("core".to_owned())
        .spawn(move || {
            runtime.block_on(runner.run(inbox));
            // The store is closed before anybody hears of the end and opens it again.
            drop(runner);
            // Nobody may be waiting for the end any more.
            let _ = ended.send(());
        })?;
    Ok((handle, end))
}

struct Runner {
    core: Arc<RwLock<Core>>,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    sessions: HashMap<SessionId, mpsc::Sender<ControllerMessage>>,
    replies: HashMap<RequestId, oneshot::Sender<Reply>>,
    last_request: u64,
}

impl Runner {
    async fn run(&mut self, mut inbox: mpsc::Receiver<Event>) {
        loop {
            let deadline = self
                .core
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .deadline();
            let event = tokio::time::timeout_at(deadline.into(), inbox.recv()).await;
            let input = match event {
                Err(_) => Input::Tick,
                Ok(None | Some(Event::Stop)) => return,
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
            Event::Stop => None,
        }
    }

    fn feed(&mut self, input: Input) {
        let mut next = Some(input);
        let mut overrun = Vec::new();
        while let Some(input) = next.take().or_else(|| overrun.pop()) {
            let commands = {
                let mut core = self.core.write().unwrap_or_else(PoisonError::into_inner);
                core.handle(input, Instant::now())
            };
            for command in commands {
                match command {
                    Command::Commit { transaction } => next = Some(self.commit(&transaction)),
                    Command::Send { session, message } => {
                        if !self.send(session, message) {
                            overrun.push(Input::Closed { session });
                        }
                    }
                    Command::Close { session } => drop(self.sessions.remove(&session)),
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

    fn commit(&mut self, transaction: &Transaction) -> Input {
        let started = Instant::now();
        let size = transaction.operations.len();
        let result = self.store.transact(transaction);
        self.metrics.commit.observe(started.elapsed().as_secs_f64());
        match result {
            Ok(Outcome::Done(revision)) => {
                debug!(revision, records = size, elapsed = ?started.elapsed(), "stored");
                Input::Committed { revision }
            }
            Ok(Outcome::Conflict { .. }) => Input::CommitFailed {
                reason: "the store changed under the controller".to_owned(),
            },
            Err(failure) => {
                error!(%failure, records = size, "a change was not stored");
                Input::CommitFailed {
                    reason: failure.to_string(),
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
mod tests {
    use std::time::{Duration, SystemTime};

    use coax_api::agent::agent_message::Body as FromAgent;
    use coax_api::agent::{Claims, Hello};
    use coax_store::Memory;

    use super::*;
    use crate::core::submission::Clock;
    use crate::records;

    async fn attach(handle: &Handle, number: u8, room: usize) -> mpsc::Receiver<ControllerMessage> {
        let session = SessionId(number.into());
        let (messages, inbox) = mpsc::channel(room);
        handle.tell(Event::Opened { session, messages }).await;
        let hello = Hello {
            host: format!("hv{number}"),
            vtep_ipv4: vec![192, 0, 2, number].into(),
            underlay_mtu: 1600,
            ..Hello::default()
        };
        let claims = Claims {
            full: true,
            ..Claims::default()
        };
        for (sequence, body) in [(1, FromAgent::Hello(hello)), (2, FromAgent::Claims(claims))] {
            let message = AgentMessage {
                sequence,
                body: Some(body),
            };
            handle.tell(Event::Said { session, message }).await;
        }
        inbox
    }

    #[tokio::test]
    async fn an_agent_that_does_not_read_loses_its_stream_and_nobody_else_does() {
        let store = Arc::new(Memory::new());
        let generation = records::next_generation(&*store).unwrap();
        let loaded = records::load(&*store, 1600).unwrap();
        let clock = Clock::new(SystemTime::now(), Instant::now());
        let core = Core::new(generation, loaded, clock);
        let (handle, ended) = spawn(core, store, Arc::new(Metrics::new())).unwrap();

        let mut slow = attach(&handle, 1, 1).await;
        let mut quick = attach(&handle, 2, 10).await;
        // The answer comes when everything before it is done.
        let timeout = Duration::ZERO;
        handle
            .ask(Request::Wait {
                revision: 0,
                timeout,
            })
            .await
            .unwrap()
            .unwrap();
        let totals = handle.read().status().hosts;
        assert_eq!((totals.total, totals.connected), (2, 1));
        assert!(matches!(
            slow.recv().await.unwrap().body,
            Some(Body::Welcome(_))
        ));
        assert!(
            slow.recv().await.is_none(),
            "the stream ends after what fitted"
        );
        assert!(matches!(
            quick.recv().await.unwrap().body,
            Some(Body::Welcome(_))
        ));
        assert!(matches!(
            quick.recv().await.unwrap().body,
            Some(Body::Current(_))
        ));

        handle.tell(Event::Stop).await;
        ended.await.unwrap();
        assert!(quick.recv().await.is_none());
        assert!(handle.ask(Request::Report).await.is_none());
    }
}
