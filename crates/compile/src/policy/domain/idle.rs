//! Rules that can never decide anything, proved by the classes that the tables are made of.
//!
//! A rule names a box: some classes of sources, some of receivers, some of services. It is idle when the boxes of the
//! rules before it cover its own. All points of a class are named by the same selectors, so what holds for classes holds for every
//! packet. Pairs of classes that no packet has (of two address plans, of two families) are taken as if there were one: so a rule that
//! is called idle is idle, and a rare one that is may not be found.

use std::collections::{BTreeMap, BTreeSet};

use coax_tables::ClassRow;

use super::Domain;
use crate::policy::dimension::{ClassId, Dimension, SelectorId};
use crate::policy::prefix::Prefix;
use crate::policy::rule::Label;
use crate::policy::rules::Known;

/// Comparisons of boxes that are made for one rule; one that takes more is not called idle.
const MOST_STEPS: usize = 20_000;

/// Why a rule never decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Idle {
    /// It names nobody: groups without members, or an empty list.
    Nobody,
    /// These rules before it decide about everything that it names, in written order.
    Shadowed(Vec<Label>),
}

type Classes = BTreeSet<ClassId>;

/// What a rule names.
struct Named<'a> {
    known: &'a Known,
    sides: [Classes; 3],
}

impl Domain {
    /// The rules that never decide, by name.
    pub fn idle_rules(&self) -> BTreeMap<Label, Idle> {
        let addresses = all(&self.addresses);
        let services = all(&self.services);
        let mut rules: Vec<Named<'_>> = self
            .rules
            .iter()
            .map(|known| Named {
                known,
                sides: [
                    classes(&self.addresses, known.from.as_deref(), &addresses),
                    classes(&self.addresses, known.to.as_deref(), &addresses),
                    classes(&self.services, known.services.as_deref(), &services),
                ],
            })
            .collect();
        rules.sort_by_key(|named| named.known.row.order);
        let mut idle = BTreeMap::new();
        for (place, named) in rules.iter().enumerate() {
            if let Some(why) = why_idle(named, &rules[..place]) {
                idle.insert(named.known.rule.name.clone(), why);
            }
        }
        idle
    }
}

/// Every class that has a point, with that of everything that no rule names. The class of a prefix whose points are all in
/// longer ones has none.
fn all(dimension: &Dimension) -> Classes {
    let mut seen = Classes::from([ClassRow::OTHER]);
    let mut around: Vec<Node> = Vec::new();
    for (prefix, class) in dimension.nodes() {
        while around.last().is_some_and(|it| !it.prefix.encloses(prefix)) {
            seen.extend(around.pop().and_then(Node::seen));
        }
        if let Some(outer) = around.last_mut() {
            outer.inside = outer.inside.wrapping_add(size(prefix));
            outer.has_inner = true;
        }
        around.push(Node {
            prefix,
            class,
            inside: 0,
            has_inner: false,
        });
    }
    seen.extend(around.into_iter().filter_map(Node::seen));
    seen
}

/// A prefix, and how many of its points are in prefixes inside of it.
struct Node {
    prefix: Prefix,
    class: ClassId,
    inside: u128,
    has_inner: bool,
}

impl Node {
    /// Its class, if a point looks it up there.
    fn seen(self) -> Option<ClassId> {
        let hidden = self.has_inner && self.inside == size(self.prefix);
        (!hidden).then_some(self.class)
    }
}

/// How many points a prefix has. All points together are one more than fits, so they are 0, and so is the sum of what they consist of.
const fn size(prefix: Prefix) -> u128 {
    match prefix.length {
        0 => 0,
        length => 1 << (128 - length as u32),
    }
}

fn classes(dimension: &Dimension, selectors: Option<&[SelectorId]>, all: &Classes) -> Classes {
    match selectors {
        None => all.clone(),
        Some(selectors) => {
            let selectors = selectors.iter();
            let named = selectors.flat_map(|selector| dimension.classes_of(*selector));
            named.filter(|class| all.contains(class)).collect()
        }
    }
}

fn why_idle(named: &Named<'_>, before: &[Named<'_>]) -> Option<Idle> {
    if named.sides.iter().any(BTreeSet::is_empty) {
        return Some(Idle::Nobody);
    }
    let labels = |rules: &[&Named<'_>]| {
        let names = rules.iter().map(|it| it.known.rule.name.clone());
        Some(Idle::Shadowed(names.collect()))
    };
    let meeting: Vec<&Named<'_>> = before.iter().filter(|other| meets(named, other)).collect();
    let mut whole = meeting.iter();
    if let Some(one) = whole.find(|other| holds(&other.sides, &named.sides)) {
        return labels(&[one]);
    }
    let mut steps = 0;
    let covered = is_covered(named.sides.clone(), &meeting, &mut steps);
    (covered && steps <= MOST_STEPS)
        .then(|| labels(&meeting))
        .flatten()
}

fn meets(one: &Named<'_>, other: &Named<'_>) -> bool {
    let mut sides = one.sides.iter().zip(&other.sides);
    sides.all(|(one, other)| !one.is_disjoint(other))
}

fn holds(outer: &[Classes; 3], inner: &[Classes; 3]) -> bool {
    let mut sides = inner.iter().zip(outer);
    sides.all(|(inner, outer)| inner.is_subset(outer))
}

/// Whether rules name everything in a box: what the first leaves of it falls into boxes that the others have to name.
fn is_covered(mut sides: [Classes; 3], rules: &[&Named<'_>], steps: &mut usize) -> bool {
    *steps += 1;
    if sides.iter().any(BTreeSet::is_empty) {
        return true;
    }
    let Some((first, others)) = rules.split_first().filter(|_| *steps <= MOST_STEPS) else {
        return false;
    };
    let apart = sides.iter().zip(&first.sides);
    if apart.into_iter().any(|(one, other)| one.is_disjoint(other)) {
        return is_covered(sides, others, steps);
    }
    for side in 0..sides.len() {
        let mut left = sides.clone();
        left[side] = &sides[side] - &first.sides[side];
        if !is_covered(left, others, steps) {
            return false;
        }
        sides[side] = &sides[side] & &first.sides[side];
    }
    true
}
