//! Stage `parse`: takes VLAN tags off and finds the frame's flow.
//!
//! Reads tags and the headers up to the ports. Writes the tags, the Ethernet header without them, the
//! flow's hash, and what later stages want to know of an IP packet: length, class, addresses, transport
//! protocol with its place and ports, and which fragment it is. A payload whose ethertype says IP and whose bytes
//! do not is carried as any other payload: it is the receiver's business.

use crate::guard::bridge::is_bridge_group;
use crate::{Fragment, Frame, Meta, Sink, Tables, Verdict, flow};
use coax_tables::DropReason;
use coax_wire::{EtherType, Ethernet, VlanTag, ip, words};

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
    // The guard looks behind the tags of what bridges send to each other.
    if !meta.is(Meta::TAGS_ALLOWED) && !is_bridge_group(meta.ethernet.destination) {
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
    ethernet.put(&mut meta.ethernet);
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
                return ipv4(frame, meta, &header);
            }
        }
        EtherType::IPV6 => {
            if let Some(header) = frame.read::<ip::Ipv6>(Ethernet::LENGTH)
                && header.is_valid()
            {
                return ipv6(frame, meta, &header);
            }
        }
        _ => {}
    }
    meta.hash = flow::ethernet(&meta.ethernet);
}

#[inline(always)]
fn ipv4<F: Frame>(frame: &F, meta: &mut Meta, header: &ip::Ipv4) {
    meta.flags |= Meta::IP;
    meta.traffic_class = header.traffic_class;
    meta.protocol = header.protocol;
    meta.source = ip::mapped(header.source);
    meta.destination = ip::mapped(header.destination);
    meta.fragment = if header.fragment[0] & 0x1f != 0 || header.fragment[1] != 0 {
        Fragment::Later
    } else if header.is_fragment() {
        Fragment::First
    } else {
        Fragment::Whole
    };
    let length = header.header_length();
    if meta.fragment != Fragment::Later && meta.packet_length > length {
        meta.transport = Ethernet::LENGTH + length;
        if length == ip::Ipv4::LENGTH {
            if has_ports(header.protocol)
                && let Some(ports) = frame.read::<[u8; 4]>(Ethernet::LENGTH + ip::Ipv4::LENGTH)
            {
                meta.ports = ports;
            }
        } else {
            distant_ports(frame, meta);
        }
    }
    // Fragments and packets with options go without ports, so that all fragments of a datagram take
    // one path.
    let ports = if meta.fragment == Fragment::Whole && length == ip::Ipv4::LENGTH {
        meta.ports
    } else {
        [0; 4]
    };
    meta.hash = flow::ipv4(header, ports);
}

#[inline(always)]
fn ipv6<F: Frame>(frame: &F, meta: &mut Meta, header: &ip::Ipv6) {
    const BEHIND: u32 = Ethernet::LENGTH + ip::Ipv6::LENGTH;
    meta.flags |= Meta::IP | Meta::IPV6;
    meta.traffic_class = header.traffic_class();
    meta.protocol = header.next_header;
    words::copy(&header.source, &mut meta.source);
    words::copy(&header.destination, &mut meta.destination);
    let mut ports = [0; 4];
    if is_extension(header.next_header) {
        extensions(frame, meta);
    } else if meta.packet_length > ip::Ipv6::LENGTH {
        meta.transport = BEHIND;
        if has_ports(header.next_header)
            && let Some(bytes) = frame.read::<[u8; 4]>(BEHIND)
        {
            ports = bytes;
            meta.ports = bytes;
        }
    }
    meta.hash = flow::ipv6(header, ports);
}

/// Extension headers that are walked over before the rest counts as hidden (RFC 8504 section 5.3
/// lets hosts have such a limit).
const EXTENSIONS: u32 = 8;

/// Hop-by-hop options, routing header, fragment header, authentication header, destination options,
/// mobility, HIP, Shim6. ESP is a transport here: nothing behind it can be read.
#[inline(always)]
const fn is_extension(next_header: u8) -> bool {
    matches!(next_header, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140)
}

/// Walks over IPv6 extension headers (RFC 8200 section 4) to the transport header.
#[inline(never)]
fn extensions<F: Frame>(frame: &F, meta: &mut Meta) {
    let mut at = Ethernet::LENGTH + ip::Ipv6::LENGTH;
    for _ in 0..EXTENSIONS {
        let Some([next, length, high, low]) = frame.read_at::<[u8; 4]>(at) else {
            meta.flags |= Meta::OBSCURE;
            return;
        };
        let bytes = match meta.protocol {
            ip::protocol::FRAGMENT => {
                meta.fragment_header = at;
                if high != 0 || low & 0xf8 != 0 {
                    // What `next` names is in another packet.
                    meta.fragment = Fragment::Later;
                    meta.protocol = next;
                    return;
                }
                // An atomic fragment (RFC 6946) is a whole datagram.
                if low & 1 != 0 {
                    meta.fragment = Fragment::First;
                }
                8
            }
            ip::protocol::AUTHENTICATION => (u32::from(length) + 2) * 4,
            _ => (u32::from(length) + 1) * 8,
        };
        at += bytes;
        meta.protocol = next;
        if !is_extension(next) {
            if frame.length() > at {
                meta.transport = at;
                distant_ports(frame, meta);
            }
            return;
        }
    }
    meta.flags |= Meta::OBSCURE;
}

/// Reads ports at a place that was computed from the frame.
#[inline(never)]
fn distant_ports<F: Frame>(frame: &F, meta: &mut Meta) {
    if has_ports(meta.protocol)
        && let Some(ports) = frame.read_at::<[u8; 4]>(meta.transport)
    {
        meta.ports = ports;
    }
}

#[inline(always)]
const fn has_ports(protocol: u8) -> bool {
    matches!(
        protocol,
        ip::protocol::TCP | ip::protocol::UDP | ip::protocol::SCTP
    )
}
