//! Stage `mtu`: refuses what is larger than the network's MTU and tells the sender.
//!
//! Reads lengths. A packet that is too big becomes an ICMP "fragmentation needed" (RFC 1191) or an
//! ICMPv6 "packet too big" (RFC 4443 section 3.2), which comes from the packet's own destination:
//! an address inside the VM's network, as routers and filters in the VM expect. The message is
//! sent without regard to "do not fragment", because a switch cannot fragment and silence would be
//! a black hole. What `icmp_error` says nothing about is dropped.

use crate::{Frame, Meta, Sink, Tables, Verdict, icmp_error::Problem};
use coax_tables::DropReason;
use coax_wire::{Ethernet, checksum::Checksum, ip, words};

/// Runs the stage.
#[inline(always)]
pub(crate) fn run<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    _tables: &T,
    _sink: &S,
    meta: &mut Meta,
) -> Verdict {
    if meta.packet_length <= meta.mtu {
        return Verdict::Next;
    }
    measure(frame, meta);
    if meta.packet_length <= meta.mtu {
        return Verdict::Next;
    }
    words::copy(&meta.destination, &mut meta.speaker);
    meta.tell(Problem::TooBig);
    meta.drop(DropReason::TooBig)
}

/// For a frame that stands for several segments, writes the length of one.
#[inline(always)]
pub(crate) fn measure<F: Frame>(frame: &F, meta: &mut Meta) {
    let payload = frame.segment_payload();
    if payload > 0 && meta.is(Meta::IP) {
        meta.packet_length = payload + segment_headers(frame, meta);
    }
}

/// Bytes of IP and transport header that each segment repeats.
#[inline(always)]
fn segment_headers<F: Frame>(frame: &F, meta: &Meta) -> u32 {
    let (network, protocol) = if meta.is(Meta::IPV6) {
        match frame.read::<ip::Ipv6>(Ethernet::LENGTH) {
            Some(header) => (ip::Ipv6::LENGTH, header.next_header),
            None => (ip::Ipv6::LENGTH, 0),
        }
    } else {
        match frame.read::<ip::Ipv4>(Ethernet::LENGTH) {
            Some(header) => (header.header_length(), header.protocol),
            None => (ip::Ipv4::LENGTH, 0),
        }
    };
    if protocol != ip::protocol::TCP {
        return network + 8;
    }
    match frame.read_at::<u8>(Ethernet::LENGTH + network + 12) {
        Some(offset) => network + u32::from(offset >> 4) * 4,
        None => network + 20,
    }
}

/// The checksum of an IPv4 header without options, whatever is in its checksum field.
#[inline(always)]
pub(crate) fn ipv4_checksum(header: &ip::Ipv4) -> [u8; 2] {
    ipv4_sum(header).finish()
}

/// The checksum field of an IPv4 header without options is right (RFC 1122 section 3.2.1.2).
#[inline(always)]
pub(crate) fn has_right_checksum(header: &ip::Ipv4) -> bool {
    ipv4_sum(header).bytes(&header.checksum).finish() == [0; 2]
}

#[inline(always)]
fn ipv4_sum(header: &ip::Ipv4) -> Checksum {
    Checksum::new()
        .word(u16::from_be_bytes([
            header.version_length,
            header.traffic_class,
        ]))
        .bytes(&header.total_length)
        .bytes(&header.identification)
        .bytes(&header.fragment)
        .word(u16::from_be_bytes([header.time_to_live, header.protocol]))
        .bytes(&header.source)
        .bytes(&header.destination)
}
