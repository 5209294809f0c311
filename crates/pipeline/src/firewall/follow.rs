//! Following connections: TCP by its segments, all else by who has sent.

use super::connection::{self, Place};
use super::windows::{Effect, Windows};
use super::{
    ask, conclude, destination_port, icmp, is_to_group, seed, segment, too_short, tracking,
};
use crate::{Continuation, Frame, Meta, Purpose, Sink, Tables, Verdict};
use coax_tables::{ConnectionState as State, ConnectionTraits as Traits, DropReason};
use coax_wire::ip::protocol;

/// Bytes of a UDP header, and of what SCTP needs to name its ports and its association.
const DATAGRAM_HEADER: u32 = 8;

/// A connection's time is written anew when it has become this many ticks longer, not with each packet.
const REFRESH: i32 = 8;

/// A TCP segment.
#[inline(always)]
pub(crate) fn tcp_segment<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let verdict = match segment::read(frame, meta) {
        Verdict::Next => follow_tcp(tables, meta),
        verdict => verdict,
    };
    conclude(sink, meta, verdict)
}

#[inline(always)]
fn follow_tcp<T: Tables>(tables: &T, meta: &mut Meta) -> Verdict {
    tracking::identify(meta, seed(tables));
    let Some(place) = connection::find(tables, meta) else {
        if !meta.tracking.segment.may_begin() {
            return meta.drop(DropReason::NoConnection);
        }
        return begin(meta, Purpose::Open);
    };
    let words = place.words();
    meta.tracking.windows = Windows {
        reach: [tables.load(&words.reach[0]), tables.load(&words.reach[1])],
        heard: [tables.load(&words.heard[0]), tables.load(&words.heard[1])],
        traits: tables.load(&words.rule) as u32,
        pending: tables.load(&words.protocol) as u32,
    };
    meta.tracking.before = meta.tracking.windows;
    meta.tracking.state = place.tag.state();
    match step(meta) {
        Effect::Invalid => return meta.drop(DropReason::NoConnection),
        Effect::Begins => return begin(meta, Purpose::Anew),
        Effect::Belongs | Effect::Ignored => {}
    }
    if !stands(tables, meta, &place) {
        return ask_again(meta, Continuation::Tcp);
    }
    note(tables, meta, &place);
    let state = meta.tracking.state;
    refresh(tables, meta, &place, state);
    Verdict::Next
}

/// What the segment does to its connection, whose state and windows in `meta` become the new ones.
#[inline(never)]
fn step(meta: &mut Meta) -> Effect {
    let from = meta.tracking.from & 1;
    let segment = meta.tracking.segment;
    let mut state = meta.tracking.state;
    let effect = meta.tracking.windows.step(&mut state, &segment, from);
    meta.tracking.state = state;
    effect
}

/// A segment that begins a connection, or the part of one that is seen here.
#[inline(never)]
fn begin(meta: &mut Meta, purpose: Purpose) -> Verdict {
    let from = meta.tracking.from & 1;
    let segment = meta.tracking.segment;
    meta.tracking.state = meta.tracking.windows.begin(&segment, from);
    let service = destination_port(meta);
    ask(meta, purpose, service)
}

/// Writes what a segment changed of what was known.
#[inline(always)]
fn note<T: Tables>(tables: &T, meta: &Meta, place: &Place<'_>) {
    let words = place.words();
    let (now, then) = (&meta.tracking.windows, &meta.tracking.before);
    for end in 0..2 {
        if now.reach[end] != then.reach[end] {
            tables.store(&words.reach[end], now.reach[end]);
        }
        if now.heard[end] != then.heard[end] {
            tables.store(&words.heard[end], now.heard[end]);
        }
    }
    if now.traits != then.traits {
        let rule = tables.load(&words.rule) >> 32 << 32;
        tables.store(&words.rule, rule | u64::from(now.traits));
    }
    if now.pending != then.pending {
        let protocol = u64::from(meta.tracking.key.protocol) << 32;
        tables.store(&words.protocol, protocol | u64::from(now.pending));
    }
}

