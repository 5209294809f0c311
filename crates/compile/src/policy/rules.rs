//! The rules of a domain.

use std::collections::HashMap;
use std::sync::Arc;

use coax_tables::PolicyRow;

use super::cells::Placed;
use super::dimension::SelectorId;
use super::rule::{Label, Rule};

/// A rule, by its number in a domain. Another version of a rule is another rule.
pub(super) type RuleId = u32;

/// A rule as a domain has it. `None` where it names everything.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) rule: Arc<Rule>,
    pub(super) from: Option<Vec<SelectorId>>,
    pub(super) to: Option<Vec<SelectorId>>,
    pub(super) services: Option<Vec<SelectorId>>,
    pub(super) row: PolicyRow,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    known: HashMap<RuleId, Arc<Known>>,
    by_name: HashMap<Label, RuleId>,
    last: RuleId,
}

impl Rules {
    pub(super) fn get(&self, id: RuleId) -> Option<&Arc<Known>> {
        self.known.get(&id)
    }

    pub(super) fn id_of(&self, name: &str) -> Option<RuleId> {
        self.by_name.get(name).copied()
    }

    /// All rules, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Known> {
        self.known.values().map(AsRef::as_ref)
    }

    /// Takes a rule in. One of the same name loses its name.
    pub(super) fn insert(&mut self, known: Known) -> Placed {
        self.last += 1;
        let placed = Placed {
            order: known.row.order,
            rule: self.last,
        };
        self.by_name.insert(known.rule.name.clone(), placed.rule);
        self.known.insert(placed.rule, Arc::new(known));
        placed
    }

    pub(super) fn remove(&mut self, id: RuleId) {
        if let Some(known) = self.known.remove(&id)
            && self.by_name.get(&known.rule.name) == Some(&id)
        {
            self.by_name.remove(&known.rule.name);
        }
    }
}
