//! An etcd that becomes what another store was: each key with the revisions that it had there.
//!
//! Records name each other by revision, so the numbers have to stay. etcd gives its own, one after the other. So everything is put
//! again in the order of its revisions, and those that nothing is left of are filled with keys of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use super::{Etcd, EtcdAccess, OWN};
use crate::{KeyValue, Outcome, Range, Revision, Store, StoreError, Transaction};

/// How many fill a gap at the same time: what comes together etcd writes to the disk at once.
const FILLERS: u64 = 16;

impl Etcd {
    /// Fills an etcd to which nothing was ever written with what another store held. What happened before cannot be watched any
    /// more. If it ends half way, the etcd holds a part, and is to be made anew.
    pub fn restore(access: &EtcdAccess, content: &Range) -> Result<Self, StoreError> {
        let etcd = Self::open(access)?;
        let revision = etcd.revision()?;
        if revision != 0 {
            return Err(StoreError::Used { revision });
        }
        let mut filler = Filler {
            access,
            own: &etcd,
            others: Vec::new(),
            reached: 0,
        };
        for (revision, items) in by_revision(&content.items) {
            filler.fill(revision.saturating_sub(1))?;
            let puts = items.into_iter().fold(Transaction::new(), |puts, item| {
                puts.put(item.key.clone(), item.value.clone())
            });
            filler.put(&puts, revision)?;
        }
        filler.fill(content.revision)?;
        etcd.compact(content.revision)?;
        Ok(etcd)
    }
}

/// What was put at each revision that something is left of. A key that was created before it was last put is put at both.
fn by_revision(items: &[KeyValue]) -> BTreeMap<Revision, Vec<&KeyValue>> {
    let mut puts: BTreeMap<Revision, Vec<&KeyValue>> = BTreeMap::new();
    for item in items {
        for revision in BTreeSet::from([item.created, item.modified]) {
            puts.entry(revision).or_default().push(item);
        }
    }
    puts
}

/// Takes an etcd from revision to revision.
struct Filler<'a> {
    access: &'a EtcdAccess,
    own: &'a Etcd,
    /// Clients that each know their own transactions again.
    others: Vec<Etcd>,
    reached: Revision,
}

impl Filler<'_> {
    /// Puts what has to be at the next revision.
    fn put(&mut self, puts: &Transaction, revision: Revision) -> Result<(), StoreError> {
        match self.own.transact(puts)? {
            Outcome::Done(done) if done == revision => {
                self.reached = revision;
                Ok(())
            }
            // Somebody else writes.
            Outcome::Done(revision) | Outcome::Conflict { revision, .. } => {
                Err(StoreError::Used { revision })
            }
        }
    }

    /// Takes all revisions up to this one.
    fn fill(&mut self, to: Revision) -> Result<(), StoreError> {
        let missing = to.saturating_sub(self.reached);
        if missing > 4 * FILLERS {
            self.fill_together(missing)?;
        } else {
            fill_alone(self.own, 0, missing)?;
        }
        self.reached = to.max(self.reached);
        Ok(())
    }

    fn fill_together(&mut self, missing: u64) -> Result<(), StoreError> {
        while (self.others.len() as u64) < FILLERS {
            self.others.push(Etcd::open(self.access)?);
        }
        thread::scope(|scope| {
            let share = |number: u64| missing / FILLERS + u64::from(number < missing % FILLERS);
            let fillers = (0..).zip(&self.others);
            let fillers: Vec<_> = fillers
                .map(|(number, etcd)| scope.spawn(move || fill_alone(etcd, number, share(number))))
                .collect();
            let ended = |reason: &str| StoreError::Unreachable {
                reason: reason.to_owned(),
            };
            fillers.into_iter().try_for_each(|filler| {
                let joined = filler.join();
                joined.unwrap_or_else(|_| Err(ended("a thread ended that filled revisions")))
            })
        })
    }
}

fn fill_alone(etcd: &Etcd, number: u64, revisions: u64) -> Result<(), StoreError> {
    let key = [OWN, format!("filler/{number}").as_bytes()].concat();
    for _ in 0..revisions {
        etcd.transact(&Transaction::new().put(key.clone(), ""))?;
    }
    Ok(())
}
