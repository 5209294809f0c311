//! Stage `decapsulate`: takes a tunnel frame that is meant for this host out of its tunnel.
//!
//! Reads the host row and the tunnel table. What is not VXLAN for the own VTEP address passes to
//! the host. A frame is taken only from a VTEP that is a member of its VNI. Points of RFC 7348 kept
//! here: the I flag must be set, reserved bits are ignored, UDP checksum zero is accepted (a
//! checksum that is there is not verified, as the RFC allows), inner tags are refused unless the
//! network wants them. ECN marks of the fabric reach the inner packet (RFC 6040 section 4.2).
//! Refused are also fragments, lengths that contradict each other, and a wrong checksum of the outer
//! IPv4 header (RFC 1122 section 3.2.1.2), which the host's stack never gets to see.

use crate::{Family, Frame, Meta, Room, Sink, Tables, Verdict, mtu, parse};
use coax_tables::{DropReason, FABRIC_SLOT, HostRow, TunnelKey, TunnelRow};
use coax_wire::{
    EtherType, Ethernet, VlanTag,
    checksum::replaced,
    ip::{self, ecn},
    udp::Udp,
    vxlan::Vxlan,
    words,
};

/// Runs the stage.
#[inline(always)]
pub(crate) fn run<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let Some(host) = tables.host() else {
        return Verdict::Pass;
    };
    // The fabric's tunnel packets are untagged; what arrives in a VLAN is for somebody else.
    if frame.is_tagged() {
        return Verdict::Pass;
    }
    match frame.read::<EtherType>(12) {
        Some(EtherType::IPV4) => over_ipv4(frame, tables, sink, meta, host),
        Some(EtherType::IPV6) => over_ipv6(frame, tables, sink, meta, host),
        _ => Verdict::Pass,
    }
}

#[inline(always)]
fn over_ipv4<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
    host: &HostRow,
) -> Verdict {
    let Some(packet) = frame.read::<ip::Ipv4>(Ethernet::LENGTH) else {
        return Verdict::Pass;
    };
    let Some(udp) = frame.read::<Udp>(Ethernet::LENGTH + ip::Ipv4::LENGTH) else {
        return Verdict::Pass;
    };
    // A header with options (length other than five words) is no tunnel packet that anybody sends.
    if packet.version_length != 0x45
        || packet.protocol != ip::protocol::UDP
        || packet.destination != host.vtep_ipv4
        || udp.destination != host.udp_port
        || packet.fragment[0] & 0x1f != 0
        || packet.fragment[1] != 0
    {
        return Verdict::Pass;
    }
    meta.flags |= Meta::FROM_TUNNEL;
    meta.traffic_class = packet.traffic_class;
    meta.hops = packet.time_to_live.into();
    meta.vtep = ip::mapped(packet.source);
    let whole = u32::from(u16::from_be_bytes(packet.total_length)) + Ethernet::LENGTH;
    if !mtu::has_right_checksum(&packet) {
        return refuse(frame, sink, meta, DropReason::Malformed);
    }
    if packet.is_fragment() {
        return refuse(frame, sink, meta, DropReason::TunnelFragment);
    }
    match enter(
        frame,
        sink,
        meta,
        &Outer {
            headers: 50,
            whole,
            udp,
        },
    ) {
        Verdict::Next => {}
        verdict => return verdict,
    }
    let Some(vxlan) = frame.read::<Vxlan>(42) else {
        return meta.drop(DropReason::Truncated);
    };
    let Some(inner) = frame.read::<Ethernet>(50) else {
        return meta.drop(DropReason::Truncated);
    };
    take_out(frame, tables, meta, Family::Ipv4, vxlan, inner)
}

