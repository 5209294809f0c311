//! Histories that are known to be good and bad.

use super::linearizability::{Action, Operation, Value, check};
use super::world::Dice;

const NEVER: u64 = u64::MAX;

/// Client, action, asked, answered.
fn history(operations: &[(usize, Action, u64, u64)]) -> Vec<Operation> {
    let operations = operations.iter();
    operations
        .map(|(client, action, asked, answered)| Operation {
            client: *client,
            register: "r".into(),
            action: *action,
            asked: *asked,
            answered: (*answered != NEVER).then_some(*answered),
        })
        .collect()
}

fn write(value: u64) -> Action {
    Action::Write(Some(value))
}

fn read(value: u64) -> Action {
    Action::Read(Some(value))
}

fn set(expected: u64, new: u64, done: Option<bool>) -> Action {
    Action::CompareAndSet {
        expected: Some(expected),
        new: Some(new),
        done,
    }
}

#[test]
fn what_one_order_explains_is_accepted() {
    for good in [
        vec![],
        vec![(0, Action::Read(None), 0, 1)],
        vec![(0, write(1), 0, 1), (1, read(1), 2, 3)],
        // Concurrent reads may fall on either side of a write.
        vec![
            (0, write(1), 0, 1),
            (0, write(2), 2, 9),
            (1, read(1), 3, 4),
            (2, read(2), 5, 6),
        ],
        // Two writes at once, in the order of whoever reads them.
        vec![
            (0, write(1), 0, 9),
            (1, write(2), 0, 9),
            (2, read(2), 3, 4),
            (2, read(1), 5, 6),
        ],
        // One without an answer happened, much later than it was asked for.
        vec![
            (0, write(1), 0, 1),
            (1, write(2), 2, NEVER),
            (2, read(1), 10, 11),
            (2, read(2), 12, 13),
        ],
        // Or never.
        vec![
            (0, write(1), 0, 1),
            (1, write(2), 2, NEVER),
            (2, read(1), 10, 11),
        ],
        vec![
            (0, write(1), 0, 1),
            (0, set(1, 2, Some(true)), 2, 3),
            (1, set(1, 3, Some(false)), 2, 5),
            (1, read(2), 6, 7),
        ],
        vec![
            (0, write(1), 0, 1),
            (1, set(1, 2, None), 2, NEVER),
            (0, set(2, 3, Some(true)), 4, 5),
        ],
    ] {
        let history = history(&good);
        check(&history).unwrap_or_else(|it| panic!("{history:?}: {it:?}"));
    }
}

#[test]
fn what_no_order_explains_is_refused() {
    for bad in [
        // Nobody wrote it.
        vec![(0, read(1), 0, 1)],
        // Read before it was asked for.
        vec![(0, read(1), 0, 1), (0, write(1), 2, 3)],
        // A lost write.
        vec![(0, write(1), 0, 1), (1, Action::Read(None), 2, 3)],
        // A stale read.
        vec![(0, write(1), 0, 1), (0, write(2), 2, 3), (1, read(1), 4, 5)],
        // Two readers that disagree about the order of two writes.
        vec![
            (0, write(1), 0, 1),
            (1, write(2), 0, 1),
            (2, read(1), 2, 3),
            (3, read(2), 4, 5),
        ],
        // Back to before a write that somebody has seen.
        vec![
            (0, write(1), 0, 1),
            (0, write(2), 2, 99),
            (1, read(2), 3, 4),
            (2, read(1), 5, 6),
        ],
        // Applied twice: somebody else's value was between.
        vec![
            (0, write(1), 0, 99),
            (1, read(1), 2, 3),
            (1, write(2), 4, 5),
            (1, read(1), 6, 7),
            (1, read(2), 8, 9),
        ],
        // Both win.
        vec![
            (0, write(1), 0, 1),
            (0, set(1, 2, Some(true)), 2, 5),
            (1, set(1, 3, Some(true)), 2, 5),
        ],
        // Refused although it was as expected.
        vec![(0, write(1), 0, 1), (0, set(1, 2, Some(false)), 2, 3)],
        // One without an answer cannot happen twice.
        vec![
            (0, write(1), 0, 1),
            (1, write(2), 2, NEVER),
            (2, read(2), 3, 4),
            (2, write(3), 5, 6),
            (2, read(2), 7, 8),
        ],
    ] {
        let history = history(&bad);
        assert!(check(&history).is_err(), "{history:?}");
    }
}

/// A register that is one, but for readers that sometimes find what was there before.
struct Model {
    state: Value,
    before: Value,
    stale: bool,
}

impl Model {
    /// What becomes of an operation that happens now.
    fn happen(&mut self, action: Action, dice: &mut Dice) -> Action {
        let was = self.state;
        let done = match action {
            Action::Write(value) => {
                self.state = value;
                action
            }
            Action::Read(_) if self.stale && dice.one_in(10) => Action::Read(self.before),
            Action::Read(_) => Action::Read(was),
            Action::CompareAndSet { expected, new, .. } => {
                let holds = expected == was;
                self.state = if holds { new } else { was };
                Action::CompareAndSet {
                    expected,
                    new,
                    done: Some(holds),
                }
            }
        };
        if self.state != was {
            self.before = was;
        }
        done
    }
}

/// The same, of which nobody learns what became.
fn unknown(action: Action) -> Action {
    match action {
        Action::CompareAndSet { expected, new, .. } => Action::CompareAndSet {
            expected,
            new,
            done: None,
        },
        action => action,
    }
}

/// Clients of a register: asked, done at some moment, answered later or not at all.
fn simulate(seed: u64, stale: bool) -> Vec<Operation> {
    let mut dice = Dice::new(seed);
    let mut model = Model {
        state: None,
        before: None,
        stale,
    };
    let mut seen = Vec::new();
    let mut under_way: Vec<Option<(u64, Action, bool)>> = vec![None; 5];
    for now in 0..400 {
        let client = dice.below(under_way.len());
        let new = Some(now);
        under_way[client] = match under_way[client] {
            None => {
                let action = match dice.below(3) {
                    0 => Action::Write(new),
                    1 => Action::Read(None),
                    _ => Action::CompareAndSet {
                        expected: model.state,
                        new,
                        done: None,
                    },
                };
                Some((now, action, false))
            }
            Some((asked, action, false)) if !dice.one_in(8) => {
                Some((asked, model.happen(action, &mut dice), true))
            }
            Some((asked, action, true)) if !dice.one_in(8) => {
                seen.push((client, action, asked, now));
                None
            }
            Some((asked, action, _)) => {
                seen.push((client, unknown(action), asked, NEVER));
                None
            }
        };
    }
    let left = under_way.into_iter().enumerate();
    let left = left.filter_map(|(client, it)| it.map(|it| (client, unknown(it.1), it.0, NEVER)));
    seen.extend(left);
    history(&seen)
}

#[test]
fn clients_of_one_register_are_always_explained_and_a_stale_reader_is_found() {
    let mut found = 0;
    for seed in 0..30 {
        check(&simulate(seed, false)).unwrap_or_else(|it| panic!("seed {seed}: {it:?}"));
        found += usize::from(check(&simulate(seed, true)).is_err());
    }
    // Some stale answers are as good as any, for instance of those who asked before the last write was answered.
    assert!(found >= 15, "a stale reader was found {found} times of 30");
}
