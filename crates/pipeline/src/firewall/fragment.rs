//! Datagrams in fragments: the first one is judged, the others follow it.
//!
//! `coax_tables::fragment` says how the table is built. A fragment passes when the first one of its datagram
//! has passed before and none overlaps it; everything else fails closed: fragments that come before their
//! first one, parts that do not fit together, and first ones for which there is no room. One sender has at
//! most two places in a bucket, and takes its own oldest one when it needs more, so nobody can fill the
//! table for others.

use super::{refused, seed};
use crate::{Frame, Meta, Sink, Tables, Verdict};
use coax_tables::connection::{buckets, seconds};
use coax_tables::fragment::WAYS;
use coax_tables::{
    DropReason, Extent, FragmentBucket, FragmentKey, FragmentState as State, FragmentWords, Tag,
};
use coax_wire::{Ethernet, ip};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// No place.
const NONE: u32 = WAYS as u32;

/// Ticks for which the rest of a datagram is waited for, as hosts do (RFC 1122 section 3.3.2 asks for 60 to
/// 120 s, Linux waits 30).
const LIFETIME: u32 = seconds(30);

/// Ticks for which a place may be written: far more than anybody takes.
const WRITING: u32 = 8;

/// Places in a bucket for datagrams of one sender.
const MOST_OF_ONE: u32 = 2;

/// Units of eight bytes in the largest datagram.
const MOST_UNITS: u32 = 8192;

/// Fragment header of IPv6 (RFC 8200 section 4.5).
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct FragmentHeader {
    next_header: u8,
    reserved: u8,
    offset: [u8; 2],
    identification: [u8; 4],
}

/// A fragment of a datagram.
#[derive(Clone, Copy)]
struct Part {
    key: FragmentKey,
    hash: u64,
    extent: Extent,
    /// No part comes behind it.
    last: bool,
}

impl Part {
    const NONE: Self = Self {
        key: FragmentKey {
            source: [0; 2],
            destination: [0; 2],
            identification: 0,
            protocol: 0,
            network: 0,
            zero: 0,
        },
        hash: 0,
        extent: Extent { start: 0, end: 0 },
        last: false,
    };
}

/// A first fragment that may pass: later ones follow it.
#[inline(always)]
pub(crate) fn first<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let mut part = Part::NONE;
    let passes = read(frame, meta, seed(tables), &mut part)
        && (remember(tables, &part, meta, 0) || remember(tables, &part, meta, 1));
    end(sink, meta, passes)
}

/// A later fragment.
#[inline(always)]
pub(crate) fn later<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let mut part = Part::NONE;
    let passes = read(frame, meta, seed(tables), &mut part)
        && (follows(tables, &part, meta, 0) || follows(tables, &part, meta, 1));
    end(sink, meta, passes)
}

#[inline(always)]
fn end<S: Sink>(sink: &S, meta: &mut Meta, passes: bool) -> Verdict {
    if passes {
        return meta.go_on(meta.tracking.then);
    }
    meta.reason = DropReason::Fragment;
    refused(sink, meta)
}

/// Reads where the fragment belongs; false when it cannot be right.
#[inline(never)]
fn read<F: Frame>(frame: &F, meta: &Meta, seed: u64, part: &mut Part) -> bool {
    match fields(frame, meta) {
        Some(fields) => place_in_datagram(meta, &fields, seed, part),
        None => false,
    }
}

/// What the headers say: offset in units, whether more follow, identification, protocol, bytes.
type Fields = (u32, bool, u32, u32, u32);

