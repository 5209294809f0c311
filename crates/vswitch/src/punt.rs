//! What ports ask of the agent: frames that the vSwitch does not answer itself.

use coax_tables::{NetworkId, PuntKind};
use std::sync::mpsc;
use std::time::Duration;
use thiserror::Error;

/// A frame for the agent. Its answer goes out of the port's device, where no program sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Punt {
    /// The port's device.
    pub ifindex: u32,
    /// The port's counters.
    pub slot: u32,
    /// The port's network.
    pub network: NetworkId,
    /// What the frame asks for.
    pub kind: PuntKind,
    /// The VLAN in which the frame came in on a trunk, and its answer goes back; 0: untagged.
    pub vlan: u16,
    /// The frame from its Ethernet header on, without tags, at most
    /// [`coax_tables::PUNT_BYTES`] of it. The checksum of UDP may be one that the VM left to its
    /// device to complete, so nobody can check it.
    pub frame: Vec<u8>,
}

/// Whoever wrote the punts is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the data plane that hands out frames for the agent is gone")]
pub struct PuntsClosed;

/// The one reader of the punts. Its calls block: it wants a thread of its own.
pub trait Punts: Send {
    /// Waits for the next frame, at most so long; nothing when none came.
    ///
    /// # Errors
    /// When there will never be one again.
    fn wait(&mut self, patience: Duration) -> Result<Option<Punt>, PuntsClosed>;
}

/// Punts from the other end of a channel, for tests.
#[derive(Debug)]
pub struct MemoryPunts(mpsc::Receiver<Punt>);

/// The end of the channel that tests hold.
pub type PuntSender = mpsc::Sender<Punt>;

impl MemoryPunts {
    /// A reader, and the way to it.
    pub fn new() -> (PuntSender, Self) {
        let (sender, receiver) = mpsc::channel();
        (sender, Self(receiver))
    }
}

impl Punts for MemoryPunts {
    fn wait(&mut self, patience: Duration) -> Result<Option<Punt>, PuntsClosed> {
        match self.0.recv_timeout(patience) {
            Ok(punt) => Ok(Some(punt)),
            Err(mpsc::RecvTimeoutError::Timeout) => Ok(None),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(PuntsClosed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_read_until_the_sender_is_gone() {
        let (sender, mut punts) = MemoryPunts::new();
        let punt = Punt {
            ifindex: 3,
            slot: 1,
            network: NetworkId(7),
            kind: PuntKind::Dns,
            vlan: 0,
            frame: vec![1, 2, 3],
        };
        assert_eq!(punts.wait(Duration::ZERO), Ok(None));
        assert_eq!(sender.send(punt.clone()), Ok(()));
        assert_eq!(punts.wait(Duration::ZERO), Ok(Some(punt)));
        drop(sender);
        assert_eq!(punts.wait(Duration::ZERO), Err(PuntsClosed));
    }
}