#[inline(always)]
fn over_ipv6<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
    host: &HostRow,
) -> Verdict {
    let Some(packet) = frame.read::<ip::Ipv6>(Ethernet::LENGTH) else {
        return Verdict::Pass;
    };
    let Some(udp) = frame.read::<Udp>(Ethernet::LENGTH + ip::Ipv6::LENGTH) else {
        return Verdict::Pass;
    };
    if packet.destination != host.vtep_ipv6 || host.vtep_ipv6 == [0; 16] {
        return Verdict::Pass;
    }
    if packet.next_header == ip::protocol::FRAGMENT {
        return ipv6_fragment(frame, sink, meta, host);
    }
    if packet.next_header != ip::protocol::UDP
        || udp.destination != host.udp_port
        || !packet.is_valid()
    {
        return Verdict::Pass;
    }
    meta.flags |= Meta::FROM_TUNNEL;
    meta.traffic_class = packet.traffic_class();
    meta.hops = packet.hop_limit.into();
    words::copy(&packet.source, &mut meta.vtep);
    let length = u32::from(u16::from_be_bytes(packet.payload_length));
    let whole = length + Ethernet::LENGTH + ip::Ipv6::LENGTH;
    match enter(
        frame,
        sink,
        meta,
        &Outer {
            headers: 70,
            whole,
            udp,
        },
    ) {
        Verdict::Next => {}
        verdict => return verdict,
    }
    let Some(vxlan) = frame.read::<Vxlan>(62) else {
        return meta.drop(DropReason::Truncated);
    };
    let Some(inner) = frame.read::<Ethernet>(70) else {
        return meta.drop(DropReason::Truncated);
    };
    take_out(frame, tables, meta, Family::Ipv6, vxlan, inner)
}

/// The first fragment of a tunnel packet ends here, as RFC 7348 section 4.3 allows: a VTEP that
/// reassembled would keep memory for whoever sends half a packet. Later fragments cannot be told
/// from those of anything else; the host's stack waits in vain for the first one and forgets them.
#[inline(never)]
fn ipv6_fragment<F: Frame, S: Sink>(
    frame: &F,
    sink: &S,
    meta: &mut Meta,
    host: &HostRow,
) -> Verdict {
    const AT: u32 = Ethernet::LENGTH + ip::Ipv6::LENGTH;
    let (Some(header), Some(udp)) = (frame.read::<[u8; 8]>(AT), frame.read::<Udp>(AT + 8)) else {
        return Verdict::Pass;
    };
    let [next, _, high, low, ..] = header;
    let first = high == 0 && low & 0xf8 == 0;
    if next != ip::protocol::UDP || !first || udp.destination != host.udp_port {
        return Verdict::Pass;
    }
    refuse(frame, sink, meta, DropReason::TunnelFragment)
}

/// Counts a frame whose outer header is refused.
#[inline(always)]
fn refuse<F: Frame, S: Sink>(frame: &F, sink: &S, meta: &mut Meta, reason: DropReason) -> Verdict {
    meta.slot = FABRIC_SLOT;
    meta.bytes = frame.length();
    sink.received(FABRIC_SLOT, meta.bytes);
    meta.drop(reason)
}

/// What the outer headers said.
struct Outer {
    /// Bytes in front of the inner Ethernet header.
    headers: u32,
    /// Bytes of the frame by its IP header.
    whole: u32,
    udp: Udp,
}

/// Counts the frame, compares the lengths that the headers give with its own, cuts padding off.
#[inline(always)]
fn enter<F: Frame, S: Sink>(frame: &mut F, sink: &S, meta: &mut Meta, outer: &Outer) -> Verdict {
    let length = frame.length();
    meta.slot = FABRIC_SLOT;
    meta.bytes = length.saturating_sub(outer.headers);
    sink.received(FABRIC_SLOT, meta.bytes);
    // The lengths in a frame that stands for many segments are written when it is cut.
    if frame.segment_payload() > 0 {
        return Verdict::Next;
    }
    if outer.whole > length {
        return meta.drop(DropReason::Truncated);
    }
    let udp_length = u32::from(u16::from_be_bytes(outer.udp.length));
    if udp_length + outer.headers != outer.whole + Udp::LENGTH + Vxlan::LENGTH {
        return meta.drop(DropReason::Malformed);
    }
    if outer.whole < outer.headers + Ethernet::LENGTH {
        return meta.drop(DropReason::Truncated);
    }
    if outer.whole == length {
        return Verdict::Next;
    }
    if frame.resize(outer.whole).is_err() {
        return meta.drop(DropReason::RewriteFailed);
    }
    meta.bytes = outer.whole - outer.headers;
    Verdict::Next
}

