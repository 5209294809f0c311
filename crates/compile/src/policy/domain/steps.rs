//! The steps of which changes are made: rules come in and go, selectors start and cease to name prefixes.

use std::collections::BTreeSet;
use std::sync::Arc;

use coax_tables::{ClassRow, PolicyRow};

use super::{Axis, Domain, Numbers};
use crate::policy::cells::{self, Cell, Outcome, Placed};
use crate::policy::dimension::{ClassId, Dimension, Meaning, Move, Naming, SelectorId};
use crate::policy::operation::{Operation, PolicyTooLarge};
use crate::policy::prefix::Prefix;
use crate::policy::rule::{Element, Match, Policy, Rule, Selector};
use crate::policy::rules::{Known, RuleId};
use crate::policy::selectors::Selectors;

impl Domain {
    /// Everything that selectors name in an address plan.
    pub(super) fn named_in(&self, policy: &Policy, scope: u32) -> Vec<(SelectorId, Prefix)> {
        let mut named = Vec::new();
        for (id, selector) in self.selectors.iter() {
            let extent = extent(policy, selector, std::iter::once(scope));
            named.extend(extent.into_iter().map(|prefix| (id, prefix)));
        }
        named.sort_unstable();
        named
    }

    /// Lets rules come in at their places.
    pub(super) fn bring(
        &mut self,
        policy: &Policy,
        mut rules: Vec<Arc<Rule>>,
        numbers: Numbers<'_>,
    ) -> Result<(), PolicyTooLarge> {
        rules.sort_unstable_by_key(|rule| rule.order);
        let (mut addresses, mut services) = (Vec::new(), Vec::new());
        let mut arriving = Vec::new();
        for rule in rules {
            let scopes = &self.scopes;
            let mut end = |end: &Match<Selector>, selectors: &mut Selectors<Selector>| match end {
                Match::Any => None,
                Match::OneOf(list) => Some(distinct(once_each(list).map(|selector| {
                    let extent = || extent(policy, selector, scopes.iter().copied());
                    selectors.take(selector, extent, &mut addresses)
                }))),
            };
            arriving.push(Known {
                from: end(&rule.from, &mut self.selectors),
                to: end(&rule.to, &mut self.selectors),
                services: match &rule.services {
                    Match::Any => None,
                    Match::OneOf(list) => Some(distinct(once_each(list).map(|range| {
                        let extent = || Prefix::of_services(*range).into_iter().collect();
                        self.ranges.take(range, extent, &mut services)
                    }))),
                },
                row: PolicyRow {
                    order: rule.order,
                    rule: numbers(&rule.name),
                    action: rule.verdict.action.code(),
                    flags: rule.verdict.flags(),
                    zero: [0; 2],
                },
                rule,
            });
        }
        self.restate(Axis::Addresses, &addresses, Meaning::Neutral)?;
        self.restate(Axis::Services, &services, Meaning::Neutral)?;
        let pairs = arriving.iter().map(|known| self.pairs(known));
        self.check_pairs(pairs.fold(0, usize::saturating_add), &arriving)?;
        self.cells.reserve(arriving.len());
        for known in arriving {
            self.enter(known);
        }
        self.check_rows()
    }

    /// Lets one rule come in.
    fn enter(&mut self, known: Known) {
        let row = known.row;
        let spread = self.spread(&known);
        let (from, to, services) = (known.from.clone(), known.to.clone(), known.services.clone());
        let placed = self.rules.insert(known);
        self.from.note(from.as_deref(), placed.rule);
        self.to.note(to.as_deref(), placed.rule);
        self.uses.note(services.as_deref(), placed.rule);
        for cell in spread {
            if let Outcome::Decides(_) = self.cells.add(cell, placed) {
                let key = cells::key(self.row.table, cell);
                self.update.make.push(Operation::PutPolicy(key, row));
            }
        }
    }

