//! Between the controllers and the store: answers get lost, transactions happen late or not at all, news take their time.

use std::sync::Arc;
use std::time::Duration;

use coax_api::AuditEntry;
use coax_controller::audit::{self, AuditLog};
use coax_controller::core::message::{Input, Stored};
use coax_controller::records::{self, News};
use coax_store::{Outcome, Store, StoreError, Transaction};

use super::Cluster;
use crate::world::UNDERLAY_MTU;

/// What is to be stored, and what is on its way to the store.
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) transaction: Arc<Transaction>,
    pub(super) entry: Option<Arc<AuditEntry>>,
    /// With its entry chained to the end of the audit log as it was a moment ago.
    pub(super) chained: Option<Transaction>,
}

impl Cluster {
    /// Somebody asks for what is refused, or for what is not the intent's: the audit log grows beside the changes.
    pub fn refuse(&mut self) {
        let entry = AuditEntry {
            status: 403,
            ..AuditEntry::default()
        };
        let nothing = Transaction::new();
        AuditLog::default()
            .append(&self.store, &nothing, &entry)
            .unwrap();
    }

    /// What one of them asked first gets its entry, and a step later the store takes it up. Between the two others may
    /// append to the log.
    pub(super) fn store(&mut self, member: usize) -> bool {
        let Some(mut asked) = self.members[member].asked.pop_front() else {
            return false;
        };
        let Some(transaction) = asked.chained.take() else {
            let head = audit::end_of_chain(&self.store).unwrap();
            asked.chained = Some(match &asked.entry {
                Some(entry) => {
                    let chained = audit::chained(head.as_ref(), &asked.transaction, entry);
                    chained.unwrap().0
                }
                None => Transaction::clone(&asked.transaction),
            });
            self.members[member].asked.push_front(asked);
            return true;
        };
        let unknown = || Stored::Unknown {
            reason: "no answer".into(),
        };
        let outcome = match self.dice.below(if self.faults { 10 } else { 1 << 20 }) {
            // It did not arrive, or has not yet.
            1 => {
                if self.dice.one_in(2) {
                    self.late.push(transaction);
                }
                unknown()
            }
            // The answer is lost.
            2 => {
                self.store.transact(&transaction).unwrap();
                unknown()
            }
            3 => Stored::Failed {
                reason: "no space left".into(),
            },
            _ => match self.store.transact(&transaction).unwrap() {
                Outcome::Done(revision) => Stored::Done(revision),
                // Somebody else appended to the log: it is chained to the new end.
                Outcome::Conflict { compare, .. }
                    if asked.entry.is_some() && compare + 1 == transaction.compares.len() =>
                {
                    self.members[member].asked.push_front(asked);
                    return true;
                }
                Outcome::Conflict { .. } => Stored::Lost,
            },
        };
        let number = asked.number;
        self.members[member].answered.push_back((number, outcome));
        true
    }

    pub(super) fn hear_store(&mut self, member: usize) -> bool {
        let Some((number, outcome)) = self.members[member].answered.pop_front() else {
            return false;
        };
        self.input(member, Input::Stored { number, outcome });
        true
    }

    /// One of them hears of one revision, or that history is gone.
    pub(super) fn follow(&mut self, member: usize) -> bool {
        if self.members[member].news.is_empty() {
            match self.events(self.members[member].next) {
                Ok((news, next)) => {
                    self.members[member].news.extend(news);
                    self.members[member].next = next;
                }
                Err(StoreError::Compacted { .. }) => {
                    let range = self.store.range(records::ROOT.as_bytes()).unwrap();
                    let loaded = records::read_range(&range, UNDERLAY_MTU).unwrap();
                    let loaded = Box::new(loaded);
                    self.members[member].next = range.revision + 1;
                    self.input(member, Input::Reread { range, loaded });
                    return true;
                }
                Err(error) => panic!("{error}"),
            }
        }
        let Some(news) = self.members[member].news.pop_front() else {
            return false;
        };
        self.input(member, Input::News(news));
        true
    }

    fn events(&self, next: u64) -> Result<(Vec<News>, u64), StoreError> {
        let mut watch = self.store.watch(records::ROOT.as_bytes(), next)?;
        let events = watch.next(Duration::ZERO)?;
        let next = events.last().map_or(next, |last| last.revision() + 1);
        Ok((records::read_events(&events).unwrap(), next))
    }

    /// The store forgets what happened.
    pub fn compact(&mut self) {
        let newest = self.store.revision().unwrap();
        self.store.compact(newest).unwrap();
    }
}
