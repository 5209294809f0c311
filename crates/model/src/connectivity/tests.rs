//! Sentences for changes that people make.

use super::*;
use crate::file::File;
use crate::name::{NetworkName, RuleName};
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

#[test]
fn a_refusal_names_the_rule_that_was_meant() {
    let mut intent = Intent::default();
    apply(SHOP, &mut intent);
    let networks = ["shop/web", "shop/db"].map(|it| it.parse::<NetworkName>().unwrap());
    let [web, db] = &networks;
    let ruled = |from: (&NetworkName, &str), to: (&NetworkName, &str), service: &str| {
        let end = |(network, address): (_, &str)| (network, address.parse().unwrap());
        let asked = Asked {
            from: end(from),
            to: end(to),
            service: service.parse().unwrap(),
        };
        let ruling = ruling(&intent, asked).unwrap();
        let named = |rule: RuleName| rule.name.to_string();
        let near = ruling.near.map(|it| (named(it.rule), it.but));
        (ruling.rule.map(named), ruling.admits, near)
    };
    let near = |but| (None, false, Some(("sql".to_owned(), but)));
    for (web_1, web_2, db_1) in [
        ("10.1.0.2", "10.1.0.3", "10.2.0.2"),
        ("fd00:1::2", "fd00:1::3", "fd00:2::2"),
    ] {
        let sql = ruled((web, web_1), (db, db_1), "tcp/5432");
        assert_eq!(sql, (Some("sql".to_owned()), true, None));
        let other = ruled((web, web_1), (db, db_1), "tcp/3306");
        assert_eq!(other, near(Obstacle::Service("tcp/5432".to_owned())));
        let back = ruled((db, db_1), (web, web_1), "tcp/5432");
        assert_eq!(back, near(Obstacle::Direction));
        let aside = ruled((web, web_1), (web, web_2), "tcp/5432");
        assert_eq!(aside, near(Obstacle::To("group/db".to_owned())));
        let nobody = ruled((web, "10.1.0.99"), (db, db_1), "tcp/5432");
        if web_1.contains('.') {
            assert_eq!(nobody, near(Obstacle::From("group/web".to_owned())));
        }
        assert_eq!(
            ruled((web, web_1), (db, db_1), "udp/9"),
            near(Obstacle::Service("tcp/5432".to_owned()))
        );
        assert_eq!(
            ruled((web, web_1), (web, web_2), "udp/9"),
            (None, false, None)
        );
    }
}
