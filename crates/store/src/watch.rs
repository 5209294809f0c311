//! Watching. A watch of a store in this process holds no events: it remembers how far it has read and
//! reads on from the store's history, so a slow watcher costs nothing and cannot be overrun. It can
//! only be too late, and then it says so.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{KeyValue, Revision, StoreError};

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The key was created or replaced.
    Put(KeyValue),
    /// The key was deleted.
    Delete {
        /// The key.
        key: Vec<u8>,
        /// When.
        revision: Revision,
    },
}

impl Event {
    /// The key that changed.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put(item) => &item.key,
            Self::Delete { key, .. } => key,
        }
    }

    /// The revision that changed it.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Put(item) => item.modified,
            Self::Delete { revision, .. } => *revision,
        }
    }
}

/// What a watch reads from.
pub(crate) trait History: Send + Sync {
    /// The events of revision `from` and later under `prefix`, in order, and the newest revision.
    fn events(&self, prefix: &[u8], from: Revision) -> Result<(Vec<Event>, Revision), StoreError>;

    /// Tells when there is something new.
    fn bell(&self) -> &Bell;
}

/// Says the newest revision to those who wait for it.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    newest: Mutex<Revision>,
    rung: Condvar,
}

impl Bell {
    pub(crate) fn at(revision: Revision) -> Self {
        Self {
            newest: Mutex::new(revision),
            rung: Condvar::new(),
        }
    }

    pub(crate) fn ring(&self, revision: Revision) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        // Two transactions may ring in the other order than they were committed.
        *newest = revision.max(*newest);
        self.rung.notify_all();
    }

    /// Waits until `revision` exists; says whether it does.
    fn wait_for(&self, revision: Revision, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        while *newest < revision {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            newest = self
                .rung
                .wait_timeout(newest, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}

/// Where the events of a watch come from.
pub(crate) trait Feed: Send {
    /// The first revision that is still to be read.
    fn next_revision(&self) -> Revision;

    /// The events since the last call; see [`Watch::next`].
    fn next(&mut self, timeout: Duration) -> Result<Vec<Event>, StoreError>;
}

/// Reads the events under a prefix, from a revision on.
pub struct Watch(Box<dyn Feed>);

impl Watch {
    pub(crate) fn new(feed: impl Feed + 'static) -> Self {
        Self(Box::new(feed))
    }

    /// The first revision that is still to be read, as far as that is known: no event of an earlier
    /// one will come.
    pub fn next_revision(&self) -> Revision {
        self.0.next_revision()
    }

    /// The events since the last call, as soon as there are any; none when `timeout` has passed
    /// without. All events of a revision come in one call.
    pub fn next(&mut self, timeout: Duration) -> Result<Vec<Event>, StoreError> {
        self.0.next(timeout)
    }
}

/// The events of a store that keeps its history in this process.
pub(crate) struct Replay {
    history: Arc<dyn History>,
    prefix: Vec<u8>,
    next: Revision,
}

impl Replay {
    pub(crate) fn new(history: Arc<dyn History>, prefix: &[u8], from: Revision) -> Self {
        Self {
            history,
            prefix: prefix.to_vec(),
            next: from,
        }
    }
}

impl Feed for Replay {
    fn next_revision(&self) -> Revision {
        self.next
    }

    fn next(&mut self, timeout: Duration) -> Result<Vec<Event>, StoreError> {
        let end = Instant::now() + timeout;
        loop {
            let (events, newest) = self.history.events(&self.prefix, self.next)?;
            self.next = self.next.max(newest + 1);
            if !events.is_empty() {
                return Ok(events);
            }
            let left = end.saturating_duration_since(Instant::now());
            if !self.history.bell().wait_for(self.next, left) {
                return Ok(Vec::new());
            }
        }
    }
}
