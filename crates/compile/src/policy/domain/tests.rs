//! Rows against rules, after every step of every change.

mod foreseen;
mod world;

use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::policy::rule::{Action, AddressPrefix, Settings, Verdict};
use crate::policy::samples::{ADDRESSES, Edit, PORTS, edit, edit_policy, host, policy, put_rule};
use crate::policy::{GroupChange, LimitedTable};
use world::{Judgement, Packet, Tables, by_rules, number};

const DOMAIN: DomainId = DomainId(7);
/// Every packet of the small world that these tests live in.
fn packets(scopes: &BTreeSet<u32>) -> Vec<Packet> {
    let addresses: Vec<IpAddr> = ADDRESSES.iter().map(|text| text.parse().unwrap()).collect();
    let mut packets = Vec::new();
    for scope in scopes.iter().copied() {
        for source in &addresses {
            for destination in addresses
                .iter()
                .filter(|other| other.is_ipv4() == source.is_ipv4())
            {
                if source == destination {
                    continue;
                }
                packets.extend(PORTS.iter().map(|(protocol, port)| Packet {
                    scope,
                    source: *source,
                    destination: *destination,
                    protocol: *protocol,
                    port: *port,
                }));
            }
        }
    }
    packets
}

fn place(table: u32, scopes: &BTreeSet<u32>) -> Place {
    Place {
        domain: DOMAIN,
        table,
        generation: table,
        scopes: scopes.clone(),
        limits: Limits::DEFAULT,
    }
}

fn judge_all(tables: &Tables, packets: &[Packet]) -> Vec<Judgement> {
    tables.judge(DOMAIN, packets)
}

fn rules_all(policy: &Policy, packets: &[Packet]) -> Vec<Judgement> {
    packets
        .iter()
        .map(|packet| by_rules(policy, packet))
        .collect()
}

/// Carries an update out and looks at every packet after every step.
fn carry_out(
    tables: &mut Tables,
    update: &Update,
    packets: &[Packet],
    old: &[Judgement],
    new: &[Judgement],
) -> Result<(), TestCaseError> {
    for operation in &update.make {
        tables.apply(operation);
        let verdicts = packets.iter().zip(old).zip(new);
        for (((packet, old), new), now) in verdicts.zip(judge_all(tables, packets)) {
            prop_assert!(
                now == *old || now == *new,
                "{packet:?} is judged {now:?} after {operation:?}: old {old:?}, new {new:?}"
            );
        }
    }
    prop_assert_eq!(&judge_all(tables, packets), new);
    for operation in &update.clean {
        tables.apply(operation);
    }
    prop_assert_eq!(&judge_all(tables, packets), new);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rows_judge_as_rules_do(policy in policy()) {
        let scopes = BTreeSet::from([11, 12]);
        let (_, update) = Domain::compile(place(1, &scopes), &policy, &mut |name| number(name)).unwrap();
        let mut tables = Tables::default();
        tables.apply_all(&update.make);
        prop_assert!(update.clean.is_empty());
        let packets = packets(&scopes);
        prop_assert_eq!(judge_all(&tables, &packets), rules_all(&policy, &packets));
    }

    #[test]
    fn every_step_of_every_change_is_old_or_new(
        mut policy in policy(),
        script in prop::collection::vec(prop::collection::vec(edit(), 1..4), 1..6),
    ) {
        let mut scopes = BTreeSet::from([11, 12]);
        let (mut domain, update) = Domain::compile(place(1, &scopes), &policy, &mut |name| number(name)).unwrap();
        let mut tables = Tables::default();
        tables.apply_all(&update.make);
        for (round, edits) in script.into_iter().enumerate() {
            for edit in &edits {
                if let Edit::Scopes(now) = edit {
                    let before = std::mem::replace(&mut scopes, now.clone());
                    let both: BTreeSet<u32> = before.union(&scopes).copied().collect();
                    for (goal, seen) in [(&both, &before), (&scopes, &scopes)] {
                        let packets = packets(seen);
                        let verdicts = rules_all(&policy, &packets);
                        let (next, update) = domain.set_scopes(&policy, goal.clone()).unwrap();
                        domain = next;
                        carry_out(&mut tables, &update, &packets, &verdicts, &verdicts)?;
                    }
                }
            }
            let mut goal = policy.clone();
            edits.into_iter().for_each(|edit| edit_policy(&mut goal, edit));
            let change = policy.change_to(&goal);
            let packets = packets(&scopes);
            let (old, new) = (rules_all(&policy, &packets), rules_all(&goal, &packets));
            policy.apply(&change);
            prop_assert_eq!(&policy, &goal);
            let generation = domain.row().generation;
            let spare = 100 + round as u32;
            let (next, update) = domain.update(&policy, &change, spare, &mut |name| number(name)).unwrap();
            domain = next;
            prop_assert!(old == new || domain.row().generation > generation);
            carry_out(&mut tables, &update, &packets, &old, &new)?;

            let (_, full) = Domain::compile(place(1, &scopes), &policy, &mut |name| number(name)).unwrap();
            let mut fresh = Tables::default();
            fresh.apply_all(&full.make);
            prop_assert_eq!(tables.sizes(), fresh.sizes());
            prop_assert_eq!(tables.domains[&DOMAIN].kinds, fresh.domains[&DOMAIN].kinds);
        }
        tables.apply_all(&domain.retire().clean);
        prop_assert_eq!(tables, Tables::default());
    }
}

