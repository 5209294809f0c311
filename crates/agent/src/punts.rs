//! The thread that reads what ports ask. Reading blocks, and the core takes questions only when it has nothing else to do, so what
//! does not fit into the channel is lost: whoever asked asks again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use coax_vswitch::Punts;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::input::Input;

/// After this time the thread looks whether it is to end.
const PATIENCE: Duration = Duration::from_millis(200);

/// The thread; dropping it ends it.
#[derive(Debug)]
pub(crate) struct PuntThread {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PuntThread {
    /// Starts the thread.
    pub(crate) fn start(
        punts: Box<dyn Punts>,
        questions: mpsc::Sender<Input>,
    ) -> Result<Self, Error> {
        let over = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&over);
        let thread = std::thread::Builder::new()
            .name("punts".into())
            .spawn(move || read_all(punts, &questions, &theirs))
            .map_err(|source| Error::System {
                what: "start the thread that reads what ports ask",
                source,
            })?;
        Ok(Self {
            over,
            thread: Some(thread),
        })
    }
}

impl Drop for PuntThread {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::warn!("the thread that reads what ports ask did not end well");
        }
    }
}

fn read_all(mut punts: Box<dyn Punts>, questions: &mpsc::Sender<Input>, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let punt = match punts.wait(PATIENCE) {
            Ok(Some(punt)) => punt,
            Ok(None) => continue,
            Err(error) => {
                tracing::error!(%error, "DHCP and DNS are not answered any more");
                return;
            }
        };
        match questions.try_send(Input::Punted(punt)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => tracing::debug!("a question was too much"),
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        }
    }
}
