//! Audit logs that are whole, harmed, or written by several at once.

use coax_store::{Memory, Range, Revision, Watch};

use super::*;

fn log(entries: u64) -> Memory {
    let (store, log) = (Memory::new(), AuditLog::default());
    for path in 1..=entries {
        let entry = AuditEntry {
            who: "root".into(),
            path: format!("/v1/stacks/p{path}"),
            ..AuditEntry::default()
        };
        log.append(&store, &Transaction::new(), &entry).unwrap();
    }
    store
}

#[test]
fn a_log_that_nobody_touched_is_whole() {
    for entries in [0, 1, 12] {
        let verdict = verify(&log(entries)).unwrap();
        assert_eq!((verdict.entries, verdict.broken_at), (entries, None));
    }
    let last = entries(&log(12), 3).unwrap();
    let last: Vec<u64> = last.iter().map(|it| it.number).collect();
    assert_eq!(last, [10, 11, 12]);
}

#[test]
fn whatever_is_changed_removed_or_exchanged_is_found() {
    type Harm = fn(&dyn Store);
    fn entry(store: &dyn Store, number: u64) -> AuditEntry {
        let item = store.get(entry_key(number).as_bytes()).unwrap().unwrap();
        serde_json::from_slice(&item.value).unwrap()
    }
    fn write(store: &dyn Store, number: u64, entry: &AuditEntry) {
        let value = serde_json::to_vec(entry).unwrap();
        let transaction = Transaction::new().put(entry_key(number), value);
        store.transact(&transaction).unwrap();
    }
    let harms: [(Harm, u64); 6] = [
        (
            |store| {
                let mut changed = entry(store, 3);
                changed.who = "somebody".into();
                write(store, 3, &changed);
            },
            3,
        ),
        (
            |store| {
                let mut changed = entry(store, 3);
                changed.who = "somebody".into();
                changed.hash = hash_of(&changed);
                write(store, 3, &changed);
            },
            4,
        ),
        (
            |store| {
                let transaction = Transaction::new().delete(entry_key(2));
                store.transact(&transaction).unwrap();
            },
            2,
        ),
        (
            |store| {
                let transaction = Transaction::new().delete(entry_key(5));
                store.transact(&transaction).unwrap();
            },
            5,
        ),
        (
            |store| {
                let (one, other) = (entry(store, 1), entry(store, 2));
                write(store, 1, &other);
                write(store, 2, &one);
            },
            1,
        ),
        (
            |store| {
                let transaction = Transaction::new().put(entry_key(1), "{}");
                store.transact(&transaction).unwrap();
            },
            1,
        ),
    ];
    for (harm, place) in harms {
        let store = log(5);
        harm(&store);
        assert_eq!(verify(&store).unwrap().broken_at, Some(place));
    }
}

#[test]
fn a_change_and_its_entry_are_both_there_or_neither_is() {
    let (store, log) = (log(3), AuditLog::default());
    let entry = AuditEntry {
        decided_on: Some(0),
        ..AuditEntry::default()
    };
    let absent = Compare::Modified {
        key: b"a".to_vec(),
        revision: 0,
    };
    let create = Transaction::new().when(absent).put("a", "1");
    let done = log.append(&store, &create, &entry).unwrap();
    assert_eq!(done, Outcome::Done(4));
    let again = log.append(&store, &create, &entry).unwrap();
    assert!(matches!(again, Outcome::Conflict { compare: 0, .. }));
    let verdict = verify(&store).unwrap();
    assert_eq!((verdict.entries, verdict.broken_at), (4, None));
    // Its revision is that of the change, and part of what is read only.
    assert_eq!(entries(&store, 1).unwrap()[0].revision, Some(4));
}

#[test]
fn an_entry_that_was_chained_to_an_older_end_changes_nothing() {
    let store = log(3);
    let head = end_of_chain(&store).unwrap();
    let entry = AuditEntry::default();
    let change = Transaction::new().put("a", "1");
    let (late, _) = chained(head.as_ref(), &change, &entry).unwrap();
    AuditLog::default()
        .append(&store, &Transaction::new(), &entry)
        .unwrap();
    let outcome = store.transact(&late).unwrap();
    assert!(matches!(outcome, Outcome::Conflict { compare: 0, .. }));
    assert_eq!(store.get(b"a").unwrap(), None);
    assert_eq!(verify(&store).unwrap().broken_at, None);
}

/// A store to which another controller appends after every answer.
struct Busy(Memory);

impl Busy {
    fn append(&self) {
        let appended =
            AuditLog::default().append(&self.0, &Transaction::new(), &AuditEntry::default());
        appended.unwrap();
    }
}

impl Store for Busy {
    fn revision(&self) -> Result<Revision, StoreError> {
        self.0.revision()
    }

    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        let found = self.0.get(key);
        self.append();
        found
    }

    fn range(&self, prefix: &[u8]) -> Result<Range, StoreError> {
        let found = self.0.range(prefix);
        self.append();
        found
    }

    fn transact(&self, transaction: &Transaction) -> Result<Outcome, StoreError> {
        self.0.transact(transaction)
    }

    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, StoreError> {
        self.0.watch(prefix, from)
    }

    fn compact(&self, through: Revision) -> Result<(), StoreError> {
        self.0.compact(through)
    }
}

#[test]
fn a_log_that_grows_meanwhile_is_whole() {
    let store = Busy(log(3));
    let verdict = verify(&store).unwrap();
    assert_eq!((verdict.entries, verdict.broken_at), (3, None));
}
