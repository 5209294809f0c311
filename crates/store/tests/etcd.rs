//! What only a store over a network can meet: a server that is killed in the midst, answers that get
//! lost, watches that have to go on elsewhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod server;

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use coax_store::{
    Compare, Etcd, EtcdAccess, Event, Memory, Outcome, Revision, Store, StoreError, Transaction,
};
use server::Server;

const PATIENCE: Duration = Duration::from_secs(20);

/// Adds one to the number under a key, whoever else does, and says at which revision.
fn increment(store: &dyn Store, writer: usize, n: usize) -> Revision {
    loop {
        let found = store.get(b"n").unwrap().unwrap();
        let count: u64 = String::from_utf8(found.value).unwrap().parse().unwrap();
        let unchanged = Compare::Modified {
            key: b"n".to_vec(),
            revision: found.modified,
        };
        let next = Transaction::new()
            .when(unchanged)
            .put("n", (count + 1).to_string())
            .put(format!("done/{writer}/{n}"), "");
        if let Outcome::Done(revision) = store.transact(&next).unwrap() {
            return revision;
        }
    }
}

#[test]
fn a_server_killed_in_the_midst_loses_nothing_and_does_nothing_twice() {
    let mut server = Server::start();
    let store = server.open();
    store.transact(&Transaction::new().put("n", "0")).unwrap();
    let begin = store.revision().unwrap() + 1;

    let mut watch = store.watch(b"", begin).unwrap();
    let watcher = thread::spawn(move || {
        let mut seen: Vec<Event> = Vec::new();
        while seen.last().is_none_or(|event| event.key() != b"end") {
            let events = watch.next(PATIENCE).unwrap();
            assert!(!events.is_empty(), "only {} events came", seen.len());
            seen.extend(events);
        }
        seen
    });
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let store = server.open();
            let write = move || (0..40).map(|n| increment(&store, writer, n)).collect();
            thread::spawn::<_, Vec<Revision>>(write)
        })
        .collect();
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(60));
        server.kill();
        server.run();
    }
    let done: Vec<Revision> = writers
        .into_iter()
        .flat_map(|writer| writer.join().unwrap())
        .collect();

    // Each acknowledged once, each in the store once, in one order that all agree on.
    assert_eq!(store.get(b"n").unwrap().unwrap().value, b"120");
    assert_eq!(store.range(b"done/").unwrap().items.len(), 120);
    let unique: BTreeSet<Revision> = done.iter().copied().collect();
    assert_eq!(unique.len(), 120);
    assert_eq!(store.revision().unwrap(), begin - 1 + 120);

    store.transact(&Transaction::new().put("end", "")).unwrap();
    let seen = watcher.join().unwrap();
    let counted: Vec<String> = seen
        .iter()
        .filter_map(|event| match event {
            Event::Put(item) if item.key == b"n" => Some(&item.value),
            _ => None,
        })
        .map(|value| String::from_utf8(value.clone()).unwrap())
        .collect();
    let all: Vec<String> = (1..=120).map(|n| n.to_string()).collect();
    assert_eq!(counted, all, "nothing missed, nothing twice, in order");
}

#[test]
fn a_watch_goes_on_where_it_was_or_says_that_it_cannot() {
    let mut server = Server::start();
    let store = server.open();
    let put = |n: u32| {
        let put = Transaction::new().put(format!("n/{n}"), "");
        store.transact(&put).unwrap();
    };
    put(1);
    let mut watch = store.watch(b"n/", 1).unwrap();
    let mut late = store.watch(b"n/", 2).unwrap();
    let revisions =
        |events: Vec<Event>| -> Vec<Revision> { events.iter().map(Event::revision).collect() };
    assert_eq!(revisions(watch.next(PATIENCE).unwrap()), [1]);
    server.kill();
    server.run();
    put(2);
    assert_eq!(revisions(watch.next(PATIENCE).unwrap()), [2]);
    (3..=6).for_each(put);
    store.compact(4).unwrap();
    let gone = late.next(PATIENCE).map(drop);
    assert!(
        matches!(
            gone,
            Err(StoreError::Compacted {
                asked: 2,
                oldest: 5
            })
        ),
        "{gone:?}"
    );
    let mut rest = Vec::new();
    while rest.len() < 4 {
        let events = watch.next(PATIENCE).unwrap();
        assert!(!events.is_empty(), "{rest:?}");
        rest.extend(revisions(events));
    }
    assert_eq!(rest, [3, 4, 5, 6]);
}

