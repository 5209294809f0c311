//! The command line against a real controller: files in, exit codes and data out.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "end_to_end/backup.rs"]
mod backup;
#[path = "support/controller.rs"]
mod controller;
#[path = "end_to_end/edit.rs"]
mod edit;
#[path = "end_to_end/schema.rs"]
mod schema;
#[path = "end_to_end/shells.rs"]
mod shells;
mod support;

use controller::{Controller, SHOP, expect};

#[test]
fn apply_diff_and_export_agree() {
    let controller = Controller::start();
    controller.file("shop.yaml", SHOP);

    expect(&controller.coax(&["diff", "-f", "shop.yaml"]), 2);
    expect(&controller.coax(&["apply", "-f", "shop.yaml"]), 0);
    expect(&controller.coax(&["diff", "-f", "shop.yaml"]), 0);
    expect(
        &controller.coax(&["apply", "-f", "shop.yaml", "--dry-run"]),
        0,
    );

    let export = controller.coax(&["export", "shop"]);
    expect(&export, 0);
    expect(
        &controller.coax_with(&["diff", "-f", "-"], &export.stdout),
        0,
    );
    expect(
        &controller.coax_with(&["apply", "-f", "-"], &export.stdout),
        0,
    );
    assert_eq!(controller.coax(&["export"]).stdout, export.stdout);

    // The same file makes the same project elsewhere, byte for byte.
    let other = Controller::start();
    expect(&other.coax_with(&["apply", "-f", "-"], &export.stdout), 0);
    assert_eq!(other.coax(&["export"]).stdout, export.stdout);
}

#[test]
fn what_is_not_in_the_file_goes() {
    let controller = Controller::start();
    expect(&controller.coax_with(&["apply", "-f", "-"], SHOP), 0);
    let less = SHOP.replace("  web-1: { network: web }\n", "");
    let diff = controller.coax_with(&["diff", "-f", "-"], &less);
    expect(&diff, 2);
    assert!(diff.stdout.contains("- port web-1"), "{}", diff.stdout);
    assert!(
        diff.stdout
            .contains("0 to create, 0 to change, 1 to delete"),
        "{}",
        diff.stdout
    );
    expect(&controller.coax_with(&["apply", "-f", "-"], &less), 0);
    let ports = controller.coax(&["port", "list", "-o", "name"]);
    assert_eq!(ports.stdout, "shop/db-1\nshop/web-2\n");
}

#[test]
fn objects_are_found_by_name() {
    let controller = Controller::start();
    expect(&controller.coax_with(&["apply", "-f", "-"], SHOP), 0);
    let bank = SHOP
        .replace("shop", "bank")
        .replace("192.0.2.99", "192.0.2.98");
    expect(&controller.coax_with(&["apply", "-f", "-"], &bank), 0);

    for (noun, name) in [
        ("project", "shop"),
        ("network", "shop/web"),
        ("subnet", "shop/web/10.10.1.0/24"),
        ("port", "shop/web-1"),
        ("vtep", "shop/legacy"),
    ] {
        let list = controller.coax(&[noun, "list", "-o", "name"]);
        expect(&list, 0);
        assert!(
            list.stdout.lines().any(|line| line == name),
            "{noun}: {}",
            list.stdout
        );
        // Whatever a list prints can be typed back.
        for line in list.stdout.lines() {
            expect(&controller.coax(&[noun, "show", line]), 0);
            expect(&controller.coax(&[noun, "show", line, "-o", "json"]), 0);
        }
    }
    expect(
        &controller.coax(&["port", "show", "web-1", "--project", "bank"]),
        0,
    );
    let ambiguous = controller.coax(&["port", "show", "web-1"]);
    expect(&ambiguous, 1);
    assert!(
        ambiguous.stderr.contains("error[ambiguous-name]"),
        "{}",
        ambiguous.stderr
    );
    let mistyped = controller.coax(&["network", "show", "shop/wbe"]);
    assert!(
        mistyped.stderr.contains("did you mean `shop/web`?"),
        "{}",
        mistyped.stderr
    );
    let unknown_host = controller.coax(&["port", "move", "shop/web-1", "nowhere"]);
    expect(&unknown_host, 1);
    assert!(
        unknown_host.stderr.contains("error[no-such-host]"),
        "{}",
        unknown_host.stderr
    );
}