fn allow(order: u32, from: Match<Selector>, to: Match<Selector>, port: u16) -> Rule {
    let range = ServiceRange {
        protocol: 6,
        first: port,
        last: port,
    };
    Rule {
        name: format!("r{order}").into(),
        order,
        from,
        to,
        services: Match::OneOf(vec![range]),
        verdict: Verdict {
            action: Action::Allow,
            log: false,
            audit: false,
        },
    }
}

fn group(name: &str) -> Match<Selector> {
    Match::OneOf(vec![Selector::Group(name.into())])
}

fn three_tiers() -> Policy {
    let member = |address: &str| Element {
        scope: Some(11),
        prefix: host(address),
    };
    let default = Verdict {
        action: Action::Deny,
        log: false,
        audit: false,
    };
    let mut policy = Policy {
        settings: Settings { default, quota: 0 },
        rules: BTreeMap::new(),
        groups: BTreeMap::from([
            (
                "web".into(),
                BTreeSet::from([member("10.0.0.1"), member("fd00::1")]),
            ),
            (
                "app".into(),
                BTreeSet::from([member("10.0.0.2"), member("fd00::2")]),
            ),
            ("db".into(), BTreeSet::from([member("10.0.1.1")])),
        ]),
    };
    put_rule(&mut policy, allow(1, Match::Any, group("web"), 443));
    put_rule(&mut policy, allow(2, group("web"), group("app"), 9000));
    put_rule(&mut policy, allow(3, group("app"), group("db"), 5432));
    policy
}

#[test]
fn who_joins_a_group_costs_one_row() {
    let policy = three_tiers();
    let scopes = BTreeSet::from([11]);
    let (domain, _) =
        Domain::compile(place(1, &scopes), &policy, &mut |name| number(name)).unwrap();
    let joins = vec![
        Element {
            scope: Some(11),
            prefix: host("10.0.0.9"),
        },
        Element {
            scope: Some(11),
            prefix: host("fd00::9"),
        },
    ];
    let change = PolicyChange {
        groups: BTreeMap::from([(
            "web".into(),
            GroupChange {
                joins,
                leaves: Vec::new(),
            },
        )]),
        ..PolicyChange::default()
    };
    let mut after = policy.clone();
    after.apply(&change);
    let (domain, update) = domain
        .update(&after, &change, 2, &mut |name| number(name))
        .unwrap();
    assert_eq!(domain.table(), 1);
    let [
        Operation::PutClass(..),
        Operation::PutClass(..),
        Operation::PutDomain(_, row),
    ] = update.make[..]
    else {
        panic!("{update:?}")
    };
    assert_eq!(row.generation, 2);
    assert_eq!(update.clean, []);
}

#[test]
fn wildcards_keep_tables_small() {
    let policy = three_tiers();
    let (_, update) = Domain::compile(place(1, &BTreeSet::from([11])), &policy, &mut |name| {
        number(name)
    })
    .unwrap();
    let mut tables = Tables::default();
    tables.apply_all(&update.make);
    assert_eq!(tables.sizes(), [1, 6, 3, 3]);
}

