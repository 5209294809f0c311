//! The policies of projects on this host: which domain each is in the tables, and the steps from what the tables hold to what
//! the policies say.
//!
//! A change is carried out in place or in a new table beside the old one, as `coax_compile::policy` decides. What nothing refers
//! to any more goes later ([`Policies::leftovers`]), when every packet is through that may have met it. Rows from before a start,
//! and rows of a change that failed, are replaced by a new table; the old one is such a leftover.

mod held;
mod rule_numbers;

use std::collections::{BTreeMap, BTreeSet};

use coax_compile::policy::{
    BadPolicy, Domain, Label, Limits, PolicyDelta, PolicySlice, PolicyTooLarge,
};
use coax_tables::DomainId;
use coax_vswitch::{Capacity, RowKey, RowOperation};

use crate::cache::StoredPolicy;
use crate::input::{Moment, Step};
use crate::mirror::Mirror;
use held::Held;
use rule_numbers::RuleNumbers;

/// Why a step of a policy was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    /// The step begins elsewhere.
    #[error("the policy of {project} changes from revision {from}, and {held} is here")]
    Gap {
        /// The project.
        project: String,
        /// Where the step begins.
        from: u64,
        /// What is here; 0: nothing.
        held: u64,
    },
    /// The step says what no controller says.
    #[error(transparent)]
    Bad(#[from] BadPolicy),
}

/// Half of the tables: the other half is for the new table while a policy changes.
fn limits_of(capacity: &Capacity) -> Limits {
    let half = |rows: u32| usize::try_from(rows / 2).unwrap_or(usize::MAX);
    Limits {
        classes: half(capacity.classes),
        services: half(capacity.services),
        policies: half(capacity.policies),
    }
}

/// The policies of all projects that have ports here.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    held: BTreeMap<u32, Held>,
    rules: RuleNumbers,
    /// Numbers of rules of policies that are gone.
    gone: Vec<u32>,
    last_table: u32,
    limits: Limits,
}

impl Policies {
    /// What a host finds when it starts: tables from before are never written into again.
    pub(crate) fn new(mirror: &Mirror, capacity: &Capacity) -> Self {
        let tables = mirror.policy_tables.keys().copied();
        let named = mirror.domains.values().map(|row| row.table);
        Self {
            last_table: tables.chain(named).max().unwrap_or(0),
            limits: limits_of(capacity),
            ..Self::default()
        }
    }

    /// No number of a rule above this one was ever given.
    pub(crate) fn highest_rule(&self) -> u32 {
        self.rules.highest()
    }

    /// Rules had numbers up to this one before a restart. Comes before the policies of the cache.
    pub(crate) fn rest_rules(&mut self, highest: u32, now: Moment) {
        self.rules.rest(highest, now);
    }

    /// Takes a policy from the cache, with the numbers that it had in the tables.
    pub(crate) fn restore(&mut self, stored: &StoredPolicy, now: Moment) -> Result<(), BadPolicy> {
        let policy = stored.slice.policy()?;
        let number = stored.slice.number;
        for (rule, number_of_rule) in &stored.rules {
            self.rules.adopt(number, rule, *number_of_rule, now);
        }
        let held = Held::new(&stored.slice, policy, DomainId(stored.domain));
        self.held.insert(number, held);
        Ok(())
    }

    /// What the cache keeps.
    pub(crate) fn to_store(&self) -> Vec<StoredPolicy> {
        let stored = self.held.iter().map(|(number, held)| StoredPolicy {
            slice: PolicySlice::new(*number, &held.project, held.revision, &held.policy),
            domain: held.id.0,
            rules: self.rules.of(*number),
        });
        stored.collect()
    }

    /// The policies that are here, each with its revision.
    pub(crate) fn revisions(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.held
            .iter()
            .map(|(number, held)| (*number, held.revision))
    }

    /// Whatever the controller sends next is newer than what is here.
    pub(crate) fn forget_revisions(&mut self) {
        for held in self.held.values_mut() {
            held.revision = 0;
        }
    }

    /// The revision of a policy.
    pub(crate) fn revision(&self, number: u32) -> Option<u64> {
        self.held.get(&number).map(|held| held.revision)
    }

    /// The project of a policy.
    pub(crate) fn project(&self, number: u32) -> Option<&str> {
        self.held.get(&number).map(|held| held.project.as_str())
    }