#[test]
fn a_system_without_hosts_answers_every_question() {
    let controller = Controller::start();
    for command in [
        ["host", "list"].as_slice(),
        &["status"],
        &["drops"],
        &["counters"],
    ] {
        for format in ["table", "wide", "json", "yaml", "name"] {
            let run = controller.coax(&[command, &["-o", format]].concat());
            expect(&run, 0);
            if format == "json" {
                serde_json::from_str::<serde_json::Value>(&run.stdout).unwrap();
            }
        }
    }
    let nothing = controller.coax(&["export"]);
    expect(&nothing, 1);
    assert!(
        nothing.stderr.contains("error[no-project]"),
        "{}",
        nothing.stderr
    );
}

/// A line of the file, what to put there, and then: code, place, and a part of the hint.
type Mistake = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const MISTAKES: [Mistake; 9] = [
    (
        "web-1: { network: web }",
        "web-1: { network: wbe }",
        "unknown-network",
        ":7:21",
        "did you mean `web`?",
    ),
    (
        "web-1: { network: web }",
        "web-1: { netwrok: web }",
        "unknown-field",
        ":7:12",
        "did you mean `network`?",
    ),
    (
        "[10.10.1.77]",
        "[10.1.1.1]",
        "address-outside",
        ":8:38",
        "use an address of 10.10.1.0/24",
    ),
    ("[10.10.1.77]", "[10.10.1.1000]", "bad-value", ":8:38", ""),
    (
        "mtu: 1400",
        "mtu: 9999",
        "mtu-range",
        ":5:39",
        "leave `mtu` out",
    ),
    (
        "[10.10.2.0/24]",
        "[10.10.2.0/24, 10.10.2.128/25]",
        "subnet-overlap",
        ":5",
        "remove one",
    ),
    (
        "[10.10.2.0/24]",
        "[10.10.2.7/24]",
        "subnet-host-bits",
        ":5:19",
        "write 10.10.2.0/24",
    ),
    (
        "192.0.2.99",
        "\"2001:db8::99\"",
        "zero-checksum",
        ":11",
        "udp6_zero_checksum",
    ),
    (
        "\"02:00:00:00:00:01\"",
        "\"03:00:00:00:00:01\"",
        "mac-unusable",
        ":9:29",
        "leave `mac` out",
    ),
];

#[test]
fn every_mistake_has_a_place_and_a_way_out() {
    let controller = Controller::start();
    for (right, wrong, code, place, hint) in MISTAKES {
        assert!(SHOP.contains(right), "{right}");
        controller.file("bad.yaml", &SHOP.replace(right, wrong));
        // Offline and by the controller, the mistake is shown in the same way.
        for verb in ["validate", "diff", "apply"] {
            let run = controller.coax(&[verb, "-f", "bad.yaml"]);
            expect(&run, 1);
            let shown = run.transcript();
            assert!(shown.contains(&format!("error[{code}]")), "{shown}");
            assert!(shown.contains(&format!("--> bad.yaml{place}")), "{shown}");
            assert!(shown.contains(hint) && shown.contains('^'), "{shown}");
        }
    }
    // Nothing of all that was stored.
    assert_eq!(
        controller.coax(&["project", "list", "-o", "name"]).stdout,
        ""
    );
}

#[test]
fn two_files_are_applied_together_or_not_at_all() {
    let controller = Controller::start();
    controller.file("shop.yaml", SHOP);
    controller.file(
        "bank.yaml",
        &SHOP
            .replace("shop", "bank")
            .replace("network: web }", "network: wbe }"),
    );
    expect(
        &controller.coax(&["apply", "-f", "shop.yaml", "-f", "bank.yaml"]),
        1,
    );
    assert_eq!(
        controller.coax(&["project", "list", "-o", "name"]).stdout,
        ""
    );
    let twice = controller.coax(&["apply", "-f", "shop.yaml", "-f", "shop.yaml"]);
    expect(&twice, 1);
    assert!(
        twice.stderr.contains("error[project-twice]"),
        "{}",
        twice.stderr
    );
}

