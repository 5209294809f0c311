//! The thread that sends the core's answers out of ports' devices, through one packet socket that receives nothing.

use std::thread::JoinHandle;

use coax_netlink::PacketSender;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::tasks::ANSWERS;

/// A frame for a device.
#[derive(Debug)]
struct Outgoing {
    ifindex: u32,
    frame: Vec<u8>,
}

/// The way to the thread, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct AnswerThread {
    frames: Option<mpsc::Sender<Outgoing>>,
    thread: Option<JoinHandle<()>>,
}

impl AnswerThread {
    /// Starts the thread, in the network namespace that the caller is in.
    pub(crate) fn start() -> Result<Self, Error> {
        let sender = PacketSender::open()?;
        let (frames, receiver) = mpsc::channel(ANSWERS);
        let thread = std::thread::Builder::new()
            .name("answers".into())
            .spawn(move || send_all(sender, receiver))
            .map_err(|source| Error::System {
                what: "start the thread that answers ports",
                source,
            })?;
        Ok(Self {
            frames: Some(frames),
            thread: Some(thread),
        })
    }

    /// Hands a frame over. What does not fit is lost: whoever asked asks again.
    pub(crate) fn send(&self, ifindex: u32, frame: Vec<u8>) {
        let sent = self
            .frames
            .as_ref()
            .map(|frames| frames.try_send(Outgoing { ifindex, frame }));
        if !matches!(sent, Some(Ok(()))) {
            tracing::debug!(ifindex, "an answer was too much");
        }
    }
}

impl Drop for AnswerThread {
    fn drop(&mut self) {
        self.frames = None;
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::warn!("the thread that answers ports did not end well");
        }
    }
}

fn send_all(mut sender: PacketSender, mut frames: mpsc::Receiver<Outgoing>) {
    while let Some(Outgoing { ifindex, frame }) = frames.blocking_recv() {
        if let Err(error) = sender.send(ifindex, &frame) {
            tracing::debug!(%error, "an answer was not sent");
        }
    }
}
