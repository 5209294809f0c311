//! From selectors to classes: one dimension of a policy (addresses, or services).
//!
//! A selector names prefixes. Each prefix that some selector names is a node; the selectors that name
//! a point are those of all nodes around it. All points that the same selectors name are one *class*:
//! rules cannot tell them apart. A table of nodes with their classes, looked up by longest match,
//! therefore gives the class of every point.
//!
//! Classes have numbers that are never used again, because a number may still be read in the kernel
//! when its last node has gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use coax_tables::ClassRow;

use super::prefix::Prefix;

/// A selector, by its number in a domain.
pub(super) type SelectorId = u32;
/// A class, by its number in tables.
pub(super) type ClassId = u32;
/// Selectors, sorted.
type Set = Arc<[SelectorId]>;

#[derive(Debug, Clone)]
struct Node {
    /// The selectors that name this very prefix, sorted.
    own: Vec<SelectorId>,
    class: ClassId,
}

#[derive(Debug, Clone)]
struct Class {
    set: Set,
    nodes: usize,
}

/// A node that starts or ceases to name a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) prefix: Prefix,
    /// Its class from now on; `None`: the node is gone.
    pub(super) class: Option<ClassId>,
}

/// What a step did. Classes that lost their last node stay known until they are buried.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) moves: Vec<Move>,
    /// Classes that are new.
    pub(super) created: Vec<ClassId>,
    /// Classes that nodes left.
    pub(super) left: BTreeSet<ClassId>,
}

/// Whether the selectors of a step matter to any rule while it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// No rule uses them: a class whose nodes all move together may keep its number.
    Neutral,
    /// Some rule does.
    Verdicts,
}

/// A prefix that a selector starts or ceases to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Naming {
    pub(super) prefix: Prefix,
    pub(super) selector: SelectorId,
    pub(super) named: bool,
}

/// Where a node goes, found before anything moves.
struct Way {
    prefix: Prefix,
    from: Option<ClassId>,
    to: Option<Set>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Dimension {
    nodes: BTreeMap<Prefix, Node>,
    /// How many nodes of a space have a length.
    lengths: BTreeMap<(u64, u8), usize>,
    classes: HashMap<ClassId, Class>,
    by_set: HashMap<Set, ClassId>,
    by_selector: HashMap<SelectorId, BTreeSet<ClassId>>,
    last: ClassId,
}

impl Dimension {
    /// No nodes. Numbers of classes start after that of everything that is not named.
    pub(super) fn new() -> Self {
        Self {
            last: ClassRow::OTHER,
            ..Self::default()
        }
    }

    /// The classes whose points a selector names.
    pub(super) fn classes_of(&self, selector: SelectorId) -> impl Iterator<Item = ClassId> {
        self.by_selector
            .get(&selector)
            .into_iter()
            .flatten()
            .copied()
    }

    /// The selectors that name the points of a class.
    pub(super) fn selectors_of(&self, class: ClassId) -> Set {
        self.classes
            .get(&class)
            .map_or_else(|| Arc::from([]), |class| class.set.clone())
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// All nodes with their classes, in order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (Prefix, ClassId)> {
        self.nodes
            .iter()
            .map(|(prefix, node)| (*prefix, node.class))
    }

    /// Takes namings in and out, all at once.
    pub(super) fn restate(&mut self, namings: &[Naming], meaning: Meaning) -> Step {
        let touched = self.note(namings);
        let ways = self.ways(&touched);
        let mut step = Step::default();
        if meaning == Meaning::Neutral {
            self.rename(&ways);
        }
        for way in ways {
            let class = way.to.map(|set| self.class_with(set, &mut step.created));
            if way.from.is_some() && class == way.from {
                continue;
            }
            for (class, joins) in [(class, true), (way.from, false)] {
                let Some(class) = class.and_then(|class| self.classes.get_mut(&class)) else {
                    continue;
                };
                class.nodes = if joins {
                    class.nodes + 1
                } else {
                    class.nodes - 1
                };
            }
            match class {
                Some(class) => {
                    if let Some(node) = self.nodes.get_mut(&way.prefix) {
                        node.class = class;
                    }
                }
                None => self.remove(way.prefix),
            }
            step.left.extend(way.from);
            step.moves.push(Move {
                prefix: way.prefix,
                class,
            });
        }
        step
    }

    /// Those of some classes that no node names any more.
    pub(super) fn without_nodes(&self, classes: &BTreeSet<ClassId>) -> Vec<ClassId> {
        let classes = classes.iter().copied();
        classes
            .filter(|id| self.classes.get(id).is_some_and(|class| class.nodes == 0))
            .collect()
    }

    /// Forgets classes without nodes.
    pub(super) fn bury(&mut self, classes: &[ClassId]) {
        for id in classes {
            if let Some(class) = self.classes.remove(id) {
                self.by_set.remove(&class.set);
                self.index(*id, &class.set, false);
            }
        }
    }