    /// The number of a project's policy.
    pub(crate) fn number_of(&self, project: &str) -> Option<u32> {
        let mut held = self.held.iter();
        held.find(|(_, held)| held.project == project)
            .map(|(number, _)| *number)
    }

    /// The domain that ports of a project obey; 0: none.
    pub(crate) fn domain_of(&self, project: &str) -> DomainId {
        let mut held = self.held.values();
        held.find(|held| held.project == project)
            .map_or(DomainId(0), |held| held.id)
    }

    /// The project whose ports obey a domain.
    pub(crate) fn project_of(&self, domain: u32) -> Option<&str> {
        let mut held = self.held.values();
        held.find(|held| held.id.0 == domain)
            .map(|held| held.project.as_str())
    }

    /// The full name of the rule with this number.
    pub(crate) fn rule(&self, number: u32) -> Option<String> {
        self.rules.rule(number).map(|(_, rule)| rule.to_string())
    }

    /// Whether the policy is in the tables for this address plan.
    pub(crate) fn covers(&self, number: u32, scope: u32) -> bool {
        let domain = self.held.get(&number).and_then(|it| it.domain.as_ref());
        domain.is_some_and(|domain| domain.scopes().contains(&scope))
    }

    /// All rules that have a number: project, name, number.
    pub(crate) fn rules(&self) -> impl Iterator<Item = (&str, &Label, u32)> {
        self.held.iter().flat_map(move |(number, held)| {
            let rules = held.policy.rules.keys();
            rules.filter_map(move |rule| {
                let numbered = self.rules.get(*number, rule)?;
                Some((held.project.as_str(), rule, numbered))
            })
        })
    }

    /// Takes a policy as a whole. True: the project had none before.
    pub(crate) fn replace(
        &mut self,
        slice: &PolicySlice,
        mirror: &Mirror,
    ) -> Result<bool, BadPolicy> {
        let policy = slice.policy()?;
        if let Some(held) = self.held.get_mut(&slice.number) {
            held.pending.then(held.policy.change_to(&policy));
            held.policy = policy;
            held.revision = slice.revision;
            return Ok(false);
        }
        let id = self.free_domain(mirror);
        self.held.insert(slice.number, Held::new(slice, policy, id));
        Ok(true)
    }

    /// Takes a step; says of which policy.
    pub(crate) fn apply(&mut self, delta: &PolicyDelta) -> Result<u32, NotTaken> {
        let found = self
            .held
            .iter_mut()
            .find(|(_, held)| held.project == delta.project);
        let gap = |held| NotTaken::Gap {
            project: delta.project.clone(),
            from: delta.from_revision,
            held,
        };
        let (number, held) = found.ok_or_else(|| gap(0))?;
        if held.revision != delta.from_revision {
            let revision = std::mem::take(&mut held.revision);
            return Err(gap(revision));
        }
        let change = delta.change()?;
        held.policy.apply(&change);
        held.pending.then(change);
        held.revision = delta.to_revision;
        Ok(*number)
    }

    /// Forgets a policy. Its rows are leftovers as soon as no port obeys it.
    pub(crate) fn forget(&mut self, number: u32) -> Option<String> {
        let held = self.held.remove(&number)?;
        self.gone.extend(held.gone);
        self.gone.extend(self.rules.of(number).into_values());
        Some(held.project)
    }

    /// The steps that bring the tables to what the policy says, for these address plans.
    pub(crate) fn steps(
        &mut self,
        number: u32,
        scopes: BTreeSet<u32>,
        mirror: &Mirror,
    ) -> Vec<Step> {
        let spare = self.last_table.wrapping_add(1).max(1);
        let Some(held) = self.held.get_mut(&number) else {
            return Vec::new();
        };
        // A row that is written anew must not be removed afterwards.
        let mut steps: Vec<Step> = std::mem::take(&mut held.clean)
            .into_iter()
            .map(Step::Row)
            .collect();
        let change = std::mem::take(&mut held.pending);
        let (rules, limits) = (&mut self.rules, self.limits);
        let mut numbers = |rule: &Label| rules.number(number, rule);
        match held.work(&change, scopes, spare, mirror, limits, &mut numbers) {
            Ok(made) => {
                held.problem = None;
                steps.extend(made.into_iter().map(Step::Row));
            }
            Err(problem) => {
                steps.extend(held.shut(spare, mirror).map(Step::Row));
                held.problem = Some(problem);
            }
        }
        let removed = change.removed.iter();
        let removed = removed.filter(|rule| !held.policy.rules.contains_key(*rule));
        held.gone
            .extend(removed.filter_map(|rule| self.rules.get(number, rule)));
        let used = held.domain.as_ref().map_or(0, Domain::table);
        self.last_table = self.last_table.max(used);
        if held.domain.is_none() {
            self.last_table = spare;
        }
        steps
    }

