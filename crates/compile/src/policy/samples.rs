//! A small world for tests: few addresses, prefixes, groups and services, so that rules overlap a lot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::rule::{
    Action, AddressPrefix, Element, Label, Match, Policy, Rule, Selector, ServiceRange, Settings,
    Verdict,
};

pub(super) const SCOPES: [u32; 3] = [11, 12, 13];
pub(super) const ADDRESSES: [&str; 9] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.1.1",
    "11.0.0.1",
    "192.0.2.1",
    "fd00::1",
    "fd00::2",
    "2001:db8::1",
    "::1.2.3.4",
];
pub(super) const PREFIXES: [&str; 12] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/24",
    "10.0.0.0/31",
    "10.0.0.1/32",
    "11.0.0.0/8",
    "::/0",
    "::/64",
    "fd00::/16",
    "fd00::/127",
    "fd00::1/128",
    "2001:db8::/32",
];
pub(super) const PORTS: [(u8, u16); 8] = [
    (6, 80),
    (6, 81),
    (6, 443),
    (6, 9000),
    (17, 53),
    (17, 80),
    (1, 0x0800),
    (47, 0),
];
pub(super) const RANGES: [(u8, u16, u16); 8] = [
    (6, 0, 65535),
    (6, 80, 80),
    (6, 80, 90),
    (6, 81, 10000),
    (17, 53, 53),
    (17, 0, 65535),
    (1, 0x0800, 0x08ff),
    (47, 0, 65535),
];

pub(super) fn prefix(text: &str) -> AddressPrefix {
    let (address, length) = text.split_once('/').unwrap();
    AddressPrefix::new(address.parse().unwrap(), length.parse().unwrap()).unwrap()
}

pub(super) fn host(text: &str) -> AddressPrefix {
    AddressPrefix::host(text.parse().unwrap())
}

pub(super) fn label(kind: &str, number: usize) -> Label {
    format!("{kind}{number}").into()
}

prop_compose! {
    fn selector()(group in any::<bool>(), which in 0usize..12) -> Selector {
        match group {
            true => Selector::Group(label("g", which % 4)),
            false => Selector::Prefix(prefix(PREFIXES[which])),
        }
    }
}

pub(super) fn end() -> impl Strategy<Value = Match<Selector>> {
    prop_oneof![
        1 => Just(Match::Any),
        3 => prop::collection::btree_set(selector(), 0..3).prop_map(|set| Match::OneOf(set.into_iter().collect())),
    ]
}

pub(super) fn services() -> impl Strategy<Value = Match<ServiceRange>> {
    let range = (0..RANGES.len()).prop_map(|which| {
        let (protocol, first, last) = RANGES[which];
        ServiceRange {
            protocol,
            first,
            last,
        }
    });
    prop_oneof![
        1 => Just(Match::Any),
        2 => prop::collection::vec(range, 0..3).prop_map(Match::OneOf),
    ]
}

prop_compose! {
    fn verdict()(action in 0..3, log: bool, audit in prop::bool::weighted(0.2)) -> Verdict {
        let action = [Action::Allow, Action::Deny, Action::Reject][action as usize];
        Verdict { action, log, audit }
    }
}

prop_compose! {
    pub(super) fn rule()(
        name in 0usize..12, order in 0u32..40, from in end(), to in end(), services in services(), verdict in verdict()
    ) -> Rule {
        Rule { name: label("r", name), order, from, to, services, verdict }
    }
}

prop_compose! {
    fn element()(scope in prop::option::weighted(0.8, 0usize..3), wide in prop::bool::weighted(0.2), which in 0usize..12)
        -> Element {
        let prefix = if wide { prefix(PREFIXES[which]) } else { host(ADDRESSES[which % ADDRESSES.len()]) };
        Element { scope: scope.map(|scope| SCOPES[scope]), prefix }
    }
}

prop_compose! {
    fn settings()(default in verdict(), quota in 0u32..3) -> Settings {
        Settings { default, quota }
    }
}

prop_compose! {
    pub(super) fn policy()(
        settings in settings(),
        rules in prop::collection::vec(rule(), 0..10),
        members in prop::collection::vec((0usize..4, element()), 0..12),
    ) -> Policy {
        let mut policy = Policy { settings, rules: BTreeMap::new(), groups: BTreeMap::new() };
        rules.into_iter().for_each(|rule| put_rule(&mut policy, rule));
        for (group, element) in members {
            policy.groups.entry(label("g", group)).or_default().insert(element);
        }
        policy
    }
}

/// Puts a rule at its place, or at the next one that is free.
pub(super) fn put_rule(policy: &mut Policy, mut rule: Rule) {
    policy.rules.remove(&rule.name);
    while policy.rules.values().any(|other| other.order == rule.order) {
        rule.order += 1;
    }
    policy.rules.insert(rule.name.clone(), Arc::new(rule));
}

/// One thing that a user may do.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    Put(Rule),
    Remove(Label),
    Move(Label, u32),
    Shift(u32),
    Toggle(usize, Element),
    Settings(Settings),
    Scopes(BTreeSet<u32>),
}

pub(super) fn edit() -> impl Strategy<Value = Edit> {
    let name = || (0usize..12).prop_map(|name| label("r", name));
    let scopes = prop::collection::btree_set(prop::sample::select(&SCOPES[..]), 1..3);
    prop_oneof![
        3 => rule().prop_map(Edit::Put),
        2 => name().prop_map(Edit::Remove),
        1 => (name(), 0u32..40).prop_map(|(name, order)| Edit::Move(name, order)),
        1 => (0u32..4).prop_map(Edit::Shift),
        4 => (0usize..4, element()).prop_map(|(group, element)| Edit::Toggle(group, element)),
        1 => settings().prop_map(Edit::Settings),
        1 => scopes.prop_map(Edit::Scopes),
    ]
}

pub(super) fn edit_policy(policy: &mut Policy, edit: Edit) {
    match edit {
        Edit::Put(rule) => put_rule(policy, rule),
        Edit::Remove(name) => drop(policy.rules.remove(&name)),
        Edit::Move(name, order) => {
            if let Some(rule) = policy.rules.get(&name) {
                put_rule(
                    policy,
                    Rule {
                        order,
                        ..Rule::clone(rule)
                    },
                );
            }
        }
        Edit::Shift(by) => {
            for rule in policy.rules.values_mut() {
                let order = rule.order + by;
                *rule = Arc::new(Rule {
                    order,
                    ..Rule::clone(rule)
                });
            }
        }
        Edit::Toggle(group, element) => {
            let group = label("g", group);
            let members = policy.groups.entry(group.clone()).or_default();
            if !members.remove(&element) {
                members.insert(element);
            }
            if members.is_empty() {
                policy.groups.remove(&group);
            }
        }
        Edit::Settings(settings) => policy.settings = settings,
        Edit::Scopes(_) => {}
    }
}
