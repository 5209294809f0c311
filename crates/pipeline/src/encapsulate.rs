//! Stage `encapsulate`: puts the frame into a VXLAN packet for the destination's VTEP.
//!
//! Reads the host row. Points of RFC 7348 kept here: the I flag set and reserved bits zero, source
//! port from the inner flow in 49152-65535, UDP checksum zero, "do not fragment" set. ECN is copied
//! to the outer header (RFC 6040 section 4.1, normal mode), DSCP too unless the host asks for the
//! pipe model (RFC 2983).

use crate::{Family, Frame, Meta, Path, Refused, Room, Sink, Tables, Verdict, deliver, mtu};
use coax_tables::{DropReason, HostRow};
use coax_wire::{EtherType, Ethernet, ip, udp::Udp, vxlan::Vxlan, words};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Hops that a tunnel packet may take through the fabric.
pub(crate) const HOPS: u32 = 64;

/// Outer headers over IPv4 with the inner Ethernet header.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Outer4 {
    ethernet: Ethernet,
    ip: ip::Ipv4,
    udp: Udp,
    vxlan: Vxlan,
    inner: Ethernet,
}

/// Outer headers over IPv6 with the inner Ethernet header.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Outer6 {
    ethernet: Ethernet,
    ip: ip::Ipv6,
    udp: Udp,
    vxlan: Vxlan,
    inner: Ethernet,
}

/// Runs the stage.
#[inline(always)]
pub(crate) fn run<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    _sink: &S,
    meta: &mut Meta,
) -> Verdict {
    match tables.host() {
        Some(host) if own_vtep(host, meta) => {}
        _ => return meta.drop(DropReason::NoTunnelAddress),
    }
    if frame.open(room(meta)).is_err() {
        return meta.drop(DropReason::RewriteFailed);
    }
    Verdict::Next
}

/// Chooses the own tunnel address of the destination's family; false when there is none.
#[inline(always)]
pub(crate) fn own_vtep(host: &HostRow, meta: &mut Meta) -> bool {
    if meta.is(Meta::TUNNEL_IPV6) {
        meta.own_vtep = host.vtep_ipv6;
        host.vtep_ipv6 != [0; 16]
    } else {
        meta.own_vtep = ip::mapped(host.vtep_ipv4);
        host.vtep_ipv4 != [0; 4]
    }
}

/// The room for the frame's tunnel headers.
#[inline(always)]
pub(crate) fn room(meta: &Meta) -> Room {
    Room {
        outer: if meta.is(Meta::TUNNEL_IPV6) {
            Family::Ipv6
        } else {
            Family::Ipv4
        },
        tags: meta.tag_count,
        ip: meta.is(Meta::IP),
    }
}

/// UDP source port of the frame's flow.
#[inline(always)]
pub(crate) const fn source_port(hash: u32) -> u16 {
    0xc000 | (hash & 0x3fff) as u16
}

/// Writes all headers in front of the inner payload, once path and VTEP are known. Outer headers and
/// tags are two calls one after the other, because a program's calls share 512 bytes of stack.
#[inline(always)]
pub(crate) fn write_headers<F: Frame>(
    frame: &mut F,
    host: &HostRow,
    meta: &Meta,
) -> Result<(), Refused> {
    write_outer(frame, host, meta)?;
    if meta.tag_count > 0 {
        write_tags(frame, meta)
    } else {
        Ok(())
    }
}

#[inline(never)]
fn write_outer<F: Frame>(frame: &mut F, host: &HostRow, meta: &Meta) -> Result<(), Refused> {
    let class = if host.has(HostRow::PIPE_DSCP) {
        meta.traffic_class & 0x03
    } else {
        meta.traffic_class
    };
    let udp_length = meta.bytes + Udp::LENGTH + Vxlan::LENGTH;
    let udp = Udp {
        source: source_port(meta.hash).to_be_bytes(),
        destination: host.udp_port,
        length: (udp_length as u16).to_be_bytes(),
        checksum: [0; 2],
    };
    if meta.is(Meta::TUNNEL_IPV6) {
        write_ipv6(frame, meta, class, udp)
    } else {
        write_ipv4(frame, meta, class, udp)
    }
}

#[inline(always)]
fn write_ipv4<F: Frame>(frame: &mut F, meta: &Meta, class: u8, udp: Udp) -> Result<(), Refused> {
    let outer = frame.header::<Outer4>(0).ok_or(Refused)?;
    outer_ethernet(&meta.path, EtherType::IPV4).put(&mut outer.ethernet);
    let [.., a, b, c, d] = meta.own_vtep;
    let [.., e, f, g, h] = meta.vtep;
    let length = u16::from_be_bytes(udp.length).wrapping_add(ip::Ipv4::LENGTH as u16);
    let mut header = ip::Ipv4 {
        version_length: 0x45,
        traffic_class: class,
        total_length: length.to_be_bytes(),
        identification: [0; 2],
        fragment: [ip::Ipv4::DONT_FRAGMENT, 0],
        time_to_live: meta.hops as u8,
        protocol: ip::protocol::UDP,
        checksum: [0; 2],
        source: [a, b, c, d],
        destination: [e, f, g, h],
    };
    header.checksum = mtu::ipv4_checksum(&header);
    outer.ip = header;
    outer.udp = udp;
    outer.vxlan = Vxlan::new(meta.network.0);
    meta.ethernet.put(&mut outer.inner);
    Ok(())
}

#[inline(always)]
fn write_ipv6<F: Frame>(frame: &mut F, meta: &Meta, class: u8, udp: Udp) -> Result<(), Refused> {
    let outer = frame.header::<Outer6>(0).ok_or(Refused)?;
    outer_ethernet(&meta.path, EtherType::IPV6).put(&mut outer.ethernet);
    outer.ip.version_class_flow = ip::Ipv6::first_word(class, meta.hash);
    outer.ip.payload_length = udp.length;
    outer.ip.next_header = ip::protocol::UDP;
    outer.ip.hop_limit = meta.hops as u8;
    words::copy(&meta.own_vtep, &mut outer.ip.source);
    words::copy(&meta.vtep, &mut outer.ip.destination);
    outer.udp = udp;
    outer.vxlan = Vxlan::new(meta.network.0);
    meta.ethernet.put(&mut outer.inner);
    Ok(())
}

#[inline(always)]
fn outer_ethernet(path: &Path, ethertype: EtherType) -> Ethernet {
    Ethernet {
        destination: path.destination,
        source: path.source,
        ethertype,
    }
}

/// Writes the inner tags, and behind them the inner ethertype.
#[inline(never)]
fn write_tags<F: Frame>(frame: &mut F, meta: &Meta) -> Result<(), Refused> {
    let mut at = room(meta).outer_bytes() + 12;
    for place in 0..Meta::TAGS {
        if (place as u32) < meta.tag_count {
            frame.write(at, &meta.tags[place])?;
            at += 4;
        }
    }
    frame.write(at, &meta.ethernet.ethertype)
}

/// Brings a frame that stands as a VM sees it into the form that `open` expects.
#[inline(always)]
pub(crate) fn strip<F: Frame>(frame: &mut F, meta: &Meta) -> Result<(), Refused> {
    if meta.tag_count > 0 {
        deliver::take_tags_again(frame, meta)
    } else {
        Ok(())
    }
}