#[test]
fn a_policy_that_does_not_fit_names_its_largest_rules() {
    let mut policy = three_tiers();
    let prefixes = (0..40u32).map(|number| {
        let address = IpAddr::from(std::net::Ipv4Addr::from(0x0a0a_0000 + number));
        AddressPrefix::host(address)
    });
    let each: Vec<Selector> = prefixes.map(Selector::Prefix).collect();
    // Every prefix has a rule of its own, so that each is a class of its own.
    for (number, selector) in (10..).zip(&each) {
        let own = Match::OneOf(vec![selector.clone()]);
        put_rule(&mut policy, allow(number, own, Match::Any, 80));
    }
    let all = Match::OneOf(each);
    put_rule(&mut policy, allow(5, all.clone(), all, 80));
    let limits = Limits {
        policies: 200,
        ..Limits::DEFAULT
    };
    let place = Place {
        limits,
        ..place(1, &BTreeSet::from([11]))
    };
    let error = Domain::compile(place, &policy, &mut |name| number(name)).unwrap_err();
    assert_eq!((error.table, error.room), (LimitedTable::Policies, 200));
    assert_eq!(error.largest[0], ("r5".into(), 1600));
    assert!(error.to_string().contains("rule r5 (1600)"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_packet_is_decided_by_an_idle_rule(policy in policy()) {
        let scopes = BTreeSet::from([11, 12]);
        let (domain, _) = Domain::compile(place(1, &scopes), &policy, &mut |name| number(name)).unwrap();
        let idle = domain.idle_rules();
        for packet in packets(&scopes) {
            let (.., decides) = by_rules(&policy, &packet);
            let decider = idle.iter().find(|(name, _)| number(name) == decides);
            prop_assert!(decider.is_none(), "{decider:?} decides about {packet:?}");
        }
        for why in idle.values() {
            if let Idle::Shadowed(by) = why {
                prop_assert!(!by.is_empty() && by.iter().all(|name| policy.rules.contains_key(name)));
            }
        }
    }
}

#[test]
fn rules_behind_others_that_cover_them_are_idle() {
    let of = |from: &str, services: Vec<ServiceRange>| Rule {
        name: "".into(),
        order: 0,
        from: match from {
            "any" => Match::Any,
            group if group.starts_with('g') => Match::OneOf(vec![Selector::Group(group.into())]),
            text => Match::OneOf(vec![Selector::Prefix(crate::policy::samples::prefix(text))]),
        },
        to: Match::Any,
        services: Match::OneOf(services),
        verdict: Verdict {
            action: Action::Allow,
            log: false,
            audit: false,
        },
    };
    let tcp = |first, last| ServiceRange {
        protocol: 6,
        first,
        last,
    };
    let rules = [
        of("10.0.0.0/8", vec![tcp(0, 99)]),
        of("any", vec![tcp(100, 200)]),
        // Covered by both, by one, by none, and naming nobody.
        of("10.0.0.0/24", vec![tcp(50, 150)]),
        of("11.0.0.0/8", vec![tcp(150, 160)]),
        of("11.0.0.0/8", vec![tcp(99, 160)]),
        of("g0", vec![tcp(1, 1)]),
    ];
    let mut policy = Policy {
        settings: Settings {
            default: rules[0].verdict,
            quota: 1,
        },
        rules: Default::default(),
        groups: Default::default(),
    };
    for (place, rule) in (1..).zip(rules) {
        let rule = Rule {
            name: format!("r{place}").into(),
            order: place,
            ..rule
        };
        put_rule(&mut policy, rule);
    }
    let scopes = BTreeSet::from([11]);
    let (domain, _) =
        Domain::compile(place(1, &scopes), &policy, &mut |name| number(name)).unwrap();
    let by = |names: &[&str]| Idle::Shadowed(names.iter().map(|name| Label::from(*name)).collect());
    let expected: BTreeMap<Label, Idle> = [
        ("r3", by(&["r1", "r2"])),
        ("r4", by(&["r2"])),
        ("r6", Idle::Nobody),
    ]
    .map(|(name, why)| (Label::from(name), why))
    .into();
    assert_eq!(domain.idle_rules(), expected);
}
