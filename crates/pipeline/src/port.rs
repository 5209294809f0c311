//! Stage `port`: finds the port that a VM's frame entered by, and with it the network.
//!
//! Reads the port table. Writes slot, network, MTU and what the port may do. The frame is counted
//! as received here, so that every later end of it is counted against the same slot.

use crate::{Frame, Meta, Sink, Tables, Verdict};
use coax_tables::{DropReason, FABRIC_SLOT, PortKey, PortRow};
use coax_wire::Ethernet;

/// Runs the stage.
#[inline(always)]
pub(crate) fn run<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    meta.bytes = frame.length();
    let Some(port) = tables.port(&PortKey {
        ifindex: meta.ifindex,
        vlan: 0,
    }) else {
        sink.received(FABRIC_SLOT, meta.bytes);
        return meta.drop(DropReason::UnknownPort);
    };
    meta.slot = port.slot;
    meta.network = port.network;
    meta.mtu = port.mtu;
    meta.port_flags = port.flags.into();
    if port.has(PortRow::VLAN_TRANSPARENT) {
        meta.flags |= Meta::TAGS_ALLOWED;
    }
    sink.received(meta.slot, meta.bytes);
    let Some(ethernet) = frame.read::<Ethernet>(0) else {
        return meta.drop(DropReason::Truncated);
    };
    ethernet.put(&mut meta.ethernet);
    if ethernet.source != port.mac && !port.has(PortRow::ANY_SOURCE) {
        return meta.drop(DropReason::ForgedSource);
    }
    Verdict::Next
}
