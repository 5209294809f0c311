//! ICMP and ICMPv6 errors: what a stage tells the sender of a packet that it refuses.
//!
//! The frame itself becomes the message. It quotes as much of the packet as RFC 1812 section 4.3.2.3
//! (576 bytes in all) and RFC 4443 section 2.4 (c) (1280 bytes) want, and goes back where the packet
//! came from. Nothing is said about ICMP errors, later fragments over IPv4, groups and senders that
//! are no single host (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)), and each port hears so many
//! a second and no more (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 (f)).

use crate::{Fragment, Frame, Meta, Sink, Tables, Verdict, deliver, mtu};
use coax_tables::{DropReason, Limit, Rate};
use coax_wire::{Ethernet, checksum::Checksum, icmp::IcmpError, ip, words};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// How many errors a port hears: one in the time of ten milliseconds, and a window of TCP segments at
/// once.
pub const RATE: Rate = Rate::per_second(100, 50);

/// Hops of a message of our own.
pub(crate) const HOPS: u8 = 64;

/// Most bytes that a message over IPv4 quotes.
const MOST_IPV4: u32 = 576 - ip::Ipv4::LENGTH - size_of::<IcmpError>() as u32;
/// Most bytes that a message over IPv6 quotes.
const MOST_IPV6: u32 = 1280 - ip::Ipv6::LENGTH - size_of::<IcmpError>() as u32;

/// Words of the longest quote.
pub const QUOTE_WORDS: usize = MOST_IPV6 as usize / 4;

/// What is wrong with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Problem {
    /// Larger than `Meta::mtu`.
    TooBig = 0,
    /// No route leads to its destination.
    NoRoute = 1,
    /// Nobody has its destination.
    NoHost = 2,
    /// Its destination does not serve its protocol.
    NoProtocol = 3,
    /// Its destination does not serve its port.
    NoPort = 4,
    /// Its last hop is used up.
    TimeExceeded = 5,
    /// A rule forbids it.
    Prohibited = 6,
}

impl Problem {
    /// Type, code and the four bytes behind the checksum (RFC 792, 1191, 1812 section 5.2.7.1).
    #[inline(always)]
    const fn over_ipv4(self, mtu: u32) -> (u8, u8, u32) {
        match self {
            Self::TooBig => (IcmpError::UNREACHABLE, 4, mtu & 0xffff),
            Self::NoRoute => (IcmpError::UNREACHABLE, 0, 0),
            Self::NoHost => (IcmpError::UNREACHABLE, 1, 0),
            Self::NoProtocol => (IcmpError::UNREACHABLE, 2, 0),
            Self::NoPort => (IcmpError::UNREACHABLE, 3, 0),
            Self::TimeExceeded => (IcmpError::TIME_EXCEEDED, 0, 0),
            Self::Prohibited => (IcmpError::UNREACHABLE, 13, 0),
        }
    }

