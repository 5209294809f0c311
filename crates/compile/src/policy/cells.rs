//! The cells of a policy table: for each key the rules that name it, of which the first is the row.

use std::collections::HashMap;

use coax_tables::PolicyKey;

use super::dimension::ClassId;
use super::rules::RuleId;

/// Classes of source, destination and service; 0 for "any".
pub(super) type Cell = [ClassId; 3];

/// A rule at its place in written order; compared by the place first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Placed {
    pub(super) order: u32,
    pub(super) rule: RuleId,
}

/// Rules that name a cell, the first one first. Nearly always it is one.
#[derive(Debug, Clone)]
enum Rules {
    One(Placed),
    Several(Vec<Placed>),
}

/// What became of a cell's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Unchanged,
    /// This rule decides now.
    Decides(Placed),
    /// No rule names the cell any more.
    Gone,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Cells {
    cells: HashMap<Cell, Rules>,
    entries: usize,
    kinds: [usize; PolicyKey::KINDS as usize],
}

impl Cells {
    /// How many cells have a row.
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// How many pairs of cell and rule there are.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// The kinds of cells that there are, as a domain row has them.
    pub(super) fn kinds(&self) -> u32 {
        let used = (0..).zip(&self.kinds).filter(|(_, cells)| **cells > 0);
        used.fold(0, |kinds, (kind, _)| kinds | 1 << kind)
    }

    /// The rule that decides each cell, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Cell, Placed)> {
        self.cells.iter().map(|(cell, rules)| match rules {
            Rules::One(first) => (*cell, *first),
            Rules::Several(rules) => (*cell, rules[0]),
        })
    }

    /// Makes room for this many cells.
    pub(super) fn reserve(&mut self, cells: usize) {
        self.cells.reserve(cells);
    }

    /// A rule names a cell; naming it twice is once.
    pub(super) fn add(&mut self, cell: Cell, rule: Placed) -> Outcome {
        let Some(rules) = self.cells.get_mut(&cell) else {
            self.cells.insert(cell, Rules::One(rule));
            self.kinds[kind(cell)] += 1;
            self.entries += 1;
            return Outcome::Decides(rule);
        };
        let place = match rules {
            Rules::One(first) if *first == rule => return Outcome::Unchanged,
            Rules::One(first) => {
                let both = if *first < rule {
                    [*first, rule]
                } else {
                    [rule, *first]
                };
                *rules = Rules::Several(both.to_vec());
                usize::from(both[0] != rule)
            }
            Rules::Several(several) => match several.binary_search(&rule) {
                Ok(_) => return Outcome::Unchanged,
                Err(place) => {
                    several.insert(place, rule);
                    place
                }
            },
        };
        self.entries += 1;
        match place {
            0 => Outcome::Decides(rule),
            _ => Outcome::Unchanged,
        }
    }

    /// A rule no longer names a cell.
    pub(super) fn remove(&mut self, cell: Cell, rule: Placed) -> Outcome {
        let outcome = match self.cells.get_mut(&cell) {
            None => return Outcome::Unchanged,
            Some(Rules::One(first)) if *first == rule => Outcome::Gone,
            Some(Rules::One(_)) => return Outcome::Unchanged,
            Some(rules @ Rules::Several(_)) => {
                let Some(outcome) = shrink(rules, rule) else {
                    return Outcome::Unchanged;
                };
                outcome
            }
        };
        self.entries -= 1;
        if outcome == Outcome::Gone {
            self.cells.remove(&cell);
            self.kinds[kind(cell)] -= 1;
        }
        outcome
    }

    /// Takes a cell out with all its rules. True if it was there.
    pub(super) fn take(&mut self, cell: Cell) -> bool {
        let Some(rules) = self.cells.remove(&cell) else {
            return false;
        };
        self.entries -= match rules {
            Rules::One(_) => 1,
            Rules::Several(rules) => rules.len(),
        };
        self.kinds[kind(cell)] -= 1;
        true
    }
}

/// Takes one of several rules out. `None`: it was not among them.
fn shrink(rules: &mut Rules, rule: Placed) -> Option<Outcome> {
    let Rules::Several(several) = rules else {
        return None;
    };
    let place = several.binary_search(&rule).ok()?;
    several.remove(place);
    let first = several[0];
    if several.len() == 1 {
        *rules = Rules::One(first);
    }
    Some(match place {
        0 => Outcome::Decides(first),
        _ => Outcome::Unchanged,
    })
}

/// The key of a cell in a table.
pub(super) const fn key(table: u32, cell: Cell) -> PolicyKey {
    let [source, destination, service] = cell;
    PolicyKey {
        table,
        source,
        destination,
        service,
    }
}

const fn kind(cell: Cell) -> usize {
    key(0, cell).kind() as usize
}