#[test]
fn a_controller_that_comes_back_knows_everything() {
    let mut controller = Controller::start();
    expect(&controller.coax_with(&["apply", "-f", "-"], SHOP), 0);
    let before = controller.coax(&["export"]).stdout;
    controller.restart();
    assert_eq!(controller.coax(&["export"]).stdout, before);
    controller.kill();
    let gone = controller.coax(&["status"]);
    expect(&gone, 1);
    assert!(
        gone.stderr.contains("error[controller-unreachable]"),
        "{}",
        gone.stderr
    );
    controller.restart();
}

#[test]
fn changes_have_a_history_and_a_way_back() {
    let mut controller = Controller::start();
    controller.file("shop.yaml", SHOP);
    let empty = controller.coax(&["history"]);
    expect(&empty, 0);
    assert!(empty.stderr.contains("no revisions"), "{}", empty.stderr);
    let apply = ["apply", "-f", "shop.yaml", "-m", "the shop opens"];
    expect(&controller.coax(&apply), 0);
    let then = controller.coax(&["export", "shop"]).stdout;
    let less = SHOP.replace("  web-1: { network: web }\n", "");
    let apply = ["apply", "-f", "-", "--confirm", "1h"];
    let unconfirmed = controller.coax_with(&apply, &less);
    expect(&unconfirmed, 0);
    assert!(
        unconfirmed.stderr.contains("`coax confirm"),
        "{}",
        unconfirmed.stderr
    );

    // Nothing is mixed with what is not decided, also not after a crash.
    controller.restart();
    let refused = controller.coax(&["apply", "-f", "shop.yaml"]);
    expect(&refused, 1);
    assert!(
        refused.stderr.contains("error[unconfirmed]"),
        "{}",
        refused.stderr
    );
    expect(&controller.coax(&["confirm"]), 0);
    expect(&controller.coax(&["confirm"]), 1);

    let history = controller.coax(&["history", "-o", "name"]).stdout;
    let revisions: Vec<&str> = history.lines().collect();
    let [_, second, first] = revisions.as_slice() else {
        panic!("{history}");
    };
    let shown = controller.coax(&["show", second]);
    expect(&shown, 0);
    assert!(shown.stdout.contains("- port web-1"), "{}", shown.stdout);
    expect(&controller.coax(&["show", "1"]), 1);

    expect(&controller.coax(&["rollback", first, "--dry-run"]), 2);
    expect(&controller.coax(&["rollback", first, "-m", "too early"]), 0);
    assert_eq!(controller.coax(&["export", "shop"]).stdout, then);
    expect(&controller.coax(&["rollback", first, "--dry-run"]), 0);
    let newest = controller.coax(&["history", "-n", "1"]).stdout;
    for word in [&format!("rollback to {first}"), "too early", "shop", "+1"] {
        assert!(newest.contains(word), "{word}: {newest}");
    }
    goes_back_by_itself(&mut controller, &less, &then);
}

/// A change that nobody confirms in time is taken back by the controller, although it was restarted meanwhile.
fn goes_back_by_itself(controller: &mut Controller, less: &str, before: &str) {
    let apply = ["apply", "-f", "-", "--confirm", "6s"];
    let called = std::time::Instant::now();
    expect(&controller.coax_with(&apply, less), 0);
    assert_ne!(controller.coax(&["export", "shop"]).stdout, before);
    controller.restart();
    while controller.coax(&["export", "shop"]).stdout != before {
        assert!(called.elapsed() < std::time::Duration::from_secs(40));
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(called.elapsed() >= std::time::Duration::from_secs(6));
    let newest = controller.coax(&["history", "-n", "1"]).stdout;
    assert!(newest.contains("confirm"), "{newest}");
}
