//! The thread that reads what ports ask. Reading blocks, and the core takes questions only when it has nothing else to do, so what
//! does not fit into the channel is lost: whoever asked asks again.

use std::sync::atomic::{AtomicBool, Ordering};

use coax_vswitch::Punts;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::input::Input;
use crate::reader_thread::{PATIENCE, ReaderThread};

/// Starts the thread.
pub(crate) fn start(
    punts: Box<dyn Punts>,
    questions: mpsc::Sender<Input>,
) -> Result<ReaderThread, Error> {
    let what = "start the thread that reads what ports ask";
    ReaderThread::start("punts", what, move |over| read_all(punts, &questions, over))
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