    /// The same over IPv6 (RFC 4443 section 3).
    #[inline(always)]
    const fn over_ipv6(self, mtu: u32) -> (u8, u8, u32) {
        match self {
            Self::TooBig => (IcmpError::PACKET_TOO_BIG, 0, mtu),
            Self::NoRoute => (IcmpError::UNREACHABLE_V6, 0, 0),
            Self::NoHost => (IcmpError::UNREACHABLE_V6, 3, 0),
            // "Unrecognized next header" at the place of the next header.
            Self::NoProtocol => (IcmpError::PARAMETER_V6, 1, 6),
            Self::NoPort => (IcmpError::UNREACHABLE_V6, 4, 0),
            Self::TimeExceeded => (IcmpError::TIME_EXCEEDED_V6, 0, 0),
            Self::Prohibited => (IcmpError::UNREACHABLE_V6, 1, 0),
        }
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head4 {
    ethernet: Ethernet,
    ip: ip::Ipv4,
    icmp: IcmpError,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head6 {
    ethernet: Ethernet,
    ip: ip::Ipv6,
    icmp: IcmpError,
}

/// Turns a frame that was dropped into the message that its sender is to hear; where the sender must not
/// be told, or has been told enough, it stays dropped. Stages only leave word in `Meta`, so that this
/// stands in one place of the program, after all of them.
#[inline(never)]
pub(crate) fn answer<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    if !may_be_told(frame, meta) || !sink.permit(Limit::IcmpError, meta.slot, &RATE, tables.now()) {
        return Verdict::Drop;
    }
    let problem = meta.problem;
    if meta.is(Meta::IPV6) {
        over_ipv6(frame, meta, problem)
    } else {
        over_ipv4(frame, meta, problem)
    }
}

#[inline(always)]
fn may_be_told<F: Frame>(frame: &F, meta: &Meta) -> bool {
    meta.is(Meta::IP)
        && !meta.ethernet.destination.is_group()
        && !is_group(&meta.destination, meta)
        && !is_group(&meta.source, meta)
        && !is_nobody(meta)
        && !is_about_icmp(frame, meta)
}

/// A group, the broadcast address, and what is reserved above it.
#[inline(always)]
fn is_group(address: &[u8; 16], meta: &Meta) -> bool {
    if meta.is(Meta::IPV6) {
        address[0] == 0xff
    } else {
        address[12] >= 224
    }
}

/// The unspecified address, or one that never leaves its host.
#[inline(always)]
fn is_nobody(meta: &Meta) -> bool {
    if meta.is(Meta::IPV6) {
        // Up to ::ffff:0:0/96: unspecified, loopback, IPv4 in disguise.
        meta.source[..10] == [0; 10]
    } else {
        meta.source[12] == 0 || meta.source[12] == 127
    }
}

/// An ICMP message that is no echo, or a packet of which that cannot be told.
#[inline(always)]
fn is_about_icmp<F: Frame>(frame: &F, meta: &Meta) -> bool {
    let ipv6 = meta.is(Meta::IPV6);
    if meta.fragment == Fragment::Later {
        return !ipv6 || meta.protocol == ip::protocol::ICMPV6;
    }
    let icmp = if ipv6 {
        ip::protocol::ICMPV6
    } else {
        ip::protocol::ICMP
    };
    if meta.protocol != icmp {
        return meta.is(Meta::OBSCURE);
    }
    if meta.transport == 0 {
        return true;
    }
    match frame.read_at::<u8>(meta.transport) {
        Some(kind) if ipv6 => kind < 128,
        Some(kind) => kind != 0 && kind != 8,
        None => true,
    }
}

// Both take what they say about the packet from `Meta` and write straight to the scratch memory: the
// stack of a program that is some calls deep has no room for headers.

#[inline(never)]
fn over_ipv4<F: Frame>(frame: &mut F, meta: &mut Meta, problem: Problem) -> Verdict {
    let Some(stated) = frame.read::<[u8; 2]>(Ethernet::LENGTH + 2) else {
        return Verdict::Drop;
    };
    let stated = u16::from_be_bytes(stated);
    let Some(quoted) = quote(frame, meta, stated.into(), MOST_IPV4) else {
        return Verdict::Drop;
    };
    let (kind, code, rest) = problem.over_ipv4(meta.mtu);
    let sum = Checksum::new().word(sum_of_quote(meta));
    let Ok((head, _)) = Head4::mut_from_prefix(&mut meta.scratch) else {
        return Verdict::Drop;
    };
    let length = ip::Ipv4::LENGTH + size_of::<IcmpError>() as u32 + quoted;
    back(&meta.ethernet, &mut head.ethernet);
    let [.., a, b, c, d] = meta.speaker;
    let [.., e, f, g, h] = meta.source;
    head.ip.version_length = 0x45;
    head.ip.traffic_class = meta.traffic_class & 0xfc;
    head.ip.total_length = (length as u16).to_be_bytes();
    head.ip.identification = [0; 2];
    head.ip.fragment = [0; 2];
    head.ip.time_to_live = HOPS;
    head.ip.protocol = ip::protocol::ICMP;
    head.ip.source = [a, b, c, d];
    head.ip.destination = [e, f, g, h];
    head.ip.checksum = mtu::ipv4_checksum(&head.ip);
    message(&mut head.icmp, sum, kind, code, rest);
    let bytes = Ethernet::LENGTH + length;
    if frame.begin_anew(bytes).is_err()
        || frame.write(0, head).is_err()
        || frame
            .write_some(size_of::<Head4>() as u32, &meta.quote, quoted)
            .is_err()
    {
        return meta.drop(DropReason::RewriteFailed);
    }
    deliver::back(frame, meta, bytes)
}

#[inline(never)]
fn over_ipv6<F: Frame>(frame: &mut F, meta: &mut Meta, problem: Problem) -> Verdict {
    let Some(stated) = frame.read::<[u8; 2]>(Ethernet::LENGTH + 4) else {
        return Verdict::Drop;
    };
    // A payload of no bytes is a jumbogram, whose length is elsewhere.
    let whole = match u16::from_be_bytes(stated) {
        0 => 0,
        stated => u32::from(stated) + ip::Ipv6::LENGTH,
    };
    let Some(quoted) = quote(frame, meta, whole, MOST_IPV6) else {
        return Verdict::Drop;
    };
    let (kind, code, rest) = problem.over_ipv6(meta.mtu);
    let payload = (size_of::<IcmpError>() as u32 + quoted) as u16;
    let sum = Checksum::new()
        .word(sum_of_quote(meta))
        .word(sum_of_addresses(meta))
        .word(payload)
        .word(u16::from(ip::protocol::ICMPV6));
    let Ok((head, _)) = Head6::mut_from_prefix(&mut meta.scratch) else {
        return Verdict::Drop;
    };
    back(&meta.ethernet, &mut head.ethernet);
    head.ip.version_class_flow = ip::Ipv6::first_word(0, 0);
    head.ip.payload_length = payload.to_be_bytes();
    head.ip.next_header = ip::protocol::ICMPV6;
    head.ip.hop_limit = HOPS;
    words::copy(&meta.speaker, &mut head.ip.source);
    words::copy(&meta.source, &mut head.ip.destination);
    message(&mut head.icmp, sum, kind, code, rest);
    let bytes = size_of::<Head6>() as u32 + quoted;
    if frame.begin_anew(bytes).is_err()
        || frame.write(0, head).is_err()
        || frame
            .write_some(size_of::<Head6>() as u32, &meta.quote, quoted)
            .is_err()
    {
        return meta.drop(DropReason::RewriteFailed);
    }
    deliver::back(frame, meta, bytes)
}

/// Copies the packet's first bytes to `Meta::quote`, and zeros behind them; gives how many they are.
/// `stated` is its length by its own header, zero when the header does not say.
#[inline(always)]
fn quote<F: Frame>(frame: &F, meta: &mut Meta, stated: u32, most: u32) -> Option<u32> {
    let mut length = frame.length().saturating_sub(Ethernet::LENGTH);
    // What stands behind the packet is padding. A packet that is yet to be cut does not state itself.
    if stated != 0 && stated < length && frame.segment_payload() == 0 {
        length = stated;
    }
    if length > most {
        length = most;
    }
    meta.quote = [0; QUOTE_WORDS];
    frame
        .copy_some(Ethernet::LENGTH, &mut meta.quote, length)
        .then_some(length)
}

/// The sum of the quote. Words in the machine's order add up to the sum in the wire's order with its bytes
/// swapped (RFC 1071 section 2 (B)).
#[inline(never)]
fn sum_of_quote(meta: &Meta) -> u16 {
    let mut sum = 0u64;
    for word in &meta.quote {
        sum += u64::from(*word);
    }
    let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    u16::from_be(sum as u16)
}

/// The sum of the addresses in the message's pseudo header.
#[inline(never)]
fn sum_of_addresses(meta: &Meta) -> u16 {
    let sum = Checksum::new().bytes(&meta.speaker).bytes(&meta.source);
    !u16::from_be_bytes(sum.finish())
}

#[inline(always)]
fn message(icmp: &mut IcmpError, sum: Checksum, kind: u8, code: u8, rest: u32) {
    let rest = rest.to_be_bytes();
    icmp.kind = kind;
    icmp.code = code;
    icmp.checksum = sum
        .word(u16::from_be_bytes([kind, code]))
        .bytes(&rest)
        .finish();
    icmp.rest = rest;
}

#[inline(always)]
fn back(from: &Ethernet, to: &mut Ethernet) {
    to.destination = from.source;
    to.source = from.destination;
    to.ethertype = from.ethertype;
}
