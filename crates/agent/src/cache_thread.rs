//! The thread that writes the cache, so that nobody waits for a disk.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::cache::{Cache, CacheContents};
use crate::error::Error;

/// What waits to be written. Newer contents take the place of older ones, which nobody needs any more; and what is taken out
/// is not kept, because the core copies a slice that somebody else still holds before it changes it.
#[derive(Debug, Default)]
struct Waiting {
    contents: Option<CacheContents>,
    over: bool,
}

/// The way to the thread.
#[derive(Debug)]
pub(crate) struct CacheThread {
    shared: Arc<(Mutex<Waiting>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl CacheThread {
    /// Starts the thread.
    pub(crate) fn start(cache: Cache) -> Result<Self, Error> {
        let shared = Arc::new((Mutex::new(Waiting::default()), Condvar::new()));
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("cache".into())
            .spawn(move || write_all(&cache, &theirs))
            .map_err(|source| Error::System {
                what: "start the cache's thread",
                source,
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Hands contents over.
    pub(crate) fn save(&self, contents: CacheContents) {
        let (waiting, changed) = &*self.shared;
        waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contents = Some(contents);
        changed.notify_one();
    }
}

impl Drop for CacheThread {
    /// Waits until the last contents are on the disk.
    fn drop(&mut self) {
        let (waiting, changed) = &*self.shared;
        waiting.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        changed.notify_one();
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::warn!("the cache's thread did not end well");
        }
    }
}

fn write_all(cache: &Cache, shared: &(Mutex<Waiting>, Condvar)) {
    while let Some(contents) = next(shared) {
        if let Err(error) = cache.save(&contents) {
            tracing::error!(%error, "after a reboot, ports will need the controller");
        }
    }
}

/// The newest contents; none when there will be no more.
fn next((waiting, changed): &(Mutex<Waiting>, Condvar)) -> Option<CacheContents> {
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(contents) = waiting.contents.take() {
            return Some(contents);
        }
        if waiting.over {
            return None;
        }
        waiting = changed
            .wait(waiting)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn the_last_contents_are_on_the_disk_when_the_thread_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let thread = CacheThread::start(Cache::new(folder.path())).unwrap();
        for revision in 1..=100 {
            thread.save(CacheContents {
                revision,
                ..CacheContents::default()
            });
        }
        drop(thread);
        let kept = Cache::new(folder.path()).load().unwrap().unwrap();
        assert_eq!(kept.revision, 100);
    }
}