#[test]
fn a_server_that_is_not_there_is_said_to_be_in_time() {
    let mut server = Server::start();
    let store = server.open();
    server.kill();
    let started = Instant::now();
    let failed = store.transact(&Transaction::new().put("a", "1"));
    assert!(
        matches!(failed, Err(StoreError::Unreachable { .. })),
        "{failed:?}"
    );
    assert!(started.elapsed() < PATIENCE);
    // The next attempt finds it back.
    server.run();
    assert_eq!(
        store.transact(&Transaction::new().put("a", "1")).unwrap(),
        Outcome::Done(1)
    );
    let nowhere = EtcdAccess::plain(vec!["no address".to_owned()]);
    assert!(matches!(
        Etcd::open(&nowhere),
        Err(StoreError::Address { .. })
    ));
}

#[test]
fn a_client_that_is_gone_leaves_no_key_and_one_that_was_idle_goes_on() {
    let server = Server::start();
    let store = server.open().remembered_for(Duration::from_secs(1));
    let put = |key: &str| store.transact(&Transaction::new().put(key, "")).unwrap();
    assert_eq!((put("a"), put("b")), (Outcome::Done(1), Outcome::Done(2)));
    // Its own key goes with its lease: that is a revision of etcd, and no event.
    let mut watch = store.watch(b"", 1).unwrap();
    let end = Instant::now() + PATIENCE;
    while store.revision().unwrap() == 2 {
        assert!(Instant::now() < end, "its key stays");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(put("c"), Outcome::Done(4));
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(watch.next(PATIENCE).unwrap());
    }
    let revisions: Vec<Revision> = seen.iter().map(Event::revision).collect();
    assert_eq!(revisions, [1, 2, 4]);
}

#[test]
fn a_transaction_that_is_too_large_says_which_limit_to_raise() {
    let server = Server::start();
    let store = server.open();
    let many = (0..1000).fold(Transaction::new(), |all, n| all.put(format!("{n}"), ""));
    let large = Transaction::new().put("a", vec![0; 4 << 20]);
    for transaction in [many, large] {
        let refused = store.transact(&transaction).unwrap_err();
        assert!(refused.to_string().contains("--max-txn-ops"), "{refused}");
    }
    assert_eq!(store.revision().unwrap(), 0);
}

#[test]
fn another_stores_content_comes_with_its_revisions() {
    let memory = Memory::new();
    let put = |key: &str, n: u64| memory.transact(&Transaction::new().put(key, n.to_string()));
    for n in 0..150 {
        put("often", n).unwrap();
    }
    put("once", 0).unwrap();
    memory
        .transact(&Transaction::new().put("often", "").put("beside", ""))
        .unwrap();
    put("gone", 0).unwrap();
    memory.transact(&Transaction::new().delete("gone")).unwrap();
    let content = memory.range(b"").unwrap();
    assert_eq!(content.revision, 154);

    let server = Server::start();
    let store = Etcd::restore(&server.access(), &content).unwrap();
    assert_eq!(store.range(b"").unwrap(), content);
    assert!(matches!(
        store.watch(b"", 100).map(drop),
        Err(StoreError::Compacted { .. })
    ));
    let next = Transaction::new().put("next", "");
    assert_eq!(store.transact(&next).unwrap(), Outcome::Done(155));
    let again = Etcd::restore(&server.access(), &content).map(drop);
    assert!(
        matches!(again, Err(StoreError::Used { revision: 155 })),
        "{again:?}"
    );
}
