//! The hash of a frame's flow. Equal-cost paths are chosen by it, so frames of one flow must agree
//! and different flows should differ (RFC 7348 section 5, "Source Port").

use crate::Frame;
use coax_wire::{Ethernet, ip};

#[inline(always)]
const fn mix(hash: u32, word: u32) -> u32 {
    (hash ^ word).wrapping_mul(0x9e37_79b1).rotate_left(15)
}

#[inline(always)]
const fn finish(hash: u32) -> u32 {
    let hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    let hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[inline(always)]
const fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline(always)]
const fn has_ports(protocol: u8) -> bool {
    matches!(
        protocol,
        ip::protocol::TCP | ip::protocol::UDP | ip::protocol::SCTP
    )
}

#[inline(always)]
fn ports<F: Frame>(frame: &F, protocol: u8, offset: u32) -> u32 {
    if !has_ports(protocol) {
        return 0;
    }
    match frame.read::<[u8; 4]>(offset) {
        Some(bytes) => u32::from_ne_bytes(bytes),
        None => 0,
    }
}

/// Addresses, protocol and ports. Fragments and packets with options go without ports, so that all
/// fragments of a datagram take one path.
#[inline(always)]
pub(crate) fn ipv4<F: Frame>(frame: &F, header: &ip::Ipv4) -> u32 {
    let hash = mix(
        u32::from(header.protocol),
        u32::from_ne_bytes(header.source),
    );
    let hash = mix(hash, u32::from_ne_bytes(header.destination));
    let whole = !header.is_fragment() && header.header_length() == ip::Ipv4::LENGTH;
    let ports = if whole {
        ports(frame, header.protocol, Ethernet::LENGTH + ip::Ipv4::LENGTH)
    } else {
        0
    };
    finish(mix(hash, ports))
}

/// Addresses, next header and ports when they follow at once.
#[inline(always)]
pub(crate) fn ipv6<F: Frame>(frame: &F, header: &ip::Ipv6) -> u32 {
    let mut hash = u32::from(header.next_header);
    hash = mix(hash, word(&header.source, 0));
    hash = mix(hash, word(&header.source, 4));
    hash = mix(hash, word(&header.source, 8));
    hash = mix(hash, word(&header.source, 12));
    hash = mix(hash, word(&header.destination, 0));
    hash = mix(hash, word(&header.destination, 4));
    hash = mix(hash, word(&header.destination, 8));
    hash = mix(hash, word(&header.destination, 12));
    finish(mix(
        hash,
        ports(
            frame,
            header.next_header,
            Ethernet::LENGTH + ip::Ipv6::LENGTH,
        ),
    ))
}

/// MAC addresses and ethertype.
#[inline(always)]
pub(crate) fn ethernet(header: &Ethernet) -> u32 {
    let [a, b, c, d, e, f] = header.destination.0;
    let [g, h, i, j, k, l] = header.source.0;
    let hash = mix(
        u32::from(header.ethertype.get()),
        u32::from_ne_bytes([a, b, c, d]),
    );
    let hash = mix(hash, u32::from_ne_bytes([e, f, g, h]));
    finish(mix(hash, u32::from_ne_bytes([i, j, k, l])))
}
