//! Objects made, changed and deleted one by one: the project is what a file would have made it.

use super::controller::{Controller, SHOP, expect};

const STEPS: &[&[&str]] = &[
    &[
        "network",
        "create",
        "shop/web",
        "subnets=[10.10.1.0/24, \"fd00:10:1::/64\"]",
    ],
    &["network", "create", "shop/db", "subnets=[10.10.2.0/24]"],
    &["network", "set", "db", "mtu=1400"],
    &["port", "create", "shop/web-1", "network=web"],
    &["port", "create", "web-2", "network=db", "labels.role=spare"],
    &[
        "port",
        "set",
        "shop/web-2",
        "network=web",
        "addresses=[10.10.1.77]",
        "labels.role=",
    ],
    &[
        "port",
        "create",
        "db-1",
        "network=db",
        "mac=02:00:00:00:00:01",
        "--project",
        "shop",
    ],
    &[
        "vtep",
        "create",
        "shop/legacy",
        "address=192.0.2.99",
        "networks=[web]",
    ],
];

#[test]
fn step_by_step_is_as_by_a_file() {
    let controller = Controller::start();
    for step in STEPS {
        expect(&controller.coax(step), 0);
    }
    let diff = controller.coax_with(&["diff", "-f", "-"], SHOP);
    expect(&diff, 0);
    for step in [
        &["group", "create", "shop/web", "match.vm=web-*"][..],
        &["address-group", "create", "shop/offices", "192.0.2.0/24"],
        &[
            "address-group",
            "set",
            "offices",
            "2001:db8::/48",
            "198.51.100.7",
        ],
        &["router", "create", "shop/gw", "networks=[web, db]"],
        &["firewall", "set", "shop", "default=deny"],
        &[
            "firewall",
            "set",
            "shop",
            "rules=[{ name: in, from: address-group/offices, to: group/web, allow: [tcp/80] }]",
        ],
    ] {
        expect(&controller.coax(step), 0);
    }
    let rules = controller.coax(&["firewall", "rules", "-o", "name"]);
    assert_eq!(rules.stdout, "shop/in\n");
    let offices = controller.coax(&["address-group", "show", "offices"]);
    assert!(offices.stdout.contains("2001:db8::/48") && !offices.stdout.contains("192.0.2"));
    for step in [
        &["firewall", "delete", "shop"][..],
        &["router", "delete", "gw"],
        &["address-group", "delete", "offices"],
        &["group", "delete", "web"],
    ] {
        expect(&controller.coax(step), 0);
    }
    expect(&controller.coax_with(&["diff", "-f", "-"], SHOP), 0);
    // Each of them is a revision, with who and why.
    let said = ["port", "delete", "web-2", "-m", "not needed"];
    expect(&controller.coax(&said), 0);
    let history = controller.coax(&["history"]);
    assert!(history.stdout.contains("not needed"), "{}", history.stdout);
    expect(
        &controller.coax(&["project", "delete", "shop", "--dry-run"]),
        2,
    );
    expect(&controller.coax(&["project", "delete", "shop"]), 0);
    let ports = controller.coax(&["port", "list", "-o", "name"]);
    assert_eq!(ports.stdout, "");
    expect(&controller.coax(&["project", "delete", "nobody"]), 1);
}

#[test]
fn those_who_change_a_project_at_the_same_time_lose_nothing() {
    let controller = Controller::start();
    let web = ["network", "create", "shop/web", "subnets=[10.10.1.0/24]"];
    let created = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (controller, web) = (&controller, &web);
                scope.spawn(move || {
                    let port = format!("shop/p{number}");
                    let network = controller.coax(web);
                    let port = controller.coax(&["port", "create", &port, "network=web"]);
                    (network.code, port)
                })
            })
            .collect();
        let ends = threads.into_iter().map(|it| it.join().unwrap());
        ends.inspect(|(_, port)| expect(port, 0))
            .filter(|(network, _)| *network == 0)
            .count()
    });
    assert_eq!(created, 1, "of one network");
    let ports = controller.coax(&["port", "list", "-o", "name"]);
    assert_eq!(
        ports.stdout,
        "shop/p0
shop/p1
shop/p2
shop/p3
"
    );
}

#[test]
fn mistakes_change_nothing_and_are_shown_in_the_changed_file() {
    let controller = Controller::start();
    expect(&controller.coax_with(&["apply", "-f", "-"], SHOP), 0);
    for (step, exit, parts) in [
        (
            &["port", "create", "shop/web-1", "network=web"][..],
            1,
            &["error[already-there]", "coax port set shop/web-1"][..],
        ),
        (
            &["port", "set", "shop/web-3", "network=db"],
            1,
            &["error[no-such-port]", "did you mean `shop/web-"],
        ),
        (
            &["network", "delete", "shop/web"],
            1,
            &["shop, changed:", "web-1"],
        ),
        (
            &["port", "create", "shop/x", "netwrok=web"],
            1,
            &["netwrok", "shop, changed:"],
        ),
        (
            &["port", "create", "shop/x", "network=[web"],
            1,
            &["KEY=VALUE"],
        ),
        (&["router", "create", "nobody/x"], 1, &["networks"]),
        (&["port", "delete", "shop/web-1", "--dry-run"], 2, &[]),
    ] {
        let run = controller.coax(step);
        expect(&run, exit);
        for part in parts {
            assert!(run.stderr.contains(part), "{step:?}: {}", run.stderr);
        }
    }
    expect(&controller.coax_with(&["diff", "-f", "-"], SHOP), 0);
    let projects = controller.coax(&["project", "list", "-o", "name"]);
    assert_eq!(projects.stdout, "shop\n");
}
