//! One test row for each rule of zones: what is written, which field is blamed, and why. And what
//! users see of some of them.

mod ports;

use crate::file::{File, explain};
use crate::intent::Intent;
use crate::plan::plan_file;

const BASE: &str = "\
version: 1
project: shop
networks:
  web: { subnets: [10.1.0.0/24, \"fd00:1::/64\"] }
  app: { subnets: [10.2.0.0/24] }
  old: { subnets: [10.1.0.0/25] }
  raw: {}
ports:
  web-1: { network: web, addresses: [10.1.0.9] }
  db-1: { network: app }
";

/// The fields and codes of everything refused.
fn refused_by(text: &str, intent: &Intent) -> Vec<String> {
    let file = File::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let Err(refusals) = plan_file(&file, intent) else {
        return Vec::new();
    };
    let seen = |refusal: &crate::Refusal| {
        assert!(!refusal.rule.hint().is_empty());
        format!("{} {}", refusal.path, refusal.rule.code())
    };
    refusals.0.iter().map(seen).collect()
}

fn refused(more: &str) -> Vec<String> {
    refused_by(&format!("{BASE}{more}"), &Intent::default())
}

fn network(entry: &str) -> Vec<String> {
    refused_by(
        &BASE.replace("raw: {}", &format!("raw: {{ {entry} }}")),
        &Intent::default(),
    )
}

fn port(entry: &str) -> Vec<String> {
    refused_by(
        &BASE.replace("{ network: app }", &format!("{{ {entry} }}")),
        &Intent::default(),
    )
}

fn rule(entry: &str) -> Vec<String> {
    refused(&format!("firewall:\n  rules: [{{ name: r, {entry} }}]\n"))
}

#[test]
fn rules_name_what_is_there_and_do_one_thing() {
    assert_eq!(
        rule("from: any, to: network/web, allow: [tcp/443]"),
        [""; 0]
    );
    for (entry, expected) in [
        (
            "from: group/web, to: any, allow: [any]",
            "firewall.rules[0].from[0] unknown-group",
        ),
        (
            "from: any, to: [any, network/wbe], allow: [any]",
            "firewall.rules[0].to[1] unknown-network",
        ),
        (
            "from: any, to: address-group/x, deny: [any]",
            "firewall.rules[0].to[0] unknown-address-group",
        ),
        ("from: any, to: any", "firewall.rules[0].name rule-action"),
        (
            "from: any, to: any, allow: [any], deny: [any]",
            "firewall.rules[0].deny rule-action",
        ),
        (
            "from: any, to: any, reject: []",
            "firewall.rules[0].reject rule-empty",
        ),
        (
            "from: [], to: any, allow: [any]",
            "firewall.rules[0].from rule-empty",
        ),
        (
            "from: 10.1.0.0/24, to: [\"fd00::1\"], allow: [any]",
            "firewall.rules[0].from rule-families",
        ),
    ] {
        assert_eq!(rule(entry), [expected], "{entry}");
    }
    let twice = "\
firewall:
  rules:
    - { name: a, from: any, to: any, allow: [tcp/80] }
    - { name: a, from: any, to: any, allow: [tcp/443] }
";
    assert_eq!(refused(twice), ["firewall.rules[1].name rule-name-taken"]);
    let many = vec!["10.0.0.1"; 257].join(", ");
    let entry = format!("from: [{many}], to: any, allow: [any]");
    assert_eq!(rule(&entry), ["firewall.rules[0].from too-many"]);
}

#[test]
fn groups_can_have_members() {
    assert_eq!(
        refused("groups: { a: { match: { vm: \"x*\" } }, b: { ports: [web-1] } }\n"),
        [""; 0]
    );
    assert_eq!(refused("groups: { a: {} }\n"), ["groups.a group-empty"]);
    let unknown = "groups: { a: { ports: [web-1, web-2] } }\n";
    assert_eq!(refused(unknown), ["groups.a.ports[1] unknown-member"]);
}

#[test]
fn rails_name_nothing_that_projects_own() {
    let rails = |entry: &str| {
        let text = format!(
            "version: 1\nrails:\n  address_groups: {{ m: [192.0.2.1] }}\n  rules: [{{ name: r, {entry} }}]\n"
        );
        refused_by(&text, &Intent::default())
    };
    assert_eq!(
        rails("from: address-group/m, to: 10.0.0.0/8, allow: [any]"),
        [""; 0]
    );
    for (entry, expected) in [
        (
            "from: group/web, to: any, deny: [any]",
            "rails.rules[0].from rail-selector",
        ),
        (
            "from: any, to: [any, network/web], deny: [any]",
            "rails.rules[0].to rail-selector",
        ),
        (
            "from: address-group/n, to: any, deny: [any]",
            "rails.rules[0].from[0] unknown-address-group",
        ),
        ("from: any, to: any", "rails.rules[0].name rule-action"),
    ] {
        assert_eq!(rails(entry), [expected], "{entry}");
    }
    let named = BASE.replace("project: shop", "project: rails");
    assert_eq!(
        refused_by(&named, &Intent::default()),
        ["project project-reserved"]
    );
    assert_eq!(
        refused_by("version: 2\nrails: {}\n", &Intent::default()),
        ["version file-version"]
    );
}

#[test]
fn routers_join_networks_that_fit() {
    let router = |entry: &str| refused(&format!("routers: {{ gw: {{ {entry} }} }}\n"));
    assert_eq!(
        router("networks: [web, app], routes: [{ to: 0.0.0.0/0, via: 10.1.0.7 }]"),
        [""; 0]
    );
    for (entry, expected) in [
        (
            "networks: [web, ap]",
            "routers.gw.networks[1] unknown-network",
        ),
        (
            "networks: [web, web]",
            "routers.gw.networks[1] network-joined",
        ),
        (
            "networks: [web, raw]",
            "routers.gw.networks[1] network-without-subnets",
        ),
        (
            "networks: [web, old]",
            "routers.gw.networks[1] router-overlap",
        ),
    ] {
        assert_eq!(router(entry), [expected], "{entry}");
    }
    for (routes, expected) in [
        (
            "{ to: 192.0.2.1/24, via: 10.1.0.7 }",
            "routers.gw.routes[0].to subnet-host-bits",
        ),
        (
            "{ to: 10.1.0.0/25, via: 10.2.0.7 }",
            "routers.gw.routes[0].to route-to-joined",
        ),
        (
            "{ to: \"::/0\", via: 10.1.0.7 }",
            "routers.gw.routes[0].via route-family",
        ),
        (
            "{ to: 0.0.0.0/0, via: 10.9.0.7 }",
            "routers.gw.routes[0].via next-hop-outside",
        ),
        (
            "{ to: 0.0.0.0/0, via: 10.1.0.1 }",
            "routers.gw.routes[0].via next-hop-is-gateway",
        ),
        (
            "{ to: 0.0.0.0/0, via: 10.1.0.7 }, { to: 0.0.0.0/0, via: 10.1.0.8 }",
            "routers.gw.routes[1].to route-twice",
        ),
    ] {
        let entry = format!("networks: [web, app], routes: [{routes}]");
        assert_eq!(router(&entry), [expected], "{entry}");
    }
    let two = "routers: { a: { networks: [web] }, b: { networks: [web, app] } }\n";
    assert_eq!(refused(two), ["routers.b.networks[0] network-joined"]);
}

#[test]
fn a_gateway_is_the_routers_and_inside_its_subnet() {
    let subnet = |entry: &str| network(&format!("subnets: [{{ prefix: 10.3.0.0/24, {entry} }}]"));
    assert_eq!(subnet("gateway: 10.3.0.254"), [""; 0]);
    let path = "networks.raw.subnets[0].gateway";
    for (gateway, code) in [
        ("10.4.0.1", "gateway-outside"),
        ("10.3.0.0", "address-reserved"),
        ("10.3.0.255", "address-reserved"),
    ] {
        assert_eq!(
            subnet(&format!("gateway: {gateway}")),
            [format!("{path} {code}")]
        );
    }
    let taken = BASE.replace("[10.1.0.9]", "[10.1.0.1]");
    assert_eq!(refused_by(&taken, &Intent::default()), [""; 0]);
    let joined = format!("{taken}routers: {{ gw: {{ networks: [web] }} }}\n");
    let expected = ["ports.web-1.addresses[0] address-is-gateway"];
    assert_eq!(refused_by(&joined, &Intent::default()), expected);
    assert_eq!(
        port("network: app, mac: 02:c0:a0:00:00:01"),
        ["ports.db-1.mac mac-is-gateway"]
    );
}

#[test]
fn settings_of_a_network_do_not_contradict_each_other() {
    let subnets = "subnets: [10.3.0.0/24]";
    for (entry, expected) in [
        ("dhcp: true", "networks.raw.dhcp nothing-to-offer"),
        (
            "router_advertisements: true",
            "networks.raw.router_advertisements nothing-to-offer",
        ),
        (
            "type: routed, subnets: [10.3.0.0/24], flood_unknown: true",
            "networks.raw.flood_unknown routed-cannot",
        ),
        (
            "type: routed, subnets: [10.3.0.0/24], vlan_transparent: true",
            "networks.raw.vlan_transparent routed-cannot",
        ),
        (
            "own_servers: true, dhcp: true, subnets: [10.3.0.0/24]",
            "networks.raw.dhcp two-servers",
        ),
    ] {
        assert_eq!(network(entry), [expected], "{entry}");
    }
    for right in [
        "dhcp: true",
        "type: routed, dhcp: true",
        "own_servers: true",
        "dhcp: false",
    ] {
        assert_eq!(network(&format!("{subnets}, {right}")), [""; 0]);
    }
    let foreign = "vteps: { x: { address: 192.0.2.9, networks: [raw] } }\n";
    let routed = BASE.replace("raw: {}", "raw: { type: routed }");
    assert_eq!(
        refused_by(&format!("{routed}{foreign}"), &Intent::default()),
        ["vteps.x.networks[0] routed-foreign"]
    );
}

#[test]
fn mistakes_in_rules_are_shown_in_the_text() {
    let text = "\
version: 1
project: shop
groups:
  web: { match: { vm: \"web-*\" } }
firewall:
  rules:
    - { name: site, from: any, to: group/wbe, allow: [tcp/443] }
    - name: nothing
      from: [192.0.2.0/24, address-group/office]
      to: group/web
";
    let refusals = plan_file(&File::parse(text).unwrap(), &Intent::default()).unwrap_err();
    let shown: Vec<String> = explain(&refusals, text)
        .iter()
        .map(|problem| problem.render("shop.yaml", text))
        .collect();
    let expected = [
        "\
error: rule `site`: there is no group `wbe` in the file
 --> shop.yaml:7:36 (firewall.rules[0].to[0])
  |
7 |     - { name: site, from: any, to: group/wbe, allow: [tcp/443] }
  |                                    ^
  = did you mean `web`?",
        "\
error: rule `nothing`: there is no address-group `office` in the file
 --> shop.yaml:9:28 (firewall.rules[1].from[1])
  |
9 |       from: [192.0.2.0/24, address-group/office]
  |                            ^
  = add it under `address_groups`",
        "\
error: rule `nothing` says neither `allow` nor `deny` nor `reject`
 --> shop.yaml:8:13 (firewall.rules[1].name)
  |
8 |     - name: nothing
  |             ^
  = add what it does, like `allow: [tcp/443]` or `deny: [any]`",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn what_cannot_be_read_is_shown_where_it_stands() {
    let place = |more: &str| {
        let error = File::parse(&format!("{BASE}{more}")).unwrap_err();
        let place = error.place.map(|place| (place.line - 10, place.column));
        (error.code, place, error.message)
    };
    let rule = "firewall: { rules: [{ name: a, from: any, to: lb/site, allow: [tcp/443] }] }\n";
    let (code, at, message) = place(rule);
    assert_eq!((code, at), ("bad-value", Some((1, 47))));
    assert!(message.contains("group/NAME"), "{message}");
    let rule = "firewall: { rules: [{ name: a, from: any, to: any, allow: [tcp/443, http] }] }\n";
    let (code, at, message) = place(rule);
    assert_eq!((code, at), ("bad-value", Some((1, 69))));
    assert!(message.contains("tcp/8000-8080"), "{message}");
    let (code, at, _) = place("groups: { web: { match: { name: x } } }\n");
    assert_eq!((code, at), ("unknown-field", Some((1, 27))));
    let (code, at, _) = place("address_groups: { a: [192.0.2.1, 192.0.2.1/24] }\n");
    assert_eq!((code, at), ("bad-value", Some((1, 34))));
    let text = BASE.replace("{ network: app }", "{ network: app, trunk: { 7: on } }");
    let error = File::parse(&text).unwrap_err();
    assert!(error.message.contains("put it in quotes"), "{error}");
}
