//! An etcd that is not open to everybody: certificates at both ends, users with passwords and rights, and why each of them is
//! refused. Needs Debian's etcd-server and etcd-client.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod server;

use std::fs;
use std::thread;
use std::time::Duration;

use coax_store::{
    AccessError, Compare, Etcd, EtcdAccess, EtcdCredentials, Outcome, Store, StoreError,
    Transaction, Watch,
};
use server::Server;
use server::certificates::Certificates;

const PATIENCE: Duration = Duration::from_secs(20);

/// Why an etcd is not opened.
fn refusal(access: &EtcdAccess) -> AccessError {
    match Etcd::open(access).map(drop) {
        Err(StoreError::Access(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nobody_is_trusted_without_a_certificate_of_the_authority() {
    let (ours, others) = (Certificates::new(), Certificates::new());
    let server = Server::start_secured(&ours);
    server.open();

    // Whom we do not trust.
    let foreign = others.client("foreign");
    let misled = EtcdCredentials {
        cacert: others.authority(),
        ..ours.client("misled")
    };
    let untrusted = |access: &EtcdAccess, wanted: &str| {
        let error = refusal(access);
        let AccessError::Untrusted { reason, .. } = &error else {
            panic!("{error}");
        };
        assert!(reason.contains(wanted), "{error}");
    };
    untrusted(&server.access_with(misled), "not signed by any in");
    let run_out = ours.expired_member("run-out", "127.0.0.1");
    let elsewhere = ours.member("elsewhere", &["192.0.2.1"]);
    for (files, wanted) in [
        (run_out, "run out"),
        (elsewhere, "subject alternative names"),
    ] {
        let server = Server::start_with_certificate(&ours, files, true);
        untrusted(&server.access(), wanted);
    }

    // Who does not trust us.
    let not_trusted = |credentials: EtcdCredentials, wanted: &str| {
        let error = refusal(&server.access_with(credentials));
        let AccessError::NotTrusted { reason, .. } = &error else {
            panic!("{error}");
        };
        assert!(reason.contains(wanted), "{error}");
    };
    let foreign = EtcdCredentials {
        cacert: ours.authority(),
        ..foreign
    };
    not_trusted(foreign.clone(), "it answers");
    not_trusted(ours.expired_client("old"), "run out");

    // Whoever asks for nothing trusts everybody.
    let files = ours.member("unguarded", &["127.0.0.1"]);
    let unguarded = Server::start_with_certificate(&ours, files, false);
    let error = refusal(&unguarded.access());
    assert!(matches!(error, AccessError::Unguarded { .. }), "{error}");
    let far = EtcdAccess::plain(vec!["192.0.2.1:2379".to_owned()]);
    let error = refusal(&far);
    assert!(matches!(error, AccessError::Plain { .. }), "{error}");

    // Files that are not there, or others.
    let mixed = EtcdCredentials {
        key: foreign.key,
        ..ours.client("mixed")
    };
    let nowhere = EtcdCredentials {
        cacert: "/nowhere/ca.pem".into(),
        ..ours.client("nowhere")
    };
    for (credentials, wanted) in [(mixed, "not that of"), (nowhere, "/nowhere/ca.pem")] {
        let error = refusal(&server.access_with(credentials));
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[test]
fn renewed_files_are_taken_up_with_the_next_connection() {
    let certificates = Certificates::new();
    let mut server = Server::start_secured(&certificates);
    let access = server.access_with(certificates.client("renewed"));
    let store = Etcd::open(&access).unwrap();
    let mut restarted = |read: &dyn Fn()| {
        server.kill();
        server.run();
        read();
    };
    // The same files with other content.
    certificates.expired_client("renewed");
    restarted(&|| {
        let error = store.get(b"a").unwrap_err().to_string();
        assert!(error.contains("run out"), "{error}");
    });
    certificates.client("renewed");
    assert_eq!(store.get(b"a").unwrap(), None);
}

/// A number that is counted up, whoever else does.
fn count_up(store: &dyn Store, times: usize) {
    for _ in 0..times {
        loop {
            let found = store.get(b"/coax/n").unwrap().unwrap();
            let count: u64 = String::from_utf8(found.value).unwrap().parse().unwrap();
            let unchanged = Compare::Modified {
                key: b"/coax/n".to_vec(),
                revision: found.modified,
            };
            let next = Transaction::new()
                .when(unchanged)
                .put("/coax/n", (count + 1).to_string());
            if let Outcome::Done(_) = store.transact(&next).unwrap() {
                break;
            }
        }
    }
}

#[test]
fn users_have_what_begins_with_coax_and_go_on_when_their_token_counts_no_more() {
    let certificates = Certificates::new();
    let mut server = Server::start_secured(&certificates);
    server.open();
    let coax = certificates.login("coax", "coax", "first");
    let access = server.access_with(coax.clone());
    let error = refusal(&access);
    assert!(matches!(error, AccessError::NoUsers { .. }), "{error}");

    server.ask_for_users("first", "/coax/");
    let store = Etcd::open(&access).unwrap();
    let zero = Transaction::new().put("/coax/n", "0");
    let begun = store.transact(&zero).unwrap();
    let Outcome::Done(begin) = begun else {
        panic!("{begun:?}");
    };
    let mut watch = store.watch(b"/coax/", begin + 1).unwrap();
    let watcher = thread::spawn(move || {
        let mut seen = 0;
        while seen < 120 {
            let events = watch.next(PATIENCE).unwrap();
            assert!(!events.is_empty(), "only {seen} events came");
            seen += events.len();
        }
        (seen, watch)
    });
    let writers = [0, 1].map(|_| {
        let store = Etcd::open(&access).unwrap();
        thread::spawn(move || count_up(&store, 60))
    });
    // A member that is started again knows no token; and one that forgets them goes on.
    let root = Some("root:root");
    let own = certificates.client("admin");
    server.kill();
    server.run();
    let passwd = ["user", "passwd", "coax", "--interactive=false"];
    server.etcdctl_with(&own, root, &passwd, "second\n");
    fs::write(&coax.login.as_ref().unwrap().password, "second\nmore\n").unwrap();
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(store.get(b"/coax/n").unwrap().unwrap().value, b"120");
    assert_eq!(store.range(b"/coax/").unwrap().items.len(), 1);
    let (seen, mut watch) = watcher.join().unwrap();
    assert_eq!(seen, 120, "nothing missed, nothing twice");
    store.compact(begin + 10).unwrap();
    is_denied_less(&mut server, &certificates, &access, &mut watch);
}

/// Whoever has fewer rights, or another password, is told what is missing.
fn is_denied_less(
    server: &mut Server,
    certificates: &Certificates,
    access: &EtcdAccess,
    watch: &mut Watch,
) {
    let (root, own) = (Some("root:root"), certificates.client("admin"));
    let store = Etcd::open(access).unwrap();
    let denied = |error: StoreError| {
        let said = error.to_string();
        assert!(
            matches!(&error, StoreError::Access(AccessError::Forbidden { .. })),
            "{said}"
        );
        assert!(said.contains("/coax/"), "{said}");
    };
    denied(store.get(b"elsewhere").unwrap_err());
    denied(Etcd::open(&server.access()).map(drop).unwrap_err());
    server.etcdctl(
        &own,
        root,
        &["role", "revoke-permission", "coax", "/coax/", "/coax0"],
    );
    denied(
        store
            .transact(&Transaction::new().put("/coax/n", "0"))
            .unwrap_err(),
    );
    denied(Etcd::open(access).map(drop).unwrap_err());
    server.kill();
    server.run();
    denied(watch.next(PATIENCE).unwrap_err());
    let wrong = certificates.login("wrong", "coax", "third");
    let error = refusal(&server.access_with(wrong));
    assert!(matches!(error, AccessError::Password { .. }), "{error}");
}
