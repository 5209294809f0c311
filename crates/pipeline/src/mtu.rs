//! Stage `mtu`: refuses what is larger than the network's MTU and tells the sender.
//!
//! Reads lengths. A packet that is too big becomes an ICMP "fragmentation needed" (RFC 1191) or an
//! ICMPv6 "packet too big" (RFC 4443 section 3.2), which comes from the packet's own destination:
//! an address inside the VM's network, as routers and filters in the VM expect. The message is
//! sent without regard to "do not fragment", because a switch cannot fragment and silence would be
//! a black hole. Nothing is sent about ICMP errors, later fragments, groups and non-IP frames.

use crate::{Frame, Meta, Sink, Tables, Verdict};
use coax_tables::DropReason;
use coax_wire::{Ethernet, checksum::Checksum, icmp::IcmpError, ip};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the refused packet that the answer quotes: a header of either family with some of what
/// follows, enough for every receiver to find its socket.
const QUOTE: usize = 128;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Answer4 {
    ethernet: Ethernet,
    ip: ip::Ipv4,
    icmp: IcmpError,
    quote: [u8; QUOTE],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Answer6 {
    ethernet: Ethernet,
    ip: ip::Ipv6,
    icmp: IcmpError,
    quote: [u8; QUOTE],
}

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
    refuse(frame, meta)
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

#[inline(never)]
fn refuse<F: Frame>(frame: &mut F, meta: &mut Meta) -> Verdict {
    if !meta.is(Meta::IP) || meta.ethernet.destination.is_group() {
        return meta.drop(DropReason::TooBig);
    }
    if meta.is(Meta::IPV6) {
        refuse_ipv6(frame, meta)
    } else {
        refuse_ipv4(frame, meta)
    }
}

#[inline(never)]
fn refuse_ipv4<F: Frame>(frame: &mut F, meta: &mut Meta) -> Verdict {
    let Some(packet) = frame.read::<ip::Ipv4>(Ethernet::LENGTH) else {
        return meta.drop(DropReason::TooBig);
    };
    let later_fragment = packet.fragment[0] & 0x1f != 0 || packet.fragment[1] != 0;
    let about_icmp = packet.protocol == ip::protocol::ICMP
        && !matches!(
            frame.read_at::<u8>(Ethernet::LENGTH + packet.header_length()),
            Some(0 | 8)
        );
    if later_fragment || about_icmp || packet.destination[0] >= 224 || packet.source[0] >= 224 {
        return meta.drop(DropReason::TooBig);
    }
    let [high, low] = (meta.mtu as u16).to_be_bytes();
    let ethernet = back(&meta.ethernet);
    let Ok((answer, _)) = Answer4::mut_from_prefix(&mut meta.scratch) else {
        return meta.drop(DropReason::TooBig);
    };
    if !frame.copy_to(Ethernet::LENGTH, &mut answer.quote) {
        return meta.drop(DropReason::TooBig);
    }
    answer.ethernet = ethernet;
    answer.ip = ip::Ipv4 {
        version_length: 0x45,
        traffic_class: packet.traffic_class & 0xfc,
        total_length: (20 + 8 + QUOTE as u16).to_be_bytes(),
        identification: [0; 2],
        fragment: [0; 2],
        time_to_live: 64,
        protocol: ip::protocol::ICMP,
        checksum: [0; 2],
        source: packet.destination,
        destination: packet.source,
    };
    answer.icmp = IcmpError {
        kind: IcmpError::UNREACHABLE,
        code: IcmpError::FRAGMENTATION_NEEDED,
        checksum: [0; 2],
        rest: [0, 0, high, low],
    };
    answer.ip.checksum = ipv4_checksum(&answer.ip);
    answer.icmp.checksum = icmp_sum(Checksum::new(), &answer.icmp)
        .bytes(&answer.quote)
        .finish();
    let length = size_of::<Answer4>() as u32;
    if frame.begin_anew(length).is_err() || frame.write(0, answer).is_err() {
        return meta.drop(DropReason::RewriteFailed);
    }
    crate::deliver::answer(frame, meta, length)
}

#[inline(never)]
fn refuse_ipv6<F: Frame>(frame: &mut F, meta: &mut Meta) -> Verdict {
    let Some(packet) = frame.read::<ip::Ipv6>(Ethernet::LENGTH) else {
        return meta.drop(DropReason::TooBig);
    };
    let about_icmp = packet.next_header == ip::protocol::ICMPV6
        && matches!(
            frame.read::<u8>(Ethernet::LENGTH + ip::Ipv6::LENGTH),
            Some(0..=127) | None
        );
    if about_icmp || packet.destination[0] == 0xff || packet.source[0] == 0xff {
        return meta.drop(DropReason::TooBig);
    }
    let payload = 8 + QUOTE as u16;
    let ethernet = back(&meta.ethernet);
    let mtu = meta.mtu.to_be_bytes();
    let Ok((answer, _)) = Answer6::mut_from_prefix(&mut meta.scratch) else {
        return meta.drop(DropReason::TooBig);
    };
    if !frame.copy_to(Ethernet::LENGTH, &mut answer.quote) {
        return meta.drop(DropReason::TooBig);
    }
    answer.ethernet = ethernet;
    answer.ip = ip::Ipv6 {
        version_class_flow: ip::Ipv6::first_word(0, 0),
        payload_length: payload.to_be_bytes(),
        next_header: ip::protocol::ICMPV6,
        hop_limit: 64,
        source: packet.destination,
        destination: packet.source,
    };
    answer.icmp = IcmpError {
        kind: IcmpError::PACKET_TOO_BIG,
        code: 0,
        checksum: [0; 2],
        rest: mtu,
    };
    let sum = Checksum::new()
        .bytes(&answer.ip.source)
        .bytes(&answer.ip.destination)
        .word(payload)
        .word(u16::from(ip::protocol::ICMPV6));
    answer.icmp.checksum = icmp_sum(sum, &answer.icmp).bytes(&answer.quote).finish();
    let length = size_of::<Answer6>() as u32;
    if frame.begin_anew(length).is_err() || frame.write(0, answer).is_err() {
        return meta.drop(DropReason::RewriteFailed);
    }
    crate::deliver::answer(frame, meta, length)
}

#[inline(always)]
fn back(ethernet: &Ethernet) -> Ethernet {
    Ethernet {
        destination: ethernet.source,
        source: ethernet.destination,
        ethertype: ethernet.ethertype,
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

#[inline(always)]
fn icmp_sum(sum: Checksum, icmp: &IcmpError) -> Checksum {
    sum.word(u16::from_be_bytes([icmp.kind, icmp.code]))
        .bytes(&icmp.rest)
}
