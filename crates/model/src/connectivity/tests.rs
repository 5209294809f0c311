//! Sentences for changes that people make.

use super::*;
use crate::file::File;
use crate::plan::{plan_delete, plan_file};

const SHOP: &str = "\
version: 1
project: shop
networks:
  web: { subnets: [10.1.0.0/24, \"fd00:1::/64\"] }
  db: { subnets: [10.2.0.0/24, \"fd00:2::/64\"] }
ports:
  web-1: { network: web }
  web-2: { network: web }
  db-1: { network: db }
  db-2: { network: db }
routers: { gw: { networks: [web, db] } }
groups:
  web: { match: { vm: \"web-*\" } }
  db: { match: { vm: \"db-*\" } }
firewall:
  default: deny
  rules:
    - { name: ping, from: any, to: any, allow: [icmp, icmpv6] }
    - { name: sql, from: group/web, to: group/db, allow: [tcp/5432] }
";

fn apply(text: &str, intent: &mut Intent) -> Difference {
    let file = File::parse(text).unwrap();
    let changes = plan_file(&file, intent).unwrap().changes();
    let shop: Name = "shop".parse().unwrap();
    let difference = connectivity(&shop, intent, &changes);
    changes.iter().for_each(|change| intent.apply(change));
    difference
}

fn said(gained: &[&str], lost: &[&str]) -> Difference {
    let said = |lines: &[&str]| lines.iter().map(ToString::to_string).collect();
    Difference {
        gained: said(gained),
        lost: said(lost),
    }
}

#[test]
fn a_rule_that_comes_or_goes_is_a_sentence() {
    let mut intent = Intent::default();
    let first = apply(SHOP, &mut intent);
    assert_eq!(
        first,
        said(
            &[
                "db-* may now reach every port of shop on icmp, icmpv6",
                "web-* may now reach db-* on icmp, tcp/5432, icmpv6",
                "web-* may now reach each other on icmp, icmpv6",
            ],
            &[]
        )
    );
    assert_eq!(apply(SHOP, &mut intent), Difference::default());
    let more = SHOP.replace("tcp/5432", "tcp/5432, tcp/443");
    let gained = ["web-* may now reach db-* on tcp/443"];
    assert_eq!(apply(&more, &mut intent), said(&gained, &[]));
    // A rule before it takes away what it allows, and only from one.
    let deny = "  rules:\n    - { name: no, from: 10.1.0.2, to: any, deny: [tcp] }\n";
    let less = more.replace("  rules:\n", deny);
    let lost = ["web-1 may no longer reach db-* on tcp/443, tcp/5432"];
    let difference = apply(&less, &mut intent);
    // Over IPv6 it still may.
    assert_eq!(difference, Difference::default());
    let both = less.replace("from: 10.1.0.2", "from: [10.1.0.2, \"fd00:1::2\"]");
    assert_eq!(apply(&both, &mut intent), said(&[], &lost));
}

#[test]
fn routers_networks_and_default_decide_as_well() {
    let mut intent = Intent::default();
    apply(SHOP, &mut intent);
    let apart = SHOP.replace("routers: { gw: { networks: [web, db] } }\n", "");
    let lost = [
        "db-* may no longer reach web-* on icmp, icmpv6",
        "web-* may no longer reach db-* on icmp, tcp/5432, icmpv6",
    ];
    assert_eq!(apply(&apart, &mut intent), said(&[], &lost));
    let open = apart.replace("default: deny", "default: allow");
    let gained = [
        "db-* may now reach each other on everything but icmp, icmpv6",
        "web-* may now reach each other on everything but icmp, icmpv6",
    ];
    assert_eq!(apply(&open, &mut intent), said(&gained, &[]));
    let alone = open.replace(
        "web-1: { network: web }",
        "web-1: { network: web, isolated: true }",
    );
    assert_eq!(
        apply(&alone, &mut intent),
        Difference::default(),
        "one of two is none"
    );
    let alone = alone.replace(
        "web-2: { network: web }",
        "web-2: { network: web, isolated: true }",
    );
    let lost = [
        "web-1 may no longer reach web-2 on everything",
        "web-2 may no longer reach web-1 on everything",
    ];
    assert_eq!(apply(&alone, &mut intent), said(&[], &lost));
    let audit = alone.replace("default: allow", "default: deny\n  mode: audit");
    assert_eq!(apply(&audit, &mut intent), Difference::default());
}

#[test]
fn rails_take_from_projects_and_what_goes_reaches_nobody() {
    let mut intent = Intent::default();
    apply(SHOP, &mut intent);
    let rails = "version: 1\nrails:\n  rules:\n    - { name: no-sql, from: any, to: any, deny: [tcp/5432] }\n";
    let lost = ["web-* may no longer reach db-* on tcp/5432"];
    assert_eq!(apply(rails, &mut intent), said(&[], &lost));
    let shop: Name = "shop".parse().unwrap();
    let gone = plan_delete(&shop, &intent).changes();
    let difference = connectivity(&shop, &intent, &gone);
    assert_eq!(difference.gained, [""; 0]);
    assert_eq!(
        difference.lost,
        ["every port of shop may no longer reach each other on icmp, icmpv6"]
    );
}

#[test]
fn a_member_that_joins_gains_what_the_group_has() {
    let mut intent = Intent::default();
    apply(SHOP, &mut intent);
    let more = SHOP.replace("  db-1:", "  web-3: { network: web }\n  db-1:");
    let difference = apply(&more, &mut intent);
    assert!(difference.lost.is_empty());
    assert!(
        difference
            .gained
            .iter()
            .any(|it| it.starts_with("web-3 may now reach db-* on icmp, tcp/5432")),
        "{difference:?}"
    );
}