    /// Enters namings at their nodes, which are made where there are none.
    fn note(&mut self, namings: &[Naming]) -> Vec<Prefix> {
        for naming in namings {
            if !naming.named {
                if let Some(node) = self.nodes.get_mut(&naming.prefix) {
                    node.own.retain(|selector| *selector != naming.selector);
                }
                continue;
            }
            let node = self.nodes.entry(naming.prefix).or_insert_with(|| {
                let length = (naming.prefix.space, naming.prefix.length);
                *self.lengths.entry(length).or_default() += 1;
                Node {
                    own: Vec::new(),
                    class: 0,
                }
            });
            if let Err(place) = node.own.binary_search(&naming.selector) {
                node.own.insert(place, naming.selector);
            }
        }
        let mut touched: Vec<Prefix> = namings.iter().map(|naming| naming.prefix).collect();
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    /// Finds every node that is in another class than it should be.
    fn ways(&self, touched: &[Prefix]) -> Vec<Way> {
        let mut ways = Vec::new();
        let mut done: Option<Prefix> = None;
        for root in touched {
            if done.is_some_and(|done| done.encloses(*root)) {
                continue;
            }
            done = Some(*root);
            let mut around: Vec<(Prefix, Set)> = vec![(*root, self.set_around(*root))];
            for (prefix, node) in self.nodes.range(*root..=root.last_enclosed()) {
                while around.len() > 1
                    && around
                        .last()
                        .is_some_and(|(outer, _)| !outer.encloses(*prefix))
                {
                    around.pop();
                }
                let Some((_, outer)) = around.last() else {
                    break;
                };
                let from = (node.class != 0).then_some(node.class);
                if node.own.is_empty() {
                    ways.push(Way {
                        prefix: *prefix,
                        from,
                        to: None,
                    });
                    continue;
                }
                let set = union(outer, &node.own);
                let same = from.and_then(|class| self.classes.get(&class));
                if same.is_none_or(|class| class.set != set) {
                    ways.push(Way {
                        prefix: *prefix,
                        from,
                        to: Some(set.clone()),
                    });
                }
                around.push((*prefix, set));
            }
        }
        ways
    }

    /// The selectors of all nodes around a prefix.
    fn set_around(&self, prefix: Prefix) -> Set {
        let mut set = Vec::new();
        let shorter = self
            .lengths
            .range((prefix.space, 0)..(prefix.space, prefix.length));
        for ((_, length), _) in shorter {
            if let Some(node) = self.nodes.get(&prefix.shortened(*length)) {
                set.extend_from_slice(&node.own);
            }
        }
        set.sort_unstable();
        set.dedup();
        set.into()
    }

    /// Lets classes keep their number whose nodes all go to one set that has none yet.
    fn rename(&mut self, ways: &[Way]) {
        let mut goals: BTreeMap<ClassId, (Option<&Set>, usize)> = BTreeMap::new();
        for way in ways {
            let Some(from) = way.from else { continue };
            let (goal, nodes) = goals.entry(from).or_insert((way.to.as_ref(), 0));
            if *goal != way.to.as_ref() {
                *goal = None;
            }
            *nodes += 1;
        }
        for (id, (goal, nodes)) in goals {
            let all = self
                .classes
                .get(&id)
                .is_some_and(|class| class.nodes == nodes);
            let Some(set) = goal.filter(|set| all && !self.by_set.contains_key(*set)) else {
                continue;
            };
            if let Some(class) = self.classes.get_mut(&id) {
                let former = std::mem::replace(&mut class.set, set.clone());
                self.by_set.remove(&former);
                self.by_set.insert(set.clone(), id);
                self.index(id, &former, false);
                self.index(id, set, true);
            }
        }
    }

    fn class_with(&mut self, set: Set, created: &mut Vec<ClassId>) -> ClassId {
        if let Some(class) = self.by_set.get(&set) {
            return *class;
        }
        self.last += 1;
        let id = self.last;
        self.index(id, &set, true);
        self.by_set.insert(set.clone(), id);
        self.classes.insert(id, Class { set, nodes: 0 });
        created.push(id);
        id
    }

    fn index(&mut self, class: ClassId, set: &[SelectorId], there: bool) {
        for selector in set {
            let classes = self.by_selector.entry(*selector).or_default();
            if there {
                classes.insert(class);
                continue;
            }
            classes.remove(&class);
            if classes.is_empty() {
                self.by_selector.remove(selector);
            }
        }
    }

    fn remove(&mut self, prefix: Prefix) {
        self.nodes.remove(&prefix);
        let length = (prefix.space, prefix.length);
        if let Some(nodes) = self.lengths.get_mut(&length) {
            *nodes -= 1;
            if *nodes == 0 {
                self.lengths.remove(&length);
            }
        }
    }
}

fn union(outer: &Set, own: &[SelectorId]) -> Set {
    if outer.is_empty() {
        return own.into();
    }
    let mut set = [outer, own].concat();
    set.sort_unstable();
    set.dedup();
    set.into()
}
