//! The price of a policy by its number of rules: all of it from nothing, one rule changed, one VM that
//! joins a group. The two steps must not depend on the number.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use coax_compile::policy::{
    Action, AddressPrefix, Domain, Element, GroupChange, Label, Limits, Match, Place, Policy,
    PolicyChange, Rule, Selector, ServiceRange, Settings, Update, Verdict,
};
use coax_tables::DomainId;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const SCOPE: u32 = 4096;
const GROUPS: u32 = 50;
const MEMBERS: u32 = 20;

fn group(number: u32) -> Label {
    format!("group/g{}", number % GROUPS).into()
}

fn verdict(action: Action) -> Verdict {
    Verdict {
        action,
        log: false,
        audit: false,
    }
}

fn member(number: u32) -> Element {
    let address = IpAddr::from(Ipv4Addr::from(0x0a00_0000 + number));
    Element {
        scope: Some(SCOPE),
        prefix: AddressPrefix::host(address),
    }
}

/// Half of the rules let one machine outside into a group, half let a group into another one.
fn rule(number: u32, action: Action) -> Arc<Rule> {
    let outside = IpAddr::from(Ipv4Addr::from(0xc612_0000 + number));
    let from = match number % 2 {
        0 => Selector::Prefix(AddressPrefix::host(outside)),
        _ => Selector::Group(group(number / 2)),
    };
    let port = (number % 50_000) as u16 + 1;
    let services = vec![ServiceRange {
        protocol: if number.is_multiple_of(3) { 17 } else { 6 },
        first: port,
        last: port,
    }];
    Arc::new(Rule {
        name: format!("shop/rule-{number}").into(),
        order: (1 << 30) + number * 16_384,
        from: Match::OneOf(vec![from]),
        to: Match::OneOf(vec![Selector::Group(group(number / 2 + number / 100))]),
        services: Match::OneOf(services),
        verdict: verdict(action),
    })
}

fn policy(rules: u32) -> Policy {
    let rules = (0..rules).map(|number| {
        let rule = rule(number, Action::Allow);
        (rule.name.clone(), rule)
    });
    let groups = (0..GROUPS).map(|number| {
        let members = (0..MEMBERS).map(|index| member(number * MEMBERS + index));
        (group(number), BTreeSet::from_iter(members))
    });
    Policy {
        settings: Settings {
            default: verdict(Action::Deny),
            quota: 0,
        },
        rules: rules.collect(),
        groups: groups.collect(),
    }
}

fn compile(policy: &Policy) -> (Domain, Update) {
    let place = Place {
        domain: DomainId(1),
        table: 1,
        generation: 1,
        scopes: BTreeSet::from([SCOPE]),
        limits: Limits::DEFAULT,
    };
    Domain::compile(place, policy, &mut |_| 1).unwrap()
}

/// A change and its opposite, again and again.
fn toggle(
    bench: &mut criterion::Bencher<'_>,
    mut policy: Policy,
    changes: [PolicyChange; 2],
    most_operations: usize,
) {
    let mut domain = Some(compile(&policy).0);
    let mut turn = 0;
    let (domain, policy) = (&mut domain, &mut policy);
    bench.iter_batched(
        || (),
        |()| {
            let change = &changes[turn % 2];
            turn += 1;
            policy.apply(change);
            let held = domain.take().unwrap();
            let (next, update) = held.update(policy, change, 2, &mut |_| 1).unwrap();
            assert!(next.table() == 1 && update.make.len() <= most_operations);
            *domain = Some(next);
            black_box(update)
        },
        BatchSize::PerIteration,
    );
}

fn policies(criterion: &mut Criterion) {
    for rules in [10, 1_000, 100_000] {
        let policy = policy(rules);
        let mut group_of = criterion.benchmark_group(format!("{rules}_rules"));
        group_of.sample_size(if rules > 1_000 { 10 } else { 50 });
        group_of.bench_function("from_nothing", |bench| {
            bench.iter(|| black_box(compile(&policy)));
        });
        let to = |action| PolicyChange {
            rules: vec![rule(rules / 2 + 1, action)],
            ..PolicyChange::default()
        };
        group_of.bench_function("one_rule_changed", |bench| {
            toggle(
                bench,
                policy.clone(),
                [to(Action::Deny), to(Action::Allow)],
                16,
            );
        });
        let new = vec![member(GROUPS * MEMBERS)];
        let step = |change| PolicyChange {
            groups: BTreeMap::from([(group(1), change)]),
            ..PolicyChange::default()
        };
        let joins = step(GroupChange {
            joins: new.clone(),
            leaves: Vec::new(),
        });
        let leaves = step(GroupChange {
            joins: Vec::new(),
            leaves: new,
        });
        group_of.bench_function("one_member_joins_or_leaves", |bench| {
            toggle(bench, policy.clone(), [joins.clone(), leaves.clone()], 2);
        });
        group_of.finish();
    }
}

criterion_group!(benches, policies);
criterion_main!(benches);