    /// Lets rules go, the last one first, and gives up the classes that only they needed.
    pub(super) fn withdraw(&mut self, leaving: &BTreeSet<RuleId>) -> Result<(), PolicyTooLarge> {
        let mut placed: Vec<Placed> = leaving
            .iter()
            .filter_map(|rule| {
                let order = self.rules.get(*rule)?.row.order;
                Some(Placed { order, rule: *rule })
            })
            .collect();
        placed.sort_unstable();
        let (mut addresses, mut services) = (Vec::new(), Vec::new());
        for rule in placed.into_iter().rev() {
            let Some(known) = self.rules.get(rule.rule).cloned() else {
                continue;
            };
            for cell in self.spread(&known) {
                let key = cells::key(self.row.table, cell);
                match self.cells.remove(cell, rule) {
                    Outcome::Unchanged => {}
                    Outcome::Gone => self.update.make.push(Operation::DeletePolicy(key)),
                    Outcome::Decides(next) => {
                        if let Some(next) = self.rules.get(next.rule) {
                            self.update.make.push(Operation::PutPolicy(key, next.row));
                        }
                    }
                }
            }
            self.from.forget(known.from.as_deref(), rule.rule);
            self.to.forget(known.to.as_deref(), rule.rule);
            self.uses.forget(known.services.as_deref(), rule.rule);
            self.rules.remove(rule.rule);
            for selector in [&known.from, &known.to].into_iter().flatten().flatten() {
                self.selectors.release(*selector, &mut addresses);
            }
            for range in known.services.iter().flatten() {
                self.ranges.release(*range, &mut services);
            }
        }
        self.restate(Axis::Addresses, &addresses, Meaning::Neutral)?;
        self.restate(Axis::Services, &services, Meaning::Neutral)
    }

    /// Lets selectors start or cease to name prefixes, with the rows that follow from it.
    pub(super) fn restate(
        &mut self,
        axis: Axis,
        namings: &[Naming],
        meaning: Meaning,
    ) -> Result<(), PolicyTooLarge> {
        if namings.is_empty() {
            return Ok(());
        }
        let step = self.dimension(axis).restate(namings, meaning);
        for class in step.created {
            self.fill(axis, class)?;
        }
        for moved in step.moves {
            let operation = self.move_operation(axis, moved);
            self.update.make.push(operation);
        }
        let dead = self.dimension(axis).without_nodes(&step.left);
        for class in &dead {
            for cell in self.cells_of(axis, *class) {
                if self.cells.take(cell) {
                    let key = cells::key(self.row.table, cell);
                    self.update.clean.push(Operation::DeletePolicy(key));
                }
            }
        }
        self.dimension(axis).bury(&dead);
        self.check_rows()
    }

    fn dimension(&mut self, axis: Axis) -> &mut Dimension {
        match axis {
            Axis::Addresses => &mut self.addresses,
            Axis::Services => &mut self.services,
        }
    }

    fn move_operation(&self, axis: Axis, moved: Move) -> Operation {
        let (table, prefix) = (self.row.table, moved.prefix);
        match (axis, moved.class) {
            (Axis::Addresses, Some(class)) => {
                Operation::PutClass(prefix.class_key(table), ClassRow { class })
            }
            (Axis::Addresses, None) => {
                let scope = prefix.scope();
                if prefix == Prefix::all_ipv4(scope) && self.scopes.contains(&scope) {
                    let class = ClassRow::OTHER;
                    return Operation::PutClass(prefix.class_key(table), ClassRow { class });
                }
                Operation::DeleteClass(prefix.class_key(table))
            }
            (Axis::Services, Some(class)) => {
                Operation::PutService(prefix.service_key(table), ClassRow { class })
            }
            (Axis::Services, None) => Operation::DeleteService(prefix.service_key(table)),
        }
    }

