//! The audit log in the store: entries that each hold the hash of the one before. Nothing here changes
//! or deletes one.
//!
//! ```text
//! /coax/audit/v1/entry/00000000000000000042   an entry, by its number
//! /coax/audit/v1/head                         the number and hash of the last one
//! ```
//!
//! Whoever changes an entry in the store must change all that follow and the head; then the last hash is
//! another than the one that was written down, or that the controller's log has.

use coax_api::{AuditEntry, AuditVerdict};
use coax_identity::secret::{hex, sha256};
use coax_store::{Outcome, Transaction};
use serde::{Deserialize, Serialize};

use super::{Identities, IdentityError, put, read, unchanged};

const ENTRIES: &str = "/coax/audit/v1/entry/";
const HEAD: &str = "/coax/audit/v1/head";
/// How often an entry is tried where other controllers append theirs at the same time. One of them gets on each time, so
/// this is many more than there are controllers.
const ATTEMPTS: usize = 100;
/// What the first entry has as the hash of the one before.
const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where the chain ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    number: u64,
    hash: String,
}

/// The hash of an entry: over its JSON without the hash.
fn hash_of(entry: &AuditEntry) -> String {
    let bare = AuditEntry {
        hash: String::new(),
        ..entry.clone()
    };
    // Plain values always encode.
    hex(&sha256(&serde_json::to_vec(&bare).unwrap_or_default()))
}

fn entry_key(number: u64) -> String {
    format!("{ENTRIES}{number:020}")
}

impl Identities {
    /// Appends an entry, whose number and hashes are filled in here.
    pub fn record(&self, entry: &AuditEntry) -> Result<AuditEntry, IdentityError> {
        for _ in 0..ATTEMPTS {
            let found = self.get(HEAD)?;
            let head: Option<Head> = found.as_ref().map(read).transpose()?;
            let mut next = AuditEntry {
                number: head.as_ref().map_or(0, |head| head.number) + 1,
                previous: head.map_or(BEGINNING.to_owned(), |head| head.hash),
                ..entry.clone()
            };
            next.hash = hash_of(&next);
            let head = Head {
                number: next.number,
                hash: next.hash.clone(),
            };
            let transaction = Transaction {
                compares: vec![unchanged(HEAD, found.as_ref())],
                operations: vec![put(&entry_key(next.number), &next), put(HEAD, &head)],
            };
            if let Outcome::Done(_) = self.transact(&transaction)? {
                return Ok(next);
            }
        }
        Err(IdentityError::Contended)
    }

    /// The last entries, oldest first.
    pub fn entries(&self, last: usize) -> Result<Vec<AuditEntry>, IdentityError> {
        let items = self.range(ENTRIES)?;
        let skipped = items.len().saturating_sub(last);
        items[skipped..].iter().map(read).collect()
    }

    /// Checks every entry and every link.
    pub fn verify(&self) -> Result<AuditVerdict, IdentityError> {
        let items = self.range(ENTRIES)?;
        let mut previous = BEGINNING.to_owned();
        let mut broken = None;
        for (number, item) in (1..).zip(&items) {
            let reason = match read::<AuditEntry>(item) {
                Err(_) => Some("it is not an entry"),
                Ok(entry) if entry.number != number || item.key != entry_key(number).as_bytes() => {
                    Some("an entry is missing before it")
                }
                Ok(entry) if entry.previous != previous => {
                    Some("it does not follow the one before")
                }
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
            let found = self.get(HEAD)?;
            let head: Option<Head> = found.as_ref().map(read).transpose()?;
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
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use coax_identity::Authority;
    use coax_store::{Memory, Store};

    use super::*;

    fn log(entries: u64) -> (Arc<Memory>, Identities) {
        let store = Arc::new(Memory::new());
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let authority = Authority::create(now).unwrap();
        let identities = Identities::new(store.clone(), authority, Duration::from_secs(60));
        for path in 1..=entries {
            let entry = AuditEntry {
                who: "root".into(),
                path: format!("/v1/stacks/p{path}"),
                ..AuditEntry::default()
            };
            identities.record(&entry).unwrap();
        }
        (store, identities)
    }

    #[test]
    fn a_log_that_nobody_touched_is_whole() {
        for entries in [0, 1, 12] {
            let (_, identities) = log(entries);
            let verdict = identities.verify().unwrap();
            assert_eq!((verdict.entries, verdict.broken_at), (entries, None));
        }
        let (_, identities) = log(12);
        let last: Vec<u64> = identities
            .entries(3)
            .unwrap()
            .iter()
            .map(|it| it.number)
            .collect();
        assert_eq!(last, [10, 11, 12]);
    }

    #[test]
    fn whatever_is_changed_removed_or_exchanged_is_found() {
        type Harm = fn(&dyn Store);
        fn entry(store: &dyn Store, number: u64) -> AuditEntry {
            let item = store.get(entry_key(number).as_bytes()).unwrap().unwrap();
            serde_json::from_slice(&item.value).unwrap()
        }
        fn write(store: &dyn Store, number: u64, entry: &AuditEntry) {
            let value = serde_json::to_vec(entry).unwrap();
            let transaction = Transaction::new().put(entry_key(number), value);
            store.transact(&transaction).unwrap();
        }
        let harms: [(Harm, u64); 6] = [
            (
                |store| {
                    let mut changed = entry(store, 3);
                    changed.who = "somebody".into();
                    write(store, 3, &changed);
                },
                3,
            ),
            (
                |store| {
                    let mut changed = entry(store, 3);
                    changed.who = "somebody".into();
                    changed.hash = hash_of(&changed);
                    write(store, 3, &changed);
                },
                4,
            ),
            (
                |store| {
                    let transaction = Transaction::new().delete(entry_key(2));
                    store.transact(&transaction).unwrap();
                },
                2,
            ),
            (
                |store| {
                    let transaction = Transaction::new().delete(entry_key(5));
                    store.transact(&transaction).unwrap();
                },
                5,
            ),
            (
                |store| {
                    let (one, other) = (entry(store, 1), entry(store, 2));
                    write(store, 1, &other);
                    write(store, 2, &one);
                },
                1,
            ),
            (
                |store| {
                    let transaction = Transaction::new().put(entry_key(1), "{}");
                    store.transact(&transaction).unwrap();
                },
                1,
            ),
        ];
        for (harm, place) in harms {
            let (store, identities) = log(5);
            harm(&*store);
            assert_eq!(identities.verify().unwrap().broken_at, Some(place));
        }
    }
}
