//! Disks that are full: what is there can be read, what does not fit is refused, and when there is room again all goes on.
//! Needs root, for a small disk to mount.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod server;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use coax_store::{Embedded, Outcome, Revision, Store, StoreError, Transaction};
use server::Server;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of one value.
const LARGE: usize = 100_000;

/// A file system of its own.
struct Disk(TempDir);

impl Disk {
    fn of(size: &str) -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "coax-full"]);
        assert!(mount.arg(disk.path()).status().unwrap().success());
        disk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg(self.path()).status();
        assert!(std::thread::panicking() || gone.unwrap().success());
    }
}

fn put(store: &Embedded, n: u64) -> Result<Outcome, StoreError> {
    let value = vec![n as u8; LARGE];
    store.transact(&Transaction::new().put(format!("key/{n:05}"), value))
}

/// Puts one value after the other until there is no room; says how many it took.
fn fill(store: &Embedded) -> u64 {
    for n in 0..1000 {
        match put(store, n) {
            Ok(outcome) => assert_eq!(outcome, Outcome::Done(n + 1)),
            Err(StoreError::Database(_)) => return n,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("it is never full");
}

fn assert_holds(store: &Embedded, values: u64, revision: Revision) {
    assert_eq!(store.revision().unwrap(), revision);
    let items = store.range(b"key/").unwrap().items;
    assert_eq!(items.len() as u64, values);
    for (n, item) in (0..).zip(&items) {
        assert_eq!(item.modified, n + 1);
        assert!(item.value.iter().all(|byte| *byte == n as u8));
    }
}

#[test]
fn a_full_disk_is_said_to_be_full_and_what_is_there_stays() {
    let disk = Disk::of("8m");
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![1; 2 << 20]).unwrap();
    let path = disk.path().join("store.redb");
    let store = Embedded::open(&path).unwrap();
    let held = fill(&store);
    assert!(held > 5, "{held}");
    for _ in 0..3 {
        assert_holds(&store, held, held);
        assert!(matches!(put(&store, held), Err(StoreError::Database(_))));
    }
    // Somebody makes room: nothing needs to be started again.
    std::fs::remove_file(ballast).unwrap();
    assert_eq!(put(&store, held).unwrap(), Outcome::Done(held + 1));
    assert_holds(&store, held + 1, held + 1);
    drop(store);
    assert_holds(&Embedded::open(&path).unwrap(), held + 1, held + 1);
}

/// etcd's interface over HTTP, for what a store does not do.
fn maintain(server: &Server, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

/// Ends the alarm of the only member.
fn disarm(server: &Server) {
    let alarms = maintain(server, "/v3/maintenance/alarm", r#"{"action": "GET"}"#);
    let Some((_, member)) = alarms.split_once(r#""memberID":""#) else {
        return;
    };
    let (member, _) = member.split_once('"').unwrap();
    let disarm =
        format!(r#"{{"action": "DEACTIVATE", "memberID": "{member}", "alarm": "NOSPACE"}}"#);
    maintain(server, "/v3/maintenance/alarm", &disarm);
}

#[test]
fn an_etcd_without_space_refuses_writes_until_there_is_some() {
    let server = Server::start_with(&["--quota-backend-bytes", "2000000"]);
    let store = server.open();
    // One key again and again: old revisions are what takes the room.
    let put = |n: u64| store.transact(&Transaction::new().put("key/0", vec![n as u8; LARGE]));
    let held = (1..1000).find(|n| put(*n).is_err()).unwrap() - 1;
    assert!(held > 5, "{held}");
    let refused = put(0).unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused}");
    assert!(refused.to_string().contains("space exceeded"), "{refused}");
    let found = store.get(b"key/0").unwrap().unwrap();
    assert_eq!((found.modified, found.value[0]), (held, held as u8));
    // As docs/how-to/etcd.md says: forget old revisions, give the room back, end the alarm.
    store.compact(held).unwrap();
    let end = Instant::now() + PATIENCE;
    loop {
        // A compaction goes on after it was answered.
        maintain(&server, "/v3/maintenance/defragment", "{}");
        disarm(&server);
        match put(0) {
            Ok(outcome) => break assert_eq!(outcome, Outcome::Done(held + 1)),
            Err(refused) => assert!(Instant::now() < end, "{refused}"),
        }
    }
}
