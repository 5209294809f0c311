//! A thread that reads from the data plane, where reading blocks. Dropping it ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::Error;

/// After this time without anything to read the thread looks whether it is to end.
pub(crate) const PATIENCE: Duration = Duration::from_millis(200);

/// The thread.
#[derive(Debug)]
pub(crate) struct ReaderThread {
    name: &'static str,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ReaderThread {
    /// Starts the thread; `what` says so in the error. `read` ends soon after it is given true.
    pub(crate) fn start(
        name: &'static str,
        what: &'static str,
        read: impl FnOnce(&AtomicBool) + Send + 'static,
    ) -> Result<Self, Error> {
        let over = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&over);
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || read(&theirs))
            .map_err(|source| Error::System { what, source })?;
        Ok(Self {
            name,
            over,
            thread: Some(thread),
        })
    }
}

impl Drop for ReaderThread {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if ended.is_some_and(|ended| ended.is_err()) {
            tracing::warn!("the thread that reads {} did not end well", self.name);
        }
    }
}
