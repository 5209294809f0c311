//! The ring buffer by which programs report flows.

use crate::flow::{Flows, FlowsClosed};
use aya::maps::{MapData, RingBuf};
use coax_tables::FlowRecord;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::time::Duration;
use zerocopy::FromBytes;

/// Reads the pinned ring buffer. An agent that starts again finds what was reported while nobody read, as far
/// as it has room.
pub(super) struct KernelFlows(RingBuf<MapData>);

impl KernelFlows {
    pub(super) const fn new(ring: RingBuf<MapData>) -> Self {
        Self(ring)
    }

    /// Takes what is there already. A record that nobody can read, of a program of another version, is passed
    /// over.
    fn take(&mut self, most: usize, records: &mut Vec<FlowRecord>) {
        for _ in 0..most {
            let Some(bytes) = self.0.next() else {
                return;
            };
            records.extend(FlowRecord::read_from_bytes(&bytes).ok());
        }
    }
}

impl Flows for KernelFlows {
    fn wait(
        &mut self,
        patience: Duration,
        most: usize,
        records: &mut Vec<FlowRecord>,
    ) -> Result<(), FlowsClosed> {
        let before = records.len();
        self.take(most, records);
        if records.len() > before {
            return Ok(());
        }
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut descriptors = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        match poll(&mut descriptors, timeout) {
            Ok(_) | Err(Errno::EINTR) => {
                self.take(most, records);
                Ok(())
            }
            Err(_) => Err(FlowsClosed),
        }
    }
}
