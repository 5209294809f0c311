//! Stage `replicate`: sends a copy to every receiver of a broadcast, multicast or unknown unicast.
//!
//! Reads the replica table. Copies go to local ports as the frame is, then to VTEPs over IPv4, then
//! to VTEPs over IPv6; tunnel headers are put on once per family and only rewritten for each VTEP.
//! The cost is the number of receivers, and there is no limit on it. What came out of a tunnel is
//! copied to local ports only. Some hosts get nothing but announcements of shared addresses.

use crate::{
    Family, Frame, Meta, PathState, Refused, Repeat, Room, Sink, Tables, Verdict, deliver,
    encapsulate, underlay,
};
use coax_tables::{DropReason, FABRIC_SLOT, HostRow, ReplicaKey, ReplicaRow};
use coax_wire::VlanTag;

/// Runs the stage.
#[inline(always)]
pub(crate) fn run<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    meta.copies = 0;
    if !meta.is(Meta::FOREIGN_ONLY) {
        to_ports(frame, tables, sink, meta);
    }
    if !meta.is(Meta::FROM_TUNNEL) {
        to_vteps(frame, tables, sink, meta);
    }
    if meta.copies == 0 {
        return meta.drop(DropReason::NoReceiver);
    }
    sink.flooded(meta.slot, meta.copies, meta.is(Meta::UNKNOWN_UNICAST));
    Verdict::Flood
}

/// Copies to local ports, all but the one that the frame came from.
#[inline(never)]
fn to_ports<F: Frame, T: Tables, S: Sink>(frame: &mut F, tables: &T, sink: &S, meta: &mut Meta) {
    let times = meta.receivers.local;
    if times == 0 {
        return;
    }
    if meta.tag_count > 0 && deliver::put_tags(frame, meta).is_err() {
        return lose(sink, meta, DropReason::RewriteFailed);
    }
    let mut copying = ToPorts {
        frame,
        tables,
        sink,
        meta,
    };
    tables.repeat(times, &mut copying);
}

struct ToPorts<'a, F, T, S> {
    frame: &'a mut F,
    tables: &'a T,
    sink: &'a S,
    meta: &'a mut Meta,
}

impl<F: Frame, T: Tables, S: Sink> Repeat for ToPorts<'_, F, T, S> {
    #[inline(always)]
    fn step(&mut self, index: u32) -> bool {
        let Some(replica) = self.tables.replica(&key(self.meta, index)) else {
            return true;
        };
        let isolated = replica.has(ReplicaRow::ISOLATED) && self.meta.is(Meta::ISOLATED);
        if replica.slot == self.meta.slot || isolated {
            return true;
        }
        self.meta.copies += 1;
        let (slot, ifindex, vlan) = (replica.slot, replica.ifindex, replica.vlan);
        if vlan != 0 {
            return self.in_vlan(slot, ifindex, vlan);
        }
        match self.frame.send_copy(ifindex) {
            Ok(()) => self.sink.sent(slot, self.meta.bytes),
            Err(_) => self.sink.dropped(self.meta.slot, DropReason::CopyFailed),
        }
        true
    }
}

/// Copies to VTEPs, one family after the other.
#[inline(never)]
fn to_vteps<F: Frame, T: Tables, S: Sink>(frame: &mut F, tables: &T, sink: &S, meta: &mut Meta) {
    let list = &meta.receivers;
    let foreign_only = meta.is(Meta::FOREIGN_ONLY);
    let foreign = list.local + list.coax_ipv4;
    let first = if foreign_only { foreign } else { list.local };
    let middle = foreign + list.foreign_ipv4;
    let last = middle + list.foreign_ipv6 + if foreign_only { 0 } else { list.coax_ipv6 };
    if first == last {
        return;
    }
    let tagged = !foreign_only && list.local > 0;
    if tagged && encapsulate::strip(frame, meta).is_err() {
        return lose(sink, meta, DropReason::RewriteFailed);
    }
    family(frame, tables, sink, meta, first, middle);
    meta.flags |= Meta::TUNNEL_IPV6;
    family(frame, tables, sink, meta, middle, last);
}

