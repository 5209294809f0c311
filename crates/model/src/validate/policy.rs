//! Whether groups, firewall rules and rails keep the rules.

use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;

use crate::check::{Check, CheckSide};
use crate::diagnostic::FieldPath;
use crate::file::{FirewallEntry, RailsEntry, RuleEntry, StackFile};
use crate::firewall::Selector;
use crate::group::AddressGroup;
use crate::name::Name;
use crate::plan::Kind;
use crate::rule::{
    MAX_CHECKS, MAX_GROUPS, MAX_IN_RULE, MAX_LABELS, MAX_PREFIXES, MAX_RAILS, MAX_RULES,
    PolicyRule, Refusals, Rule,
};
use crate::written::is_default;

/// Checks a project's groups and firewall.
pub fn check(file: &StackFile, refusals: &mut Refusals) {
    if file.project.is_rails() {
        refusals.push(FieldPath::keys(&["project"]), PolicyRule::ProjectReserved);
    }
    for (name, entry) in &file.ports {
        let path = FieldPath::keys(&["ports", name.as_str(), "labels"]);
        limit("labels", entry.labels.len(), MAX_LABELS, path, refusals);
    }
    check_groups(file, refusals);
    check_address_groups(
        &file.address_groups,
        &FieldPath::keys(&["address_groups"]),
        refusals,
    );
    if let Some(FirewallEntry { rules, .. }) = &file.firewall {
        let path = FieldPath::keys(&["firewall", "rules"]);
        limit("rules", rules.len(), MAX_RULES, path.clone(), refusals);
        check_rules(rules, &path, refusals, |selector| known(selector, file));
    }
    let path = FieldPath::keys(&["checks"]);
    limit(
        "checks",
        file.checks.len(),
        MAX_CHECKS,
        path.clone(),
        refusals,
    );
    for (index, check) in file.checks.iter().enumerate() {
        check_check(check, &path.item(index), file, refusals);
    }
}

/// Checks the operator's rails.
pub fn check_rails(rails: &RailsEntry, refusals: &mut Refusals) {
    let path = FieldPath::keys(&["rails", "address_groups"]);
    check_address_groups(&rails.address_groups, &path, refusals);
    let path = FieldPath::keys(&["rails", "rules"]);
    limit(
        "rails",
        rails.rules.len(),
        MAX_RAILS,
        path.clone(),
        refusals,
    );
    check_rules(&rails.rules, &path, refusals, |selector| match selector {
        Selector::AddressGroup(name) if !rails.address_groups.contains_key(name) => Err(
            Rule::unknown(Kind::AddressGroup, name, rails.address_groups.keys()),
        ),
        _ => Ok(()),
    });
    for (index, rule) in rails.rules.iter().enumerate() {
        for (field, side) in [("from", &rule.from), ("to", &rule.to)] {
            let projects = |it: &&Selector| matches!(it, Selector::Group(_) | Selector::Network(_));
            if let Some(selector) = side.iter().find(projects) {
                let rule = PolicyRule::RailSelector {
                    rule: rule.name.clone(),
                    selector: selector.clone(),
                };
                refusals.push(path.item(index).key(field), rule);
            }
        }
    }
}

fn limit(what: &'static str, count: usize, max: usize, path: FieldPath, refusals: &mut Refusals) {
    if count > max {
        refusals.push(path, Rule::TooMany { what, count, max });
    }
}

fn check_groups(file: &StackFile, refusals: &mut Refusals) {
    let path = FieldPath::keys(&["groups"]);
    limit(
        "groups",
        file.groups.len(),
        MAX_GROUPS,
        path.clone(),
        refusals,
    );
    for (name, entry) in &file.groups {
        let path = path.key(name.as_str());
        if is_default(&entry.matching) && entry.ports.is_empty() {
            refusals.push(path.clone(), PolicyRule::GroupEmpty { name: name.clone() });
        }
        for (index, port) in entry.ports.iter().enumerate() {
            if !file.ports.contains_key(port) {
                let rule = Rule::unknown(Kind::Port, port, file.ports.keys());
                refusals.push(path.key("ports").item(index), rule);
            }
        }
    }
}

fn check_address_groups(
    groups: &BTreeMap<Name, AddressGroup>,
    path: &FieldPath,
    refusals: &mut Refusals,
) {
    limit(
        "address groups",
        groups.len(),
        MAX_GROUPS,
        path.clone(),
        refusals,
    );
    for (name, group) in groups {
        let path = path.key(name.as_str());
        limit(
            "prefixes",
            group.prefixes.len(),
            MAX_PREFIXES,
            path,
            refusals,
        );
    }
}

/// Whether what a project's rule names is in the project's file.
fn known(selector: &Selector, file: &StackFile) -> Result<(), Rule> {
    match selector {
        Selector::Any | Selector::Prefix(_) => Ok(()),
        Selector::Group(name) => among(Kind::Group, name, &file.groups),
        Selector::AddressGroup(name) => among(Kind::AddressGroup, name, &file.address_groups),
        Selector::Network(name) => among(Kind::Network, name, &file.networks),
    }
}

