//! Stage `port`: finds the port that a VM's frame entered by, and with it the network.
//!
//! Reads the port table and which ports are shut. Writes slot, network, MTU and what the port may do.
//! On a trunk the outermost tag is taken off and picks the row; a VLAN without a row is not carried. The
//! frame is counted as received here, so that every later end of it is counted against the same slot.
//! A device that is shut takes no frame in any VLAN; a VLAN can be shut alone.

use crate::guard::{self, bridge, canary, sources};
use crate::{Frame, Meta, Sink, Tables, Verdict};
use coax_tables::{DropReason, FABRIC_SLOT, PortKey, PortRow, ShutRow};
use coax_wire::{EtherType, Ethernet, VlanTag, words};

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
    if port.has(PortRow::TRUNK) && frame.is_tagged() {
        return trunk(frame, tables, sink, meta);
    }
    sink.received(meta.slot, meta.bytes);
    admit(frame, tables, meta, port)
}

/// Takes the port's row over and checks the sender's MAC address.
#[inline(always)]
fn admit<F: Frame, T: Tables>(frame: &F, tables: &T, meta: &mut Meta, port: &PortRow) -> Verdict {
    if is_shut(tables, port.slot) {
        return meta.drop(DropReason::PortShut);
    }
    meta.network = port.network;
    meta.mtu = port.mtu;
    meta.port_flags = port.flags.into();
    meta.own_ipv4 = port.ipv4;
    words::copy(&port.ipv6, &mut meta.own_ipv6);
    meta.scope = port.scope;
    meta.policy = port.policy;
    if port.has(PortRow::VLAN_TRANSPARENT) {
        meta.flags |= Meta::TAGS_ALLOWED;
    }
    if port.has(PortRow::ANY_ADDRESS) {
        meta.flags |= Meta::ANY_SENDER;
    }
    if port.has(PortRow::ISOLATED) {
        meta.flags |= Meta::ISOLATED;
    }
    let Some(ethernet) = frame.read::<Ethernet>(0) else {
        return meta.drop(DropReason::Truncated);
    };
    ethernet.put(&mut meta.ethernet);
    if ethernet.source != port.mac && !port.has(PortRow::ANY_SOURCE) {
        return foreign(frame, tables, meta);
    }
    Verdict::Next
}

/// A frame with a tag on a trunk.
#[inline(never)]
fn trunk<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let bytes = meta.bytes;
    let Ok(tag) = frame.pop_tag() else {
        sink.received(meta.slot, bytes);
        return meta.drop(if bytes < Ethernet::LENGTH + 2 * VlanTag::LENGTH {
            DropReason::Truncated
        } else {
            DropReason::RewriteFailed
        });
    };
    let device = meta.slot;
    let carried = tag.protocol == EtherType::VLAN && tag.vlan() != 0;
    let key = PortKey {
        ifindex: meta.ifindex,
        vlan: tag.vlan().into(),
    };
    let Some(port) = tables.port(&key).filter(|_| carried) else {
        sink.received(device, bytes);
        return not_carried(frame, tables, meta);
    };
    meta.slot = port.slot;
    meta.trunk_vlan = tag.vlan();
    sink.received(meta.slot, bytes);
    meta.bytes = bytes - VlanTag::LENGTH;
    if is_shut(tables, device) {
        return meta.drop(DropReason::PortShut);
    }
    admit(frame, tables, meta, port)
}

/// A VLAN that the trunk does not carry; spanning tree in it tells of a bridge all the same.
#[inline(always)]
fn not_carried<F: Frame, T: Tables>(frame: &F, tables: &T, meta: &mut Meta) -> Verdict {
    if let Some(ethernet) = frame.read::<Ethernet>(0) {
        ethernet.put(&mut meta.ethernet);
        if !frame.is_tagged() && bridge::is_bpdu(frame, meta) {
            return bridge::refuse(tables, meta);
        }
    }
    meta.drop(DropReason::VlanNotAllowed)
}

/// A source MAC address that is not the port's: a virtual one, a canary, or forged.
#[inline(never)]
fn foreign<F: Frame, T: Tables>(frame: &F, tables: &T, meta: &mut Meta) -> Verdict {
    if sources::may_use_mac(tables, meta) {
        return Verdict::Next;
    }
    if canary::came_back(frame, tables, meta) {
        return meta.drop(DropReason::Loop);
    }
    meta.drop(DropReason::ForgedSource)
}

/// True while a guard has the port shut. Its time over, the port opens by itself.
#[inline(always)]
fn is_shut<T: Tables>(tables: &T, slot: u32) -> bool {
    let row = tables.shut(slot);
    row.until != 0 && stays_shut(tables, slot, row.until)
}

#[inline(never)]
fn stays_shut<T: Tables>(tables: &T, slot: u32, until: u32) -> bool {
    if guard::seconds(tables) < until {
        return true;
    }
    tables.set_shut(slot, &ShutRow::default());
    false
}
