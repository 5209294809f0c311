//! Where intent is kept: ordered bytes with etcd's semantics, behind one trait.
//!
//! [`Store`] has what etcd has and Coax uses: get, range by prefix, transactions (compares, then puts
//! and deletes, all or nothing), one revision counter for the whole store, watching a prefix from a
//! revision, and compaction of what watchers can still ask for. There are no leases: controllers that
//! share a store agree by comparing what they have seen. There is no reading of old revisions either;
//! history exists for watchers only.
//!
//! Three implementations: [`Embedded`] (one redb file, no server to run), [`Etcd`] (several
//! controllers share it) and [`Memory`] (tests and simulations). `tests/conformance.rs` is what it
//! means to be a [`Store`] and runs against all.
//!
//! Invariants:
//! - A transaction that returned is on disk. One that did not return happened whole or not at all.
//! - A transaction that changes something takes exactly one revision; no other takes any.
//! - A watcher sees every event of its prefix from its revision on, in order, or an error that says
//!   that history is gone ([`StoreError::Compacted`]). Never a silent gap.

mod embedded;
mod error;
mod etcd;
mod memory;
mod record;
mod transaction;
mod watch;

pub use embedded::Embedded;
pub use error::StoreError;
pub use etcd::{AccessError, Etcd, EtcdAccess, EtcdCredentials, EtcdLogin};
pub use memory::Memory;
pub use transaction::{Compare, Operation, Outcome, Transaction};
pub use watch::{Event, Watch};

/// Counts the transactions that changed something. 0 is the empty store.
pub type Revision = u64;

/// A key with its value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// The revision that created the key (after its last deletion).
    pub created: Revision,
    /// The revision that put this value.
    pub modified: Revision,
}

/// What a range holds, all of it read at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The revision that was read.
    pub revision: Revision,
    /// By key.
    pub items: Vec<KeyValue>,
}

/// Ordered bytes with etcd's semantics; see the crate's invariants.
pub trait Store: Send + Sync {
    /// The newest revision.
    fn revision(&self) -> Result<Revision, StoreError>;

    /// One key.
    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, StoreError>;

    /// All keys that start with `prefix`, sorted. The empty prefix is everything.
    fn range(&self, prefix: &[u8]) -> Result<Range, StoreError>;

    /// Does the transaction's operations if all its compares hold.
    fn transact(&self, transaction: &Transaction) -> Result<Outcome, StoreError>;

    /// The events of revision `from` and later under `prefix`, those that were and those to come.
    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, StoreError>;

    /// Forgets the events of revision `through` and earlier. Keys and values stay.
    fn compact(&self, through: Revision) -> Result<(), StoreError>;
}
