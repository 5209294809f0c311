//! ARP and neighbour discovery speak for the port's own addresses only.
//!
//! An ARP sender and the target of a neighbour advertisement become entries in the caches of others, as do
//! link-layer address options; each must be the port's. A probe has no sender (RFC 5227 section 2.1.1,
//! RFC 4862 section 5.4) and may ask for any address. What cannot be compared, because lengths are unusual
//! or options too many, is dropped: whether hosts would take it depends on the host.

use super::{shared, sources};
use crate::{Frame, Meta, Tables, Verdict};
use coax_tables::DropReason;
use coax_wire::icmp::{LinkAddressOption, Neighbour};
use coax_wire::{Ethernet, arp::Arp, ip};

/// Options that are compared. Ordinary messages have one, secured ones (RFC 3971) five.
const OPTIONS: u32 = 6;

const MESSAGE: u32 = Ethernet::LENGTH + ip::Ipv6::LENGTH;

/// Compares the sender of an ARP packet.
#[inline(never)]
pub(crate) fn arp<F: Frame, T: Tables>(frame: &F, tables: &T, meta: &mut Meta) -> Verdict {
    let Some(packet) = frame.read::<Arp>(Ethernet::LENGTH) else {
        return meta.drop(DropReason::Truncated);
    };
    let genuine = packet.has_ethernet_lengths() && packet.sender_mac == meta.ethernet.source;
    if !genuine {
        return meta.drop(DropReason::ForgedArp);
    }
    if packet.sender == meta.own_ipv4 || packet.sender == [0; 4] {
        return Verdict::Next;
    }
    let address = ip::mapped(packet.sender);
    match sources::row(tables, meta, &address) {
        Some(row) if row.mac == packet.sender_mac => {
            if packet.sender == packet.target {
                shared::announces(meta, row);
            }
            Verdict::Next
        }
        _ => meta.drop(DropReason::ForgedArp),
    }
}

/// Compares what a router solicitation, a neighbour solicitation or an advertisement tells of its
/// sender. The IP source has been compared before.
#[inline(never)]
pub(crate) fn discovery<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    meta: &mut Meta,
    kind: u8,
) -> Verdict {
    if kind == Neighbour::ADVERTISEMENT {
        let Some(message) = frame.read::<Neighbour>(MESSAGE) else {
            return meta.drop(DropReason::Truncated);
        };
        if message.target != meta.own_ipv6 && !speaks_for(tables, meta, &message) {
            return meta.drop(DropReason::ForgedNeighbour);
        }
    }
    let body = if kind == Neighbour::SOLICITATION || kind == Neighbour::ADVERTISEMENT {
        Neighbour::LENGTH
    } else {
        8
    };
    if options_are_own(frame, meta, MESSAGE + body) {
        Verdict::Next
    } else {
        meta.drop(DropReason::ForgedNeighbour)
    }
}

/// The port may advertise an address that is not in its row.
#[inline(always)]
fn speaks_for<T: Tables>(tables: &T, meta: &mut Meta, message: &Neighbour) -> bool {
    let mac = meta.ethernet.source;
    if message.target == ip::link_local(mac) {
        return true;
    }
    match sources::row(tables, meta, &message.target) {
        Some(row) if row.mac == mac => {
            if message.flags[0] & Neighbour::SOLICITED == 0 {
                shared::announces(meta, row);
            }
            true
        }
        _ => false,
    }
}

/// Every link-layer address option from `at` on has the sender's own address.
#[inline(always)]
fn options_are_own<F: Frame>(frame: &F, meta: &Meta, at: u32) -> bool {
    let Some(length) = frame.read::<[u8; 2]>(Ethernet::LENGTH + 4) else {
        return false;
    };
    let end = MESSAGE + u32::from(u16::from_be_bytes(length));
    let mut at = at;
    for _ in 0..OPTIONS {
        if at >= end {
            return true;
        }
        let Some(option) = frame.read_at::<LinkAddressOption>(at) else {
            return false;
        };
        let link_address = matches!(
            option.kind,
            LinkAddressOption::SOURCE | LinkAddressOption::TARGET
        );
        if option.length == 0 || link_address && option.mac != meta.ethernet.source {
            return false;
        }
        at += u32::from(option.length) * 8;
    }
    at >= end
}
