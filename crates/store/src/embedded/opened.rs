//! The file while it is open, and opening it again after the disk was full.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

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
    /// Or why it could not be opened again so far.
    database: Result<Database, String>,
    /// Counts how often it was opened again.
    times: u64,
}

/// Opens the file, or creates it.
pub(super) fn create(path: &Path) -> Result<Database, StoreError> {
    let created = builder().create(path);
    created.map_err(|source| StoreError::Open {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

impl Shared {
    /// What has just been opened.
    pub(super) fn new(database: Database, path: Option<PathBuf>, bell: Bell) -> Self {
        Self {
            opened: RwLock::new(Opened {
                database: Ok(database),
                times: 0,
            }),
            path,
            bell,
        }
    }

    /// Does something with the database, and says how often it had been opened again. If it is not open, that is tried first.
    pub(super) fn with<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, E>,
    ) -> (u64, Result<T, E>) {
        let mut opened = self.read();
        if opened.database.is_err() {
            let times = opened.times;
            drop(opened);
            self.open_again(times);
            opened = self.read();
        }
        let result = match &opened.database {
            Ok(database) => work(database),
            Err(reason) => {
                let reason = reason.clone();
                Err(StoreError::Closed { reason }.into())
            }
        };
        (opened.times, result)
    }

    fn read(&self) -> RwLockReadGuard<'_, Opened> {
        self.opened.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what may be done twice; if the disk was full, after the file was opened again.
    pub(super) fn look<T>(
        &self,
        work: impl Fn(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.with(&work) {
            (times, Err(error)) if error.is_of_a_full_disk() && self.open_again(times) => {
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
            opened.database = Err(String::new());
            // A file that is not there any more must not become an empty store.
            opened.database = builder().open(path).map_err(|error| error.to_string());
            opened.times += u64::from(opened.database.is_ok());
        }
        opened.database.is_ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::{Embedded, Outcome, Store, Transaction};

    #[test]
    fn a_file_that_is_gone_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, away) = (folder.path().join("store"), folder.path().join("away"));
        let store = Embedded::open(&path).unwrap();
        let put = Transaction::new().put("a", "1");
        assert_eq!(store.transact(&put).unwrap(), Outcome::Done(1));
        std::fs::rename(&path, &away).unwrap();
        assert!(!store.shared.open_again(0));
        let closed = store.transact(&put).unwrap_err();
        assert!(closed.to_string().contains("No such file"), "{closed}");
        assert!(!path.exists());
        // Once it is back, the next request opens it and is done.
        std::fs::rename(&away, &path).unwrap();
        assert_eq!(store.transact(&put).unwrap(), Outcome::Done(2));
    }
}
