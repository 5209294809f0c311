//! Namespaces on the real kernel. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::{Command, Stdio};

use coax_netlink::{Error, Namespace, ScopedNamespace};

fn scratch() -> ScopedNamespace {
    ScopedNamespace::create("coax-test-netlink").expect("needs root to create a namespace")
}

#[tokio::test]
async fn a_namespace_exists_until_it_is_deleted_and_has_its_own_links() {
    let namespace = scratch();
    assert!(
        Namespace::list()
            .unwrap()
            .contains(&namespace.name().to_owned())
    );
    let clash = Namespace::create(namespace.name()).unwrap_err();
    assert!(clash.is_already_there(), "{clash}");

    let links = namespace.netlink().unwrap().links().await.unwrap();
    let names: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
    assert_eq!(names, ["lo"]);

    let name = namespace.name().to_owned();
    drop(namespace);
    assert!(Namespace::open(&name).unwrap_err().is_not_found());
    assert!(!Namespace::list().unwrap().contains(&name));
}

#[tokio::test]
async fn the_calling_thread_stays_where_it_was() {
    let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let namespace = scratch();
    let inside = namespace
        .run(|| std::fs::read_link("/proc/thread-self/ns/net").unwrap())
        .unwrap();
    assert_ne!(inside, own);
    assert_eq!(std::fs::read_link("/proc/thread-self/ns/net").unwrap(), own);
    let panicked = namespace.run(|| panic!("on purpose")).unwrap_err();
    assert!(matches!(panicked, Error::ThreadPanicked { .. }));
}

#[tokio::test]
async fn a_child_process_is_born_inside_the_namespace() {
    let namespace = scratch();
    let inside = namespace
        .run(|| std::fs::read_link("/proc/thread-self/ns/net").unwrap())
        .unwrap();
    let mut command = Command::new("readlink");
    let child = namespace
        .spawn(command.arg("/proc/self/ns/net").stdout(Stdio::piped()))
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().trim(),
        inside.to_str().unwrap()
    );

    let missing = namespace
        .spawn(&mut Command::new("/no/such/program"))
        .unwrap_err();
    assert!(
        missing.to_string().contains("/no/such/program"),
        "{missing}"
    );
}

#[tokio::test]
async fn names_that_would_leave_the_folder_are_refused() {
    for name in ["", ".", "..", "a/b", "../x"] {
        assert!(Namespace::create(name).is_err(), "{name}");
        assert!(Namespace::delete(name).is_err(), "{name}");
    }
}

#[tokio::test]
async fn kernel_settings_belong_to_the_namespace() {
    let (one, other) = (scratch(), scratch());
    one.write_sysctl("net.ipv4.ip_forward", "1").unwrap();
    let read = |namespace: &Namespace| {
        namespace
            .run(|| coax_netlink::read_sysctl("net.ipv4.ip_forward").unwrap())
            .unwrap()
    };
    assert_eq!((read(&one).as_str(), read(&other).as_str()), ("1", "0"));
    let missing = one
        .write_sysctl("net.ipv4.no_such_setting", "1")
        .unwrap_err();
    assert!(missing.to_string().contains("no_such_setting"), "{missing}");
}

#[tokio::test]
async fn many_namespaces_can_be_created_at_once() {
    let made: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(scratch)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let names = Namespace::list().unwrap();
    for namespace in &made {
        assert!(names.contains(&namespace.name().to_owned()));
    }
}
