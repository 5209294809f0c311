//! Stage `forward`: finds where the destination MAC address lives.
//!
//! Reads the MAC table, and the network table for groups and unknown addresses. Writes the local
//! port, the VTEP or the range of receivers. What came out of a tunnel never goes into another one
//! (split horizon), but for ports that have just moved away. Isolated ports do not reach each other.

use crate::{Frame, Meta, Sink, Tables, Verdict, guard, mtu, parse};
use coax_tables::{DropReason, FABRIC_SLOT, MacKey, MacRow, NetworkRow};
use coax_wire::words;

/// Runs the stage.
#[inline(always)]
pub(crate) fn run<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let destination = meta.ethernet.destination;
    if meta.is(Meta::FOREIGN_ONLY) || destination.is_group() {
        return to_many(frame, tables, sink, meta);
    }
    let Some(row) = tables.mac(&MacKey::new(meta.network, destination)) else {
        meta.flags |= Meta::UNKNOWN_UNICAST;
        return to_many(frame, tables, sink, meta);
    };
    if row.has(MacRow::ISOLATED) && is_isolated(tables, meta) {
        return meta.drop(DropReason::Isolated);
    }
    if row.has(MacRow::LOCAL) {
        // Two VLANs of a trunk are two ports of one device.
        if row.slot == meta.slot {
            return meta.drop(DropReason::Hairpin);
        }
        meta.out_ifindex = row.ifindex;
        meta.out_slot = row.slot;
        meta.out_vlan = row.vlan as u16;
        if row.has(MacRow::TO_PEER) && row.vlan == 0 {
            meta.flags |= Meta::TO_PEER;
        }
        return Verdict::Next;
    }
    if meta.is(Meta::FROM_TUNNEL) {
        if !row.has(MacRow::FORWARD) {
            return meta.drop(DropReason::NotHere);
        }
        parse::payload(frame, meta);
        mtu::measure(frame, meta);
    }
    words::copy(&row.vtep, &mut meta.vtep);
    meta.out_slot = FABRIC_SLOT;
    meta.flags |= Meta::TO_TUNNEL;
    if row.has(MacRow::IPV6) {
        meta.flags |= Meta::TUNNEL_IPV6;
    }
    Verdict::Next
}

#[inline(never)]
fn to_many<F: Frame, T: Tables, S: Sink>(
    frame: &F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let foreign_only = meta.is(Meta::FOREIGN_ONLY);
    if meta.ethernet.destination.is_reserved_group() {
        return meta.drop(DropReason::ReservedGroup);
    }
    let unknown = meta.is(Meta::UNKNOWN_UNICAST);
    let Some(network) = tables.network(&meta.network) else {
        return if foreign_only {
            Verdict::Drop
        } else if unknown {
            meta.drop(nobody(meta))
        } else {
            meta.drop(DropReason::NoReceiver)
        };
    };
    meta.receivers = *network;
    if foreign_only || (unknown && !network.has(NetworkRow::FLOOD_UNKNOWN)) {
        if network.foreign_ipv4 + network.foreign_ipv6 == 0 || meta.is(Meta::FROM_TUNNEL) {
            return if foreign_only {
                Verdict::Drop
            } else {
                meta.drop(nobody(meta))
            };
        }
        meta.flags |= Meta::FOREIGN_ONLY;
    }
    if meta.is(Meta::FROM_TUNNEL) {
        if is_isolated(tables, meta) {
            meta.flags |= Meta::ISOLATED;
        }
        guard::shared::heard(frame, tables, meta);
    } else if !meta.is(Meta::METERED) {
        match guard::storm::admit(tables, sink, meta) {
            Verdict::Next => {}
            verdict => return verdict,
        }
    }
    meta.flags |= Meta::TO_MANY;
    Verdict::Next
}

/// The sender is an isolated port: its own host knows it by its port row, others by where its MAC
/// address lives.
#[inline(never)]
fn is_isolated<T: Tables>(tables: &T, meta: &Meta) -> bool {
    if !meta.is(Meta::FROM_TUNNEL) {
        return meta.is(Meta::ISOLATED);
    }
    let key = MacKey::new(meta.network, meta.ethernet.source);
    matches!(tables.mac(&key), Some(row) if row.has(MacRow::ISOLATED))
}

/// Why an unknown unicast ends: it was sent here by mistake, or nobody has the address.
#[inline(always)]
fn nobody(meta: &Meta) -> DropReason {
    if meta.is(Meta::FROM_TUNNEL) {
        DropReason::NotHere
    } else {
        DropReason::UnknownUnicast
    }
}