fn check_check(check: &Check, path: &FieldPath, file: &StackFile, refusals: &mut Refusals) {
    for (field, side) in [("from", &check.from), ("to", &check.to)] {
        let path = path.key(field);
        if side.is_empty() {
            refusals.push(path.clone(), PolicyRule::CheckEmpty { field });
        }
        limit("names", side.len(), MAX_IN_RULE, path.clone(), refusals);
        for (index, side) in side.iter().enumerate() {
            let known = match side {
                CheckSide::Any => Ok(()),
                CheckSide::Group(name) => among(Kind::Group, name, &file.groups),
                CheckSide::Network(name) => among(Kind::Network, name, &file.networks),
                CheckSide::Port(name) => among(Kind::Port, name, &file.ports),
            };
            if let Err(unknown) = known {
                refusals.push(path.item(index), unknown);
            }
        }
    }
    let path = path.key("port");
    if check.services.is_empty() {
        refusals.push(path.clone(), PolicyRule::CheckEmpty { field: "port" });
    }
    limit(
        "services",
        check.services.len(),
        MAX_IN_RULE,
        path,
        refusals,
    );
}

fn among<T>(kind: Kind, name: &Name, objects: &BTreeMap<Name, T>) -> Result<(), Rule> {
    if objects.contains_key(name) {
        Ok(())
    } else {
        Err(Rule::unknown(kind, name, objects.keys()))
    }
}

fn check_rules(
    rules: &[RuleEntry],
    path: &FieldPath,
    refusals: &mut Refusals,
    known: impl Fn(&Selector) -> Result<(), Rule>,
) {
    let mut names: HashMap<&Name, usize> = HashMap::new();
    for (index, rule) in rules.iter().enumerate() {
        let path = path.item(index);
        let name = || rule.name.clone();
        if let Some(first) = names.get(&rule.name) {
            let (name, number) = (name(), first + 1);
            refusals.push(path.key("name"), PolicyRule::NameTaken { name, number });
        } else {
            names.insert(&rule.name, index);
        }
        for (field, side) in [("from", &rule.from), ("to", &rule.to)] {
            let path = path.key(field);
            if side.is_empty() {
                let rule = name();
                refusals.push(path.clone(), PolicyRule::Empty { rule, field });
            }
            limit_within(rule, "selectors", side.len(), path.clone(), refusals);
            for (index, selector) in side.iter().enumerate() {
                if let Err(unknown) = known(selector) {
                    refusals.push(path.item(index), within(rule, unknown));
                }
            }
        }
        check_action(rule, &path, refusals);
        if let Some((from, to)) = strangers(&rule.from, &rule.to) {
            let rule = name();
            let (from, to) = (from.clone(), to.clone());
            refusals.push(path.key("from"), PolicyRule::Families { rule, from, to });
        }
    }
}

/// A broken rule of the file, said of the firewall rule that breaks it.
fn within(entry: &RuleEntry, broken: Rule) -> PolicyRule {
    PolicyRule::Within {
        rule: entry.name.clone(),
        broken: Box::new(broken),
    }
}

fn limit_within(
    entry: &RuleEntry,
    what: &'static str,
    count: usize,
    path: FieldPath,
    refusals: &mut Refusals,
) {
    let max = MAX_IN_RULE;
    if count > max {
        refusals.push(path, within(entry, Rule::TooMany { what, count, max }));
    }
}

fn check_action(rule: &RuleEntry, path: &FieldPath, refusals: &mut Refusals) {
    let actions = rule.actions();
    let name = rule.name.clone();
    match actions.as_slice() {
        [(action, services)] => {
            let path = path.key(action.name());
            if services.is_empty() {
                let (rule, field) = (name, action.name());
                refusals.push(path.clone(), PolicyRule::Empty { rule, field });
            }
            limit_within(rule, "services", services.len(), path, refusals);
        }
        [] => {
            let rule = PolicyRule::Action { name, actions: 0 };
            refusals.push(path.key("name"), rule);
        }
        [_, (second, _), ..] => {
            let actions = actions.len();
            let rule = PolicyRule::Action { name, actions };
            refusals.push(path.key(second.name()), rule);
        }
    }
}

/// A selector of each side, if both sides are prefixes and no two of them are of one family.
fn strangers<'a>(from: &'a [Selector], to: &'a [Selector]) -> Option<(&'a Selector, &'a Selector)> {
    let family = |side: &[Selector]| {
        let mut families = side.iter().map(|selector| match selector {
            Selector::Prefix(prefix) => Some(matches!(prefix, IpNet::V4(_))),
            _ => None,
        });
        let first = families.next()??;
        families
            .all(|family| family == Some(first))
            .then_some(first)
    };
    let differ = family(from)? != family(to)?;
    differ.then_some((from.first()?, to.first()?))
}
