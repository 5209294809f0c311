//! Files with groups, rules and rails against a real controller: what they make, and what is refused where.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/controller.rs"]
mod controller;
#[path = "support/limits.rs"]
mod limits;
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

/// What [`SHOP`] lacks: groups and rules. The last line is the rule `db`.
const RULES: &str = r#"groups:
  web: { match: { vm: "web-*" } }
address_groups:
  office: [192.0.2.0/24]
firewall:
  default: deny
  rules:
    - { name: https, from: address-group/office, to: group/web, allow: [tcp/443] }
    - { name: db, from: group/web, to: network/db, allow: [tcp/5432] }
"#;

const DB: &str = "{ name: db, from: group/web, to: network/db, allow: [tcp/5432] }";

/// A rule, where the caret is to point, and then: code, a part of the message, and a part of the hint.
type BadRule = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const BAD_RULES: [BadRule; 12] = [
    (
        "{ name: https, from: any, to: any, allow: [any] }",
        "https",
        "rule-name-taken",
        "rule 1 of the list is called `https`",
        "another name",
    ),
    (
        "{ name: db, from: any, to: any }",
        "db",
        "rule-action",
        "rule `db` says neither",
        "add what it does",
    ),
    (
        "{ name: db, from: any, to: any, allow: [any], deny: [tcp/22] }",
        "deny",
        "rule-action",
        "rule `db` says more than one",
        "make it two rules",
    ),
    (
        "{ name: db, from: [], to: any, allow: [any] }",
        "from",
        "rule-empty",
        "rule `db` matches nothing",
        "write `any`",
    ),
    (
        "{ name: db, from: any, to: any, allow: [] }",
        "allow",
        "rule-empty",
        "rule `db` matches nothing",
        "write `[any]`",
    ),
    (
        "{ name: db, from: 10.0.0.0/8, to: \"fd00::/8\", allow: [any] }",
        "10.0.0.0/8",
        "rule-families",
        "rule `db` matches nothing",
        "prefixes of one family",
    ),
    (
        "{ name: db, from: group/wbe, to: any, allow: [any] }",
        "group/wbe",
        "unknown-group",
        "rule `db`: there is no group `wbe`",
        "did you mean `web`?",
    ),
    (
        "{ name: db, from: [any, address-group/ofice], to: any, allow: [any] }",
        "address-group/ofice",
        "unknown-address-group",
        "rule `db`: there is no address-group `ofice`",
        "did you mean `office`?",
    ),
    (
        "{ name: db, from: any, to: network/dbs, allow: [any] }",
        "network/dbs",
        "unknown-network",
        "rule `db`: there is no network `dbs`",
        "did you mean `db`?",
    ),
    (
        "{ name: db, from: any, to: any, allow: [tcp/99999] }",
        "tcp/99999",
        "bad-value",
        "99999",
        "",
    ),
    (
        "{ name: db, from: any, to: any, allow: [tpc/443] }",
        "tpc/443",
        "bad-value",
        "tpc",
        "",
    ),
    (
        "{ name: db, form: any, to: any, allow: [any] }",
        "form",
        "unknown-field",
        "form",
        "did you mean `from`?",
    ),
];

#[test]
fn a_bad_rule_is_named_with_its_file_and_line_and_changes_nothing() {
    let controller = Controller::start();
    let good = SHOP.to_owned() + RULES;
    controller.file("good.yaml", &good);
    expect(&controller.coax(&["apply", "-f", "good.yaml"]), 0);
    let before = controller.coax(&["export", "shop"]).stdout;
    // The rest of the bad file asks for something else that would be fine.
    let other = good.replace("mtu: 1400", "mtu: 1300");
    let line = good.lines().count();
    for (rule, at, code, message, hint) in BAD_RULES {
        controller.file("bad.yaml", &other.replace(DB, rule));
        let column = "    - ".len() + rule.find(at).unwrap() + 1;
        for verb in ["validate", "diff", "apply"] {
            let run = controller.coax(&[verb, "-f", "bad.yaml"]);
            expect(&run, 1);
            let shown = run.transcript();
            assert!(shown.contains(&format!("error[{code}]")), "{shown}");
            let place = format!("--> bad.yaml:{line}:{column}");
            assert!(shown.contains(&place), "{place}\n{shown}");
            assert!(shown.contains(message) && shown.contains(hint), "{shown}");
            assert!(
                shown.contains(rule),
                "the line itself is shown, with the rule's name:\n{shown}"
            );
        }
    }
    assert_eq!(controller.coax(&["export", "shop"]).stdout, before);
}

#[test]
fn a_bad_rule_keeps_the_files_beside_it_from_being_applied() {
    let controller = Controller::start();
    controller.file("bank.yaml", &SHOP.replace("shop", "bank"));
    let bad = SHOP.to_owned() + &RULES.replace("to: network/db", "to: network/dbs");
    controller.file("shop.yaml", &bad);
    let rails = "version: 1\nrails:\n  rules:\n    - { name: no-ssh, from: any, to: group/web, deny: [tcp/22] }\n";
    controller.file("rails.yaml", rails);
    for bad in ["shop.yaml", "rails.yaml"] {
        let run = controller.coax(&["apply", "-f", "bank.yaml", "-f", bad]);
        expect(&run, 1);
        assert!(
            run.stderr.contains(&format!("--> {bad}:")),
            "{}",
            run.transcript()
        );
    }
    let projects = controller.coax(&["project", "list", "-o", "name"]);
    assert_eq!(projects.stdout, "");
    assert_eq!(controller.coax(&["firewall", "rules"]).code, 0);
}

#[test]
fn the_examples_are_valid() {
    let controller = Controller::start();
    let examples = [
        include_str!("../../../examples/shop.yaml"),
        include_str!("../../../examples/bank.yaml"),
        include_str!("../../../examples/three-tier.yaml"),
        include_str!("../../../examples/rails.yaml"),
    ];
    for example in examples {
        expect(&controller.coax_with(&["apply", "-f", "-"], example), 0);
        expect(&controller.coax_with(&["diff", "-f", "-"], example), 0);
    }
}
