//! The audit log in the store: entries that each hold the hash of the one before. Nothing here changes
//! or deletes one.
//!
//! ```text
//! /coax/audit/v1/entry/00000000000000000042   an entry, by its number
//! /coax/audit/v1/head                         the number and hash of the last one
//! ```
//!
//! The entry of a change is part of the transaction that makes the change: there is no change without its entry, and no
//! entry of a change that is not there. Every transaction with an entry compares the head, so that the chain stays one, however
//! many controllers append to it; whoever was slower takes the new head and tries again.
//!
//! Whoever changes an entry in the store must change all that follow and the head; then the last hash is
//! another than the one that was written down, or that the controller's log has.

mod recording;

use std::sync::{Mutex, PoisonError};

use coax_api::{AuditEntry, AuditVerdict};
use coax_identity::secret::{hex, sha256};
use coax_store::{Compare, KeyValue, Operation, Outcome, Store, StoreError, Transaction};
use serde::{Deserialize, Serialize};
use tracing::info;

pub use self::recording::{Recording, Written};

/// Entries and head.
const EVERYTHING: &str = "/coax/audit/v1/";
const ENTRIES: &str = "/coax/audit/v1/entry/";
const HEAD: &str = "/coax/audit/v1/head";
/// How often an entry is tried where other controllers append theirs at the same time. One of them gets on each time, so
/// this is many more than there are controllers.
const ATTEMPTS: usize = 100;
/// What the first entry has as the hash of the one before.
const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Why an entry is not written, or the log not read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record that this version does not understand.
    #[error("the record {key} is not understood: {reason}")]
    Unreadable {
        /// Its key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Others appended again and again. Nothing was stored.
    #[error("other controllers keep appending to the audit log")]
    Contended,
}

/// Where the chain ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    number: u64,
    hash: String,
}

/// The hash of an entry: over its JSON without the hash. Of an entry that came with a change of the intent the revision is not known
/// before it is stored; it has the one before that.
fn hash_of(entry: &AuditEntry) -> String {
    let bare = AuditEntry {
        hash: String::new(),
        revision: entry.revision.filter(|_| entry.decided_on.is_none()),
        ..entry.clone()
    };
    // Plain values always encode.
    hex(&sha256(&serde_json::to_vec(&bare).unwrap_or_default()))
}

fn entry_key(number: u64) -> String {
    format!("{ENTRIES}{number:020}")
}

/// Where the chain ends now, to chain another entry to it.
pub fn end_of_chain(store: &dyn Store) -> Result<Option<KeyValue>, StoreError> {
    store.get(HEAD.as_bytes())
}

/// A transaction that also appends an entry, whose number and hashes are filled in here, to the chain that ends with `head`. Its
/// last compare is that it still does.
pub fn chained(
    head: Option<&KeyValue>,
    transaction: &Transaction,
    entry: &AuditEntry,
) -> Result<(Transaction, AuditEntry), AuditError> {
    let last: Option<Head> = head.map(read).transpose()?;
    let mut next = AuditEntry {
        number: last.as_ref().map_or(0, |last| last.number) + 1,
        previous: last.map_or(BEGINNING.to_owned(), |last| last.hash),
        ..entry.clone()
    };
    next.hash = hash_of(&next);
    let last = Head {
        number: next.number,
        hash: next.hash.clone(),
    };
    let mut transaction = transaction.clone();
    transaction.compares.push(unchanged(HEAD, head));
    let entry = put(&entry_key(next.number), &next);
    transaction.operations.extend([entry, put(HEAD, &last)]);
    Ok((transaction, next))
}

/// Appends. Those of one process wait for each other, so that only other controllers can be faster.
#[derive(Debug, Default)]
pub struct AuditLog(Mutex<()>);

impl AuditLog {
    /// Does a transaction that appends an entry to the log, both or neither. A conflict is one of the transaction's own compares.
    pub fn append(
        &self,
        store: &dyn Store,
        transaction: &Transaction,
        entry: &AuditEntry,
    ) -> Result<Outcome, AuditError> {
        let _turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..ATTEMPTS {
            let head = end_of_chain(store)?;
            let (transaction, entry) = chained(head.as_ref(), transaction, entry)?;
            match store.transact(&transaction)? {
                Outcome::Conflict { compare, .. } if compare + 1 == transaction.compares.len() => {}
                Outcome::Done(revision) => {
                    say(&entry, revision);
                    return Ok(Outcome::Done(revision));
                }
                conflict => return Ok(conflict),
            }
        }
        Err(AuditError::Contended)
    }
}

