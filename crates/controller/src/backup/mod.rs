//! Backups: the whole store and the authority's key in one file, and a deployment made from such a file.
//!
//! | module | holds |
//! | --- | --- |
//! | `contents` | what a backup says about itself |
//! | `format` | the file: what is readable, what is sealed, how damage is found |
//! | `take` | a backup of a running controller |
//! | [`restore`] | a state folder from a backup |
//!
//! Invariant: a restored store is a new generation. What agents held of the old one is compared with nothing,
//! they are told everything anew; and the old controller, should it come back, is turned away.

mod contents;
mod format;
mod restore;
mod take;

use coax_identity::seal::OpenError;
use coax_store::StoreError;

pub use self::contents::Contents;
pub use self::format::{Backup, MAGIC, SHORTEST_PASSPHRASE};
pub use self::restore::{Restored, restore};
pub(crate) use self::take::take;

/// Why a file is no backup that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It is something else.
    #[error("it is no backup of Coax")]
    NotABackup,
    /// It ends before its end.
    #[error("it is cut off: {present} bytes of {expected} are there")]
    CutOff {
        /// Bytes that are there.
        present: u64,
        /// Bytes that it had.
        expected: u64,
    },
    /// A byte is another one.
    #[error("it is damaged: its checksum is that of other content")]
    Damaged,
    /// A later version wrote it.
    #[error("it has format {found}, this version reads format {known}")]
    Format {
        /// Format of the file.
        found: u32,
        /// Format that this version reads and writes.
        known: u32,
    },
    /// It cannot be decrypted.
    #[error(transparent)]
    Sealed(#[from] OpenError),
    /// It opens, but what is in it is not what it says on the outside.
    #[error("its content is not understood: {0}")]
    Content(String),
    /// The passphrase is one that can be tried out.
    #[error("the passphrase has {length} bytes; {SHORTEST_PASSPHRASE} are the least")]
    ShortPassphrase {
        /// How many it has.
        length: usize,
    },
    /// The folder that is to become a state folder holds something.
    #[error("{} is not empty", folder.display())]
    NotEmpty {
        /// The folder.
        folder: std::path::PathBuf,
    },
    /// The state folder cannot be made.
    #[error("cannot create the state folder {}: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Keys cannot be read or written.
    #[error(transparent)]
    Identity(#[from] coax_identity::Error),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was restored cannot be used by a controller.
    #[error(transparent)]
    Records(#[from] crate::records::RecordError),
    /// The audit log of the restored store cannot be used.
    #[error(transparent)]
    Audit(#[from] crate::identity::IdentityError),
}
