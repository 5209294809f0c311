//! The threads between the core and a store: one that stores what the core decides, and one that tells
//! it what others stored.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coax_api::AuditEntry;
use coax_store::{Operation, Outcome, Revision, Store, StoreError, Transaction, Watch};
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use crate::audit::{AuditError, AuditLog};
use crate::core::message::Stored;
use crate::metrics::Metrics;
use crate::records::{self, HEAD, ROOT, RecordError};
use crate::tasks::Event;

/// How long the follower waits for events before it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(200);
/// How often the follower asks for the store's revision: one that went back is another store.
const COMPARE: Duration = Duration::from_secs(5);
/// The pause after a watch failed.
const PAUSE: Duration = Duration::from_millis(200);
/// History that the store keeps for those who follow it.
pub(crate) const KEPT_REVISIONS: u64 = 10_000;

/// What is to be stored.
struct Asked {
    number: u64,
    transaction: Arc<Transaction>,
    entry: Option<Arc<AuditEntry>>,
}

/// Stores, one transaction after the other, and says what became of each.
pub(crate) struct Storing {
    transactions: Sender<Asked>,
    thread: JoinHandle<()>,
}

impl Storing {
    pub(crate) fn start(
        store: Arc<dyn Store>,
        log: Arc<AuditLog>,
        metrics: Arc<Metrics>,
        events: mpsc::Sender<Event>,
    ) -> std::io::Result<Self> {
        let (transactions, inbox) = channel();
        let work = move || store_all(&*store, &log, &metrics, &inbox, &events);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(work)?;
        Ok(Self {
            transactions,
            thread,
        })
    }

    pub(crate) fn store(
        &self,
        number: u64,
        transaction: Arc<Transaction>,
        entry: Option<Arc<AuditEntry>>,
    ) {
        // The thread ends after its sender only.
        let _ = self.transactions.send(Asked {
            number,
            transaction,
            entry,
        });
    }

    /// Lets the store go.
    pub(crate) fn end(self) {
        drop(self.transactions);
        if self.thread.join().is_err() {
            error!("the thread that stores had ended before");
        }
    }
}

fn store_all(
    store: &dyn Store,
    log: &AuditLog,
    metrics: &Metrics,
    inbox: &Receiver<Asked>,
    events: &mpsc::Sender<Event>,
) {
    // The last transaction of which nobody knows what became of it.
    let mut open = None;
    while let Ok(asked) = inbox.recv() {
        let Asked {
            number,
            transaction,
            entry,
        } = asked;
        let started = Instant::now();
        let records = transaction.operations.len();
        let result = match entry {
            Some(entry) => log.append(store, &transaction, &entry),
            None => store.transact(&transaction).map_err(AuditError::from),
        };
        let elapsed = started.elapsed();
        metrics.commit.observe(elapsed.as_secs_f64());
        let outcome = outcome(store, &transaction, result, open == Some(number));
        match &outcome {
            Stored::Done(revision) => debug!(revision, records, ?elapsed, "stored"),
            Stored::Lost => {}
            Stored::Unknown { reason } => {
                warn!(reason, records, "whether a change was stored is not known");
                open = Some(number);
            }
            Stored::Failed { reason } => error!(reason, records, "a change was not stored"),
        }
        if events
            .blocking_send(Event::Stored { number, outcome })
            .is_err()
        {
            return;
        }
    }
}

/// What became of a transaction. `open`: it was tried before, and nobody knows what became of that.
fn outcome(
    store: &dyn Store,
    transaction: &Transaction,
    result: Result<Outcome, AuditError>,
    open: bool,
) -> Stored {
    let failure = match result {
        Ok(Outcome::Done(revision)) => return Stored::Done(revision),
        Ok(Outcome::Conflict { .. }) => match own_revision(store, transaction) {
            Ok(Some(revision)) => return Stored::Done(revision),
            Ok(None) => return Stored::Lost,
            Err(failure) => {
                let reason = failure.to_string();
                return Stored::Unknown { reason };
            }
        },
        Err(failure) => failure,
    };
    let reason = failure.to_string();
    // That it failed now says nothing of the time before.
    match open || matches!(&failure, AuditError::Store(error) if error.leaves_open()) {
        true => Stored::Unknown { reason },
        false => Stored::Failed { reason },
    }
}

/// The revision of a transaction that happened when it was tried before and nobody knew: the newest change is its own.
fn own_revision(
    store: &dyn Store,
    transaction: &Transaction,
) -> Result<Option<Revision>, StoreError> {
    let Some(head) = store.get(HEAD.as_bytes())? else {
        return Ok(None);
    };
    let mut puts = transaction.operations.iter();
    let own = puts.any(|operation| match operation {
        Operation::Put { key, value } => *key == head.key && *value == head.value,
        Operation::Delete { .. } => false,
    });
    Ok(own.then_some(head.modified))
}

