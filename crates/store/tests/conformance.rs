//! What it means to be a [`Store`]: each test runs against every implementation.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod server;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use coax_store::{
    Compare, Embedded, Event, Memory, Operation, Outcome, Store, StoreError, Transaction,
};
use proptest::prelude::*;
use server::Server;
use server::certificates::Certificates;

/// Long enough for a machine under load; nothing waits that long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

fn each_store(test: impl Fn(Arc<dyn Store>)) {
    each_local_store(&test);
    let certificates = Certificates::new();
    let server = Server::start_secured(&certificates);
    test(Arc::new(server.open()));
}

fn each_local_store(test: impl Fn(Arc<dyn Store>)) {
    test(Arc::new(Memory::new()));
    let folder = tempfile::tempdir().unwrap();
    test(Arc::new(
        Embedded::open(&folder.path().join("store.redb")).unwrap(),
    ));
}

fn put(key: &str, value: &str) -> Transaction {
    Transaction::new().put(key, value)
}

fn value(store: &dyn Store, key: &str) -> Option<String> {
    let found = store.get(key.as_bytes()).unwrap();
    found.map(|found| String::from_utf8(found.value).unwrap())
}

fn keys(store: &dyn Store, prefix: &str) -> Vec<String> {
    let range = store.range(prefix.as_bytes()).unwrap();
    let key = |item: coax_store::KeyValue| String::from_utf8(item.key).unwrap();
    range.items.into_iter().map(key).collect()
}

#[test]
fn a_new_store_is_empty_at_revision_zero() {
    each_store(|store| {
        assert_eq!(store.revision().unwrap(), 0);
        assert_eq!(store.get(b"a").unwrap(), None);
        assert!(store.range(b"").unwrap().items.is_empty());
    });
}

#[test]
fn a_put_is_read_back_with_its_revisions() {
    each_store(|store| {
        assert_eq!(store.transact(&put("a", "1")).unwrap(), Outcome::Done(1));
        assert_eq!(store.transact(&put("a", "2")).unwrap(), Outcome::Done(2));
        let found = store.get(b"a").unwrap().unwrap();
        assert_eq!(
            (found.value.as_slice(), found.created, found.modified),
            (&b"2"[..], 1, 2)
        );
        let gone = Transaction::new().delete("a");
        assert_eq!(store.transact(&gone).unwrap(), Outcome::Done(3));
        assert_eq!(store.transact(&put("a", "3")).unwrap(), Outcome::Done(4));
        assert_eq!(store.get(b"a").unwrap().unwrap().created, 4);
    });
}

#[test]
fn a_range_is_sorted_and_ends_with_the_prefix() {
    each_store(|store| {
        let transaction = Transaction::new()
            .put("b/2", "")
            .put("a/1", "")
            .put("b/1", "")
            .put("b0", "")
            .put("c", "");
        store.transact(&transaction).unwrap();
        assert_eq!(keys(&*store, "b/"), ["b/1", "b/2"]);
        assert_eq!(keys(&*store, "b"), ["b/1", "b/2", "b0"]);
        assert_eq!(keys(&*store, "x"), Vec::<String>::new());
        assert_eq!(keys(&*store, "").len(), 5);
        assert_eq!(store.range(b"b/").unwrap().revision, 1);
    });
}

#[test]
fn keys_and_values_are_any_bytes() {
    each_store(|store| {
        let key = [0u8, 255, 0, 128];
        store
            .transact(&Transaction::new().put(key, [255u8, 0]))
            .unwrap();
        assert_eq!(store.get(&key).unwrap().unwrap().value, [255, 0]);
        assert_eq!(store.range(&[0, 255]).unwrap().items.len(), 1);
        assert_eq!(store.range(&[0, 255, 1]).unwrap().items.len(), 0);
    });
}

#[test]
fn a_transaction_takes_one_revision_or_none() {
    each_store(|store| {
        let three = Transaction::new()
            .put("a", "1")
            .put("b", "1")
            .delete("absent");
        assert_eq!(store.transact(&three).unwrap(), Outcome::Done(1));
        assert_eq!(
            store.transact(&Transaction::new()).unwrap(),
            Outcome::Done(1)
        );
        let absent = Transaction::new().delete("absent");
        assert_eq!(store.transact(&absent).unwrap(), Outcome::Done(1));
        assert_eq!(store.revision().unwrap(), 1);
    });
}

#[test]
fn one_false_compare_and_nothing_happens() {
    each_store(|store| {
        store.transact(&put("a", "1")).unwrap();
        let same = Compare::Modified {
            key: b"a".to_vec(),
            revision: 1,
        };
        let absent = Compare::Modified {
            key: b"b".to_vec(),
            revision: 0,
        };
        let other = Compare::Value {
            key: b"a".to_vec(),
            value: b"2".to_vec(),
        };
        let torn = put("b", "1")
            .delete("a")
            .when(same.clone())
            .when(absent.clone())
            .when(other);
        let conflict = Outcome::Conflict {
            compare: 2,
            revision: 1,
        };
        assert_eq!(store.transact(&torn).unwrap(), conflict);
        assert_eq!(value(&*store, "a").as_deref(), Some("1"));
        assert_eq!(value(&*store, "b"), None);
        let whole = put("b", "1").delete("a").when(same).when(absent.clone());
        assert_eq!(store.transact(&whole).unwrap(), Outcome::Done(2));
        let again = put("b", "2").when(absent);
        assert_eq!(
            store.transact(&again).unwrap(),
            Outcome::Conflict {
                compare: 0,
                revision: 2
            }
        );
    });
}

