//! The groups that the rules of one project name, with who brings which address into them.
//!
//! Two ports may bring the same address (a virtual one that they share), so addresses are counted.

use std::collections::{BTreeMap, BTreeSet};

use coax_model::{
    FirewallRule, GroupName, Intent, Name, PortName, Selector as Named, addresses_of,
};

use super::convert;
use crate::policy::change::GroupChange;
use crate::policy::rule::{Element, Label, Match, Rule, Selector};

/// A group that rules name.
#[derive(Debug)]
struct Group {
    named: Named,
    /// The project that the name belongs to.
    owner: Name,
    /// Ends of rules that name it.
    users: usize,
    /// What each port brings; `None`: what the object itself says.
    sources: BTreeMap<Option<PortName>, Vec<Element>>,
    /// How many bring an address.
    counts: BTreeMap<Element, usize>,
}

/// All groups that rules of a project name.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<Label, Group>,
    /// Elements that may have come or gone since the last [`Groups::news`].
    touched: BTreeSet<(Label, Element)>,
}

impl Groups {
    /// A rule comes in: what it names is looked up, if no rule named it before.
    pub(super) fn take(
        &mut self,
        intent: &Intent,
        project: &Name,
        owner: &Name,
        rule: &FirewallRule,
    ) {
        for end in [&rule.from, &rule.to] {
            if end.contains(&Named::Any) {
                continue;
            }
            let labels = end.iter().filter(|it| !matches!(it, Named::Prefix(_)));
            let labels: BTreeMap<Label, &Named> = labels
                .map(|named| (convert::label(named, owner), named))
                .collect();
            for (label, named) in labels {
                if let Some(group) = self.groups.get_mut(&label) {
                    group.users += 1;
                    continue;
                }
                let group = Group {
                    named: named.clone(),
                    owner: owner.clone(),
                    users: 1,
                    sources: BTreeMap::new(),
                    counts: BTreeMap::new(),
                };
                self.groups.insert(label.clone(), group);
                self.refresh(intent, project, &label);
            }
        }
    }

    /// A rule goes: what no other rule names is forgotten.
    pub(super) fn release(&mut self, rule: &Rule) {
        for end in [&rule.from, &rule.to] {
            let Match::OneOf(selectors) = end else {
                continue;
            };
            for selector in selectors {
                let Selector::Group(label) = selector else {
                    continue;
                };
                let Some(group) = self.groups.get_mut(label) else {
                    continue;
                };
                group.users -= 1;
                if group.users == 0 {
                    let gone = group.counts.keys().map(|element| (label.clone(), *element));
                    self.touched.extend(gone);
                    self.groups.remove(label);
                }
            }
        }
    }

    /// Looks a group up again.
    pub(super) fn refresh(&mut self, intent: &Intent, project: &Name, label: &Label) {
        let Some(group) = self.groups.get(label) else {
            return;
        };
        let sources: BTreeMap<Option<PortName>, Vec<Element>> = match &group.named {
            Named::Group(name) => {
                let name = GroupName::new(project.clone(), name.clone());
                let members = intent.members(&name);
                members
                    .map(|(name, _)| (Some(name.clone()), brings(intent, name)))
                    .collect()
            }
            other => {
                let named = intent.named_by(other, &group.owner, project);
                let elements = named
                    .iter()
                    .filter_map(|it| convert::element(intent, project, it));
                BTreeMap::from([(None, elements.collect())])
            }
        };
        let gone = group.sources.keys().filter(|it| !sources.contains_key(*it));
        let gone: Vec<Option<PortName>> = gone.cloned().collect();
        for source in gone {
            self.set(label, source, Vec::new());
        }
        for (source, elements) in sources {
            self.set(label, source, elements);
        }
    }

    /// Looks all groups up again.
    pub(super) fn refresh_all(&mut self, intent: &Intent, project: &Name) {
        let labels: Vec<Label> = self.groups.keys().cloned().collect();
        for label in labels {
            self.refresh(intent, project, &label);
        }
    }

    /// Looks up again in which groups a port is.
    pub(super) fn refresh_port(&mut self, intent: &Intent, name: &PortName) {
        let port = intent.ports.get(name);
        let labels: Vec<(Label, bool)> = self
            .groups
            .iter()
            .filter_map(|(label, group)| {
                let Named::Group(group) = &group.named else {
                    return None;
                };
                let group = GroupName::new(name.project.clone(), group.clone());
                let group = intent.groups.get(&group);
                let has = group
                    .zip(port)
                    .is_some_and(|(group, port)| group.has(&name.name, port));
                Some((label.clone(), has))
            })
            .collect();
        for (label, has) in labels {
            let elements = if has {
                brings(intent, name)
            } else {
                Vec::new()
            };
            self.set(&label, Some(name.clone()), elements);
        }
    }

    /// Brings the elements of groups to what they are now, and tells what is different.
    pub(super) fn news(
        &mut self,
        held: &mut BTreeMap<Label, BTreeSet<Element>>,
    ) -> BTreeMap<Label, GroupChange> {
        let mut changes: BTreeMap<Label, GroupChange> = BTreeMap::new();
        for (label, element) in std::mem::take(&mut self.touched) {
            let there = self
                .groups
                .get(&label)
                .is_some_and(|it| it.counts.contains_key(&element));
            let group = held.entry(label.clone()).or_default();
            let news = if there {
                group.insert(element)
            } else {
                group.remove(&element)
            };
            if group.is_empty() {
                held.remove(&label);
            }
            if news {
                let change = changes.entry(label).or_default();
                let list = if there {
                    &mut change.joins
                } else {
                    &mut change.leaves
                };
                list.push(element);
            }
        }
        changes
    }

    fn set(&mut self, label: &Label, source: Option<PortName>, mut elements: Vec<Element>) {
        let Some(group) = self.groups.get_mut(label) else {
            return;
        };
        elements.sort_unstable();
        elements.dedup();
        let before = match elements.is_empty() {
            true => group.sources.remove(&source),
            false => group.sources.insert(source, elements.clone()),
        };
        let before = before.unwrap_or_default();
        if before == elements {
            return;
        }
        for element in &elements {
            *group.counts.entry(*element).or_default() += 1;
        }
        for element in &before {
            if let Some(count) = group.counts.get_mut(element) {
                *count -= 1;
                if *count == 0 {
                    group.counts.remove(element);
                }
            }
        }
        let touched = elements.into_iter().chain(before);
        self.touched
            .extend(touched.map(|element| (label.clone(), element)));
    }
}

/// The addresses that a port brings into its groups.
fn brings(intent: &Intent, name: &PortName) -> Vec<Element> {
    let port = intent.ports.get(name).into_iter();
    let named = port.flat_map(addresses_of);
    named
        .filter_map(|named| convert::element(intent, &name.project, &named))
        .collect()
}
