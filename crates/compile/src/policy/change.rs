//! The step from a policy to a later one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::rule::{Element, Label, Policy, Rule, Settings};

/// Who joins and who leaves a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupChange {
    /// Elements that come.
    pub joins: Vec<Element>,
    /// Elements that go.
    pub leaves: Vec<Element>,
}

/// What is different in a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyChange {
    /// What holds for the whole policy, if it changed.
    pub settings: Option<Settings>,
    /// Rules that are new, different or elsewhere.
    pub rules: Vec<Arc<Rule>>,
    /// Rules that go, by name.
    pub removed: Vec<Label>,
    /// Groups with other members.
    pub groups: BTreeMap<Label, GroupChange>,
}

impl PolicyChange {
    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes another step right after this one, as if both were one.
    pub fn then(&mut self, later: Self) {
        self.settings = later.settings.or(self.settings);
        let names = later.rules.iter().map(|rule| &rule.name);
        let again: HashSet<&Label> = names.chain(&later.removed).collect();
        self.rules.retain(|rule| !again.contains(&rule.name));
        self.removed.retain(|name| !again.contains(name));
        self.rules.extend(later.rules);
        self.removed.extend(later.removed);
        for (name, change) in later.groups {
            let group = self.groups.entry(name).or_default();
            for element in change.leaves {
                move_over(element, &mut group.joins, &mut group.leaves);
            }
            for element in change.joins {
                move_over(element, &mut group.leaves, &mut group.joins);
            }
        }
    }
}

/// Takes an element out of one list, or puts it into the other one where it was in none.
fn move_over(element: Element, from: &mut Vec<Element>, to: &mut Vec<Element>) {
    match from.iter().position(|other| *other == element) {
        Some(place) => drop(from.swap_remove(place)),
        None => to.push(element),
    }
}

impl Policy {
    /// Takes a step.
    pub fn apply(&mut self, change: &PolicyChange) {
        if let Some(settings) = change.settings {
            self.settings = settings;
        }
        for name in &change.removed {
            self.rules.remove(name);
        }
        let rules = change.rules.iter();
        self.rules
            .extend(rules.map(|rule| (rule.name.clone(), rule.clone())));
        for (name, change) in &change.groups {
            let group = self.groups.entry(name.clone()).or_default();
            for element in &change.leaves {
                group.remove(element);
            }
            group.extend(&change.joins);
            if group.is_empty() {
                self.groups.remove(name);
            }
        }
    }

    /// The step from this policy to another one.
    pub fn change_to(&self, goal: &Self) -> PolicyChange {
        let different = |(name, rule): &(&Label, &Arc<Rule>)| self.rules.get(*name) != Some(*rule);
        let rules = goal.rules.iter().filter(different);
        let removed = self
            .rules
            .keys()
            .filter(|name| !goal.rules.contains_key(*name));
        let settings = (self.settings != goal.settings).then_some(goal.settings);
        PolicyChange {
            settings,
            rules: rules.map(|(_, rule)| rule.clone()).collect(),
            removed: removed.cloned().collect(),
            groups: groups_between(&self.groups, &goal.groups),
        }
    }
}

fn groups_between(
    old: &BTreeMap<Label, BTreeSet<Element>>,
    new: &BTreeMap<Label, BTreeSet<Element>>,
) -> BTreeMap<Label, GroupChange> {
    let nobody = BTreeSet::new();
    let names: BTreeSet<&Label> = old.keys().chain(new.keys()).collect();
    let mut changes = BTreeMap::new();
    for name in names {
        let before = old.get(name).unwrap_or(&nobody);
        let after = new.get(name).unwrap_or(&nobody);
        if before != after {
            let change = GroupChange {
                joins: after.difference(before).copied().collect(),
                leaves: before.difference(after).copied().collect(),
            };
            changes.insert(name.clone(), change);
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::policy::samples::{edit, edit_policy, policy};

    proptest! {
        #[test]
        fn two_steps_are_as_good_as_one(
            policy in policy(),
            first in prop::collection::vec(edit(), 0..4),
            second in prop::collection::vec(edit(), 0..4),
        ) {
            let mut middle = policy.clone();
            first.into_iter().for_each(|edit| edit_policy(&mut middle, edit));
            let mut goal = middle.clone();
            second.into_iter().for_each(|edit| edit_policy(&mut goal, edit));
            let mut change = policy.change_to(&middle);
            change.then(middle.change_to(&goal));
            let mut reached = policy.clone();
            reached.apply(&change);
            prop_assert_eq!(reached, goal);
        }
    }
}
