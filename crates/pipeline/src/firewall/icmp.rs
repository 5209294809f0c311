//! ICMP and ICMPv6: echoes, errors about connections, and what is neither.

use super::tracking::{self, Ends};
use super::{ask, conclude, connection, seed, too_short};
use crate::{Continuation, Frame, Meta, Purpose, Sink, Tables, Verdict};
use coax_tables::{ConnectionTraits as Traits, DropReason};
use coax_wire::{Ethernet, icmp::Neighbour, ip, ip::protocol};

/// The service of messages that cannot open an exchange. No message has it: its code is never assigned.
pub(super) const NO_SERVICE: u16 = 0xffff;
/// The service of messages that always pass; as above.
pub(super) const PASSES: u16 = 0xfffe;
/// The service of echo requests.
pub(super) const ECHO: u16 = (ECHO_REQUEST as u16) << 8;
/// The service of ICMPv6 echo requests.
pub(super) const ECHO6: u16 = (ECHO6_REQUEST as u16) << 8;

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
const ECHO6_REQUEST: u8 = 128;
const ECHO6_REPLY: u8 = 129;
const ROUTER_SOLICITATION: u8 = 133;

/// ICMP "destination unreachable", and its code for packets that are too big.
const UNREACHABLE: u8 = 3;
const FRAGMENTATION_NEEDED: u8 = 4;
/// ICMPv6 "packet too big".
const TOO_BIG6: u8 = 2;

/// Smallest MTU that a "too big" may ask for: what every host can take whole (RFC 791 section 3.1, RFC
/// 8200 section 5). Below it, only an attacker asks.
const LEAST_MTU: u32 = 576;
const LEAST_MTU6: u32 = 1280;

/// What a message is to the firewall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meaning {
    /// Neighbour or router discovery.
    Discovery,
    /// An echo request.
    Request,
    /// An echo reply.
    Reply,
    /// An error about a packet that it quotes.
    Error,
    /// Anything else.
    Other,
}

/// A message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    pub meaning: Meaning,
    /// Type and code.
    pub service: u16,
    /// Echoes: the identifier, as it stands in memory.
    pub identifier: u16,
    /// Errors: the MTU that they ask for is at least what every host can take, or they ask for none.
    pub is_modest: bool,
}

/// Reads the first bytes of the message.
#[inline(always)]
pub(super) fn read<F: Frame>(frame: &F, meta: &Meta) -> Option<Message> {
    if meta.transport == 0 {
        return None;
    }
    let [kind, code, _, _, a, b, c, d] = frame.read_at::<[u8; 8]>(meta.transport)?;
    let ipv6 = meta.is(Meta::IPV6);
    let meaning = match (ipv6, kind) {
        (false, ECHO_REQUEST) | (true, ECHO6_REQUEST) => Meaning::Request,
        (false, ECHO_REPLY) | (true, ECHO6_REPLY) => Meaning::Reply,
        (false, UNREACHABLE | 4 | 11 | 12) | (true, 1..=4) => Meaning::Error,
        _ if is_discovery(frame, meta, [kind, code]) => Meaning::Discovery,
        _ => Meaning::Other,
    };
    let is_modest = match (ipv6, kind, code) {
        (false, UNREACHABLE, FRAGMENTATION_NEEDED) => {
            // Routers older than RFC 1191 name no MTU.
            let mtu = u32::from(u16::from_be_bytes([c, d]));
            mtu == 0 || mtu >= LEAST_MTU
        }
        (true, TOO_BIG6, _) => u32::from_be_bytes([a, b, c, d]) >= LEAST_MTU6,
        _ => true,
    };
    Some(Message {
        meaning,
        service: u16::from_be_bytes([kind, code]),
        identifier: u16::from_ne_bytes([a, b]),
        is_modest,
    })
}

/// The message is one of neighbour or router discovery that has not passed a router (RFC 4861 section
/// 6.1). Redirects are none: nobody but the vSwitch routes.
#[inline(always)]
pub(super) fn is_discovery<F: Frame>(frame: &F, meta: &Meta, [kind, code]: [u8; 2]) -> bool {
    meta.is(Meta::IPV6)
        && meta.protocol == protocol::ICMPV6
        && matches!(kind, ROUTER_SOLICITATION..=Neighbour::ADVERTISEMENT)
        && code == 0
        && frame.read::<u8>(Ethernet::LENGTH + 7) == Some(255)
}

/// What an error quotes of a packet.
#[derive(Clone, Copy)]
struct Quote {
    ends: Ends,
    protocol: u8,
    /// The first bytes behind the quoted IP header.
    transport: [u8; 8],
}