#[inline(always)]
fn take_out<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    meta: &mut Meta,
    family: Family,
    vxlan: Vxlan,
    inner: Ethernet,
) -> Verdict {
    if !vxlan.has_vni() {
        return meta.drop(DropReason::NoVni);
    }
    let Some(member) = tables.tunnel(&TunnelKey {
        vtep: meta.vtep,
        vni: vxlan.vni(),
    }) else {
        return meta.drop(DropReason::NotMember);
    };
    meta.network = member.network;
    inner.put(&mut meta.ethernet);
    if inner.ethertype.is_tag() {
        if !member.has(TunnelRow::VLAN_TRANSPARENT) {
            return meta.drop(DropReason::TaggedFrame);
        }
        let room = Room {
            outer: family,
            tags: 0,
            ip: false,
        };
        match inner_tags(frame, meta, room.outer_bytes()) {
            Verdict::Next => {}
            verdict => return verdict,
        }
    }
    uncover(frame, meta, family)
}

/// Reads the tags behind the inner MAC addresses and the ethertype behind them.
#[inline(never)]
fn inner_tags<F: Frame>(frame: &F, meta: &mut Meta, headers: u32) -> Verdict {
    let mut at = headers + 12;
    for place in 0..Meta::TAGS {
        match frame.read_at::<EtherType>(at) {
            Some(protocol) if protocol.is_tag() => {}
            _ => break,
        }
        let Some(tag) = frame.read_at::<VlanTag>(at) else {
            return meta.drop(DropReason::Truncated);
        };
        meta.tags[place] = tag;
        meta.tag_count += 1;
        at += VlanTag::LENGTH;
    }
    let Some(ethertype) = frame.read_at::<EtherType>(at) else {
        return meta.drop(DropReason::Truncated);
    };
    if ethertype.is_tag() {
        return meta.drop(DropReason::TooManyTags);
    }
    meta.ethernet.ethertype = ethertype;
    Verdict::Next
}

/// Removes the tunnel headers and carries congestion marks over to the inner packet.
#[inline(always)]
fn uncover<F: Frame>(frame: &mut F, meta: &mut Meta, outer: Family) -> Verdict {
    let mark = meta.traffic_class & 0x03;
    let ip = matches!(meta.ethernet.ethertype, EtherType::IPV4 | EtherType::IPV6);
    let room = Room {
        outer,
        tags: meta.tag_count,
        ip,
    };
    if frame.close(room, meta.ethernet.ethertype).is_err() {
        return meta.drop(DropReason::RewriteFailed);
    }
    let Some(header) = frame.header::<Ethernet>(0) else {
        return meta.drop(DropReason::RewriteFailed);
    };
    meta.ethernet.put(header);
    meta.traffic_class = 0;
    if mark & ecn::CAPABLE_1 != 0 && ip {
        return carry_mark(frame, meta, mark);
    }
    Verdict::Next
}

/// RFC 6040 figure 4 for outer marks CE and ECT(1); the other two change nothing.
#[inline(never)]
fn carry_mark<F: Frame>(frame: &mut F, meta: &mut Meta, outer: u8) -> Verdict {
    parse::payload(frame, meta);
    if !meta.is(Meta::IP) {
        return Verdict::Next;
    }
    let class = meta.traffic_class;
    let mark = match (class & 0x03, outer) {
        (ecn::NOT_CAPABLE, ecn::CONGESTION) => return meta.drop(DropReason::CongestionMark),
        (ecn::NOT_CAPABLE, _) | (ecn::CONGESTION, _) => return Verdict::Next,
        (_, outer) => outer,
    };
    let marked = class & 0xfc | mark;
    meta.traffic_class = marked;
    let written = if meta.is(Meta::IPV6) {
        match frame.read::<[u8; 2]>(Ethernet::LENGTH) {
            Some([first, second]) => frame.write(
                Ethernet::LENGTH,
                &[first & 0xf0 | marked >> 4, marked << 4 | second & 0x0f],
            ),
            None => Ok(()),
        }
    } else {
        match frame.read::<ip::Ipv4>(Ethernet::LENGTH) {
            Some(mut header) => {
                let old = u16::from_be_bytes([header.version_length, header.traffic_class]);
                header.traffic_class = marked;
                let new = u16::from_be_bytes([header.version_length, marked]);
                header.checksum = replaced(header.checksum, old, new);
                frame.write(Ethernet::LENGTH, &header)
            }
            None => Ok(()),
        }
    };
    match written {
        Ok(()) => Verdict::Next,
        Err(_) => meta.drop(DropReason::RewriteFailed),
    }
}
