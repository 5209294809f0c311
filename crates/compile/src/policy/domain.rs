//! The policy of one project in the tables of one host, kept up to date change by change.
//!
//! Three facts make changes consistent without a second copy of everything.
//!
//! 1. *Classes by selectors that no rule uses change nothing.* So new classes are made before the rules
//!    that need them come in, and given up after the rules have gone; in between, a packet may meet old and
//!    new classes in any mixture and is judged the same.
//! 2. *Rules that come in from the first to the last, then rules that go from the last to the first,
//!    give every packet the old verdict until it has the new one.* Let `o` be the rule that decided before, `n` the
//!    one that decides after. As long as `o` is there, only a rule before it can overrule it, and the first of
//!    those that match is `n`, because it comes in before the others. When `o` goes, all
//!    rules behind it that go as well have gone already, so the next one that matches is `n`.
//! 3. *One row is written at once.* An address that joins or leaves a group moves to a class that has all its rows.
//!
//! What does not fit (several members at a time, other members and other rules together) is written as a new table
//! beside the old one; the row of the domain names the valid one.

mod idle;
mod limit;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coax_tables::{ClassRow, DomainId, DomainRow};

use super::cells::{self, Cells};
use super::change::PolicyChange;
use super::dimension::{Dimension, Meaning, Naming};
use super::operation::{Limits, Operation, PolicyTooLarge, Update};
use super::prefix::Prefix;
use super::rule::{Element, Label, Match, Policy, Rule, Selector, ServiceRange};
use super::rules::{RuleId, Rules};
use super::selectors::{Selectors, Uses};
use steps::is_in;

pub use idle::Idle;

/// Gives rules their number on the host, under which they are counted.
pub type Numbers<'a> = &'a mut dyn FnMut(&Label) -> u32;

/// A policy in the tables of a host.
#[derive(Debug, Clone)]
pub struct Domain {
    id: DomainId,
    row: DomainRow,
    scopes: BTreeSet<u32>,
    limits: Limits,
    selectors: Selectors<Selector>,
    ranges: Selectors<ServiceRange>,
    addresses: Dimension,
    services: Dimension,
    rules: Rules,
    from: Uses,
    to: Uses,
    uses: Uses,
    cells: Cells,
    update: Update,
}

/// What a table is made for.
#[derive(Debug, Clone)]
pub struct Place {
    /// The domain's number on the host.
    pub domain: DomainId,
    /// A number that no table has yet.
    pub table: u32,
    /// The domain's generation; higher than any before.
    pub generation: u32,
    /// The address plans of the ports that obey the policy here.
    pub scopes: BTreeSet<u32>,
    /// How many rows there may be.
    pub limits: Limits,
}

/// One of the two things that are classed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axis {
    Addresses,
    Services,
}

impl Domain {
    /// Compiles a policy into a table of its own.
    pub fn compile(
        place: Place,
        policy: &Policy,
        numbers: Numbers<'_>,
    ) -> Result<(Self, Update), PolicyTooLarge> {
        let row = DomainRow {
            table: place.table,
            generation: place.generation,
            ..DomainRow::default()
        };
        let mut domain = Self {
            id: place.domain,
            row,
            scopes: place.scopes,
            limits: place.limits,
            selectors: Selectors::default(),
            ranges: Selectors::default(),
            addresses: Dimension::new(),
            services: Dimension::new(),
            rules: Rules::default(),
            from: Uses::default(),
            to: Uses::default(),
            uses: Uses::default(),
            cells: Cells::default(),
            update: Update::default(),
        };
        for scope in domain.scopes.clone() {
            domain.keep_families_apart(scope);
        }
        let rules = policy.rules.values().cloned().collect();
        domain.bring(policy, rules, numbers)?;
        domain.row = domain.row_of(policy);
        domain.put_row(domain.row);
        let update = std::mem::take(&mut domain.update);
        Ok((domain, update))
    }

    /// Takes a change. `policy` is the policy after it, `spare_table` a number that no table has: it is
    /// used if [`Domain::table`] says so afterwards. After an error the tables are as they were, and the
    /// way on is to [`Domain::compile`] a later policy into a new table.
    pub fn update(
        mut self,
        policy: &Policy,
        change: &PolicyChange,
        spare_table: u32,
        numbers: Numbers<'_>,
    ) -> Result<(Self, Update), PolicyTooLarge> {
        let brought = change.rules.iter().map(|rule| &rule.name);
        let leaving: BTreeSet<RuleId> = brought
            .chain(&change.removed)
            .filter_map(|name| self.rules.id_of(name))
            .collect();
        let namings = self.membership(policy, change, &leaving);
        let same_rules = leaving.is_empty() && change.rules.is_empty();
        if namings.is_empty() || (same_rules && are_single(&namings)) {
            self.change_in_place(policy, &namings, change.rules.clone(), &leaving, numbers)
        } else {
            self.rebuild(policy, spare_table, numbers)
        }
    }

