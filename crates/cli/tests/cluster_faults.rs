//! Outgrowing one machine, with real processes: three members of an etcd and three controllers, each in a network namespace of its
//! own, with TLS between all of them, clients at the controllers, and members and controllers that are killed and cut off. What the clients saw is checked for
//! linearizability. Needs root and Debian's etcd.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../store/tests/server/certificates.rs"]
mod certificates;
#[path = "cluster_faults/clients.rs"]
mod clients;
#[path = "../../controller/tests/linearizability/mod.rs"]
mod linearizability;
#[path = "cluster_faults/site.rs"]
mod site;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use clients::{Clients, Seen, ask};
use site::{COUNT, Site};

/// How long it may take until writes go on after a fault: an election, and silent connections that are given up.
const RECOVERY: Duration = Duration::from_secs(15);
/// How long an error may take: a controller waits eight seconds for etcd.
const CLEAR: Duration = Duration::from_secs(12);
/// Writes after which all goes well.
const SOME: usize = 10;

/// A controller that does not reach a majority says so to writers, and answers readers with what it knows.
fn says_that_it_cannot(socket: &Path) {
    let started = Instant::now();
    let read = ask(socket, "GET /v1/stacks/r0", &[], "", CLEAR).unwrap();
    assert!([200, 404].contains(&read.status));
    assert!(read.header("coax-stale").is_some());
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "readers do not wait for etcd"
    );
    let body = clients::file("nobody", 1);
    let write = ask(socket, "PUT /v1/stacks/nobody", &[], &body, CLEAR);
    let write = write.expect("an error, and no hang");
    assert_eq!(write.status, 503, "{}", write.body);
    assert_eq!(write.code(), "store-failed", "{}", write.body);
}

fn revisions(socket: &Path) -> BTreeMap<String, Vec<u64>> {
    let answer = ask(socket, "GET /v1/revisions", &[], "", CLEAR).unwrap();
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for record in answer.body.as_array().unwrap() {
        let reason = record["reason"].as_str().unwrap_or_default().to_owned();
        let revision = record["revision"].as_u64().unwrap();
        found.entry(reason).or_default().push(revision);
    }
    found
}

fn check(site: &Site, seen: &Seen) {
    let history = revisions(&site.controllers[0].socket());
    for controller in &site.controllers[1..] {
        assert_eq!(revisions(&controller.socket()), history);
    }
    for (reason, revisions) in &history {
        assert_eq!(revisions.len(), 1, "{reason} happened twice: {revisions:?}");
    }
    for (reason, revision) in &seen.acknowledged {
        assert_eq!(
            history.get(reason),
            Some(&vec![*revision]),
            "{reason} was acknowledged"
        );
    }
    linearizability::check(&seen.history).unwrap_or_else(|violation| panic!("{violation:#?}"));

    // Every change has its entry, and the log is one chain.
    let socket = site.controllers[1].socket();
    let verdict = ask(&socket, "GET /v1/audit-log/verify", &[], "", CLEAR).unwrap();
    assert!(verdict.body["broken_at"].is_null(), "{}", verdict.body);
    let log = ask(&socket, "GET /v1/audit-log?last=100000", &[], "", CLEAR).unwrap();
    let log = log.body.as_array().unwrap().clone();
    let changes = log.iter().filter(|entry| entry["decided_on"].is_u64());
    let mut logged: Vec<u64> = changes.map(|it| it["revision"].as_u64().unwrap()).collect();
    let mut made: Vec<u64> = history.values().flatten().copied().collect();
    made.sort_unstable();
    logged.sort_unstable();
    assert_eq!(logged, made);
}

#[test]
fn nothing_acknowledged_is_lost_whatever_is_killed_or_cut_off() {
    let mut site = Site::start();
    let sockets = site.controllers.iter().map(|it| it.socket());
    let clients = Clients::start(sockets.collect());
    clients.go_on(SOME, RECOVERY);

    // The leader of the etcd dies, and comes back.
    let leader = site.leader();
    site.members[leader].kill();
    clients.go_on(SOME, RECOVERY);
    site.start_member(leader);

    // A controller is cut off: whoever asks it is told. Meanwhile another one dies, and a member of the etcd is cut off.
    let alone = site.controllers[2].socket();
    site.controllers[2].cut_off();
    let told = std::thread::spawn(move || says_that_it_cannot(&alone));
    site.controllers[0].kill();
    clients.go_on(SOME, RECOVERY);
    site.start_controller(0);
    site.wait_for_controller(0);
    let leader = site.leader();
    site.members[leader].cut_off();
    clients.go_on(SOME, RECOVERY);
    site.members[leader].heal();
    told.join().unwrap();
    site.controllers[2].heal();
    clients.go_on(SOME, RECOVERY);

    // Without a majority nothing is written, and every controller says so; with one all goes on.
    let leader = site.leader();
    let other = (leader + 1) % COUNT;
    site.members[leader].kill();
    site.members[other].kill();
    let before = clients.written();
    let asked = site.controllers.iter().map(|it| it.socket());
    let asked = asked.map(|socket| std::thread::spawn(move || says_that_it_cannot(&socket)));
    let asked: Vec<_> = asked.collect();
    asked.into_iter().for_each(|it| it.join().unwrap());
    // What was under way when they died may have been stored.
    assert!(clients.written() <= before + 6);
    site.start_member(leader);
    site.start_member(other);
    clients.go_on(SOME, RECOVERY);

    let seen = clients.end();
    println!(
        "{} operations, {} writes acknowledged, {} reads that said they may be old",
        seen.history.len(),
        seen.acknowledged.len(),
        seen.flagged
    );
    check(&site, &seen);
    site.leaves_nothing();
}
