//! Reads TCP segments, and how long transport headers and payloads are.

use super::tcp::{Segment, flags};
use super::too_short;
use crate::{Fragment, Frame, Meta, Verdict};
use coax_tables::DropReason;
use coax_wire::{Ethernet, tcp::Tcp};

/// Options that are looked through, counting those without an operation. No stack sends half as many.
const OPTIONS: u32 = 20;

/// Kinds of TCP options (RFC 9293 section 3.2, RFC 7323 section 2.2).
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const WINDOW_SCALE: u8 = 3;

/// Bytes from the transport header to the end of the packet, as its IP header says. A frame that stands
/// for many segments ends where it ends.
#[inline(always)]
pub(super) fn bytes<F: Frame>(frame: &F, meta: &Meta) -> u32 {
    let behind = if meta.is(Meta::IPV6) {
        let length = frame
            .read::<[u8; 2]>(Ethernet::LENGTH + 4)
            .unwrap_or_default();
        match u16::from_be_bytes(length) {
            0 => u32::MAX,
            length => Ethernet::LENGTH + coax_wire::ip::Ipv6::LENGTH + u32::from(length),
        }
    } else {
        let length = frame
            .read::<[u8; 2]>(Ethernet::LENGTH + 2)
            .unwrap_or_default();
        match u16::from_be_bytes(length) {
            0 => u32::MAX,
            length => Ethernet::LENGTH + u32::from(length),
        }
    };
    let whole = frame.length();
    let end = if frame.segment_payload() > 0 || behind > whole {
        whole
    } else {
        behind
    };
    end.saturating_sub(meta.transport)
}

/// Reads the segment of the packet, into `meta`.
#[inline(never)]
pub(super) fn read<F: Frame>(frame: &F, meta: &mut Meta) -> Verdict {
    if meta.transport == 0 {
        return too_short(meta);
    }
    let Some(tcp) = frame.read_at::<Tcp>(meta.transport) else {
        return too_short(meta);
    };
    let header = tcp.header_length();
    let bytes = bytes(frame, meta);
    if header > bytes {
        return too_short(meta);
    }
    let mut length = bytes - header;
    if meta.fragment == Fragment::First {
        // How long the datagram is, only its last fragment says.
        length = 0xffff;
    }
    let segment = &mut meta.tracking.segment;
    segment.flags = tcp.flags;
    segment.window = u16::from_be_bytes(tcp.window);
    segment.sequence = u32::from_be_bytes(tcp.sequence);
    segment.acknowledgement = u32::from_be_bytes(tcp.acknowledgement);
    segment.scale = Segment::NO_SCALE;
    segment.end = segment
        .sequence
        .wrapping_add(segment.numbers())
        .wrapping_add(length);
    if header < Tcp::LENGTH || !segment.is_sensible() {
        return meta.drop(DropReason::Malformed);
    }
    if segment.has(flags::SYN) {
        read_options(frame, meta, header);
    }
    Verdict::Next
}

/// Looks for the window scale among the options of a SYN.
#[inline(never)]
fn read_options<F: Frame>(frame: &F, meta: &mut Meta, header: u32) {
    meta.tracking.options_end = meta.transport + header;
    meta.tracking.option = meta.transport + Tcp::LENGTH;
    for _ in 0..OPTIONS {
        if !read_option(frame, meta) {
            break;
        }
    }
}

/// Reads one option; false: it was the last one that matters. The place of the next one is kept in memory, because the
/// kernel's verifier would go on separately with each value that it can have.
#[inline(never)]
fn read_option<F: Frame>(frame: &F, meta: &mut Meta) -> bool {
    let tracking = &mut meta.tracking;
    if tracking.option + 2 >= tracking.options_end {
        return false;
    }
    let Some([kind, length, value]) = frame.read_at::<[u8; 3]>(tracking.option) else {
        return false;
    };
    match kind {
        NO_OPERATION => tracking.option += 1,
        WINDOW_SCALE if length == 3 => {
            tracking.segment.scale = value;
            return false;
        }
        END_OF_OPTIONS => return false,
        _ if length < 2 => return false,
        _ => tracking.option += u32::from(length),
    }
    true
}