    /// Takes other address plans in and out. Ports may have a new plan when `make` is done; no port may
    /// have a plan any more that goes.
    pub fn set_scopes(
        mut self,
        policy: &Policy,
        scopes: BTreeSet<u32>,
    ) -> Result<(Self, Update), PolicyTooLarge> {
        let before = std::mem::replace(&mut self.scopes, scopes);
        let (mut joins, mut leaves) = (Vec::new(), Vec::new());
        for scope in self.scopes.difference(&before).copied().collect::<Vec<_>>() {
            self.keep_families_apart(scope);
            for (id, prefix) in self.named_in(policy, scope) {
                joins.extend(self.selectors.set(id, prefix, true));
            }
        }
        for scope in before.difference(&self.scopes).copied() {
            for space in [Prefix::all_ipv4(scope).space, Prefix::all_ipv6(scope).space] {
                for (id, prefix) in self.selectors.in_space(space) {
                    leaves.extend(self.selectors.set(id, prefix, false));
                }
            }
        }
        self.restate(Axis::Addresses, &joins, Meaning::Verdicts)?;
        let made = self.update.make.len();
        self.restate(Axis::Addresses, &leaves, Meaning::Verdicts)?;
        let mut late = self.update.make.split_off(made);
        for scope in before.difference(&self.scopes) {
            let key = Prefix::all_ipv4(*scope).class_key(self.row.table);
            if !late.contains(&Operation::DeleteClass(key)) {
                late.push(Operation::DeleteClass(key));
            }
        }
        self.update.clean.splice(0..0, late);
        self.finish(policy)
    }

    /// Everything goes. No port may obey the policy any more.
    pub fn retire(&self) -> Update {
        let mut clean = vec![Operation::DeleteDomain(self.id)];
        clean.extend(self.deletions());
        Update {
            make: Vec::new(),
            clean,
        }
    }

    /// The number of the table that is valid.
    pub const fn table(&self) -> u32 {
        self.row.table
    }

    /// The row of the domain.
    pub const fn row(&self) -> DomainRow {
        self.row
    }

    /// The address plans that the policy is compiled for.
    pub const fn scopes(&self) -> &BTreeSet<u32> {
        &self.scopes
    }

    fn change_in_place(
        mut self,
        policy: &Policy,
        namings: &[Naming],
        rules: Vec<Arc<Rule>>,
        leaving: &BTreeSet<RuleId>,
        numbers: Numbers<'_>,
    ) -> Result<(Self, Update), PolicyTooLarge> {
        self.restate(Axis::Addresses, namings, Meaning::Verdicts)?;
        self.bring(policy, rules, numbers)?;
        let most_kinds = self.row.kinds | self.cells.kinds();
        let after = self.row_of(policy);
        if (after.default_action, after.flags) != (self.row.default_action, self.row.flags) {
            self.put_row(DomainRow {
                kinds: most_kinds,
                generation: self.row.generation,
                ..after
            });
        }
        self.withdraw(leaving)?;
        if most_kinds != self.row.kinds {
            let row = DomainRow {
                kinds: most_kinds,
                ..self.row
            };
            // A kind without rows does no harm; a row of a kind that is not looked up does nothing.
            self.update
                .make
                .insert(0, Operation::PutDomain(self.id, row));
        }
        if !self.update.make.is_empty() {
            self.row.generation = self.row.generation.wrapping_add(1);
        }
        self.finish(policy)
    }

    /// Writes a new table beside the old one.
    fn rebuild(
        self,
        policy: &Policy,
        table: u32,
        numbers: Numbers<'_>,
    ) -> Result<(Self, Update), PolicyTooLarge> {
        let place = Place {
            domain: self.id,
            table,
            generation: self.row.generation.wrapping_add(1),
            scopes: self.scopes.clone(),
            limits: self.limits,
        };
        let (domain, mut update) = Self::compile(place, policy, numbers)?;
        update.clean.extend(self.deletions());
        Ok((domain, update))
    }

