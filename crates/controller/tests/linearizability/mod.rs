//! Whether what clients saw can be explained by operations that happened at one moment each, between the question and the
//! answer: linearizability, for registers with compare-and-set.
//!
//! The search is that of Wing and Gong with the memory of Lowe: operations are put in order one after the other; whichever may
//! come next is tried, and a set of operations that led to the same state before is not tried again. Registers are
//! independent of each other, so each has a search of its own.
//!
//! An operation whose outcome nobody knows may take effect at any time after it was asked for, or never. Nothing is lost if it takes effect
//! just before the first operation that could not be explained without it, and only that is tried: everything else would be tried
//! for each set of such operations.

#![allow(dead_code)]

use std::collections::{BTreeMap, HashSet};

/// What is in a register: writers write something that nobody else writes. Nothing, before the first.
pub type Value = Option<u64>;

/// What was asked for, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Puts a value there.
    Write(Value),
    /// Found this value.
    Read(Value),
    /// Puts `new` there if `expected` is there; says whether it was. `None`: nobody knows.
    CompareAndSet {
        expected: Value,
        new: Value,
        done: Option<bool>,
    },
}

impl Action {
    /// The state after it; nothing if it cannot happen in this one.
    fn apply(self, state: Value) -> Option<Value> {
        match self {
            Self::Write(value) => Some(value),
            Self::Read(value) => (value == state).then_some(state),
            Self::CompareAndSet {
                expected,
                new,
                done,
            } => match (expected == state, done) {
                (true, Some(true)) => Some(new),
                (false, Some(false)) => Some(state),
                _ => None,
            },
        }
    }

    /// What it puts there, and what must be there before, if it takes effect.
    fn effect(self) -> Option<(Value, Option<Value>)> {
        match self {
            Self::Write(value) => Some((value, None)),
            Self::Read(_) => None,
            Self::CompareAndSet { expected, new, .. } => Some((new, Some(expected))),
        }
    }
}

/// One operation of a client. Times are of one clock for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub client: usize,
    /// Which register.
    pub register: String,
    pub action: Action,
    /// When it was asked for.
    pub asked: u64,
    /// When its answer came. `None`: it never did, or said that nobody knows.
    pub answered: Option<u64>,
}

/// A history that no order explains.
#[derive(Debug)]
pub struct Violation {
    pub register: String,
    /// As far as an order was found, and the operations of which none can come next.
    pub explained: usize,
    pub state: Value,
    pub stuck: Vec<Operation>,
}

/// Finds an order for each register, or says where there is none.
pub fn check(history: &[Operation]) -> Result<(), Box<Violation>> {
    let mut registers: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        let register = registers.entry(&operation.register).or_default();
        register.push(operation);
    }
    registers.into_values().try_for_each(check_register)
}

/// Which operations are in order already.
type Done = Vec<u64>;

fn is_done(done: &Done, number: usize) -> bool {
    done[number / 64] >> (number % 64) & 1 == 1
}

fn with(done: &Done, number: usize) -> Done {
    let mut done = done.clone();
    done[number / 64] |= 1 << (number % 64);
    done
}

/// The operations of one register.
struct Register<'a> {
    /// Those with an answer.
    known: Vec<&'a Operation>,
    /// Those without, which may have happened.
    unknown: Vec<&'a Operation>,
    /// Values that somebody read or expected.
    seen: HashSet<Value>,
}

/// How far an order has come.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Reached {
    known: Done,
    unknown: Done,
    state: Value,
}

