//! The file while it is open, and opening it again after the disk has failed.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{Builder, Database};

use crate::StoreError;
use crate::watch::Bell;

/// Pages kept in memory. The controller reads everything once, at its start, and then only writes.
const CACHE_BYTES: usize = 32 << 20;

/// What clones of a store share.
pub(super) struct Shared {
    opened: RwLock<Opened>,
    /// To open it again; none, if it is no file.
    path: Option<PathBuf>,
    pub(super) bell: Bell,
}

struct Opened {
    /// None: it could not be opened again so far.
    database: Option<Database>,
    /// Counts how often it was opened again.
    times: u64,
}

/// Opens the file, or creates it.
pub(super) fn create(path: &Path) -> Result<Database, StoreError> {
    let created = Builder::new().set_cache_size(CACHE_BYTES).create(path);
    created.map_err(|source| StoreError::Open {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

impl Shared {
    /// What has just been opened.
    pub(super) fn new(database: Database, path: Option<PathBuf>, bell: Bell) -> Self {
        Self {
            opened: RwLock::new(Opened {
                database: Some(database),
                times: 0,
            }),
            path,
            bell,
        }
    }

    /// Does something with the database, and says how often it had been opened again.
    pub(super) fn with<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, E>,
    ) -> (u64, Result<T, E>) {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        let result = match &opened.database {
            Some(database) => work(database),
            None => Err(StoreError::Closed.into()),
        };
        (opened.times, result)
    }

    /// Does what may be done twice; if the disk failed, after the file was opened again.
    pub(super) fn look<T>(
        &self,
        work: impl Fn(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.with(&work) {
            (times, Err(error)) if error.is_of_the_disk() && self.open_again(times) => {
                self.with(&work).1
            }
            (_, result) => result,
        }
    }

    /// Opens the file again, unless somebody else has done so since; says whether it is open.
    pub(super) fn open_again(&self, times: u64) -> bool {
        let Some(path) = &self.path else {
            return false;
        };
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if opened.times == times {
            // Only one may have it open.
            opened.database = None;
            opened.database = create(path).ok();
            opened.times += u64::from(opened.database.is_some());
        }
        opened.database.is_some()
    }
}