    fn finish(mut self, policy: &Policy) -> Result<(Self, Update), PolicyTooLarge> {
        let told = self.row;
        self.row = self.row_of(policy);
        if self.row != told || !self.update.make.is_empty() {
            self.put_row(self.row);
        }
        let update = std::mem::take(&mut self.update);
        Ok((self, update))
    }

    fn row_of(&self, policy: &Policy) -> DomainRow {
        DomainRow {
            quota: policy.settings.quota,
            kinds: self.cells.kinds(),
            default_action: policy.settings.default.action.code(),
            flags: policy.settings.default.flags(),
            ..self.row
        }
    }

    fn put_row(&mut self, row: DomainRow) {
        self.update.make.push(Operation::PutDomain(self.id, row));
    }

    /// Without this row, IPv4 addresses would fall to the prefixes of IPv6 that enclose the mapped form.
    fn keep_families_apart(&mut self, scope: u32) {
        let key = Prefix::all_ipv4(scope).class_key(self.row.table);
        let row = ClassRow {
            class: ClassRow::OTHER,
        };
        self.update.make.push(Operation::PutClass(key, row));
    }

    /// Which prefixes are no longer, or newly, named by groups that rules use and go on to use.
    fn membership(
        &mut self,
        policy: &Policy,
        change: &PolicyChange,
        leaving: &BTreeSet<RuleId>,
    ) -> Vec<Naming> {
        let new = change.rules.iter();
        let used_again: BTreeSet<&Label> = new.flat_map(|rule| groups_of(rule)).collect();
        let mut namings = Vec::new();
        for (group, change) in &change.groups {
            let Some(id) = self.selectors.id_of(&Selector::Group(group.clone())) else {
                continue;
            };
            let last_users = leaving.iter().filter_map(|rule| self.rules.get(*rule));
            let mut going = 0;
            for known in last_users {
                let ends = [&known.from, &known.to];
                going += ends
                    .into_iter()
                    .flatten()
                    .flatten()
                    .filter(|used| **used == id)
                    .count();
            }
            if going == self.selectors.users(id) && !used_again.contains(group) {
                continue;
            }
            let members = policy.groups.get(group);
            for scope in &self.scopes {
                for (elements, joins) in [(&change.joins, true), (&change.leaves, false)] {
                    for element in elements.iter().filter(|element| is_in(element, *scope)) {
                        let in_scope = |scope| Element { scope, ..*element };
                        let twins = [in_scope(None), in_scope(Some(*scope))];
                        let named =
                            members.is_some_and(|it| twins.iter().any(|twin| it.contains(twin)));
                        if named == joins {
                            let prefix = Prefix::of_addresses(*scope, element.prefix);
                            namings.extend(self.selectors.set(id, prefix, joins));
                        }
                    }
                }
            }
        }
        namings
    }

    /// Removes every row of the table, those first that lead to others.
    fn deletions(&self) -> Vec<Operation> {
        let table = self.row.table;
        let scopes = self.scopes.iter().map(|scope| Prefix::all_ipv4(*scope));
        let named = self.addresses.nodes().map(|(prefix, _)| prefix);
        let addresses: BTreeSet<Prefix> = scopes.chain(named).collect();
        let addresses = addresses
            .into_iter()
            .map(|it| Operation::DeleteClass(it.class_key(table)));
        let services = self.services.nodes();
        let services = services.map(|(it, _)| Operation::DeleteService(it.service_key(table)));
        let cells = self.cells.iter();
        let cells = cells.map(|(cell, _)| Operation::DeletePolicy(cells::key(table, cell)));
        addresses.chain(services).chain(cells).collect()
    }
}

/// Whether no packet can meet two of these changes: both its addresses are of one address plan and family.
fn are_single(namings: &[Naming]) -> bool {
    let mut changed: BTreeMap<u64, Prefix> = BTreeMap::new();
    namings.iter().all(|naming| {
        let prefix = *changed.entry(naming.prefix.space).or_insert(naming.prefix);
        prefix == naming.prefix && prefix.is_host_address()
    })
}

fn groups_of(rule: &Rule) -> impl Iterator<Item = &Label> {
    [&rule.from, &rule.to].into_iter().flat_map(|end| {
        let selectors = match end {
            Match::Any => &[][..],
            Match::OneOf(selectors) => selectors,
        };
        selectors.iter().filter_map(|selector| match selector {
            Selector::Group(group) => Some(group),
            Selector::Prefix(_) => None,
        })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
