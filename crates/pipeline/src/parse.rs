//! Stage `parse`: takes VLAN tags off and finds the frame's flow.
//!
//! Reads tags and the IP header. Writes the tags, the Ethernet header without them, the flow's
//! hash, and length and class of an IP packet. A payload whose ethertype says IP and whose bytes
//! do not is carried as any other payload: it is the receiver's business.

use crate::{Frame, Meta, Sink, Tables, Verdict, flow};
use coax_tables::DropReason;
use coax_wire::{EtherType, Ethernet, VlanTag, ip};

/// Runs the stage.
#[inline(always)]
pub(crate) fn run<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    _tables: &T,
    _sink: &S,
    meta: &mut Meta,
) -> Verdict {
    if frame.is_tagged() {
        match take_tags(frame, meta) {
            Verdict::Next => {}
            verdict => return verdict,
        }
    }
    payload(frame, meta);
    Verdict::Next
}

#[inline(never)]
fn take_tags<F: Frame>(frame: &mut F, meta: &mut Meta) -> Verdict {
    if !meta.is(Meta::TAGS_ALLOWED) {
        return meta.drop(DropReason::TaggedFrame);
    }
    for place in 0..Meta::TAGS {
        if !frame.is_tagged() {
            break;
        }
        let Ok(tag) = frame.pop_tag() else {
            return meta.drop(why_not_popped(frame));
        };
        meta.tags[place] = tag;
        meta.tag_count += 1;
    }
    if frame.is_tagged() {
        return meta.drop(DropReason::TooManyTags);
    }
    let Some(ethernet) = frame.read::<Ethernet>(0) else {
        return meta.drop(DropReason::Truncated);
    };
    meta.ethernet = ethernet;
    Verdict::Next
}

/// A tag comes off when a whole header stands behind it, and behind the next tag if there is one.
#[inline(always)]
fn why_not_popped<F: Frame>(frame: &F) -> DropReason {
    if frame.length() < Ethernet::LENGTH + 2 * VlanTag::LENGTH {
        DropReason::Truncated
    } else {
        DropReason::RewriteFailed
    }
}

/// Looks into the payload behind the Ethernet header of a frame without tags.
#[inline(never)]
pub(crate) fn payload<F: Frame>(frame: &F, meta: &mut Meta) {
    meta.packet_length = frame.length().saturating_sub(Ethernet::LENGTH);
    match meta.ethernet.ethertype {
        EtherType::IPV4 => {
            if let Some(header) = frame.read::<ip::Ipv4>(Ethernet::LENGTH)
                && header.is_valid()
            {
                meta.flags |= Meta::IP;
                meta.traffic_class = header.traffic_class;
                meta.hash = flow::ipv4(frame, &header);
                return;
            }
        }
        EtherType::IPV6 => {
            if let Some(header) = frame.read::<ip::Ipv6>(Ethernet::LENGTH)
                && header.is_valid()
            {
                meta.flags |= Meta::IP | Meta::IPV6;
                meta.traffic_class = header.traffic_class();
                meta.hash = flow::ipv6(frame, &header);
                return;
            }
        }
        _ => {}
    }
    meta.hash = flow::ethernet(&meta.ethernet);
}
