//! Files with groups and rails against a real controller: what they make, and what is refused where.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/controller.rs"]
mod controller;
mod support;

use controller::{Controller, SHOP, expect};

#[test]
fn groups_follow_names_and_labels_and_a_full_network_refuses_the_next_port() {
    let controller = Controller::start();
    let groups = "groups:\n  web: { match: { vm: \"web-*\" } }\n  db: { ports: [db-1] }\n";
    let shop = SHOP.replace("mtu: 1400", "mtu: 1400, max_endpoints: 1") + groups;
    controller.file("shop.yaml", &shop);
    expect(&controller.coax(&["apply", "-f", "shop.yaml"]), 0);
    expect(&controller.coax(&["diff", "-f", "shop.yaml"]), 0);
    let group = controller.coax(&["group", "show", "web"]).stdout;
    assert!(
        group.contains("web-1") && group.contains("web-2"),
        "{group}"
    );
    let two = shop.replace("vteps:", "  db-2: { network: db }\nvteps:");
    controller.file("two.yaml", &two);
    let full = controller.coax(&["apply", "-f", "two.yaml"]);
    expect(&full, 1);
    assert!(
        full.stderr.contains("error[endpoints-exceeded]"),
        "{}",
        full.stderr
    );
    assert!(
        full.stderr.contains("--> two.yaml:10:20"),
        "{}",
        full.stderr
    );
    controller.file("bad.yaml", &shop.replace("[db-1]", "[db-2]"));
    for verb in ["validate", "diff", "apply"] {
        let run = controller.coax(&[verb, "-f", "bad.yaml"]).transcript();
        assert!(run.contains("error[unknown-member]"), "{run}");
        assert!(run.contains("--> bad.yaml:14:17"), "{run}");
    }
}

#[test]
fn rails_are_a_file_without_a_project() {
    let controller = Controller::start();
    let rails = "version: 1\nrails:\n  address_groups: { office: [192.0.2.0/24] }\n";
    controller.file("rails.yaml", rails);
    expect(&controller.coax(&["validate", "-f", "rails.yaml"]), 0);
    expect(&controller.coax(&["apply", "-f", "rails.yaml"]), 0);
    expect(&controller.coax(&["diff", "-f", "rails.yaml"]), 0);
    let exported = controller.coax(&["export", "rails"]).stdout;
    controller.file("again.yaml", &exported);
    expect(&controller.coax(&["diff", "-f", "again.yaml"]), 0);
    let group = controller.coax(&["address-group", "show", "rails/office"]);
    assert!(
        group.stdout.contains("192.0.2.0/24"),
        "{}",
        group.transcript()
    );
    let named = "version: 1\nproject: rails\n";
    controller.file("named.yaml", named);
    let refused = controller
        .coax(&["validate", "-f", "named.yaml"])
        .transcript();
    assert!(refused.contains("error[project-reserved]"), "{refused}");
}
