//! Transactions: what they are made of, and what they would do to a store. [`decide`] is all there is
//! to know about their meaning; the implementations only read and write.

use std::collections::BTreeSet;

use crate::error::shown;
use crate::watch::Event;
use crate::{KeyValue, Revision, StoreError};

/// Something that must hold for a transaction to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compare {
    /// The key was last put at this revision; 0: it does not exist.
    Modified {
        /// The key.
        key: Vec<u8>,
        /// The revision.
        revision: Revision,
    },
    /// The key has this value.
    Value {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
}

impl Compare {
    /// The key that it is about.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Modified { key, .. } | Self::Value { key, .. } => key,
        }
    }

    /// Whether it holds for what is found under its key.
    pub(crate) fn holds(&self, found: Option<&KeyValue>) -> bool {
        match self {
            Self::Modified { revision, .. } => found.map_or(0, |found| found.modified) == *revision,
            Self::Value { value, .. } => found.is_some_and(|found| found.value == *value),
        }
    }
}

/// Something that a transaction does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Creates or replaces a key.
    Put {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Deletes a key; one that does not exist is no error and no change.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
}

impl Operation {
    /// The key that it is about.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// Compares and, if all hold, operations. All or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What must hold.
    pub compares: Vec<Compare>,
    /// What is done then; at most one operation per key.
    pub operations: Vec<Operation>,
}

impl Transaction {
    /// A transaction without conditions or operations.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition.
    #[must_use]
    pub fn when(mut self, compare: Compare) -> Self {
        self.compares.push(compare);
        self
    }

    /// Adds a put.
    #[must_use]
    pub fn put(mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.operations.push(Operation::Put {
            key: key.into(),
            value: value.into(),
        });
        self
    }

    /// Adds a delete.
    #[must_use]
    pub fn delete(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.operations.push(Operation::Delete { key: key.into() });
        self
    }
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It happened. The revision that holds it; if it changed nothing, the newest one before.
    Done(Revision),
    /// A compare did not hold, nothing happened.
    Conflict {
        /// Which of the compares, counted from 0.
        compare: usize,
        /// The newest revision.
        revision: Revision,
    },
}

/// What an implementation is to do.
pub(crate) enum Decision {
    Nothing(Outcome),
    /// Write these events, all of this one revision.
    Write(Revision, Vec<Event>),
}

/// What `transaction` means to a store whose newest revision is `revision`.
pub(crate) fn decide(
    transaction: &Transaction,
    revision: Revision,
    mut get: impl FnMut(&[u8]) -> Result<Option<KeyValue>, StoreError>,
) -> Result<Decision, StoreError> {
    check(&transaction.operations)?;
    for (compare, condition) in transaction.compares.iter().enumerate() {
        if !condition.holds(get(condition.key())?.as_ref()) {
            return Ok(Decision::Nothing(Outcome::Conflict { compare, revision }));
        }
    }
    let next = revision + 1;
    let mut events = Vec::with_capacity(transaction.operations.len());
    for operation in &transaction.operations {
        let before = get(operation.key())?;
        match operation {
            Operation::Put { key, value } => events.push(Event::Put(KeyValue {
                key: key.clone(),
                value: value.clone(),
                created: before.map_or(next, |found| found.created),
                modified: next,
            })),
            Operation::Delete { key } if before.is_some() => events.push(Event::Delete {
                key: key.clone(),
                revision: next,
            }),
            Operation::Delete { .. } => {}
        }
    }
    if events.is_empty() {
        return Ok(Decision::Nothing(Outcome::Done(revision)));
    }
    Ok(Decision::Write(next, events))
}

/// Refuses what no store can do.
pub(crate) fn check(operations: &[Operation]) -> Result<(), StoreError> {
    let mut seen = BTreeSet::new();
    for operation in operations {
        if operation.key().is_empty() {
            return Err(StoreError::EmptyKey);
        }
        if !seen.insert(operation.key()) {
            return Err(StoreError::DuplicateKey {
                key: shown(operation.key()),
            });
        }
    }
    Ok(())
}
