//! What proofs say of checks, and how they say it.

use super::*;
use crate::connectivity::prove_after;
use crate::file::File;
use crate::plan::plan_file;

const SHOP: &str = "\
version: 1
project: shop
networks:
  web: { subnets: [10.1.0.0/24, \"fd00:1::/64\"] }
  db: { subnets: [10.2.0.0/24, \"fd00:2::/64\"] }
  far: { subnets: [10.3.0.0/24] }
  flat: { subnets: [10.4.0.0/24], isolated: true }
ports:
  web-1: { network: web }
  web-2: { network: web }
  db-1: { network: db }
  far-1: { network: far }
  flat-1: { network: flat }
  flat-2: { network: flat }
  flat-bare: { network: flat, addresses: [] }
  bare: { network: web, addresses: [] }
routers: { gw: { networks: [web, db] } }
groups:
  web: { match: { vm: \"web-*\" } }
  db: { match: { vm: \"db-*\" } }
  later: { match: { vm: \"later-*\" } }
firewall:
  default: deny
  rules:
    - { name: web-to-db, from: group/web, to: group/db, allow: [tcp/5432, icmp/8] }
    - { name: no-telnet, from: any, to: any, deny: [tcp/23], mode: audit }
    - { name: inside, from: group/web, to: group/web, allow: [any] }
checks:
";

fn proved(checks: &[&str], rails: Option<&str>) -> Vec<(ProofState, String)> {
    let checks = checks.iter().map(|check| format!("  - {check}\n"));
    let text = SHOP.to_owned() + &checks.collect::<String>();
    let mut intent = Intent::default();
    for text in rails.into_iter().chain([text.as_str()]) {
        let plan = plan_file(&File::parse(text).unwrap(), &intent).unwrap();
        let changes = plan.changes();
        let foreseen = prove_after(&plan.project, &intent, &changes);
        changes.iter().for_each(|change| intent.apply(change));
        assert_eq!(foreseen, prove(&plan.project, &intent));
    }
    let proofs = prove(&"shop".parse().unwrap(), &intent).into_iter();
    proofs.map(|it| (it.state, it.sentence)).collect()
}

fn fails(check: &str) -> String {
    let proofs = proved(&[check], None);
    let (state, sentence) = proofs.first().unwrap();
    assert_eq!(*state, ProofState::Fails, "{check}: {sentence}");
    sentence.split_once(", but ").unwrap().1.to_owned()
}

#[test]
fn checks_that_hold() {
    let holding = [
        "{ from: group/web, to: group/db, port: tcp/5432, expect: allow }",
        "{ from: group/web, to: port/db-1, port: icmp/8, expect: allow }",
        "{ from: group/db, to: group/web, port: tcp/5432, expect: deny }",
        "{ from: group/web, to: group/web, port: any, expect: allow }",
        "{ from: [group/web, group/db], to: network/far, port: any, expect: deny }",
        "{ from: network/flat, to: network/flat, port: any, expect: deny }",
    ];
    for (state, sentence) in proved(&holding, None) {
        assert_eq!(state, ProofState::Holds, "{sentence}");
    }
}

#[test]
fn the_sentence_names_what_decides() {
    let told = [
        (
            "{ from: group/web, to: group/db, port: tcp/5432, expect: deny }",
            "web-1 may reach db-1 on tcp/5432 over IPv4: rule web-to-db allows it, and one more pair",
        ),
        (
            "{ from: group/web, to: group/db, port: [tcp/5432, tcp/80], expect: allow }",
            "web-1 may not reach db-1 on tcp/80 over IPv4: no rule says otherwise, and the default denies it, \
             and one more pair",
        ),
        (
            "{ from: port/db-1, to: port/web-1, port: tcp/23, expect: deny }",
            "db-1 may reach web-1 on tcp/23 over IPv4: rule no-telnet would not let it pass, but is only audited",
        ),
        (
            "{ from: port/web-1, to: port/far-1, port: tcp/80, expect: allow }",
            "web-1 does not reach far-1 over IPv4: no router joins networks web and far",
        ),
        (
            "{ from: port/flat-1, to: port/flat-2, port: tcp/80, expect: allow }",
            "flat-1 does not reach flat-2 over IPv4: both are isolated ports of network flat",
        ),
        (
            "{ from: port/flat-bare, to: port/flat-2, port: tcp/80, expect: allow }",
            "flat-bare does not reach flat-2: both are isolated ports of network flat",
        ),
        (
            "{ from: port/bare, to: port/db-1, port: tcp/80, expect: allow }",
            "bare does not reach db-1: a router joins their networks, but one of them has no address",
        ),
    ];
    for (check, sentence) in told {
        assert_eq!(fails(check), sentence);
    }
}

#[test]
fn both_families_are_looked_at() {
    // `icmp` is IPv4's; the other one's echo request is not admitted by any rule.
    let check = "{ from: port/web-1, to: port/db-1, port: [icmp/8, icmpv6/128], expect: allow }";
    assert!(fails(check).starts_with("web-1 may not reach db-1 on icmpv6/128 over IPv6"));
}

#[test]
fn a_check_about_nobody_says_so() {
    let proofs = proved(
        &[
            "{ from: group/later, to: group/db, port: any, expect: deny }",
            "{ from: port/web-1, to: port/web-1, port: any, expect: deny }",
            "{ from: port/far-1, to: port/far-1, port: icmpv6/128, expect: allow }",
        ],
        None,
    );
    for (state, sentence) in &proofs {
        assert_eq!(*state, ProofState::Idle, "{sentence}");
    }
    assert!(
        proofs
            .first()
            .unwrap()
            .1
            .ends_with("group/later has no ports")
    );
}

#[test]
fn rails_break_checks_by_their_name() {
    let rails =
        "version: 1\nrails: { rules: [{ name: no-db, from: any, to: any, deny: [tcp/5432] }] }\n";
    let check = "{ from: port/web-1, to: group/db, port: tcp/5432, expect: allow }";
    let proofs = proved(&[check], Some(rails));
    let (state, sentence) = proofs.first().unwrap();
    assert_eq!(*state, ProofState::Fails);
    assert!(
        sentence.ends_with("the operator's rail no-db denies it"),
        "{sentence}"
    );
}