/// Follows a store that others write to, from the revision after `read_at`.
pub(crate) struct Following {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Following {
    pub(crate) fn start(
        store: Arc<dyn Store>,
        underlay_mtu: u32,
        read_at: Revision,
        events: mpsc::Sender<Event>,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let follower = Follower {
            store,
            underlay_mtu,
            events,
            stop: stop.clone(),
            compacted: read_at,
        };
        let thread = std::thread::Builder::new()
            .name("follow".to_owned())
            .spawn(move || follower.run(read_at + 1))?;
        Ok(Self { stop, thread })
    }

    /// Lets the store go.
    pub(crate) fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            error!("the thread that follows the store had ended before");
        }
    }
}

struct Follower {
    store: Arc<dyn Store>,
    underlay_mtu: u32,
    events: mpsc::Sender<Event>,
    stop: Arc<AtomicBool>,
    /// As far as history was thrown away, or kept when this began.
    compacted: Revision,
}

/// Why following ends.
enum End {
    /// Nobody wants to hear any more.
    Stop,
    /// It cannot go on with what it knows.
    Fatal(String),
}

impl Follower {
    fn run(mut self, mut next: Revision) {
        loop {
            match self.follow(&mut next) {
                Ok(()) => std::thread::sleep(PAUSE),
                Err(End::Stop) => return,
                Err(End::Fatal(reason)) => {
                    error!(reason, "the controller cannot follow its store");
                    let _ = self.tell(Event::Lost { reason });
                    return;
                }
            }
        }
    }

    /// Follows until the watch fails.
    fn follow(&mut self, next: &mut Revision) -> Result<(), End> {
        let watch = match self.store.watch(ROOT.as_bytes(), *next) {
            Ok(watch) => watch,
            Err(failure) => return self.failed(&failure, next),
        };
        self.read(watch, next)
    }

    fn read(&mut self, mut watch: Watch, next: &mut Revision) -> Result<(), End> {
        let mut compared = Instant::now();
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(End::Stop);
            }
            let events = match watch.next(LOOK) {
                Ok(events) => events,
                Err(failure) => return self.failed(&failure, next),
            };
            if let Some(last) = events.last() {
                let last = last.revision();
                for news in records::read_events(&events).map_err(fatal)? {
                    self.tell(Event::News(news))?;
                }
                *next = last + 1;
            }
            if compared.elapsed() >= COMPARE {
                compared = Instant::now();
                self.compare(*next)?;
            }
        }
    }

    /// What became of the store as a whole.
    fn compare(&mut self, next: Revision) -> Result<(), End> {
        let Ok(revision) = self.store.revision() else {
            return Ok(());
        };
        if revision + 1 < next {
            return Err(End::Fatal(format!(
                "it is at revision {revision} and was at {} before: a backup was restored",
                next - 1
            )));
        }
        if revision > self.compacted + 2 * KEPT_REVISIONS {
            self.compacted = revision - KEPT_REVISIONS;
            if let Err(failure) = self.store.compact(self.compacted) {
                // Another controller may have been faster; the next time is as good.
                debug!(%failure, "the store's history is not shortened");
            }
        }
        Ok(())
    }

    fn failed(&self, failure: &StoreError, next: &mut Revision) -> Result<(), End> {
        match failure {
            StoreError::Compacted { .. } => self.reread(next),
            _ => {
                debug!(%failure, "the store is not followed at the moment");
                self.alive()
            }
        }
    }

    /// What happened is not to be had any more: what is there is.
    fn reread(&self, next: &mut Revision) -> Result<(), End> {
        let Ok(range) = self.store.range(ROOT.as_bytes()) else {
            return self.alive();
        };
        let loaded = records::read_range(&range, self.underlay_mtu).map_err(fatal)?;
        info!(revision = loaded.revision, "the store is read anew");
        *next = range.revision + 1;
        let loaded = Box::new(loaded);
        self.tell(Event::Reread { range, loaded })
    }

    fn alive(&self) -> Result<(), End> {
        match self.stop.load(Ordering::Relaxed) || self.events.is_closed() {
            true => Err(End::Stop),
            false => Ok(()),
        }
    }

    fn tell(&self, event: Event) -> Result<(), End> {
        self.events.blocking_send(event).map_err(|_| End::Stop)
    }
}

fn fatal(error: RecordError) -> End {
    End::Fatal(error.to_string())
}

/// Asks a store that others write to how far it is.
#[derive(Clone)]
pub struct Barrier(Arc<Mutex<Option<Arc<dyn Store>>>>);

impl Barrier {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self(Arc::new(Mutex::new(Some(store))))
    }

    /// The revision of the newest change of anything, as all who share the store agree.
    pub(crate) fn newest(&self) -> Result<Revision, StoreError> {
        let store = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match store {
            Some(store) => Ok(store.get(HEAD.as_bytes())?.map_or(0, |item| item.modified)),
            None => Ok(0),
        }
    }

    /// Lets the store go, after what is being asked of it now.
    pub(crate) fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
