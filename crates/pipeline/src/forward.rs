//! Stage `forward`: finds where the destination MAC address lives.
//!
//! Reads the MAC table, and the network table for groups and unknown addresses. Writes the local
//! port, the VTEP or the range of receivers. What came out of a tunnel never goes into another one
//! (split horizon), but for ports that have just moved away; each such step takes a hop of the tunnel
//! packet. Isolated ports do not reach each other. Frames to the gateway's MAC address go to `route`.
//!
//! The new owner of a shared address is noted here, when nothing ends its announcement any more. A routed network
//! has no broadcasts, so there only hosts hear of it.

use crate::{Frame, Meta, Sink, Tables, Verdict, guard, mtu, parse};
use coax_tables::{DropReason, FABRIC_SLOT, MacKey, MacRow, NetworkRow, PortRow};
use coax_wire::{Ethernet, words};

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
    if row.has(MacRow::ROUTER) {
        // The sender's host routes; whoever sends a frame on for somebody else's router is mistaken.
        if meta.is(Meta::FROM_TUNNEL) {
            return meta.drop(DropReason::NotHere);
        }
        meta.flags |= Meta::TO_ROUTER;
        return Verdict::Next;
    }
    if meta.port_flags & u32::from(PortRow::ROUTED) != 0 {
        return meta.drop(DropReason::NotRoutable);
    }
    if row.has(MacRow::ISOLATED) && is_isolated(tables, meta) {
        return meta.drop(DropReason::Isolated);
    }
    if row.has(MacRow::LOCAL) {
        // Two VLANs of a trunk are two ports of one device.
        if row.slot == meta.slot {
            return meta.drop(DropReason::Hairpin);
        }
        if meta.is(Meta::FROM_TUNNEL) && is_larger(frame, meta, row.mtu) {
            return meta.drop(DropReason::TooBig);
        }
    } else if meta.is(Meta::FROM_TUNNEL) {
        // Two hosts that believe of each other that the port is there send the frame to and fro until
        // its hops are used up.
        if !row.has(MacRow::FORWARD) || meta.hops <= 1 {
            return meta.drop(DropReason::NotHere);
        }
        meta.hops -= 1;
        parse::payload(frame, meta);
        mtu::measure(frame, meta);
    }
    to_place(row, meta);
    Verdict::Next
}

/// Writes down the place that a row names.
#[inline(always)]
pub(crate) fn to_place(row: &MacRow, meta: &mut Meta) {
    if row.has(MacRow::LOCAL) {
        meta.out_ifindex = row.ifindex;
        meta.out_slot = row.slot;
        meta.out_vlan = row.vlan as u16;
        meta.policy = row.policy;
        meta.scope = row.scope;
        if row.has(MacRow::TO_PEER) && row.vlan == 0 && row.ifindex != meta.ifindex {
            meta.flags |= Meta::TO_PEER;
        }
        return;
    }
    words::copy(&row.vtep, &mut meta.vtep);
    meta.out_slot = FABRIC_SLOT;
    meta.flags |= Meta::TO_TUNNEL;
    if row.has(MacRow::IPV6) {
        meta.flags |= Meta::TUNNEL_IPV6;
    }
}

/// True when a frame from a tunnel, or each segment that it stands for, is more than the receiver takes.
/// Hosts of Coax never send such a frame; a foreign VTEP may, and the port's device would drop it in
/// silence.
#[inline(always)]
fn is_larger<F: Frame>(frame: &F, meta: &mut Meta, mtu: u32) -> bool {
    frame.length() > mtu + Ethernet::LENGTH && are_segments_larger(frame, meta, mtu)
}

#[inline(never)]
fn are_segments_larger<F: Frame>(frame: &F, meta: &mut Meta, mtu: u32) -> bool {
    parse::payload(frame, meta);
    mtu::measure(frame, meta);
    meta.packet_length > mtu
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
    let from_tunnel = meta.is(Meta::FROM_TUNNEL);
    let announces = meta.is(Meta::ANNOUNCES);
    let to_hosts = foreign_only || announces || unknown && from_tunnel;
    if network.has(NetworkRow::ROUTED) && !to_hosts {
        let heard = from_tunnel && guard::shared::heard(frame, tables, meta);
        return meta.drop(if heard {
            DropReason::NoReceiver
        } else {
            DropReason::NotRoutable
        });
    }
    if from_tunnel && is_larger(frame, meta, network.mtu) {
        return meta.drop(DropReason::TooBig);
    }
    meta.receivers = *network;
    if foreign_only || (unknown && !network.has(NetworkRow::FLOOD_UNKNOWN)) {
        if network.foreign_ipv4 + network.foreign_ipv6 == 0 || from_tunnel {
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
    if announces {
        guard::shared::announced(tables, meta);
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