#[test]
fn a_transaction_that_contradicts_itself_is_refused() {
    each_store(|store| {
        let twice = put("a", "1").delete("a");
        assert!(matches!(
            store.transact(&twice),
            Err(StoreError::DuplicateKey { .. })
        ));
        assert!(matches!(
            store.transact(&put("", "1")),
            Err(StoreError::EmptyKey)
        ));
        assert_eq!(store.revision().unwrap(), 0);
    });
}

#[test]
fn concurrent_increments_are_all_counted() {
    each_store(|store| {
        store.transact(&put("n", "0")).unwrap();
        let increment = |store: &dyn Store| {
            loop {
                let found = store.get(b"n").unwrap().unwrap();
                let n: u64 = String::from_utf8(found.value).unwrap().parse().unwrap();
                let unchanged = Compare::Modified {
                    key: b"n".to_vec(),
                    revision: found.modified,
                };
                let next = put("n", &(n + 1).to_string()).when(unchanged);
                if let Outcome::Done(_) = store.transact(&next).unwrap() {
                    return;
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10).for_each(|_| increment(&*store)));
            }
        });
        assert_eq!(value(&*store, "n").as_deref(), Some("40"));
        assert_eq!(store.revision().unwrap(), 41);
    });
}

#[test]
fn a_watch_sees_the_past_and_the_future_of_its_prefix() {
    each_store(|store| {
        store.transact(&put("a/1", "1")).unwrap();
        store.transact(&put("b/1", "1")).unwrap();
        store
            .transact(&Transaction::new().delete("a/1").put("a/2", "2"))
            .unwrap();
        let mut watch = store.watch(b"a/", 2).unwrap();
        let past = watch.next(PATIENCE).unwrap();
        assert_eq!(past.len(), 2);
        assert_eq!(
            past[0],
            Event::Delete {
                key: b"a/1".to_vec(),
                revision: 3
            }
        );
        assert_eq!((past[1].key(), past[1].revision()), (&b"a/2"[..], 3));
        assert!(watch.next(Duration::ZERO).unwrap().is_empty());

        let writer = store.clone();
        let thread = thread::spawn(move || {
            writer.transact(&put("b/2", "1")).unwrap();
            writer.transact(&put("a/3", "3")).unwrap();
        });
        let future = watch.next(PATIENCE).unwrap();
        assert_eq!(future.iter().map(Event::revision).collect::<Vec<_>>(), [5]);
        assert_eq!(watch.next_revision(), 6);
        thread.join().unwrap();
    });
}

#[test]
fn a_watch_behind_compaction_says_so() {
    each_store(|store| {
        for n in 1..=5 {
            store.transact(&put("a", &n.to_string())).unwrap();
        }
        let mut late = store.watch(b"", 2).unwrap();
        let mut intime = store.watch(b"", 4).unwrap();
        store.compact(3).unwrap();
        let gone = |result| {
            matches!(
                result,
                Err(StoreError::Compacted {
                    asked: 2,
                    oldest: 4
                })
            )
        };
        assert!(gone(late.next(PATIENCE).map(drop)));
        assert!(gone(store.watch(b"", 2).map(drop)));
        assert_eq!(intime.next(PATIENCE).unwrap().len(), 2);
        assert_eq!(value(&*store, "a").as_deref(), Some("5"));
        // Compacting less than before takes nothing back.
        store.compact(1).unwrap();
        assert!(gone(store.watch(b"", 2).map(drop)));
        assert!(matches!(
            store.compact(6),
            Err(StoreError::Future {
                asked: 6,
                newest: 5
            })
        ));
    });
}

#[test]
fn a_watcher_that_keeps_up_misses_nothing() {
    each_store(|store| {
        let mut watch = store.watch(b"n/", 1).unwrap();
        let writer = store.clone();
        let thread = thread::spawn(move || {
            for n in 1..=50u32 {
                writer.transact(&put(&format!("n/{n}"), "")).unwrap();
            }
        });
        let mut seen = Vec::new();
        while seen.len() < 50 {
            let events = watch.next(PATIENCE).unwrap();
            assert!(!events.is_empty(), "only {} events came", seen.len());
            seen.extend(events.iter().map(Event::revision));
        }
        thread.join().unwrap();
        assert_eq!(seen, (1..=50).collect::<Vec<_>>());
    });
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = "[ab]/[0-3]".prop_map(String::into_bytes);
    prop_oneof![
        3 => (key.clone(), any::<u8>()).prop_map(|(key, n)| Operation::Put { key, value: vec![n] }),
        1 => key.prop_map(|key| Operation::Delete { key }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Replaying a watch from the beginning gives what a range gives, on every implementation.
    #[test]
    fn the_sum_of_all_events_is_the_state(
        script in prop::collection::vec(prop::collection::vec(operation(), 1..4), 1..12)
    ) {
        let states = RefCell::new(Vec::new());
        let test = |store: Arc<dyn Store>| {
            for operations in &script {
                let operations = operations.clone();
                match store.transact(&Transaction { compares: Vec::new(), operations }) {
                    Ok(_) | Err(StoreError::DuplicateKey { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            let mut replayed = BTreeMap::new();
            let mut watch = store.watch(b"", 1).unwrap();
            while watch.next_revision() <= store.revision().unwrap() {
                for event in watch.next(PATIENCE).unwrap() {
                    match event {
                        Event::Put(item) => drop(replayed.insert(item.key.clone(), item)),
                        Event::Delete { key, .. } => drop(replayed.remove(&key)),
                    }
                }
            }
            let range = store.range(b"").unwrap();
            assert_eq!(replayed.into_values().collect::<Vec<_>>(), range.items);
            states.borrow_mut().push(range);
        };
        // A server for each case takes its time: long scripts say most.
        if script.len() > 9 {
            each_store(test);
        } else {
            each_local_store(test);
        }
        let states = states.into_inner();
        prop_assert!(states.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
