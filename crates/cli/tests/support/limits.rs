//! What is refused although the file is right: checks that fail, quotas that are used up.

use crate::RULES;
use crate::controller::{Controller, SHOP, expect};

const ROUTERS: &str = "routers: { gw: { networks: [web, db] } }\n";

/// What must come of [`RULES`].
const CHECKS: &str = "checks:
  - { from: group/web, to: network/db, port: tcp/5432, expect: allow }
  - { name: ssh, from: any, to: network/db, port: tcp/22, expect: deny }
";

#[test]
fn a_change_after_which_a_check_fails_is_refused_unless_it_is_meant() {
    let controller = Controller::start();
    let zones = SHOP.to_owned() + ROUTERS + RULES + CHECKS;
    controller.file("shop.yaml", &zones);
    expect(&controller.coax(&["apply", "-f", "shop.yaml"]), 0);
    let plan = controller.coax(&["diff", "-f", "shop.yaml"]);
    expect(&plan, 0);
    assert!(
        plan.stdout.contains("checks: all 2 hold"),
        "{}",
        plan.stdout
    );
    let exported = controller.coax(&["export", "shop"]).stdout;
    assert!(exported.contains("expect: allow"), "{exported}");
    controller.file("again.yaml", &exported);
    expect(&controller.coax(&["diff", "-f", "again.yaml"]), 0);

    controller.file(
        "wide.yaml",
        &zones.replace("[tcp/5432]", "[tcp/5432, tcp/22]"),
    );
    let plan = controller.coax(&["diff", "-f", "wide.yaml"]);
    expect(&plan, 1);
    let broken = "any must not reach network/db on tcp/22, but web-1 may reach db-1 on tcp/22 over IPv4: rule db allows it";
    assert!(
        plan.stdout.contains(&format!("  FAILS: {broken}")),
        "{}",
        plan.stdout
    );
    let refused = controller.coax(&["apply", "-f", "wide.yaml"]);
    expect(&refused, 1);
    for part in [
        "error[checks-fail]",
        broken,
        "wide.yaml:24:",
        "--ignore-checks",
    ] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    expect(&controller.coax(&["diff", "-f", "shop.yaml"]), 0);
    let meant = ["apply", "-f", "wide.yaml", "--ignore-checks"];
    expect(&controller.coax(&meant), 0);
}

#[test]
fn what_is_not_refused_says_which_checks_fail() {
    let controller = Controller::start();
    let zones = SHOP.to_owned() + ROUTERS + RULES + CHECKS;
    let wide = zones.replace("[tcp/5432]", "[tcp/5432, tcp/22]");
    for (name, text, more) in [
        ("wide.yaml", &wide, "--ignore-checks"),
        ("shop.yaml", &zones, "-q"),
    ] {
        controller.file(name, text);
        expect(&controller.coax(&["apply", "-f", name, more]), 0);
    }
    // Networks that nothing joins any more are no better than a rule that denies.
    controller.file("apart.yaml", &zones.replace(ROUTERS, ""));
    let plan = controller.coax(&["diff", "-f", "apart.yaml"]);
    expect(&plan, 1);
    let apart = "web-1 does not reach db-1 over IPv4: no router joins networks web and db";
    assert!(plan.stdout.contains(apart), "{}", plan.stdout);

    // Going back is not refused, and the operator is not held up by what projects write.
    let rails =
        "version: 1\nrails: { rules: [{ name: no-db, from: any, to: any, deny: [tcp/5432] }] }\n";
    controller.file("rails.yaml", rails);
    let plan = controller.coax(&["diff", "-f", "rails.yaml"]);
    expect(&plan, 1);
    assert!(
        plan.stdout.contains("FAILS: shop: group/web must reach"),
        "{}",
        plan.stdout
    );
    assert!(
        plan.stdout.contains("the operator's rail no-db denies it"),
        "{}",
        plan.stdout
    );
    expect(&controller.coax(&["apply", "-f", "rails.yaml"]), 0);
    let history = controller
        .coax(&["history", "--project", "shop", "-o", "json"])
        .stdout;
    let history: Vec<serde_json::Value> = serde_json::from_str(&history).unwrap();
    let wide = history[1]["revision"].to_string();
    let back = controller.coax(&["rollback", &wide]);
    expect(&back, 0);
    assert!(
        back.stdout.contains("FAILS: any must not reach"),
        "{}",
        back.transcript()
    );
}

#[test]
fn a_project_that_is_full_is_refused_and_takes_nothing_from_others() {
    let controller = Controller::start();
    controller.file("shop.yaml", SHOP);
    expect(&controller.coax(&["apply", "-f", "shop.yaml"]), 0);
    let limits = ["project", "set", "shop", "--ports", "3", "--networks", "2"];
    let shown = controller.coax(&limits);
    expect(&shown, 0);
    assert!(shown.stdout.contains("3 of 3"), "{}", shown.stdout);
    expect(&controller.coax(&["diff", "-f", "shop.yaml"]), 0);

    let more = SHOP.replace("vteps:", "  web-3: { network: web }\nvteps:");
    controller.file("more.yaml", &more);
    for verb in ["diff", "apply"] {
        let refused = controller.coax(&[verb, "-f", "more.yaml"]);
        expect(&refused, 1);
        let said = "error[quota-exceeded]: 4 ports are more than the 3 that project shop may have";
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("coax project set shop --ports 4"),
            "{}",
            refused.stderr
        );
        assert!(
            refused.stderr.contains("more.yaml:6:1"),
            "{}",
            refused.stderr
        );
    }
    let list = controller.coax(&["project", "list"]).stdout;
    assert!(list.contains("2/2") && list.contains("3/3"), "{list}");

    // Others go on, as far as their own quota lets them.
    let bank = more
        .replace("project: shop", "project: bank")
        .replace("192.0.2.99", "192.0.2.98");
    controller.file("bank.yaml", &bank);
    expect(&controller.coax(&["apply", "-f", "bank.yaml"]), 0);
    expect(
        &controller.coax(&["project", "set", "--default", "--ports", "1"]),
        0,
    );
    expect(&controller.coax(&["diff", "-f", "bank.yaml"]), 0);
    controller.file(
        "bank.yaml",
        &bank.replace("web-3:", "web-4: { network: web }\n  web-3:"),
    );
    expect(&controller.coax(&["apply", "-f", "bank.yaml"]), 1);
    expect(
        &controller.coax(&["project", "set", "bank", "--ports", "none"]),
        0,
    );
    expect(&controller.coax(&["apply", "-f", "bank.yaml"]), 0);
    let inherited = controller.coax(&["project", "set", "bank", "--inherit", "-o", "json"]);
    assert!(
        inherited.stdout.contains("\"own_quota\": false"),
        "{}",
        inherited.transcript()
    );

    let nothing = controller.coax(&["project", "set", "bank"]);
    expect(&nothing, 1);
    assert!(nothing.stderr.contains("--inherit"), "{}", nothing.stderr);

    // What was set is there after a restart, and in the history.
    let mut controller = controller;
    controller.restart();
    expect(&controller.coax(&["apply", "-f", "more.yaml"]), 1);
    let history = controller.coax(&["history"]).stdout;
    assert!(history.contains("quota"), "{history}");
}
