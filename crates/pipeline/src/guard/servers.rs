//! What only servers and routers say: DHCP to clients, router advertisements, redirects, answers to
//! multicast name queries. A port sends none of it unless its row says that it serves.
//!
//! DHCP is known by the port that clients listen on, whatever port it comes from. Neighbour discovery
//! behind extension headers or in fragments is dropped, because hosts differ in what they take
//! (RFC 6980, RFC 7113); so is what stands behind more headers than are read (RFC 7112).

use super::neighbours;
use crate::{Fragment, Frame, Meta, Tables, Verdict};
use coax_tables::{DropReason, PortRow};
use coax_wire::{Ethernet, ip};

const DHCP_CLIENT: u16 = 68;
const DHCPV6_CLIENT: u16 = 546;
const MULTICAST_DNS: u16 = 5353;
const LINK_LOCAL_NAMES: u16 = 5355;

const ICMP_REDIRECT: u8 = 5;
const ICMP_ROUTER_ADVERTISEMENT: u8 = 9;
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const REDIRECT: u8 = 137;

/// Offset of the flags of a DNS message behind a UDP header, and the bit of an answer there.
const NAME_FLAGS: u32 = 8 + 2;
const ANSWER: u8 = 0x80;

/// The packet may be something that this guard is about.
#[inline(always)]
pub(crate) fn is_watched(meta: &Meta) -> bool {
    if meta.is(Meta::OBSCURE) || meta.fragment == Fragment::First && meta.transport == 0 {
        return true;
    }
    match meta.protocol {
        ip::protocol::ICMP | ip::protocol::ICMPV6 => true,
        ip::protocol::UDP => {
            let [a, b, c, d] = meta.ports;
            matches!(u16::from_be_bytes([c, d]), DHCP_CLIENT | DHCPV6_CLIENT)
                || is_name_service(u16::from_be_bytes([a, b]))
        }
        _ => false,
    }
}

#[inline(always)]
const fn is_name_service(port: u16) -> bool {
    matches!(port, MULTICAST_DNS | LINK_LOCAL_NAMES)
}

/// Judges a packet that is watched.
#[inline(never)]
pub(crate) fn run<F: Frame, T: Tables>(frame: &F, tables: &T, meta: &mut Meta) -> Verdict {
    let serves = meta.port_has(PortRow::SERVER);
    if meta.is(Meta::OBSCURE) || meta.fragment == Fragment::First && meta.transport == 0 {
        return if serves && meta.is(Meta::ANY_SENDER) {
            Verdict::Next
        } else {
            meta.drop(DropReason::HeaderChain)
        };
    }
    // Not even the kind of a later fragment can be told; the first one is judged for all.
    if meta.transport == 0 {
        return Verdict::Next;
    }
    if meta.protocol == ip::protocol::ICMPV6 {
        return icmpv6(frame, tables, meta, serves);
    }
    let rogue = if meta.protocol == ip::protocol::ICMP {
        matches!(
            frame.read_at::<u8>(meta.transport),
            Some(ICMP_REDIRECT | ICMP_ROUTER_ADVERTISEMENT)
        )
    } else {
        is_served_over_udp(frame, meta)
    };
    if rogue && !serves {
        return meta.drop(DropReason::RogueServer);
    }
    Verdict::Next
}

#[inline(always)]
fn is_served_over_udp<F: Frame>(frame: &F, meta: &Meta) -> bool {
    let [a, b, c, d] = meta.ports;
    let client = if meta.is(Meta::IPV6) {
        DHCPV6_CLIENT
    } else {
        DHCP_CLIENT
    };
    if u16::from_be_bytes([c, d]) == client {
        return true;
    }
    is_name_service(u16::from_be_bytes([a, b]))
        && matches!(
            frame.read_at::<u8>(meta.transport + NAME_FLAGS),
            Some(flags) if flags & ANSWER != 0
        )
}

#[inline(always)]
fn icmpv6<F: Frame, T: Tables>(frame: &F, tables: &T, meta: &mut Meta, serves: bool) -> Verdict {
    let Some(kind @ ROUTER_SOLICITATION..=REDIRECT) = frame.read_at::<u8>(meta.transport) else {
        return Verdict::Next;
    };
    if !serves && matches!(kind, ROUTER_ADVERTISEMENT | REDIRECT) {
        return meta.drop(DropReason::RogueServer);
    }
    if meta.transport != Ethernet::LENGTH + ip::Ipv6::LENGTH {
        return meta.drop(DropReason::HeaderChain);
    }
    if meta.is(Meta::ANY_SENDER) || matches!(kind, ROUTER_ADVERTISEMENT | REDIRECT) {
        return Verdict::Next;
    }
    neighbours::discovery(frame, tables, meta, kind)
}