#[inline(always)]
fn fields<F: Frame>(frame: &F, meta: &Meta) -> Option<Fields> {
    if meta.is(Meta::IPV6) {
        let base = frame.read::<ip::Ipv6>(Ethernet::LENGTH)?;
        let header = frame.read_at::<FragmentHeader>(meta.fragment_header)?;
        let behind = meta.fragment_header + 8 - Ethernet::LENGTH - ip::Ipv6::LENGTH;
        let word = u16::from_be_bytes(header.offset);
        Some((
            u32::from(word >> 3),
            word & 1 != 0,
            u32::from_ne_bytes(header.identification),
            0,
            u32::from(u16::from_be_bytes(base.payload_length)).checked_sub(behind)?,
        ))
    } else {
        let header = frame.read::<ip::Ipv4>(Ethernet::LENGTH)?;
        let word = u16::from_be_bytes(header.fragment);
        let length = u32::from(u16::from_be_bytes(header.total_length));
        Some((
            u32::from(word & 0x1fff),
            word & 0x2000 != 0,
            u32::from(u16::from_ne_bytes(header.identification)),
            u32::from(header.protocol),
            length.checked_sub(header.header_length())?,
        ))
    }
}

#[inline(always)]
fn place_in_datagram(meta: &Meta, fields: &Fields, seed: u64, part: &mut Part) -> bool {
    let (offset, more, identification, protocol, length) = *fields;
    let units = length.div_ceil(8);
    let whole_units = length % 8 == 0;
    if length == 0 || more && !whole_units || offset + units > MOST_UNITS {
        return false;
    }
    part.key = FragmentKey {
        source: super::tracking::halves(&meta.source),
        destination: super::tracking::halves(&meta.destination),
        identification,
        protocol,
        network: meta.network.0,
        zero: 0,
    };
    part.hash = part.key.hash(seed);
    part.extent = Extent {
        start: offset as u16,
        end: (offset + units) as u16,
    };
    part.last = !more;
    true
}

#[inline(always)]
fn bucket<'a, T: Tables>(tables: &'a T, part: &Part, choice: usize) -> Option<&'a FragmentBucket> {
    let [first, second] = buckets(part.hash, tables.fragment_mask());
    tables.fragments(if choice == 0 { first } else { second })
}

#[inline(always)]
fn is_of<T: Tables>(tables: &T, words: &FragmentWords, key: &FragmentKey) -> bool {
    let [a, b, c, d, e, f] = key.words();
    tables.load(&words.key[0]) == a
        && tables.load(&words.key[1]) == b
        && tables.load(&words.key[2]) == c
        && tables.load(&words.key[3]) == d
        && tables.load(&words.key[4]) == e
        && tables.load(&words.key[5]) == f
}

/// Remembers a datagram whose first fragment passes, in one of its two buckets.
#[inline(never)]
fn remember<T: Tables>(tables: &T, part: &Part, meta: &mut Meta, choice: usize) -> bool {
    let Some(bucket) = bucket(tables, part, choice) else {
        return false;
    };
    meta.tracking.way = NONE;
    meta.tracking.own = 0;
    meta.tracking.oldest = NONE;
    meta.tracking.least = i32::MAX;
    for way in 0..WAYS {
        if consider(tables, bucket, part, meta, way) {
            break;
        }
    }
    if meta.tracking.own >= MOST_OF_ONE {
        meta.tracking.way = meta.tracking.oldest;
    }
    let (way, now) = (meta.tracking.way as usize, meta.tracking.now);
    if way >= WAYS {
        return false;
    }
    let old = Tag(tables.load(&bucket.tags[way]));
    let busy = Tag::new(part.hash, State::BUSY, now.wrapping_add(WRITING));
    let tag = &bucket.tags[way];
    if tables.replace(tag, old.0, busy.0) != old.0 {
        return false;
    }
    let words = &bucket.places[way];
    let [a, b, c, d, e, f] = part.key.words();
    tables.store(&words.key[0], a);
    tables.store(&words.key[1], b);
    tables.store(&words.key[2], c);
    tables.store(&words.key[3], d);
    tables.store(&words.key[4], e);
    tables.store(&words.key[5], f);
    let nothing = Extent::default();
    tables.store(&words.passed[0], Extent::pack(part.extent, nothing));
    tables.store(&words.passed[1], 0);
    let deadline = now.wrapping_add(LIFETIME);
    tables.publish(tag, Tag::new(part.hash, State::OPEN, deadline).0);
    true
}

