//! The host's canaries: one that comes back by any port was carried there by a VM that bridges.
//!
//! The agent sends a canary out of every port once a second. When two ports are bridged, each gets the
//! other's; the second of them stays open, because the first is shut by then and one shut port ends
//! the loop. A canary has the address of no port, so the stage `port` asks before it calls it forged.

use super::shut;
use crate::{Frame, Meta, Tables};
use coax_tables::DropReason;
use coax_wire::Ethernet;
use coax_wire::canary::Canary;
use zerocopy::FromBytes;

/// What of a canary stands behind its Ethernet header and counts.
#[derive(FromBytes)]
#[repr(C)]
struct Mark {
    secret: [u8; 8],
    slot: [u8; 4],
}

/// True for a canary of this host; then the port is shut, unless the loop is broken already.
#[inline(never)]
pub(crate) fn came_back<F: Frame, T: Tables>(frame: &F, tables: &T, meta: &Meta) -> bool {
    // With a tag it came over no cable of ours, and where its type stands depends on the driver.
    if meta.ethernet.ethertype != Canary::ETHERTYPE || frame.is_tagged() {
        return false;
    }
    let (Some(mark), Some(host)) = (frame.read::<Mark>(Ethernet::LENGTH), tables.host()) else {
        return false;
    };
    let secret = u64::from_be_bytes(mark.secret);
    if secret != host.canary || secret == 0 {
        return false;
    }
    if tables.shut(u32::from_be_bytes(mark.slot)).until == 0 {
        shut(tables, meta, DropReason::Loop);
    }
    true
}