/// A second copy, which no one who can write to the store can change.
fn say(entry: &AuditEntry, revision: u64) {
    info!(
        number = entry.number,
        who = entry.who,
        from = entry.from,
        method = entry.method,
        path = entry.path,
        status = entry.status,
        revision = entry.decided_on.map(|_| revision).or(entry.revision),
        hash = entry.hash,
        "audit"
    );
}

/// The last entries, oldest first.
pub fn entries(store: &dyn Store, last: usize) -> Result<Vec<AuditEntry>, AuditError> {
    let items = store.range(ENTRIES.as_bytes())?.items;
    let skipped = items.len().saturating_sub(last);
    items[skipped..].iter().map(shown).collect()
}

/// An entry with the revision of its change: both are of one transaction.
fn shown(item: &KeyValue) -> Result<AuditEntry, AuditError> {
    let entry: AuditEntry = read(item)?;
    let revision = entry.decided_on.map(|_| item.created).or(entry.revision);
    Ok(AuditEntry { revision, ..entry })
}

/// The operation that stores a plain value.
pub(crate) fn put(key: &str, value: &impl Serialize) -> Operation {
    Operation::Put {
        key: key.into(),
        // Plain values always encode; an empty record would be noticed when it is read.
        value: serde_json::to_vec(value).unwrap_or_default(),
    }
}

/// That a key is as it was found, or still is not there.
pub(crate) fn unchanged(key: impl AsRef<[u8]>, found: Option<&KeyValue>) -> Compare {
    Compare::Modified {
        key: key.as_ref().to_vec(),
        revision: found.map_or(0, |item| item.modified),
    }
}

/// What [`put`] stored.
pub(crate) fn read<T: serde::de::DeserializeOwned>(item: &KeyValue) -> Result<T, AuditError> {
    serde_json::from_slice(&item.value).map_err(|error| AuditError::Unreadable {
        key: String::from_utf8_lossy(&item.key).into_owned(),
        reason: error.to_string(),
    })
}

/// Checks every entry and every link.
pub fn verify(store: &dyn Store) -> Result<AuditVerdict, AuditError> {
    // At one moment: others append meanwhile.
    let items = store.range(EVERYTHING.as_bytes())?.items;
    let entries = |item: &&KeyValue| item.key.starts_with(ENTRIES.as_bytes());
    let head = items.iter().find(|item| item.key == HEAD.as_bytes());
    let items: Vec<&KeyValue> = items.iter().filter(entries).collect();
    let mut previous = BEGINNING.to_owned();
    let mut broken = None;
    for (number, item) in (1..).zip(&items) {
        let reason = match read::<AuditEntry>(item) {
            Err(_) => Some("it is not an entry"),
            Ok(entry) if entry.number != number || item.key != entry_key(number).as_bytes() => {
                Some("an entry is missing before it")
            }
            Ok(entry) if entry.previous != previous => Some("it does not follow the one before"),
            Ok(entry) if entry.hash != hash_of(&entry) => Some("its content was changed"),
            Ok(entry) => {
                previous = entry.hash;
                None
            }
        };
        if let Some(reason) = reason {
            broken = Some((number, reason));
            break;
        }
    }
    let entries = u64::try_from(items.len()).unwrap_or(u64::MAX);
    if broken.is_none() {
        let head: Option<Head> = head.map(read).transpose()?;
        let (number, hash) = head.map_or((0, BEGINNING.to_owned()), |it| (it.number, it.hash));
        if (number, hash.as_str()) != (entries, previous.as_str()) {
            broken = Some((entries + 1, "entries at the end are missing"));
        }
    }
    Ok(AuditVerdict {
        entries,
        last_hash: previous,
        broken_at: broken.map(|(number, _)| number),
        reason: broken.map(|(_, reason)| reason.to_owned()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
