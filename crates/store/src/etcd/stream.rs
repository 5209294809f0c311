//! A watch on etcd. It is opened when it is first read, by a task that goes on with another member
//! where one breaks off: it asks for everything from the first revision that has not come yet, so
//! nothing is missed and nothing comes twice.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tonic::Status;

use super::access::AccessError;
use super::link::{Failure, PAUSE};
use super::member::Door;
use super::wire::event::EventType;
use super::wire::watch_request::RequestUnion;
use super::{OWN, Shared, bounds, item, ours, theirs, wire};
use crate::watch::{Event, Feed};
use crate::{Revision, StoreError};

/// Batches that wait for a reader.
const ROOM: usize = 64;
/// How long a stream may take to be opened.
const OPEN: Duration = Duration::from_secs(2);
/// The pause after a member did not let us in for what we showed or it did.
const SHUT: Duration = Duration::from_secs(1);

type Batch = Result<Vec<Event>, StoreError>;

pub(super) struct Stream {
    shared: Arc<Shared>,
    prefix: Vec<u8>,
    next: Revision,
    /// What the task brings, once it runs.
    batches: Option<Receiver<Batch>>,
}

impl Stream {
    pub(super) fn new(shared: Arc<Shared>, prefix: &[u8], from: Revision) -> Self {
        Self {
            shared,
            prefix: prefix.to_vec(),
            next: from,
            batches: None,
        }
    }

    /// Whether history reaches back far enough. A watch begins one revision earlier than asked for:
    /// etcd keeps what was put at the revision that it was compacted to, but not what was deleted.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let request = wire::RangeRequest {
            key: OWN.to_vec(),
            revision: theirs(self.next) - 1,
            count_only: true,
            ..wire::RangeRequest::default()
        };
        match self.shared.link.range(request) {
            Err(StoreError::Refused { reason }) if reason.contains("compacted") => {
                // Only a watch says how far.
                let mut probe = Self::new(self.shared.clone(), &self.prefix, self.next);
                probe.next(OPEN).map(drop)
            }
            // A revision that does not exist yet will have all its history.
            Err(StoreError::Refused { reason }) if reason.contains("future") => Ok(()),
            other => other.map(drop),
        }
    }

    fn open(&self) -> Receiver<Batch> {
        let (batches, inbox) = sync_channel(ROOM);
        let follower = Follower {
            shared: Arc::downgrade(&self.shared),
            prefix: self.prefix.clone(),
            next: self.next,
            denied: false,
            batches,
        };
        self.shared.link.spawn(follower.run());
        inbox
    }
}

impl Feed for Stream {
    fn next_revision(&self) -> Revision {
        self.next
    }

    fn next(&mut self, timeout: Duration) -> Result<Vec<Event>, StoreError> {
        let end = Instant::now() + timeout;
        let batches = match self.batches.take() {
            Some(batches) => batches,
            None => self.open(),
        };
        let left = end.saturating_duration_since(Instant::now());
        let batch = match batches.recv_timeout(left) {
            Ok(Ok(events)) => events,
            // Asked again, it finds out again.
            Ok(Err(error)) => return Err(error),
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return Ok(Vec::new()),
        };
        self.batches = Some(batches);
        if let Some(last) = batch.last() {
            self.next = last.revision() + 1;
        }
        Ok(batch)
    }
}

/// The task behind a stream.
struct Follower {
    /// A watch does not keep the store open.
    shared: std::sync::Weak<Shared>,
    prefix: Vec<u8>,
    next: Revision,
    /// Whether etcd has denied the watch since it last let us watch.
    denied: bool,
    batches: SyncSender<Batch>,
}

impl Follower {
    async fn run(mut self) {
        while let Some(shared) = self.shared.upgrade() {
            let (at, entering) = shared.link.enter();
            drop(shared);
            let (token, ended) = match entering.await {
                Ok(door) => (door.token().cloned(), self.follow(&door).await),
                Err(failure) => (None, Err(failure)),
            };
            let Some(shared) = self.shared.upgrade() else {
                return;
            };
            let failure = match ended {
                Ok(()) => return,
                Err(Failure::Unknown(status)) => shared.link.judge(token.as_ref(), status),
                Err(failure) => failure,
            };
            let mut pause = PAUSE;
            match failure {
                // etcd says the same of a token that counts no more: what it says of a new one is about rights.
                Failure::Denied(AccessError::Forbidden { .. })
                    if !self.denied && shared.link.log_in_again(token.as_ref()) =>
                {
                    self.denied = true;
                }
                Failure::Denied(error) => {
                    drop(shared);
                    self.deliver(Err(error.into())).await;
                    return;
                }
                Failure::NotYet(_) if token.is_some() => {}
                Failure::Locked(_) => {}
                Failure::NotYet(_) | Failure::Unknown(_) | Failure::Refused(_) => {
                    shared.link.turn_away(at);
                }
                Failure::Shut(_) => {
                    shared.link.turn_away(at);
                    // Waiting mends no certificate, but who mends it should not have to start us again.
                    pause = SHUT;
                }
            }
            drop(shared);
            tokio::time::sleep(pause).await;
        }
    }

    /// Follows one stream until it breaks. `Ok`: nobody reads any more, or there is nothing to read.
    async fn follow(&mut self, door: &Door) -> Result<(), Failure> {
        self.read(door).await.map_err(Failure::Unknown)
    }

    async fn read(&mut self, door: &Door) -> Result<(), Status> {
        let (key, range_end) = bounds(&self.prefix);
        let create = wire::WatchCreateRequest {
            key,
            range_end,
            start_revision: theirs(self.next) - 1,
        };
        let request = wire::WatchRequest {
            request_union: Some(RequestUnion::CreateRequest(create)),
        };
        // The stream of requests stays open: its end would end the watch.
        let (requests, outbox) = tokio::sync::mpsc::channel(1);
        let requested = requests.send(request).await;
        requested.map_err(|_| Status::cancelled("the stream ended"))?;
        let outbox = tokio_stream::wrappers::ReceiverStream::new(outbox);
        let mut client = door.watcher();
        let opened = tokio::time::timeout(OPEN, client.watch(door.request(outbox))).await;
        let opened = opened.map_err(|_| Status::deadline_exceeded("no answer in time"))?;
        let mut answers = opened?.into_inner();
        while let Some(answer) = answers.message().await? {
            if answer.compact_revision > 0 {
                let gone = StoreError::Compacted {
                    asked: self.next,
                    oldest: ours(answer.compact_revision) + 1,
                };
                self.deliver(Err(gone)).await;
                return Ok(());
            }
            if answer.canceled {
                return Err(Status::cancelled(answer.cancel_reason));
            }
            self.denied = false;
            let next = self.next;
            let events = answer.events.into_iter().filter_map(event);
            let events: Vec<Event> = events.filter(|it| it.revision() >= next).collect();
            let Some(last) = events.last() else {
                continue;
            };
            self.next = last.revision() + 1;
            if !self.deliver(Ok(events)).await {
                return Ok(());
            }
        }
        Err(Status::cancelled("the stream ended"))
    }

    /// Says whether somebody reads.
    async fn deliver(&self, mut batch: Batch) -> bool {
        loop {
            match self.batches.try_send(batch) {
                Ok(()) => return true,
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(back)) => batch = back,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn event(event: wire::Event) -> Option<Event> {
    let kind = event.r#type();
    let found = event.kv?;
    if found.key.starts_with(OWN) {
        return None;
    }
    Some(match kind {
        EventType::Put => Event::Put(item(found)),
        EventType::Delete => Event::Delete {
            revision: ours(found.mod_revision),
            key: found.key,
        },
    })
}
