//! Why a store did not do what it was asked.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::{AccessError, Revision};

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed: the disk is full or broken, or somebody else has the file.
    #[error("the store failed: {0}")]
    Database(#[source] Box<redb::Error>),
    /// The database file cannot be opened.
    #[error("cannot open the store {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the database says.
        source: Box<redb::DatabaseError>,
    },
    /// The disk was full, and the file could not be opened again: it is tried with the next request.
    #[error(
        "the store is closed: the disk was full, and the file cannot be opened again: {reason}"
    )]
    Closed {
        /// What the database says.
        reason: String,
    },
    /// The disk failed, and whether the transaction happened is not known.
    #[error("the disk failed, and whether the change is stored is not known: {reason}")]
    Unsettled {
        /// What the database says.
        reason: String,
    },
    /// What is to become another store has revisions of its own.
    #[error("the store {} is not empty", path.display())]
    NotEmpty {
        /// The file.
        path: PathBuf,
    },
    /// What is to become another store has revisions of its own.
    #[error(
        "etcd was written to before: it is at revision {revision} of its own, and takes what another store held only while it is new"
    )]
    Used {
        /// Its revision.
        revision: Revision,
    },
    /// An address of etcd that is none.
    #[error("`{address}` is no address of etcd; write it like 192.0.2.1:2379")]
    Address {
        /// What was given.
        address: String,
    },
    /// etcd does not answer. Whether a transaction happened is not known.
    #[error("etcd does not answer: {reason}")]
    Unreachable {
        /// What the last attempt met.
        reason: String,
    },
    /// etcd and this client do not come together: certificates, passwords, rights.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// etcd refuses.
    #[error("etcd refuses: {reason}")]
    Refused {
        /// What it says.
        reason: String,
    },
    /// A transaction that is larger than etcd was started to take.
    #[error(
        "the transaction of {operations} operations and {bytes} bytes is larger than etcd takes; \
         start etcd with a larger --max-txn-ops and --max-request-bytes"
    )]
    TooLarge {
        /// How many operations it has.
        operations: usize,
        /// How many bytes its keys and values have.
        bytes: usize,
    },
    /// The file was written by another, incompatible version.
    #[error("the store has format {found}, this version reads format {known}")]
    Format {
        /// Format of the file.
        found: u64,
        /// Format that this version reads and writes.
        known: u64,
    },
    /// A record cannot be read.
    #[error("the store's record of key {key:?} is damaged")]
    Damaged {
        /// The key, as text where it is text.
        key: String,
    },
    /// A transaction with two operations on one key.
    #[error("the transaction has two operations on key {key:?}")]
    DuplicateKey {
        /// The key, as text where it is text.
        key: String,
    },
    /// A transaction with an empty key.
    #[error("the transaction has an operation on the empty key")]
    EmptyKey,
    /// The events asked for are no longer there. Read the range and watch from its revision + 1.
    #[error("events from revision {asked} are gone, the oldest kept is {oldest}")]
    Compacted {
        /// The revision asked for.
        asked: Revision,
        /// The oldest revision whose events are kept.
        oldest: Revision,
    },
    /// A revision that does not exist yet.
    #[error("revision {asked} does not exist, the newest is {newest}")]
    Future {
        /// The revision asked for.
        asked: Revision,
        /// The newest revision.
        newest: Revision,
    },
}

impl StoreError {
    /// Whether the transaction may have happened all the same, or may happen yet.
    pub fn leaves_open(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unsettled { .. })
    }

    /// Whether opening the file again may help, and shows what is on the disk. After any other failure it would show what is
    /// in the kernel's memory: a page that could not be written counts there as written.
    pub(crate) fn is_of_a_full_disk(&self) -> bool {
        let Self::Database(error) = self else {
            return false;
        };
        let redb::Error::Io(error) = &**error else {
            return false;
        };
        matches!(
            error.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded
        )
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        }
    )*};
}

from_redb!(
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SetDurabilityError
);

/// A key for people.
pub(crate) fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_disk_is_tried_again() {
        let failed = |kind: ErrorKind| StoreError::from(redb::StorageError::Io(kind.into()));
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
            assert!(failed(kind).is_of_a_full_disk(), "{kind}");
        }
        // What a broken disk says (EIO) has no kind of its own.
        let broken = std::io::Error::from_raw_os_error(5);
        assert!(!StoreError::from(redb::StorageError::Io(broken)).is_of_a_full_disk());
        assert!(!StoreError::from(redb::StorageError::PreviousIo).is_of_a_full_disk());
    }
}
