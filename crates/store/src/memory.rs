//! The store of tests and simulations: nothing outlives the process.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::transaction::{Decision, Outcome, Transaction, decide};
use crate::watch::{Bell, Event, History, Replay, Watch};
use crate::{KeyValue, Range, Revision, Store, StoreError};

/// A store in memory. Clones share it.
#[derive(Clone, Default)]
pub struct Memory {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: RwLock<State>,
    bell: Bell,
}

#[derive(Default)]
struct State {
    revision: Revision,
    compacted: Revision,
    current: BTreeMap<Vec<u8>, KeyValue>,
    history: BTreeMap<Revision, Vec<Event>>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        // A panic while writing is impossible between the first and the last change of the state.
        look(
            &self
                .shared
                .state
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

impl Store for Memory {
    fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.read(|state| state.revision))
    }

    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        Ok(self.read(|state| state.current.get(key).cloned()))
    }

    fn range(&self, prefix: &[u8]) -> Result<Range, StoreError> {
        Ok(self.read(|state| Range {
            revision: state.revision,
            items: state
                .current
                .range(prefix.to_vec()..)
                .take_while(|(key, _)| key.starts_with(prefix))
                .map(|(_, item)| item.clone())
                .collect(),
        }))
    }

    fn transact(&self, transaction: &Transaction) -> Result<Outcome, StoreError> {
        let mut state = self
            .shared
            .state
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let get = |key: &[u8]| Ok(state.current.get(key).cloned());
        match decide(transaction, state.revision, get)? {
            Decision::Nothing(outcome) => Ok(outcome),
            Decision::Write(revision, events) => {
                for event in &events {
                    match event {
                        Event::Put(item) => {
                            state.current.insert(item.key.clone(), item.clone());
                        }
                        Event::Delete { key, .. } => {
                            state.current.remove(key);
                        }
                    }
                }
                state.history.insert(revision, events);
                state.revision = revision;
                drop(state);
                self.shared.bell.ring(revision);
                Ok(Outcome::Done(revision))
            }
        }
    }

    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, StoreError> {
        self.shared.events(prefix, from)?;
        Ok(Watch::new(Replay::new(self.shared.clone(), prefix, from)))
    }

    fn compact(&self, through: Revision) -> Result<(), StoreError> {
        let mut state = self
            .shared
            .state
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if through > state.revision {
            return Err(StoreError::Future {
                asked: through,
                newest: state.revision,
            });
        }
        state.compacted = state.compacted.max(through);
        state.history = state.history.split_off(&(through + 1));
        Ok(())
    }
}

impl History for Shared {
    fn events(&self, prefix: &[u8], from: Revision) -> Result<(Vec<Event>, Revision), StoreError> {
        let from = from.max(1);
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if from <= state.compacted {
            return Err(StoreError::Compacted {
                asked: from,
                oldest: state.compacted + 1,
            });
        }
        let events = state.history.range(from..).flat_map(|(_, events)| events);
        let wanted = events
            .filter(|event| event.key().starts_with(prefix))
            .cloned();
        Ok((wanted.collect(), state.revision))
    }

    fn bell(&self) -> &Bell {
        &self.bell
    }
}