/// Names the exchange that the message belongs to, and its service; errors go to where their quotes are read.
#[inline(always)]
pub(super) fn identify<F: Frame, T: Tables>(frame: &F, tables: &T, meta: &mut Meta) -> Verdict {
    let Some(message) = read(frame, meta) else {
        return too_short(meta);
    };
    let (request, service) = match message.meaning {
        Meaning::Discovery => {
            meta.tracking.service = PASSES;
            return Verdict::Next;
        }
        _ if super::is_to_group(meta) => return ask(meta, Purpose::Packet, message.service),
        Meaning::Other => return ask(meta, Purpose::Packet, message.service),
        Meaning::Error => return meta.go_on(Continuation::IcmpError),
        Meaning::Request => (true, message.service),
        Meaning::Reply => (false, NO_SERVICE),
    };
    tracking::identify_echo(meta, message.identifier, request, seed(tables));
    meta.tracking.service = service;
    Verdict::Next
}

/// An error passes when it is sent to the sender of a packet of a connection, and for TCP when that packet
/// may still be on its way (RFC 5927 section 4.1).
#[inline(always)]
pub(crate) fn error<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let verdict = match read(frame, meta) {
        Some(message) => related(frame, tables, meta, &message),
        None => too_short(meta),
    };
    conclude(sink, meta, verdict)
}

#[inline(never)]
fn related<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    meta: &mut Meta,
    message: &Message,
) -> Verdict {
    let at = meta.transport + 8;
    let quote = if meta.is(Meta::IPV6) {
        quote6(frame, at)
    } else {
        quote4(frame, at)
    };
    let Some(mut quote) = quote else {
        return meta.drop(DropReason::NoConnection);
    };
    if !message.is_modest || quote.ends.source != tracking::halves(&meta.destination) {
        return meta.drop(DropReason::NoConnection);
    }
    let seed = seed(tables);
    let [a, b, c, d, e, f, g, h] = quote.transport;
    let protocol = u32::from(quote.protocol);
    match quote.protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP => {
            quote.ends.source_port = u16::from_ne_bytes([a, b]);
            quote.ends.destination_port = u16::from_ne_bytes([c, d]);
            tracking::name(meta, &quote.ends, protocol, seed);
        }
        protocol::ICMP | protocol::ICMPV6 => {
            let request = matches!(a, ECHO_REQUEST | ECHO6_REQUEST);
            if !request && !matches!(a, ECHO_REPLY | ECHO6_REPLY) {
                return meta.drop(DropReason::NoConnection);
            }
            quote.ends.source_port = u16::from_ne_bytes([e, f]);
            quote.ends.destination_port = quote.ends.source_port;
            tracking::name(meta, &quote.ends, protocol, seed);
            tracking::ask(meta, request, seed);
        }
        _ => tracking::name(meta, &quote.ends, protocol, seed),
    }
    let sequence = u32::from_be_bytes([e, f, g, h]);
    if is_related(tables, meta, sequence) {
        Verdict::Next
    } else {
        meta.drop(DropReason::NoConnection)
    }
}

/// The connection in `meta` is there, stands, and has sent `sequence` not long ago.
#[inline(never)]
fn is_related<T: Tables>(tables: &T, meta: &mut Meta, sequence: u32) -> bool {
    let Some(place) = connection::find(tables, meta) else {
        return false;
    };
    let words = place.words();
    if tables.load(&words.judged) != meta.tracking.judgement() {
        return false;
    }
    let from = (meta.tracking.from & 1) as usize;
    let traits = tables.load(&words.rule) as u32;
    if meta.tracking.key.protocol != u32::from(protocol::TCP) || traits & Traits::SENT << from == 0
    {
        return meta.tracking.key.protocol != u32::from(protocol::TCP);
    }
    let end = (tables.load(&words.reach[from]) >> 32) as u32;
    let window = tables.load(&words.heard[1 - from]) as u32;
    end.wrapping_sub(sequence) <= window.saturating_add(0xffff)
}

#[inline(always)]
fn quote4<F: Frame>(frame: &F, at: u32) -> Option<Quote> {
    let header = frame.read_at::<ip::Ipv4>(at)?;
    let later = header.fragment[0] & 0x1f != 0 || header.fragment[1] != 0;
    if !header.is_valid() || later {
        return None;
    }
    Some(Quote {
        ends: Ends {
            source: tracking::halves(&ip::mapped(header.source)),
            destination: tracking::halves(&ip::mapped(header.destination)),
            source_port: 0,
            destination_port: 0,
        },
        protocol: header.protocol,
        transport: frame.read_at(at + header.header_length())?,
    })
}

/// Extension headers in quotes are not walked over, but for that of a first fragment.
#[inline(always)]
fn quote6<F: Frame>(frame: &F, at: u32) -> Option<Quote> {
    let header = frame.read_at::<ip::Ipv6>(at)?;
    if !header.is_valid() {
        return None;
    }
    let mut protocol = header.next_header;
    let mut behind = at + ip::Ipv6::LENGTH;
    if protocol == protocol::FRAGMENT {
        let [next, _, high, low] = frame.read_at::<[u8; 4]>(behind)?;
        if high != 0 || low & 0xf8 != 0 {
            return None;
        }
        protocol = next;
        behind += 8;
    }
    Some(Quote {
        ends: Ends {
            source: tracking::halves(&header.source),
            destination: tracking::halves(&header.destination),
            source_port: 0,
            destination_port: 0,
        },
        protocol,
        transport: frame.read_at(behind)?,
    })
}
