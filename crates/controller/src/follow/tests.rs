//! What a store says that fails, and what the core is told of it.

use std::collections::VecDeque;

use coax_store::{Compare, KeyValue, Memory, Range};

use super::*;

/// How a call fails.
#[derive(Clone, Copy)]
enum Fails {
    /// It does not.
    Not,
    /// The transaction happens, and nobody hears of it.
    Unheard,
    /// Nothing happens.
    Closed,
}

/// A store whose next calls fail as it is told.
struct Failing {
    store: Memory,
    transactions: Mutex<VecDeque<Fails>>,
    reads: Mutex<VecDeque<Fails>>,
}

fn next(of: &Mutex<VecDeque<Fails>>) -> Fails {
    of.lock().unwrap().pop_front().unwrap_or(Fails::Not)
}

fn closed() -> StoreError {
    let reason = "no file".to_owned();
    StoreError::Closed { reason }
}

impl Store for Failing {
    fn revision(&self) -> Result<Revision, StoreError> {
        self.store.revision()
    }

    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        match next(&self.reads) {
            Fails::Not => self.store.get(key),
            Fails::Unheard | Fails::Closed => Err(closed()),
        }
    }

    fn range(&self, prefix: &[u8]) -> Result<Range, StoreError> {
        self.store.range(prefix)
    }

    fn transact(&self, transaction: &Transaction) -> Result<Outcome, StoreError> {
        match next(&self.transactions) {
            Fails::Not => self.store.transact(transaction),
            Fails::Unheard => {
                self.store.transact(transaction)?;
                let reason = "no space left".to_owned();
                Err(StoreError::Unsettled { reason })
            }
            Fails::Closed => Err(closed()),
        }
    }

    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, StoreError> {
        self.store.watch(prefix, from)
    }

    fn compact(&self, through: Revision) -> Result<(), StoreError> {
        self.store.compact(through)
    }
}

/// What the core is told when one transaction, with or without an entry, is tried again and again.
fn told(with_entry: bool, transactions: &[Fails], reads: &[Fails], times: usize) -> Vec<Stored> {
    let store = Failing {
        store: Memory::new(),
        transactions: Mutex::new(transactions.iter().copied().collect()),
        reads: Mutex::new(reads.iter().copied().collect()),
    };
    let unchanged = Compare::Modified {
        key: HEAD.into(),
        revision: 0,
    };
    let transaction = Arc::new(Transaction::new().when(unchanged).put(HEAD, "mine"));
    let (asks, inbox) = channel();
    for _ in 0..times {
        let asked = Asked {
            number: 1,
            transaction: transaction.clone(),
            entry: with_entry.then(Arc::default),
        };
        asks.send(asked).unwrap();
    }
    drop(asks);
    let (events, mut told) = mpsc::channel(times);
    let log = AuditLog::default();
    store_all(&store, &log, &Metrics::new(), &inbox, &events);
    let outcomes = std::iter::from_fn(|| match told.try_recv().ok()? {
        Event::Stored { outcome, .. } => Some(outcome),
        other => panic!("{other:?}"),
    });
    outcomes.collect()
}

#[test]
fn what_is_not_known_stays_unknown_until_it_is_known() {
    use Fails::{Closed, Not, Unheard};
    // With an entry the retries fail where they read the log's end, without one where they store.
    for (with_entry, transactions, reads) in [
        (true, &[Unheard][..], &[Not, Closed, Closed][..]),
        (false, &[Unheard, Closed, Closed][..], &[][..]),
    ] {
        let told = told(with_entry, transactions, reads, 4);
        let unknown = |outcome: &Stored| matches!(outcome, Stored::Unknown { .. });
        assert!(told[..3].iter().all(unknown), "{told:?}");
        assert_eq!(told[3], Stored::Done(1));
    }
}

#[test]
fn what_failed_at_once_has_failed() {
    let told = told(false, &[Fails::Closed], &[], 2);
    assert!(matches!(told[0], Stored::Failed { .. }), "{told:?}");
    assert_eq!(told[1], Stored::Done(1));
}

#[test]
fn a_conflict_whose_cause_cannot_be_read_is_not_lost() {
    let told = told(false, &[Fails::Unheard], &[Fails::Closed], 3);
    assert!(matches!(told[1], Stored::Unknown { .. }), "{told:?}");
    assert_eq!(told[2], Stored::Done(1));
}
