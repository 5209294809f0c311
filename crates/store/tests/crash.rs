//! The embedded store loses power at every possible moment and must come back with all transactions
//! that returned, at most one that did not, and nothing half.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod disk;

use std::collections::BTreeMap;

use coax_store::{Embedded, Outcome, Store, StoreError, Transaction};
use disk::Disk;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Transaction number `n`: three keys that belong together, and sometimes a deletion.
fn transaction(n: u64) -> Transaction {
    let value = n.to_string().repeat(40);
    let put = Transaction::new()
        .put(format!("left/{}", n % 5), value.clone())
        .put(format!("right/{}", n % 5), value)
        .put("last", n.to_string());
    if n.is_multiple_of(3) {
        put.delete(format!("left/{}", (n + 1) % 5))
    } else {
        put
    }
}

fn model(through: u64) -> Model {
    let mut model = Model::new();
    for n in 1..=through {
        for operation in transaction(n).operations {
            match operation {
                coax_store::Operation::Put { key, value } => drop(model.insert(key, value)),
                coax_store::Operation::Delete { key } => drop(model.remove(&key)),
            }
        }
    }
    model
}

fn contents(store: &dyn Store) -> Model {
    let items = store.range(b"").unwrap().items;
    items
        .into_iter()
        .map(|item| (item.key, item.value))
        .collect()
}

/// Runs transactions until the power goes; returns the last that said it was done, and whether the next may be.
fn run_until_power_loss(store: &Embedded, from: u64, to: u64) -> (u64, bool) {
    for n in from..=to {
        match store.transact(&transaction(n)) {
            Ok(Outcome::Done(revision)) => assert_eq!(revision, n),
            Ok(other) => panic!("{other:?}"),
            Err(StoreError::Database(_)) => return (n - 1, false),
            Err(StoreError::Unsettled { .. }) => return (n - 1, true),
            Err(error) => panic!("{error}"),
        }
    }
    (to, false)
}

#[test]
fn power_may_go_at_any_write() {
    let disk = Disk::with(Vec::new(), None);
    let store = Embedded::open_backend(disk.clone()).unwrap();
    assert_eq!(run_until_power_loss(&store, 1, 4).0, 4);
    drop(store);
    let base = disk.after_power_loss(0);

    let mut interrupted = 0;
    for left in 0..400 {
        let disk = Disk::with(base.clone(), Some(left));
        let (done, open) = match Embedded::open_backend(disk.clone()) {
            Ok(store) => run_until_power_loss(&store, 5, 12),
            Err(_) => (4, false),
        };
        for seed in 0..3 {
            let image = Disk::with(disk.after_power_loss(seed), None);
            let store = Embedded::open_backend(image).unwrap();
            let revision = store.revision().unwrap();
            assert!(
                revision == done || open && revision == done + 1,
                "{done} done, the next open: {open}, {revision} found"
            );
            assert_eq!(
                contents(&store),
                model(revision),
                "after {left} writes, seed {seed}"
            );
            // And it works on.
            assert_eq!(
                run_until_power_loss(&store, revision + 1, revision + 2).0,
                revision + 2
            );
        }
        if done == 12 {
            break;
        }
        interrupted += 1;
    }
    assert!(interrupted > 20, "power was lost only {interrupted} times");
}

#[test]
fn a_reopened_file_holds_everything_and_only_one_may_open_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = Embedded::open(&path).unwrap();
    assert_eq!(run_until_power_loss(&store, 1, 20).0, 20);
    store.compact(10).unwrap();
    assert!(matches!(
        Embedded::open(&path),
        Err(StoreError::Open { .. })
    ));
    drop(store);

    let store = Embedded::open(&path).unwrap();
    assert_eq!(store.revision().unwrap(), 20);
    assert_eq!(contents(&store), model(20));
    assert!(matches!(
        store.watch(b"", 10),
        Err(StoreError::Compacted { oldest: 11, .. })
    ));
    let events = store
        .watch(b"last", 11)
        .unwrap()
        .next(std::time::Duration::ZERO)
        .unwrap();
    assert_eq!(events.len(), 10);
}
