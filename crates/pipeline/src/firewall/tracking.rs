//! What the firewall knows of the connection of the frame at hand.

use super::tcp::Segment;
use super::windows::Windows;
use crate::{Continuation, Meta};
use coax_tables::{ConnectionKey, ConnectionState, PolicyRow, connection::ticks};
use coax_wire::ip::protocol;

/// What policy is asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Purpose {
    /// A packet that belongs to no connection and opens none.
    Packet = 0,
    /// A connection that begins.
    Open = 1,
    /// A connection that begins where another one of the same ends is over.
    Anew = 2,
    /// A connection that was admitted before policy changed.
    Again = 3,
}

/// The firewall's part of `Meta`. It is kept there and not on the stack, of which a kernel's program has
/// 512 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Tracking {
    /// Network and domain by whose policy the frame was judged already; zero: by none.
    pub judged: u64,
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// Hash of `key`.
    pub hash: u64,
    /// The connection.
    pub key: ConnectionKey,
    /// TCP: what is known of its sequence numbers. Others use `traits` only.
    pub windows: Windows,
    /// The same before the packet.
    pub before: Windows,
    /// The TCP segment.
    pub segment: Segment,
    /// Offset of the next TCP option to be read.
    pub option: u32,
    /// Where the options end.
    pub options_end: u32,
    /// Where the frame goes on when it may pass.
    pub then: Continuation,
    /// What policy is asked about.
    pub purpose: Purpose,
    /// Who asked policy about a connection that was admitted before.
    pub asked: Continuation,
    /// Not zero: the packet at hand comes from the other end of the connection that policy is asked about.
    pub reversed: u32,
    /// Destination port in host byte order that policy is asked about; ICMP: type and code.
    pub service: u16,
    /// The time in ticks.
    pub now: u32,
    /// Which end sent the packet: 0 for the low one, 1 for the high one.
    pub from: u32,
    /// The domain whose policy decides.
    pub domain: u32,
    /// Generation of its policy.
    pub generation: u32,
    /// The rule that decided.
    pub rule: u32,
    /// Place of the rule in written order.
    pub order: u32,
    /// What it does: an action of `PolicyRow`.
    pub action: u8,
    /// Its flags.
    pub flags: u8,
    /// The connection's state.
    pub state: u8,
    /// Always zero.
    pub zero: u8,
    /// The bucket of the table that a search has looked through.
    pub bucket: u32,
    /// The place that it has found there.
    pub way: u32,
    /// Ticks that are left to what is there, where the search was for the oldest one.
    pub least: i32,
    /// Places of the same sender that a search for room has met, and the oldest of them.
    pub own: u32,
    /// The oldest of those places.
    pub oldest: u32,
    /// Always zero.
    pub more_zero: u32,
}

impl Tracking {
    /// Nothing is known.
    pub const EMPTY: Self = Self {
        judged: 0,
        time: 0,
        hash: 0,
        key: ConnectionKey::EMPTY,
        windows: Windows::NONE,
        before: Windows::NONE,
        segment: Segment::NONE,
        option: 0,
        options_end: 0,
        then: Continuation::Forward,
        purpose: Purpose::Packet,
        asked: Continuation::Forward,
        reversed: 0,
        service: 0,
        now: 0,
        from: 0,
        domain: 0,
        generation: 0,
        rule: 0,
        order: 0,
        action: 0,
        flags: 0,
        state: 0,
        zero: 0,
        bucket: 0,
        way: 0,
        least: 0,
        own: 0,
        oldest: 0,
        more_zero: 0,
    };

    /// Nothing is decided yet about a frame that came at `time`.
    #[inline(always)]
    pub(crate) fn begin(&mut self, time: u64) {
        self.time = time;
        self.now = ticks(time);
        self.service = 0;
        self.rule = PolicyRow::NO_RULE;
        self.action = 0;
        self.flags = 0;
    }

    /// What stands with connections that policy, as it is now, has admitted.
    #[inline(always)]
    pub(crate) fn judgement(&self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.domain)
    }

    /// Ticks for which the connection lives in `state` without a packet.
    #[inline(always)]
    pub(crate) const fn lifetime(&self, state: u8) -> u32 {
        let icmp = matches!(self.key.protocol as u8, protocol::ICMP | protocol::ICMPV6);
        ConnectionState::lifetime(state, icmp)
    }

    /// The packet may pass: a rule allows it, or would refuse it and is only audited.
    #[inline(always)]
    pub(crate) const fn passes(&self) -> bool {
        self.action == PolicyRow::ALLOW || self.flags & PolicyRow::AUDIT != 0
    }
}

#[inline(always)]
pub(crate) const fn halves(address: &[u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *address;
    [
        u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
        u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
    ]
}

/// Names the connection of the packet in `meta`, whose ports count. Afterwards the bucket can be found.
#[inline(never)]
pub(crate) fn identify(meta: &mut Meta, seed: u64) {
    let [a, b, c, d] = meta.ports;
    let (source_port, destination_port) = (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]));
    let ends = Ends {
        source: halves(&meta.source),
        destination: halves(&meta.destination),
        source_port,
        destination_port,
    };
    let protocol = u32::from(meta.protocol);
    name(meta, &ends, protocol, seed);
}

/// Names the exchange of an echo message: both ends have its identifier, and the key says who asks.
#[inline(never)]
pub(crate) fn identify_echo(meta: &mut Meta, identifier: u16, request: bool, seed: u64) {
    let ends = Ends {
        source: halves(&meta.source),
        destination: halves(&meta.destination),
        source_port: identifier,
        destination_port: identifier,
    };
    let protocol = u32::from(meta.protocol);
    name(meta, &ends, protocol, seed);
    ask(meta, request, seed);
}

/// Notes in the key of an echo message who asks.
#[inline(always)]
pub(crate) fn ask(meta: &mut Meta, request: bool, seed: u64) {
    let tracking = &mut meta.tracking;
    let low_asks = (tracking.from == 0) == request;
    tracking.key.protocol |= if low_asks {
        ConnectionKey::LOW_ASKS
    } else {
        ConnectionKey::HIGH_ASKS
    };
    tracking.hash = tracking.key.hash(seed);
}

/// The two ends of a packet.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub source: [u64; 2],
    pub destination: [u64; 2],
    pub source_port: u16,
    pub destination_port: u16,
}

/// Puts the ends in order, which depends on nothing but themselves.
#[inline(always)]
pub(crate) fn name(meta: &mut Meta, ends: &Ends, protocol: u32, seed: u64) {
    let source_is_low = if ends.source[0] != ends.destination[0] {
        ends.source[0] < ends.destination[0]
    } else if ends.source[1] != ends.destination[1] {
        ends.source[1] < ends.destination[1]
    } else {
        ends.source_port <= ends.destination_port
    };
    let network = meta.network.0;
    let tracking = &mut meta.tracking;
    tracking.from = u32::from(!source_is_low);
    let key = &mut tracking.key;
    if source_is_low {
        key.low = ends.source;
        key.high = ends.destination;
        key.low_port = ends.source_port;
        key.high_port = ends.destination_port;
    } else {
        key.low = ends.destination;
        key.high = ends.source;
        key.low_port = ends.destination_port;
        key.high_port = ends.source_port;
    }
    key.network = network;
    key.protocol = protocol;
    tracking.hash = key.hash(seed);
}