/// Looks at a place: it may be where the same datagram was, which ends the search, be free, or one of the
/// sender's own. What is found is left in `meta`, in memory, for the sake of the kernel's verifier.
#[inline(never)]
fn consider<T: Tables>(
    tables: &T,
    bucket: &FragmentBucket,
    part: &Part,
    meta: &mut Meta,
    way: usize,
) -> bool {
    let way = way % WAYS;
    let now = meta.tracking.now;
    let tag = Tag(tables.load(&bucket.tags[way]));
    let words = &bucket.places[way];
    if !tag.is_alive(now) {
        if tag.is_free(now) {
            meta.tracking.way = way as u32;
        }
        return false;
    }
    if tag.may_be(part.hash) && is_of(tables, words, &part.key) {
        meta.tracking.way = way as u32;
        meta.tracking.own = 0;
        return true;
    }
    let same_sender = tables.load(&words.key[0]) == part.key.source[0]
        && tables.load(&words.key[1]) == part.key.source[1];
    if same_sender {
        meta.tracking.own += 1;
        if tag.left(now) < meta.tracking.least {
            meta.tracking.least = tag.left(now);
            meta.tracking.oldest = way as u32;
        }
    }
    false
}

/// Lets a later fragment pass when its datagram is in the bucket and nothing overlaps. While its place
/// is being written, no other fragment of the datagram passes.
#[inline(never)]
fn follows<T: Tables>(tables: &T, part: &Part, meta: &mut Meta, choice: usize) -> bool {
    let Some(bucket) = bucket(tables, part, choice) else {
        return false;
    };
    if !search(tables, bucket, part, meta) {
        return false;
    }
    let (way, now) = (meta.tracking.way as usize % WAYS, meta.tracking.now);
    let tag = &bucket.tags[way];
    let old = Tag(tables.load(tag));
    let busy = Tag::new(part.hash, State::BUSY, now.wrapping_add(WRITING));
    if old.state() != State::OPEN || tables.replace(tag, old.0, busy.0) != old.0 {
        return false;
    }
    let words = &bucket.places[way];
    let first = tables.load(&words.passed[0]);
    let second = tables.load(&words.passed[1]);
    let ([a, b], [c, d]) = (Extent::unpack(first), Extent::unpack(second));
    let new = part.extent;
    if new.overlaps(a) || new.overlaps(b) || new.overlaps(c) || new.overlaps(d) {
        tables.publish(tag, old.with(State::REFUSED, old.deadline()).0);
        return false;
    }
    let mut then = old;
    let mut noted = true;
    if let Some(joined) = join(a, new) {
        tables.store(&words.passed[0], Extent::pack(joined, b));
        if part.last && joined.start == 0 {
            // All of it has passed.
            then = old.with(State::OPEN, now.wrapping_sub(Tag::GRACE + 1));
        }
    } else if let Some(joined) = join(b, new) {
        tables.store(&words.passed[0], Extent::pack(a, joined));
    } else if let Some(joined) = join(c, new) {
        tables.store(&words.passed[1], Extent::pack(joined, d));
    } else if let Some(joined) = join(d, new) {
        tables.store(&words.passed[1], Extent::pack(c, joined));
    } else {
        noted = false;
    }
    tables.publish(tag, then.0);
    noted
}

/// Leaves the datagram's place in `meta`.
#[inline(never)]
fn search<T: Tables>(tables: &T, bucket: &FragmentBucket, part: &Part, meta: &mut Meta) -> bool {
    let now = meta.tracking.now;
    for way in 0..WAYS {
        let tag = Tag(tables.load(&bucket.tags[way]));
        if tag.may_be(part.hash)
            && tag.is_alive(now)
            && is_of(tables, &bucket.places[way], &part.key)
        {
            meta.tracking.way = way as u32;
            return true;
        }
    }
    false
}

/// Both extents as one, if they touch or the first is empty.
#[inline(always)]
const fn join(known: Extent, new: Extent) -> Option<Extent> {
    if known.is_empty() {
        return Some(new);
    }
    if known.end == new.start {
        return Some(Extent {
            start: known.start,
            end: new.end,
        });
    }
    if new.end == known.start {
        return Some(Extent {
            start: new.start,
            end: known.end,
        });
    }
    None
}
