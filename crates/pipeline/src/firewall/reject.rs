//! Tells the sender of a packet that policy rejects it: TCP with a reset, all else with an ICMP error
//! "administratively prohibited" (RFC 1812 section 5.2.7.1, RFC 4443 section 3.1). Both come from the
//! packet's own destination, as from a host that does not want it, and no more often than a port's senders can use.
//!
//! A packet of a port on this host goes back as it came. One that came out of a tunnel, or that a router has brought,
//! does not say where its sender is: the answer goes the way that one of the receiver would take, through its gateway where
//! there is one. What the answer must not become is a frame to everybody: nobody is told whose own address is that of a group,
//! and a sender whose place is not known is looked for behind foreign VTEPs only, also on networks that flood.
//!
//! Some large frames cannot become an answer. A connection that policy forbids stays known when its sender could not be told: nothing
//! of it passes, and its next packet, which is sent again and small, is rejected aloud.

use super::tcp::flags;
use super::{connection, segment};
use crate::icmp_error::{self, Problem};
use crate::{Continuation, Fragment, Frame, Meta, Purpose, Sink, Tables, Verdict, deliver, mtu};
use coax_tables::{DropReason, Limit, MacKey, Rate};
use coax_wire::{Ethernet, checksum::Checksum, ip, ip::protocol, tcp::Tcp, words};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// How often a port's rejected segments are answered. Whoever asks more often is not waiting for the answer.
pub const RATE: Rate = Rate::per_second(1000, 500);

/// A TCP header in words of one byte, so that it can stand behind any other header.
type Header = [u8; Tcp::LENGTH as usize];

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Reset4 {
    ethernet: Ethernet,
    ip: ip::Ipv4,
    tcp: Header,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Reset6 {
    ethernet: Ethernet,
    ip: ip::Ipv6,
    tcp: Header,
}

/// Turns the packet into the answer to its sender. Groups and later fragments have no answer.
#[inline(always)]
pub(crate) fn answer<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let verdict = word(frame, tables, sink, meta);
    let is_mute = verdict == Verdict::Drop && meta.reason == DropReason::RewriteFailed;
    if is_mute && meta.tracking.purpose == Purpose::Again {
        connection::stays(tables, meta);
    }
    if !meta.is(Meta::RETURNS) {
        return verdict;
    }
    if verdict == Verdict::Answer {
        let sender = MacKey::new(meta.network, meta.ethernet.source);
        let verdict = deliver::returns(frame, meta);
        if tables.mac(&sender).is_none() {
            meta.flags |= Meta::FOREIGN_ONLY | Meta::UNKNOWN_UNICAST;
            meta.reason = DropReason::UnknownUnicast;
        }
        return verdict;
    }
    // Not every frame can become an answer. Its sender is not told, but what happened to it is the same.
    meta.drop(DropReason::Rejected)
}

/// Makes the frame the word to its sender.
#[inline(always)]
fn word<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    meta.reason = DropReason::Rejected;
    let was_routed = meta.is(Meta::TO_ROUTER) && meta.tracking.then == Continuation::Deliver;
    if meta.is(Meta::FROM_TUNNEL) || was_routed {
        meta.flags |= Meta::RETURNS;
    }
    if meta.ethernet.destination.is_group()
        || meta.ethernet.source.is_group()
        || super::is_to_group(meta)
        || meta.fragment == Fragment::Later
    {
        return Verdict::Drop;
    }
    if meta.protocol != protocol::TCP {
        words::copy(&meta.destination, &mut meta.speaker);
        meta.problem = Problem::Prohibited;
        return icmp_error::answer(frame, tables, sink, meta);
    }
    if segment::read(frame, meta) == Verdict::Next
        && !meta.tracking.segment.has(flags::RST)
        && sink.permit(Limit::Reset, meta.slot, &RATE, tables.now())
    {
        return reset(frame, meta);
    }
    meta.drop(DropReason::Rejected)
}

/// The reset for a segment (RFC 9293 section 3.10.7.1).
#[inline(always)]
fn tcp_header(meta: &Meta, sum: Checksum) -> Header {
    let refused = &meta.tracking.segment;
    let [a, b, c, d] = meta.ports;
    let (sequence, acknowledgement, flags) = if refused.has(flags::ACK) {
        (refused.acknowledgement, 0, flags::RST)
    } else {
        (0, refused.end, flags::RST | flags::ACK)
    };
    let [e, f, g, h] = sequence.to_be_bytes();
    let [i, j, k, l] = acknowledgement.to_be_bytes();
    let mut header = [
        c, d, a, b, e, f, g, h, i, j, k, l, 0x50, flags, 0, 0, 0, 0, 0, 0,
    ];
    let [high, low] = sum
        .word(u16::from(protocol::TCP))
        .word(Tcp::LENGTH as u16)
        .bytes(&header)
        .finish();
    header[16] = high;
    header[17] = low;
    header
}

#[inline(never)]
fn reset<F: Frame>(frame: &mut F, meta: &mut Meta) -> Verdict {
    let ethernet = Ethernet {
        destination: meta.ethernet.source,
        source: meta.ethernet.destination,
        ethertype: meta.ethernet.ethertype,
    };
    let sum = Checksum::new().bytes(&meta.source).bytes(&meta.destination);
    let length = if meta.is(Meta::IPV6) {
        let answer = Reset6 {
            ethernet,
            ip: ip::Ipv6 {
                version_class_flow: ip::Ipv6::first_word(0, 0),
                payload_length: (Tcp::LENGTH as u16).to_be_bytes(),
                next_header: protocol::TCP,
                hop_limit: 64,
                source: meta.destination,
                destination: meta.source,
            },
            tcp: tcp_header(meta, sum),
        };
        write(frame, &answer)
    } else {
        let [.., a, b, c, d] = meta.destination;
        let [.., e, f, g, h] = meta.source;
        let mut packet = ip::Ipv4 {
            version_length: 0x45,
            traffic_class: 0,
            total_length: (ip::Ipv4::LENGTH as u16 + Tcp::LENGTH as u16).to_be_bytes(),
            identification: [0; 2],
            fragment: [ip::Ipv4::DONT_FRAGMENT, 0],
            time_to_live: 64,
            protocol: protocol::TCP,
            checksum: [0; 2],
            source: [a, b, c, d],
            destination: [e, f, g, h],
        };
        packet.checksum = mtu::ipv4_checksum(&packet);
        // Both mapped forms begin with the same bytes, which sum up to nothing.
        let answer = Reset4 {
            ethernet,
            ip: packet,
            tcp: tcp_header(meta, sum),
        };
        write(frame, &answer)
    };
    match length {
        Some(length) => deliver::back(frame, meta, length),
        None => meta.drop(DropReason::RewriteFailed),
    }
}

#[inline(always)]
fn write<F: Frame, A: IntoBytes + Immutable>(frame: &mut F, answer: &A) -> Option<u32> {
    let length = size_of::<A>() as u32;
    frame.begin_anew(length).ok()?;
    frame.write(0, answer).ok()?;
    Some(length)
}
