//! The ring buffer by which programs hand frames to the agent.

use crate::punt::{Punt, Punts, PuntsClosed};
use aya::maps::{MapData, RingBuf};
use coax_tables::{PuntHeader, PuntKind};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::time::Duration;
use zerocopy::FromBytes;

/// Reads the pinned ring buffer. What programs write while nobody reads stays there until it is
/// full, so an agent that starts again finds the last questions.
pub(super) struct KernelPunts(RingBuf<MapData>);

impl KernelPunts {
    pub(super) const fn new(ring: RingBuf<MapData>) -> Self {
        Self(ring)
    }

    /// The next frame that is there already. A record that nobody can read, of a program of another
    /// version, is passed over.
    fn ready(&mut self) -> Option<Punt> {
        loop {
            let record = self.0.next()?;
            if let Some(punt) = read(&record) {
                return Some(punt);
            }
        }
    }
}

impl Punts for KernelPunts {
    fn wait(&mut self, patience: Duration) -> Result<Option<Punt>, PuntsClosed> {
        if let Some(punt) = self.ready() {
            return Ok(Some(punt));
        }
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut descriptors = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        match poll(&mut descriptors, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(self.ready()),
            Err(_) => Err(PuntsClosed),
        }
    }
}

fn read(record: &[u8]) -> Option<Punt> {
    let (header, rest) = PuntHeader::read_from_prefix(record).ok()?;
    Some(Punt {
        ifindex: header.ifindex,
        slot: header.slot,
        network: header.network,
        kind: PuntKind::numbered(header.kind)?,
        vlan: header.vlan as u16,
        frame: rest.get(..header.length as usize)?.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use coax_tables::NetworkId;
    use zerocopy::IntoBytes;

    fn record(kind: u32, length: u32, bytes: &[u8]) -> Vec<u8> {
        let header = PuntHeader {
            ifindex: 3,
            slot: 1,
            network: NetworkId(7),
            kind,
            length,
            vlan: 5,
        };
        [header.as_bytes(), bytes].concat()
    }

    #[test]
    fn a_record_is_read_to_its_length_and_no_further() {
        let punt = read(&record(4, 2, &[1, 2, 3])).map(|punt| (punt.kind, punt.vlan, punt.frame));
        assert_eq!(punt, Some((PuntKind::Dns, 5, vec![1, 2])));
        assert_eq!(read(&record(4, 4, &[1, 2, 3])), None);
        assert_eq!(read(&record(99, 2, &[1, 2, 3])), None);
        assert_eq!(read(&record(4, 2, &[])[..7]), None);
    }
}
