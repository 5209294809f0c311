//! What tenants' address resolution leaves on the fabric: tcpdump on every leaf, looking into the
//! tunnels for ARP and neighbour discovery. The filter runs in the kernel, so nothing is missed under
//! load, and what it lets through is kept as evidence.

use coax_fabric::Tier;

use crate::error::Error;
use crate::measure::frames::{self, Capture};
use crate::site::Site;

/// VXLAN over either family. `udp[n]` counts from the UDP header: 8 bytes of it, 8 of VXLAN, then the
/// inner Ethernet header, whose type is at 28, and the inner packet from 30 on. tcpdump has no such
/// words for IPv6, where the same places are counted from the IPv6 header (40 bytes).
const RESOLUTION: &str = "(udp dst port 4789 and udp[28:2] = 0x0806) \
    or (udp dst port 4789 and udp[28:2] = 0x86dd and udp[36] = 58 and (udp[70] = 135 or udp[70] = 136)) \
    or (ip6 and ip6[6] = 17 and ip6[42:2] = 4789 and ip6[68:2] = 0x0806) \
    or (ip6 and ip6[6] = 17 and ip6[42:2] = 4789 and ip6[68:2] = 0x86dd and ip6[76] = 58 \
        and (ip6[110] = 135 or ip6[110] = 136))";

/// A capture on every leaf.
#[derive(Debug)]
pub struct Sniffer(Vec<Capture>);

impl Sniffer {
    /// Starts to look.
    pub fn start(site: &Site) -> Result<Self, Error> {
        let leaves = site.plan.topology.tier(Tier::Leaf);
        let captures =
            leaves.map(|(id, _)| Capture::start(&site.node(id).namespace, "any", RESOLUTION));
        Ok(Self(captures.collect::<Result<_, _>>()?))
    }

    /// Stops, and returns how many frames were seen.
    pub fn finish(self) -> Result<usize, Error> {
        Ok(frames::finish_all(self.0)?.iter().map(Vec::len).sum())
    }
}
