//! The hash of a frame's flow. Equal-cost paths are chosen by it, so frames of one flow must agree
//! and different flows should differ (RFC 7348 section 5, "Source Port").

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

/// Addresses, protocol and ports.
#[inline(always)]
pub(crate) const fn ipv4(header: &ip::Ipv4, ports: [u8; 4]) -> u32 {
    let hash = mix(header.protocol as u32, u32::from_ne_bytes(header.source));
    let hash = mix(hash, u32::from_ne_bytes(header.destination));
    finish(mix(hash, u32::from_ne_bytes(ports)))
}

/// Addresses, next header and ports when they follow at once.
#[inline(always)]
pub(crate) const fn ipv6(header: &ip::Ipv6, ports: [u8; 4]) -> u32 {
    let mut hash = header.next_header as u32;
    hash = mix(hash, word(&header.source, 0));
    hash = mix(hash, word(&header.source, 4));
    hash = mix(hash, word(&header.source, 8));
    hash = mix(hash, word(&header.source, 12));
    hash = mix(hash, word(&header.destination, 0));
    hash = mix(hash, word(&header.destination, 4));
    hash = mix(hash, word(&header.destination, 8));
    hash = mix(hash, word(&header.destination, 12));
    finish(mix(hash, u32::from_ne_bytes(ports)))
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