    /// Gives a new class the rows of all rules that name it.
    fn fill(&mut self, axis: Axis, class: ClassId) -> Result<(), PolicyTooLarge> {
        for (rule, cells) in self.named_cells(axis, class) {
            let Some(known) = self.rules.get(rule) else {
                continue;
            };
            let row = known.row;
            let order = row.order;
            for cell in cells {
                let outcome = self.cells.add(cell, Placed { order, rule });
                if let Outcome::Decides(_) = outcome {
                    let key = cells::key(self.row.table, cell);
                    self.update.make.push(Operation::PutPolicy(key, row));
                }
            }
        }
        self.check_pairs(0, &[])
    }

    fn cells_of(&self, axis: Axis, class: ClassId) -> Vec<Cell> {
        let named = self.named_cells(axis, class).into_iter();
        named.flat_map(|(_, cells)| cells).collect()
    }

    /// The cells of a class, by the rules that name them; in written order.
    fn named_cells(&self, axis: Axis, class: ClassId) -> Vec<(RuleId, Vec<Cell>)> {
        let set = match axis {
            Axis::Addresses => self.addresses.selectors_of(class),
            Axis::Services => self.services.selectors_of(class),
        };
        let mut named = Vec::new();
        let mut add = |rules: BTreeSet<RuleId>, end: usize| {
            for rule in rules {
                let Some(known) = self.rules.get(rule) else {
                    continue;
                };
                let mut classes = self.classes(known);
                classes[end] = vec![class];
                named.push((known.row.order, rule, product(&classes)));
            }
        };
        match axis {
            Axis::Addresses => {
                add(self.from.of(&set), 0);
                add(self.to.of(&set), 1);
            }
            Axis::Services => add(self.uses.of(&set), 2),
        }
        named.sort_by_key(|(order, _, _)| *order);
        named
            .into_iter()
            .map(|(_, rule, cells)| (rule, cells))
            .collect()
    }

    /// The classes that a rule names at each of its ends.
    fn classes(&self, known: &Known) -> [Vec<ClassId>; 3] {
        let spread = |selectors: &Option<Vec<SelectorId>>, dimension: &Dimension| match selectors {
            None => vec![0],
            Some(selectors) => distinct(selectors.iter().flat_map(|it| dimension.classes_of(*it))),
        };
        [
            spread(&known.from, &self.addresses),
            spread(&known.to, &self.addresses),
            spread(&known.services, &self.services),
        ]
    }

    fn spread(&self, known: &Known) -> Vec<Cell> {
        product(&self.classes(known))
    }

    pub(super) fn pairs(&self, known: &Known) -> usize {
        let classes = self.classes(known);
        classes
            .iter()
            .fold(1, |pairs, classes| pairs.saturating_mul(classes.len()))
    }
}

/// What a selector names in some address plans.
pub(super) fn extent(
    policy: &Policy,
    selector: &Selector,
    scopes: impl Iterator<Item = u32>,
) -> BTreeSet<Prefix> {
    let mut extent = BTreeSet::new();
    for scope in scopes {
        match selector {
            Selector::Prefix(prefix) => drop(extent.insert(Prefix::of_addresses(scope, *prefix))),
            Selector::Group(group) => {
                let elements = policy.groups.get(group).into_iter().flatten();
                let elements = elements.filter(|element| is_in(element, scope));
                extent.extend(elements.map(|it| Prefix::of_addresses(scope, it.prefix)));
            }
        }
    }
    extent
}

pub(super) fn is_in(element: &Element, scope: u32) -> bool {
    element.scope.is_none_or(|of| of == scope)
}

fn once_each<T: Ord>(list: &[T]) -> impl Iterator<Item = &T> {
    list.iter().collect::<BTreeSet<_>>().into_iter()
}

fn distinct(numbers: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn product([from, to, services]: &[Vec<ClassId>; 3]) -> Vec<Cell> {
    let mut cells = Vec::with_capacity(from.len() * to.len() * services.len());
    for source in from {
        for destination in to {
            cells.extend(
                services
                    .iter()
                    .map(|service| [*source, *destination, *service]),
            );
        }
    }
    cells
}
