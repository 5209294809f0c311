//! Stage `deliver`: gives the frame its VLAN tags back and hands it to a local port.

use crate::{
    Continuation, Fragment, Frame, Meta, Refused, Sink, Tables, Verdict, encapsulate, parse,
};
use coax_tables::DropReason;
use coax_wire::{Ethernet, VlanTag};

/// Runs the stage.
#[inline(always)]
pub(crate) fn run<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    _tables: &T,
    _sink: &S,
    meta: &mut Meta,
) -> Verdict {
    if meta.tag_count > 0 && put_tags(frame, meta).is_err() {
        return meta.drop(DropReason::RewriteFailed);
    }
    if meta.out_vlan != 0 {
        return put_trunk_tag(frame, meta, Verdict::Deliver);
    }
    Verdict::Deliver
}

/// Puts the tag of the network on a trunk in front of all others.
#[inline(never)]
fn put_trunk_tag<F: Frame>(frame: &mut F, meta: &mut Meta, then: Verdict) -> Verdict {
    if frame.push_tag(VlanTag::of_vlan(meta.out_vlan)).is_err() {
        return meta.drop(DropReason::RewriteFailed);
    }
    meta.bytes += VlanTag::LENGTH;
    then
}

/// The frame has become an answer of `length` bytes to its sender.
#[inline(always)]
pub(crate) fn answer<F: Frame>(frame: &mut F, meta: &mut Meta, length: u32) -> Verdict {
    meta.bytes = length + meta.tag_bytes();
    meta.out_ifindex = meta.ifindex;
    if meta.tag_count > 0 && put_tags(frame, meta).is_err() {
        return meta.drop(DropReason::RewriteFailed);
    }
    meta.out_vlan = meta.trunk_vlan;
    if meta.out_vlan != 0 {
        return put_trunk_tag(frame, meta, Verdict::Answer);
    }
    Verdict::Answer
}

/// The frame has become an answer of `length` bytes to its sender, wherever that is. One that `RETURNS` is yet to be handed
/// to `returns`, which is not called from here, so that fewer calls share a program's stack.
#[inline(always)]
pub(crate) fn back<F: Frame>(frame: &mut F, meta: &mut Meta, length: u32) -> Verdict {
    if meta.is(Meta::RETURNS) {
        meta.bytes = length;
        Verdict::Answer
    } else {
        answer(frame, meta, length)
    }
}

/// Makes the answer a frame of the receiver, which looks for its way like any other.
#[inline(always)]
pub(crate) fn returns<F: Frame>(frame: &F, meta: &mut Meta) -> Verdict {
    let Ethernet {
        destination,
        source,
        ethertype,
    } = meta.ethernet;
    meta.ethernet = Ethernet {
        destination: source,
        source: destination,
        ethertype,
    };
    meta.slot = meta.out_slot;
    meta.flags = 0;
    meta.port_flags = 0;
    meta.hops = encapsulate::HOPS;
    meta.trunk_vlan = 0;
    meta.out_vlan = 0;
    meta.ports = [0; 4];
    meta.transport = 0;
    meta.fragment = Fragment::Whole;
    meta.fragment_header = 0;
    meta.tracking.judged = 0;
    meta.bytes += meta.tag_bytes();
    parse::payload(frame, meta);
    meta.go_on(Continuation::Forward)
}

/// Puts the tags back that were taken off.
#[inline(never)]
pub(crate) fn put_tags<F: Frame>(frame: &mut F, meta: &Meta) -> Result<(), Refused> {
    for place in 0..Meta::TAGS {
        let from_behind = Meta::TAGS - 1 - place;
        if (from_behind as u32) < meta.tag_count {
            frame.push_tag(meta.tags[from_behind])?;
        }
    }
    Ok(())
}

/// Takes the tags off again, for a frame that goes on into a tunnel.
#[inline(never)]
pub(crate) fn take_tags_again<F: Frame>(frame: &mut F, meta: &Meta) -> Result<(), Refused> {
    for place in 0..Meta::TAGS {
        if (place as u32) < meta.tag_count {
            frame.pop_tag()?;
        }
    }
    Ok(())
}
