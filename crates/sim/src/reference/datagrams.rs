//! Datagrams in fragments: the first one is judged, the others follow it.

use super::packet::{Packet, Part};
use std::net::IpAddr;
use std::time::Duration;

/// How long the rest is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Pieces of a datagram that are remembered where nothing joins them.
const RUNS: usize = 4;
/// Units of eight bytes in the longest datagram.
const LONGEST: usize = 8192;

/// Names a datagram in a network: sender, receiver, identification, and over IPv4 the protocol.
type Name = (u32, IpAddr, IpAddr, u16, u8);

/// A datagram whose first fragment has passed.
#[derive(Clone, Debug)]
struct Datagram {
    name: Name,
    /// What has passed, in units of eight bytes: from, up to.
    runs: Vec<(usize, usize)>,
    overlapped: bool,
    until: Duration,
}

/// All datagrams of a host.
#[derive(Clone, Debug, Default)]
pub struct Datagrams(Vec<Datagram>);

impl Datagrams {
    /// When datagrams are given up.
    pub fn deadlines(&self) -> impl Iterator<Item = Duration> {
        self.0.iter().map(|datagram| datagram.until)
    }

    /// A fragment that may pass otherwise: does it, as a part of its datagram?
    pub fn take(&mut self, packet: &Packet, part: Part, network: u32, now: Duration) -> bool {
        let length = part.length.div_ceil(8);
        let run = (usize::from(part.offset), usize::from(part.offset) + length);
        if length == 0 || part.more && !part.length.is_multiple_of(8) || run.1 > LONGEST {
            return false;
        }
        let protocol = if packet.is_ipv6() {
            0
        } else {
            packet.protocol()
        };
        let name = (
            network,
            packet.source,
            packet.destination,
            part.identification,
            protocol,
        );
        self.0.retain(|datagram| datagram.until > now);
        if part.offset == 0 {
            self.0.retain(|datagram| datagram.name != name);
            self.0.push(Datagram {
                name,
                runs: vec![run],
                overlapped: false,
                until: now + PATIENCE,
            });
            return true;
        }
        let Some(place) = self.0.iter().position(|datagram| datagram.name == name) else {
            return false;
        };
        let datagram = &mut self.0[place];
        let runs = &mut datagram.runs;
        datagram.overlapped |= runs.iter().any(|one| run.0 < one.1 && one.0 < run.1);
        if datagram.overlapped {
            return false;
        }
        match runs
            .iter_mut()
            .position(|one| one.1 == run.0 || run.1 == one.0)
        {
            Some(touched) => {
                let one = &mut runs[touched];
                *one = (one.0.min(run.0), one.1.max(run.1));
                if touched == 0 && !part.more {
                    self.0.remove(place);
                }
            }
            None if runs.len() < RUNS => runs.push(run),
            None => return false,
        }
        true
    }
}