/// Writes the connection's time and state when they have changed by much or at all.
#[inline(always)]
fn refresh<T: Tables>(tables: &T, meta: &Meta, place: &Place<'_>, state: u8) {
    let deadline = meta
        .tracking
        .now
        .wrapping_add(meta.tracking.lifetime(state));
    let longer = deadline.wrapping_sub(place.tag.deadline()) as i32;
    if state != place.tag.state() || longer >= REFRESH {
        place.change(tables, state, deadline);
    }
}

/// The connection was judged by policy as it is now.
#[inline(always)]
fn stands<T: Tables>(tables: &T, meta: &Meta, place: &Place<'_>) -> bool {
    tables.load(&place.words().judged) == meta.tracking.judgement()
}

/// Lets policy decide once more about a connection, from the view of who opened it. When it may stay, the packet
/// comes back to `asked`.
#[inline(never)]
fn ask_again(meta: &mut Meta, asked: Continuation) -> Verdict {
    let high_originates = meta.tracking.windows.traits & Traits::HIGH_ORIGINATES;
    let reversed = high_originates != meta.tracking.from;
    let [a, b, c, d] = meta.ports;
    let service = match (meta.protocol, reversed) {
        (protocol::ICMP, _) => icmp::ECHO,
        (protocol::ICMPV6, _) => icmp::ECHO6,
        (_, true) => u16::from_be_bytes([a, b]),
        (_, false) => u16::from_be_bytes([c, d]),
    };
    let verdict = ask(meta, Purpose::Again, service);
    meta.tracking.reversed = u32::from(reversed);
    meta.tracking.asked = asked;
    verdict
}

/// A packet of a protocol without states that the firewall knows, or of none: UDP, SCTP, ICMP, and protocols
/// by addresses only.
#[inline(always)]
pub(crate) fn exchange<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let verdict = identify(frame, tables, meta);
    let verdict = if verdict == Verdict::Next && meta.tracking.service != icmp::PASSES {
        follow(tables, meta)
    } else {
        verdict
    };
    conclude(sink, meta, verdict)
}

/// Names the exchange that the packet belongs to, and the service that it is for.
#[inline(always)]
fn identify<F: Frame, T: Tables>(frame: &F, tables: &T, meta: &mut Meta) -> Verdict {
    let is_icmp = if meta.is(Meta::IPV6) {
        meta.protocol == protocol::ICMPV6
    } else {
        meta.protocol == protocol::ICMP
    };
    if is_icmp {
        return icmp::identify(frame, tables, meta);
    }
    let service = destination_port(meta);
    if is_to_group(meta) {
        return ask(meta, Purpose::Packet, service);
    }
    let has_ports = matches!(meta.protocol, protocol::UDP | protocol::SCTP);
    if has_ports && (meta.transport == 0 || segment::bytes(frame, meta) < DATAGRAM_HEADER) {
        return too_short(meta);
    }
    tracking::identify(meta, seed(tables));
    meta.tracking.service = service;
    Verdict::Next
}

/// One packet of an exchange. Those for `icmp::NO_SERVICE` cannot open one.
#[inline(always)]
fn follow<T: Tables>(tables: &T, meta: &mut Meta) -> Verdict {
    let Some(place) = connection::find(tables, meta) else {
        let service = meta.tracking.service;
        if service == icmp::NO_SERVICE {
            return meta.drop(DropReason::NoConnection);
        }
        meta.tracking.windows.traits = meta.tracking.from * Traits::HIGH_ORIGINATES;
        meta.tracking.state = State::UNREPLIED;
        return ask(meta, Purpose::Open, service);
    };
    meta.tracking.windows.traits = tables.load(&place.words().rule) as u32;
    if !stands(tables, meta, &place) {
        return ask_again(meta, Continuation::Exchange);
    }
    let by_originator =
        meta.tracking.windows.traits & Traits::HIGH_ORIGINATES == meta.tracking.from;
    let state = if by_originator {
        place.tag.state()
    } else {
        State::REPLIED
    };
    refresh(tables, meta, &place, state);
    Verdict::Next
}
