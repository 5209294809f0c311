//! Plans of what zones are made of: routers, groups, firewalls, rails, and ports with rights.

use super::*;
use crate::export::{export, export_rails, to_yaml};
use crate::firewall::{Mode, RuleAction};
use crate::intent::Intent;

const SHOP: &str = "\
version: 1
project: shop
networks:
  web: { subnets: [10.10.1.0/24, \"fd00:10:1::/64\"], dhcp: true, max_endpoints: 100 }
  app:
    subnets: [{ prefix: 10.10.2.0/24, gateway: 10.10.2.254, dhcp: false }]
    type: routed
    dhcp: { lease_time: 12h, routes: [{ to: 192.0.2.0/24, via: 10.10.2.9 }] }
    router_advertisements: false
    dns: { domain: shop.example, servers: [192.0.2.53] }
    shut_time: 5m
  db: { subnets: [10.10.3.0/24], isolated: true, storm_control: { broadcast: 50, unknown: unlimited } }
  raw: { own_servers: true }
ports:
  web-1: { network: web, labels: { role: front, tier: 1 } }
  app-1: { network: app, allowed_addresses: [10.10.2.100, { ip: 10.10.2.101, mac: 00:00:5e:00:01:07 }] }
  db-1: { network: db, labels: { role: database }, isolated: false }
  db-2: { network: db }
  fw-1: { network: raw, trunk: { 10: web, 20: { network: db, addresses: [10.10.3.9] } }, any_address: true, any_mac: true, may_serve: true }
routers:
  gw: { networks: [web, app, db], routes: [{ to: 0.0.0.0/0, via: 10.10.3.9 }] }
groups:
  web: { match: { vm: \"web-*\" } }
  db: { match: { labels: { role: database } }, ports: [db-2] }
address_groups:
  office: [192.0.2.0/24, 198.51.100.7, \"2001:db8::/32\"]
firewall:
  default: deny
  mode: audit
  rules:
    - { name: users, from: [address-group/office, 203.0.113.0/24], to: group/web, allow: [tcp/443, icmp/8] }
    - { name: no-telnet, from: any, to: any, reject: [tcp/23], log: true }
    - { name: to-db, from: network/app, to: group/db, allow: [tcp/5432], mode: audit }
";

const RAILS: &str = "\
version: 1
rails:
  address_groups:
    management: [192.0.2.0/28]
  rules:
    - { name: no-smtp, from: any, to: any, deny: [tcp/25] }
    - { name: management, from: address-group/management, to: any, allow: [tcp/22] }
";

fn apply(text: &str, intent: &mut Intent) -> Plan {
    let plan = plan_file(&File::parse(text).unwrap(), intent).unwrap();
    let changes = plan.changes();
    changes.iter().for_each(|change| intent.apply(change));
    plan
}

fn project() -> Name {
    "shop".parse().unwrap()
}

#[test]
fn a_plan_says_what_zones_are_made_of() {
    let sentences = apply(SHOP, &mut Intent::default()).sentences();
    let expected = [
        "create network shop/app: VNI 4096, MTU 1530, subnets 10.10.2.0/24, \
         gateways 10.10.2.254, type routed, dhcp on, subnets without dhcp 10.10.2.0/24, \
         lease_time 12h, dhcp routes 192.0.2.0/24 via 10.10.2.9, router_advertisements false, \
         dns domain shop.example, dns servers 192.0.2.53, shut_time 5m",
        "create network shop/db: VNI 4097, MTU 1530, subnets 10.10.3.0/24, isolated true, \
         broadcasts/s 50, unknown/s unlimited",
        "create router shop/gw: networks app db web, routes 0.0.0.0/0 via 10.10.3.9",
        "create port shop/db-1: network db, MAC 02:cb:1e:22:77:a5, addresses 10.10.3.2, \
         labels role=database",
        "create port shop/db-2: network db, MAC 02:a0:a0:e7:10:7b, addresses 10.10.3.3, \
         isolated true",
        "create group shop/db: labels role=database, ports db-2",
        "create address-group shop/office: prefixes 192.0.2.0/24 198.51.100.7/32 2001:db8::/32",
        "create firewall shop: default deny, mode audit",
        "create firewall-rule shop/users: allow tcp/443 icmp/8, \
         from address-group/office 203.0.113.0/24, to group/web",
        "create firewall-rule shop/no-telnet: reject tcp/23, from any, to any, log true",
        "create firewall-rule shop/to-db: allow tcp/5432, from network/app, to group/db, mode audit",
    ];
    for sentence in expected {
        assert!(sentences.iter().any(|it| it == sentence), "{sentences:#?}");
    }
}

#[test]
fn zones_converge_and_their_export_makes_the_same_elsewhere() {
    let mut intent = Intent::default();
    for text in [SHOP, RAILS] {
        assert!(!apply(text, &mut intent).is_empty());
        assert!(apply(text, &mut intent).is_empty());
    }
    let shop = to_yaml(&export(&project(), &intent)).unwrap();
    let rails = to_yaml(&export_rails(&intent)).unwrap();
    let mut elsewhere = Intent::default();
    for text in [&shop, &rails] {
        assert!(apply(text, &mut intent).is_empty());
        apply(text, &mut elsewhere);
    }
    assert_eq!(elsewhere, intent);
    let json = serde_json::to_string(&intent).unwrap();
    assert_eq!(serde_json::from_str::<Intent>(&json).unwrap(), intent);
}

#[test]
fn the_written_order_is_kept_and_one_new_rule_is_one_change() {
    let mut intent = Intent::default();
    apply(SHOP, &mut intent);
    let more = SHOP.replace(
        "    - { name: no-telnet",
        "    - { name: dns, from: any, to: any, allow: [udp/53] }\n    - { name: no-telnet",
    );
    assert_eq!(apply(&more, &mut intent).steps.len(), 1);
    let order = intent.rules_in_order(&project());
    let names: Vec<&str> = order.iter().map(|(name, _)| name.name.as_str()).collect();
    assert_eq!(names, ["users", "dns", "no-telnet", "to-db"]);
    let moved =
        "    - { name: to-db, from: network/app, to: group/db, allow: [tcp/5432], mode: audit }\n";
    let front = more
        .replace(moved, "")
        .replace("  rules:\n", &format!("  rules:\n{moved}"));
    let sentences = apply(&front, &mut intent).sentences();
    let expected = "change firewall-rule shop/to-db: stands elsewhere among the rules";
    assert_eq!(sentences, [expected]);
}

#[test]
fn rails_come_before_the_rules_of_every_project_and_are_always_enforced() {
    let mut intent = Intent::default();
    apply(SHOP, &mut intent);
    apply(RAILS, &mut intent);
    let shop = project();
    let domain = intent.domain(&shop).unwrap();
    let rules: Vec<(String, Mode)> = domain
        .rules()
        .iter()
        .map(|(name, _, mode)| (name.to_string(), *mode))
        .collect();
    let expected = [
        ("rails/no-smtp", Mode::Enforce),
        ("rails/management", Mode::Enforce),
        ("shop/users", Mode::Audit),
        ("shop/no-telnet", Mode::Audit),
        ("shop/to-db", Mode::Audit),
    ];
    assert_eq!(rules, expected.map(|(name, mode)| (name.to_owned(), mode)));
    let orders: Vec<_> = domain
        .rules()
        .iter()
        .map(|(_, rule, _)| rule.order)
        .collect();
    assert!(orders.is_sorted());
    assert_eq!(domain.default(), (RuleAction::Deny, Mode::Audit));
}

#[test]
fn rails_bind_projects_without_a_firewall_and_belong_to_no_project() {
    let mut intent = Intent::default();
    apply(
        "version: 1\nproject: bank\nnetworks: { a: {} }\n",
        &mut intent,
    );
    let bank = "bank".parse().unwrap();
    assert!(intent.domain(&bank).is_none());
    apply(RAILS, &mut intent);
    let domain = intent.domain(&bank).unwrap();
    assert_eq!(domain.default(), (RuleAction::Allow, Mode::Enforce));
    assert_eq!(domain.rules().len(), 2);
    assert_eq!(intent.projects(), [bank]);
}

#[test]
fn taking_the_firewall_out_of_the_file_takes_its_rules_away() {
    let mut intent = Intent::default();
    apply(SHOP, &mut intent);
    let without = &SHOP[..SHOP.find("firewall:").unwrap()];
    let sentences = apply(without, &mut intent).sentences();
    assert_eq!(sentences.len(), 4);
    assert!(sentences[3].starts_with("delete firewall shop: everything passes"));
    assert!(intent.rules.is_empty() && intent.domain(&project()).is_none());
    let gone = plan_delete(&project(), &intent).changes();
    gone.iter().for_each(|change| intent.apply(change));
    assert_eq!(intent, Intent::default());
}
