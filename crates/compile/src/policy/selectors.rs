//! Selectors that rules use: their numbers, how many rules use them and what they name.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use super::dimension::{Naming, SelectorId};
use super::prefix::Prefix;
use super::rules::RuleId;

#[derive(Debug, Clone)]
struct Used<S> {
    selector: S,
    /// Rules that have it, and rules that are about to come in.
    users: usize,
    /// What it names.
    extent: BTreeSet<Prefix>,
}

/// The selectors of one dimension.
#[derive(Debug, Clone)]
pub(super) struct Selectors<S> {
    ids: HashMap<S, SelectorId>,
    used: HashMap<SelectorId, Used<S>>,
    last: SelectorId,
}

impl<S> Default for Selectors<S> {
    fn default() -> Self {
        Self {
            ids: HashMap::new(),
            used: HashMap::new(),
            last: 0,
        }
    }
}

impl<S: Clone + Eq + Hash> Selectors<S> {
    pub(super) fn id_of(&self, selector: &S) -> Option<SelectorId> {
        self.ids.get(selector).copied()
    }

    /// All selectors, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SelectorId, &S)> {
        self.used.iter().map(|(id, used)| (*id, &used.selector))
    }

    /// How many rules use a selector.
    pub(super) fn users(&self, id: SelectorId) -> usize {
        self.used.get(&id).map_or(0, |used| used.users)
    }

    /// One more rule uses a selector. If it is new, what it names is asked for and noted.
    pub(super) fn take(
        &mut self,
        selector: &S,
        extent: impl FnOnce() -> BTreeSet<Prefix>,
        namings: &mut Vec<Naming>,
    ) -> SelectorId {
        if let Some(id) = self.ids.get(selector) {
            if let Some(used) = self.used.get_mut(id) {
                used.users += 1;
            }
            return *id;
        }
        self.last += 1;
        let id = self.last;
        let extent = extent();
        namings.extend(extent.iter().map(|prefix| Naming {
            prefix: *prefix,
            selector: id,
            named: true,
        }));
        self.ids.insert(selector.clone(), id);
        let used = Used {
            selector: selector.clone(),
            users: 1,
            extent,
        };
        self.used.insert(id, used);
        id
    }

    /// One rule less uses a selector. After the last one it names nothing.
    pub(super) fn release(&mut self, id: SelectorId, namings: &mut Vec<Naming>) {
        let Some(used) = self.used.get_mut(&id) else {
            return;
        };
        used.users -= 1;
        if used.users > 0 {
            return;
        }
        if let Some(used) = self.used.remove(&id) {
            self.ids.remove(&used.selector);
            namings.extend(used.extent.iter().map(|prefix| Naming {
                prefix: *prefix,
                selector: id,
                named: false,
            }));
        }
    }

    /// A selector starts or ceases to name a prefix. `None` if that is how it was.
    pub(super) fn set(&mut self, id: SelectorId, prefix: Prefix, named: bool) -> Option<Naming> {
        let used = self.used.get_mut(&id)?;
        let news = match named {
            true => used.extent.insert(prefix),
            false => used.extent.remove(&prefix),
        };
        news.then_some(Naming {
            prefix,
            selector: id,
            named,
        })
    }

    /// How many prefixes a selector names.
    pub(super) fn size(&self, id: SelectorId) -> usize {
        self.used.get(&id).map_or(0, |used| used.extent.len())
    }

    /// What all selectors name in one space.
    pub(super) fn in_space(&self, space: u64) -> Vec<(SelectorId, Prefix)> {
        let first = Prefix {
            space,
            bits: 0,
            length: 0,
        };
        let mut found = Vec::new();
        for (id, used) in &self.used {
            let prefixes = used.extent.range(first..=first.last_enclosed());
            found.extend(prefixes.map(|prefix| (*id, *prefix)));
        }
        found.sort_unstable();
        found
    }
}

/// Which rules use which selector in one of their three parts.
#[derive(Debug, Clone, Default)]
pub(super) struct Uses(HashMap<SelectorId, BTreeSet<RuleId>>);

impl Uses {
    pub(super) fn note(&mut self, selectors: Option<&[SelectorId]>, rule: RuleId) {
        for selector in selectors.into_iter().flatten() {
            self.0.entry(*selector).or_default().insert(rule);
        }
    }

    pub(super) fn forget(&mut self, selectors: Option<&[SelectorId]>, rule: RuleId) {
        for selector in selectors.into_iter().flatten() {
            if let Some(rules) = self.0.get_mut(selector) {
                rules.remove(&rule);
                if rules.is_empty() {
                    self.0.remove(selector);
                }
            }
        }
    }

    /// The rules that use one of these.
    pub(super) fn of(&self, selectors: &[SelectorId]) -> BTreeSet<RuleId> {
        let rules = selectors.iter().filter_map(|selector| self.0.get(selector));
        rules.flatten().copied().collect()
    }
}