/// Copies to the VTEPs from slot `first` up to `last`, which are all of the family in `meta`.
#[inline(never)]
fn family<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
    first: u32,
    last: u32,
) {
    if first >= last {
        return;
    }
    let times = last - first;
    let reason = match tables.host() {
        Some(host) if encapsulate::own_vtep(host, meta) => {
            if make_room(frame, meta).is_ok() {
                let mut copying = ToVteps {
                    frame,
                    tables,
                    sink,
                    host,
                    meta,
                    first,
                };
                tables.repeat(times, &mut copying);
                return;
            }
            DropReason::RewriteFailed
        }
        _ => DropReason::NoTunnelAddress,
    };
    lose(sink, meta, reason);
}

/// Counts the copies of a whole run of receivers as one that was dropped.
#[inline(always)]
fn lose<S: Sink>(sink: &S, meta: &mut Meta, reason: DropReason) {
    meta.copies += 1;
    sink.dropped(meta.slot, reason);
}

/// Opens room for the headers of the family in `meta`, or turns the room for those over IPv4 into
/// room for the longer ones over IPv6.
#[inline(never)]
fn make_room<F: Frame>(frame: &mut F, meta: &mut Meta) -> Result<(), Refused> {
    let room = encapsulate::room(meta);
    if meta.is(Meta::OPEN) {
        let before = Room {
            outer: Family::Ipv4,
            ..room
        };
        if !room.ip {
            return frame.prepend(room.outer_bytes() - before.outer_bytes());
        }
        frame.close(before, meta.ethernet.ethertype)?;
    }
    meta.flags |= Meta::OPEN;
    frame.open(room)
}

impl<F: Frame, T: Tables, S: Sink> ToPorts<'_, F, T, S> {
    /// A copy for a trunk: with the tag that the network has there, which then comes off again.
    #[inline(always)]
    fn in_vlan(&mut self, slot: u32, ifindex: u32, vlan: u16) -> bool {
        let pushed = self.frame.push_tag(VlanTag::of_vlan(vlan));
        if pushed.is_ok() && self.frame.send_copy(ifindex).is_ok() {
            self.sink.sent(slot, self.meta.bytes + VlanTag::LENGTH);
        } else {
            self.sink.dropped(self.meta.slot, DropReason::CopyFailed);
        }
        // With a tag that sticks, nobody else may get the frame.
        pushed.is_ok() && self.frame.pop_tag().is_ok()
    }
}

struct ToVteps<'a, F, T, S> {
    frame: &'a mut F,
    tables: &'a T,
    sink: &'a S,
    host: &'a HostRow,
    meta: &'a mut Meta,
    first: u32,
}

impl<F: Frame, T: Tables, S: Sink> Repeat for ToVteps<'_, F, T, S> {
    #[inline(always)]
    fn step(&mut self, index: u32) -> bool {
        let Some(replica) = self.tables.replica(&key(self.meta, self.first + index)) else {
            return true;
        };
        if replica.has(ReplicaRow::ANNOUNCED) && !self.meta.is(Meta::ANNOUNCES) {
            return true;
        }
        self.meta.vtep = replica.vtep;
        self.meta.copies += 1;
        let reason = match underlay::find(self.tables, self.host, self.meta) {
            // A copy cannot wait for the next hop to be resolved.
            PathState::Missing | PathState::Unresolved => DropReason::NoPath,
            PathState::TooSmall => DropReason::PathTooSmall,
            PathState::Ready => {
                if encapsulate::write_headers(self.frame, self.host, self.meta).is_ok()
                    && self.frame.send_copy(self.meta.path.ifindex).is_ok()
                {
                    self.sink.sent(FABRIC_SLOT, self.meta.bytes);
                    return true;
                }
                DropReason::CopyFailed
            }
        };
        self.sink.dropped(self.meta.slot, reason);
        true
    }
}

#[inline(always)]
fn key(meta: &Meta, slot: u32) -> ReplicaKey {
    ReplicaKey {
        network: meta.network,
        generation: meta.receivers.generation,
        slot,
    }
}
