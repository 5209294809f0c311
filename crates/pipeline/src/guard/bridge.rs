//! A VM that acts as a bridge: spanning tree frames, which shut the port, and IP inside of LLC, which
//! no guard would see.
//!
//! Spanning tree is known by its group address and by its LLC header: IEEE 802.1D, 802.1w and 802.1s
//! speak to 01:80:c2:00:00:00, provider bridges to ..:08, Cisco's per-VLAN spanning tree in SNAP to
//! 01:00:0c:cc:cc:cd. Tags in front change nothing.

use super::shut;
use crate::{Frame, Meta, Tables, Verdict};
use coax_tables::{DropReason, PortRow};
use coax_wire::llc::{Llc, Snap};
use coax_wire::{EtherType, Ethernet, MacAddress};

const PER_VLAN: MacAddress = MacAddress([0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcd]);

/// True for the groups that bridges talk to each other on.
#[inline(always)]
pub(crate) fn is_bridge_group(destination: MacAddress) -> bool {
    matches!(destination.0, [0x01, 0x80, 0xc2, 0, 0, 0 | 8]) || destination == PER_VLAN
}

/// True for a spanning tree frame whose tags are off.
#[inline(never)]
pub(crate) fn is_bpdu<F: Frame>(frame: &F, meta: &Meta) -> bool {
    if !is_bridge_group(meta.ethernet.destination) || !meta.ethernet.ethertype.is_length() {
        return false;
    }
    let Some(llc) = frame.read::<Llc>(Ethernet::LENGTH) else {
        return false;
    };
    if llc.is_spanning_tree() {
        return true;
    }
    llc.is_snap()
        && matches!(
            frame.read::<Snap>(Ethernet::LENGTH + Llc::LENGTH),
            Some(snap) if snap.is_per_vlan_spanning_tree()
        )
}

/// Drops a spanning tree frame and shuts its port.
#[inline(always)]
pub(crate) fn refuse<T: Tables>(tables: &T, meta: &mut Meta) -> Verdict {
    shut(tables, meta, DropReason::Bpdu);
    meta.drop(DropReason::Bpdu)
}

/// True for IP, ARP or a tag inside of LLC, which some hosts take as if it came plainly
/// (CVE-2021-27853 and those beside it), on a port that is guarded in any way.
#[inline(never)]
pub(crate) fn hides_ip<F: Frame>(frame: &F, meta: &Meta) -> bool {
    if meta.is(Meta::ANY_SENDER) && meta.port_has(PortRow::SERVER) {
        return false;
    }
    let Some(llc) = frame.read::<Llc>(Ethernet::LENGTH) else {
        return false;
    };
    if !llc.is_snap() {
        return llc.carries_ip();
    }
    let Some(snap) = frame.read::<Snap>(Ethernet::LENGTH + Llc::LENGTH) else {
        return false;
    };
    match snap.ethertype() {
        Some(EtherType::IPV4 | EtherType::IPV6 | EtherType::ARP) => true,
        Some(kind) => kind.is_tag(),
        None => false,
    }
}
