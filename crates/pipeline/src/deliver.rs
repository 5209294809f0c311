//! Stage `deliver`: gives the frame its VLAN tags back and hands it to a local port.

use crate::{Frame, Meta, Refused, Sink, Tables, Verdict};
use coax_tables::DropReason;
use coax_wire::VlanTag;

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