    /// A step of the policy was not done: nobody knows what is in its table, so there will be a new one.
    pub(crate) fn failed(&mut self, number: u32) {
        if let Some(held) = self.held.get_mut(&number) {
            held.domain = None;
        }
    }

    /// Removes what nothing refers to any more. A domain goes before its table, so the table is left for the next time.
    pub(crate) fn leftovers(&mut self, mirror: &Mirror) -> Vec<Step> {
        let mut rows = Vec::new();
        for held in self.held.values_mut() {
            rows.append(&mut held.clean);
            self.gone.append(&mut held.gone);
        }
        let obeyed = |id: &DomainId| mirror.ports.values().any(|row| row.policy == *id);
        let domains = self.stray_domains(mirror).filter(|id| !obeyed(id));
        rows.extend(domains.map(|id| RowOperation::Delete(RowKey::Domain(id))));
        for keys in self.stray_tables(mirror) {
            rows.extend(keys.iter().copied().map(RowOperation::Delete));
        }
        let gone = std::mem::take(&mut self.gone).into_iter();
        let rules: Vec<u32> = gone.filter(|rule| !self.is_used(*rule)).collect();
        let rows = rows.into_iter().map(Step::Row);
        let rules = rules.into_iter().map(Step::ForgetRule);
        rows.chain(rules).collect()
    }

    /// Whether the tables hold domains or tables that are no policy's.
    pub(crate) fn has_strays(&self, mirror: &Mirror) -> bool {
        self.stray_domains(mirror).next().is_some() || self.stray_tables(mirror).next().is_some()
    }

    fn stray_domains(&self, mirror: &Mirror) -> impl Iterator<Item = DomainId> {
        let ids: BTreeSet<DomainId> = self.held.values().map(|held| held.id).collect();
        let domains = mirror.domains.keys().copied();
        domains.filter(move |id| !ids.contains(id))
    }

    fn stray_tables<'a>(
        &self,
        mirror: &'a Mirror,
    ) -> impl Iterator<Item = &'a BTreeSet<RowKey>> + use<'a> {
        let current = self.held.values().filter_map(|it| it.domain.as_ref());
        let named = mirror.domains.values().map(|row| row.table);
        let used: BTreeSet<u32> = current.map(Domain::table).chain(named).collect();
        let tables = mirror.policy_tables.iter();
        let strays = tables.filter(move |(table, _)| !used.contains(table));
        strays.map(|(_, keys)| keys)
    }

    /// The rule came back before its counters went.
    fn is_used(&self, rule: u32) -> bool {
        let rule = self.rules.rule(rule);
        rule.is_some_and(|(policy, rule)| {
            let held = self.held.get(policy);
            held.is_some_and(|held| held.policy.rules.contains_key(rule))
        })
    }

    /// The counters of a rule's number start anew, so another rule may have it later.
    pub(crate) fn release_rule(&mut self, number: u32, now: Moment) {
        self.rules.release(number, now);
    }

    /// Why policies are not in the tables as they should be, by project.
    pub(crate) fn problems(&self) -> impl Iterator<Item = (&str, &PolicyTooLarge)> {
        let held = self.held.values();
        held.filter_map(|held| Some((held.project.as_str(), held.problem.as_ref()?)))
    }

    /// The smallest number that no domain has, here or in the tables.
    fn free_domain(&self, mirror: &Mirror) -> DomainId {
        let taken: BTreeSet<u32> = self
            .held
            .values()
            .map(|held| held.id)
            .chain(mirror.domains.keys().copied())
            .chain(mirror.ports.values().map(|row| row.policy))
            .map(|id| id.0)
            .collect();
        let free = (1..).find(|id| !taken.contains(id));
        DomainId(free.unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_gets_half_of_the_tables() {
        let capacity = Capacity::default();
        assert_eq!(limits_of(&capacity), Limits::DEFAULT);
        let small = Capacity {
            policies: 100,
            ..capacity
        };
        assert_eq!(limits_of(&small).policies, 50);
    }
}