impl Register<'_> {
    /// Ways to the state in which `action` can happen, by operations that are not in order yet and were asked for before `horizon`.
    fn ways(&self, from: &Reached, action: Action, horizon: u64) -> Vec<Reached> {
        if action.apply(from.state).is_some() {
            return vec![from.clone()];
        }
        match action {
            Action::Write(_) => Vec::new(),
            Action::Read(value) => self.ways_to(from, value, horizon),
            Action::CompareAndSet {
                expected,
                done: Some(true),
                ..
            } => self.ways_to(from, expected, horizon),
            // Anything else must be there. Values that nobody ever sees are as good as each other.
            Action::CompareAndSet { .. } => {
                let mut kinds = HashSet::new();
                let possible = self.possible(from, horizon).filter_map(|(number, effect)| {
                    let (new, needed) = effect;
                    let happens = needed.is_none_or(|needed| needed == from.state);
                    let seen = Some(new).filter(|new| self.seen.contains(new));
                    let first = happens && kinds.insert((seen, needed));
                    (first && new != from.state).then(|| from.after(number, new))
                });
                possible.collect()
            }
        }
    }

    /// Ways to a state.
    fn ways_to(&self, from: &Reached, wanted: Value, horizon: u64) -> Vec<Reached> {
        let mut ways = Vec::new();
        for (number, (new, needed)) in self.possible(from, horizon) {
            if new != wanted {
                continue;
            }
            match needed {
                Some(needed) if needed != from.state => {
                    // Without this one, which cannot be on the way to itself.
                    let without = from.after(number, from.state);
                    let before = self.ways_to(&without, needed, horizon).into_iter();
                    ways.extend(before.map(|it| it.after(number, new)));
                }
                _ => ways.push(from.after(number, new)),
            }
        }
        ways
    }

    fn possible(
        &self,
        from: &Reached,
        horizon: u64,
    ) -> impl Iterator<Item = (usize, (Value, Option<Value>))> {
        let unknown = self.unknown.iter().enumerate();
        unknown.filter_map(move |(number, it)| {
            let is_left = it.asked <= horizon && !is_done(&from.unknown, number);
            Some((number, it.action.effect().filter(|_| is_left)?))
        })
    }
}

impl Reached {
    /// After an operation without an answer took effect.
    fn after(&self, number: usize, state: Value) -> Self {
        Self {
            known: self.known.clone(),
            unknown: with(&self.unknown, number),
            state,
        }
    }
}

fn check_register(mut operations: Vec<&Operation>) -> Result<(), Box<Violation>> {
    operations.sort_by_key(|it| it.asked);
    let (known, unknown) = operations.iter().partition(|it| it.answered.is_some());
    let seen = operations.iter().filter_map(|it| match it.action {
        Action::Write(_) => None,
        Action::Read(value) => Some(value),
        Action::CompareAndSet { expected, .. } => Some(expected),
    });
    let register = Register {
        known,
        unknown,
        seen: seen.collect(),
    };
    let known = &register.known;
    let begin = Reached {
        known: vec![0; known.len().div_ceil(64)],
        unknown: vec![0; register.unknown.len().div_ceil(64)],
        state: None,
    };
    let mut seen = HashSet::from([begin.clone()]);
    let mut open = vec![(begin, 0)];
    let mut furthest: Option<(usize, Value, Vec<usize>)> = None;
    while let Some((reached, explained)) = open.pop() {
        let left = || (0..known.len()).filter(|number| !is_done(&reached.known, *number));
        let answered = |number: &usize| known[*number].answered.unwrap_or(u64::MAX);
        // What was answered first must have happened before anything that was asked for later.
        let Some(horizon) = left().map(|number| answered(&number)).min() else {
            return Ok(());
        };
        let mut next: Vec<usize> = left().filter(|it| known[*it].asked <= horizon).collect();
        if furthest.as_ref().is_none_or(|(most, ..)| explained > *most) {
            furthest = Some((explained, reached.state, next.clone()));
        }
        // The last one pushed is tried first: whoever was answered first probably happened first.
        next.sort_by_key(|number| std::cmp::Reverse(answered(number)));
        // One that changes nothing and fits here costs nothing: nobody need try to have it later.
        let free =
            |number: &usize| known[*number].action.apply(reached.state) == Some(reached.state);
        if let Some(number) = next.iter().copied().find(free) {
            next = vec![number];
        }
        for number in next {
            let action = known[number].action;
            for way in register.ways(&reached, action, horizon) {
                let Some(state) = action.apply(way.state) else {
                    continue;
                };
                let after = Reached {
                    known: with(&way.known, number),
                    unknown: way.unknown,
                    state,
                };
                if seen.insert(after.clone()) {
                    open.push((after, explained + 1));
                }
            }
        }
    }
    let (explained, state, stuck) = furthest.unwrap_or_default();
    Err(Box::new(Violation {
        register: operations[0].register.clone(),
        explained,
        state,
        stuck: stuck.into_iter().map(|it| known[it].clone()).collect(),
    }))
}
