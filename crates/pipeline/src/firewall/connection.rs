//! Finding and keeping connections: the table's side of the stage.
//!
//! `coax_tables::connection` says how the table is built, and why that needs no locks.

use crate::{Meta, Repeat, Tables};
use coax_tables::connection::{WAYS, buckets};
use coax_tables::{
    ConnectionBucket, ConnectionState as State, ConnectionWords, DomainId, DropReason, Tag,
};

/// Buckets that are looked through for connections whose time is over, when a domain is at its quota.
const SWEEP: u32 = 1024;

/// How long after such a sweep the next one may be: 2^20 ns, a millisecond. So sweeps take a few percent
/// of a processor at most, however many connections a VM opens.
const SWEEP_PAUSE_SHIFT: u32 = 20;

/// One less, when it is added.
const LESS: u64 = u64::MAX;

/// Where sweeps are noted: no domain has the number.
const SWEEPS: DomainId = DomainId(0);

/// Ticks for which a place may be written: far more than anybody takes.
const WRITING: u32 = 8;

/// The bucket and the place of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub bucket: &'a ConnectionBucket,
    pub way: usize,
    pub tag: Tag,
}

impl<'a> Place<'a> {
    /// Gives the place the state and time of another connection of the same ends.
    #[inline(always)]
    pub(crate) fn restart<T: Tables>(&self, tables: &T, state: u8, deadline: u32) {
        let tag = &self.bucket.tags[self.way % WAYS];
        tables.publish(tag, self.tag.with(state, deadline).0);
    }

    #[inline(always)]
    pub(crate) fn words(&self) -> &'a ConnectionWords {
        &self.bucket.places[self.way % WAYS]
    }

    /// Gives the place another state and time, unless somebody else was faster: then what both want is
    /// joined.
    #[inline(always)]
    pub(crate) fn change<T: Tables>(&self, tables: &T, state: u8, deadline: u32) {
        let wanted = self.tag.with(state, deadline);
        let tag = &self.bucket.tags[self.way % WAYS];
        let found = Tag(tables.replace(tag, self.tag.0, wanted.0));
        if found != self.tag && found.may_be(wanted.0) && found.state() != State::BUSY {
            let joined = found.with(State::join(found.state(), state), deadline);
            tables.replace(tag, found.0, joined.0);
        }
    }
}

/// The bucket that the hash in `meta` names first or second.
#[inline(always)]
fn bucket<'a, T: Tables>(
    tables: &'a T,
    meta: &mut Meta,
    choice: usize,
) -> Option<&'a ConnectionBucket> {
    let [first, second] = buckets(meta.tracking.hash, tables.connection_mask());
    meta.tracking.bucket = if choice == 0 { first } else { second };
    tables.connections(meta.tracking.bucket)
}

/// Finds the connection of the key in `meta`.
#[inline(always)]
pub(crate) fn find<'a, T: Tables>(tables: &'a T, meta: &mut Meta) -> Option<Place<'a>> {
    if !(search(tables, meta, 0) || search(tables, meta, 1)) {
        return None;
    }
    place(tables, meta)
}

/// The place that a search has left in `meta`.
#[inline(always)]
fn place<'a, T: Tables>(tables: &'a T, meta: &Meta) -> Option<Place<'a>> {
    let bucket = tables.connections(meta.tracking.bucket)?;
    let way = meta.tracking.way as usize % WAYS;
    Some(Place {
        bucket,
        way,
        tag: Tag(tables.load(&bucket.tags[way])),
    })
}

/// Looks for the key in one of its two buckets; leaves the place in `meta`.
///
/// All searches leave what they find there, in memory: the kernel's verifier would go on separately with
/// each value that they could return.
#[inline(never)]
fn search<T: Tables>(tables: &T, meta: &mut Meta, choice: usize) -> bool {
    let Some(bucket) = bucket(tables, meta, choice) else {
        return false;
    };
    let (hash, now) = (meta.tracking.hash, meta.tracking.now);
    for way in 0..WAYS {
        let tag = Tag(tables.load(&bucket.tags[way]));
        if tag.may_be(hash) && tag.is_alive(now) && is_of(tables, &bucket.places[way], meta) {
            meta.tracking.way = way as u32;
            return true;
        }
    }
    false
}

#[inline(always)]
fn is_of<T: Tables>(tables: &T, words: &ConnectionWords, meta: &Meta) -> bool {
    let key = &meta.tracking.key;
    let [a, b, c, d, e] = key.words();
    tables.load(&words.key[0]) == a
        && tables.load(&words.key[1]) == b
        && tables.load(&words.key[2]) == c
        && tables.load(&words.key[3]) == d
        && tables.load(&words.key[4]) == e
        && tables.load(&words.protocol) >> 32 == u64::from(key.protocol)
}

/// Keeps the connection in `meta.tracking`. False: there is no room, and the reason is in
/// `meta`.
///
/// A domain at its quota, or one that finds both buckets full, may still replace what was never answered
/// of its own. So a scan or a flood of SYNs ends older attempts of the same project, and nothing else.
#[inline(never)]
pub(crate) fn insert<T: Tables>(tables: &T, meta: &mut Meta, quota: u32) -> bool {
    let Some(used) = tables.usage(&DomainId(meta.tracking.domain)) else {
        meta.reason = DropReason::ConnectionsFull;
        return false;
    };
    let mut fits = tables.add(used, 1) < u64::from(quota);
    if !fits {
        sweep(tables, meta);
        fits = tables.load(used) <= u64::from(quota);
    }
    if fits && (insert_in(tables, meta, 0) || insert_in(tables, meta, 1)) {
        return true;
    }
    if replace(tables, meta, 0) || replace(tables, meta, 1) {
        return true;
    }
    tables.add(used, LESS);
    meta.reason = if fits {
        DropReason::ConnectionsFull
    } else {
        DropReason::ConnectionQuota
    };
    false
}

/// Keeps the connection in a place that is free.
#[inline(never)]
fn insert_in<T: Tables>(tables: &T, meta: &mut Meta, choice: usize) -> bool {
    free_place(tables, meta, choice) && occupy(tables, meta)
}

#[inline(never)]
fn free_place<T: Tables>(tables: &T, meta: &mut Meta, choice: usize) -> bool {
    let Some(bucket) = bucket(tables, meta, choice) else {
        return false;
    };
    let now = meta.tracking.now;
    for way in 0..WAYS {
        if Tag(tables.load(&bucket.tags[way])).is_free(now) {
            meta.tracking.way = way as u32;
            return true;
        }
    }
    false
}

/// Keeps the connection in the place of the oldest one of the same domain that nobody answered.
#[inline(never)]
fn replace<T: Tables>(tables: &T, meta: &mut Meta, choice: usize) -> bool {
    let Some(bucket) = bucket(tables, meta, choice) else {
        return false;
    };
    meta.tracking.least = i32::MAX;
    for way in 0..WAYS {
        compare_age(tables, bucket, meta, way);
    }
    meta.tracking.least < i32::MAX && occupy(tables, meta)
}

/// Leaves a place in `meta` if nobody answered the connection there, and it is older than the one before.
#[inline(never)]
fn compare_age<T: Tables>(tables: &T, bucket: &ConnectionBucket, meta: &mut Meta, way: usize) {
    let way = way % WAYS;
    let tag = Tag(tables.load(&bucket.tags[way]));
    let left = tag.left(meta.tracking.now);
    if State::is_embryonic(tag.state())
        && left < meta.tracking.least
        && tables.load(&bucket.places[way].judged) as u32 == meta.tracking.domain
    {
        meta.tracking.way = way as u32;
        meta.tracking.least = left;
    }
}

/// Takes the place in `meta` and writes the connection there, unless somebody else was faster.
#[inline(never)]
fn occupy<T: Tables>(tables: &T, meta: &mut Meta) -> bool {
    let Some(place) = place(tables, meta) else {
        return false;
    };
    let may = State::is_embryonic(place.tag.state()) || place.tag.is_free(meta.tracking.now);
    may && take(tables, &place, meta.tracking.now) && write(tables, &place, meta)
}

/// Makes a place the caller's own, to be written, and takes what was there off its domain's count.
#[inline(always)]
fn take<T: Tables>(tables: &T, place: &Place<'_>, now: u32) -> bool {
    let busy = Tag::new(0, State::BUSY, now.wrapping_add(WRITING));
    let tag = &place.bucket.tags[place.way % WAYS];
    if tables.replace(tag, place.tag.0, busy.0) != place.tag.0 {
        return false;
    }
    if place.tag.state() != State::EMPTY {
        forget(tables, place.words());
    }
    true
}

/// Takes a connection off its domain's count.
#[inline(always)]
fn forget<T: Tables>(tables: &T, words: &ConnectionWords) {
    let domain = tables.load(&words.judged) as u32;
    if let Some(used) = tables.usage(&DomainId(domain)) {
        tables.add(used, LESS);
    }
}

#[inline(always)]
fn write<T: Tables>(tables: &T, place: &Place<'_>, meta: &Meta) -> bool {
    let words = place.words();
    let tracking = &meta.tracking;
    let [a, b, c, d, e] = tracking.key.words();
    tables.store(&words.key[0], a);
    tables.store(&words.key[1], b);
    tables.store(&words.key[2], c);
    tables.store(&words.key[3], d);
    tables.store(&words.key[4], e);
    tables.store(&words.protocol, u64::from(tracking.key.protocol) << 32);
    keep(tables, words, meta);
    let deadline = tracking.now.wrapping_add(tracking.lifetime(tracking.state));
    let tag = Tag::new(tracking.hash, tracking.state, deadline);
    tables.publish(&place.bucket.tags[place.way % WAYS], tag.0);
    true
}

/// The place that was found when policy was asked, if it is still the connection's.
#[inline(always)]
fn found<'a, T: Tables>(tables: &'a T, meta: &Meta) -> Option<Place<'a>> {
    place(tables, meta).filter(|place| place.tag.may_be(meta.tracking.hash))
}

/// Ends the connection that policy admits no longer.
#[inline(never)]
pub(crate) fn end<T: Tables>(tables: &T, meta: &Meta) {
    if let Some(place) = found(tables, meta) {
        place.change(tables, place.tag.state(), meta.tracking.now);
    }
}

/// Takes `end` back: the connection's next packet is judged once more.
#[inline(never)]
pub(crate) fn stays<T: Tables>(tables: &T, meta: &Meta) {
    if let Some(place) = found(tables, meta) {
        let state = place.tag.state();
        let lifetime = meta.tracking.lifetime(state);
        place.change(tables, state, meta.tracking.now.wrapping_add(lifetime));
    }
}

/// Notes that policy, as it is now, admits the connection. False: it is gone.
#[inline(never)]
pub(crate) fn judged_again<T: Tables>(tables: &T, meta: &Meta) -> bool {
    match found(tables, meta) {
        Some(place) => {
            admit(tables, place.words(), meta);
            true
        }
        None => false,
    }
}

/// Notes what policy admits. It may be another domain's policy than before, which then counts the connection.
#[inline(always)]
fn admit<T: Tables>(tables: &T, words: &ConnectionWords, meta: &Meta) {
    let tracking = &meta.tracking;
    if tables.load(&words.judged) as u32 != tracking.domain {
        forget(tables, words);
        if let Some(used) = tables.usage(&DomainId(tracking.domain)) {
            tables.add(used, 1);
        }
    }
    let judged = u64::from(tracking.generation) << 32 | u64::from(tracking.domain);
    tables.store(&words.judged, judged);
    let traits = tables.load(&words.rule) & u64::from(u32::MAX);
    tables.store(&words.rule, u64::from(tracking.rule) << 32 | traits);
}

/// Writes what `meta.tracking` says of a connection, but for its key and its tag.
#[inline(always)]
fn keep<T: Tables>(tables: &T, words: &ConnectionWords, meta: &Meta) {
    let tracking = &meta.tracking;
    tables.store(&words.reach[0], tracking.windows.reach[0]);
    tables.store(&words.reach[1], tracking.windows.reach[1]);
    tables.store(&words.heard[0], tracking.windows.heard[0]);
    tables.store(&words.heard[1], tracking.windows.heard[1]);
    let judged = u64::from(tracking.generation) << 32 | u64::from(tracking.domain);
    tables.store(&words.judged, judged);
    let rule = u64::from(tracking.rule) << 32 | u64::from(tracking.windows.traits);
    tables.store(&words.rule, rule);
}

/// Writes another connection of the same ends to the place of one that is over. False: that is gone.
#[inline(never)]
pub(crate) fn begin_anew<T: Tables>(tables: &T, meta: &Meta) -> bool {
    let Some(place) = found(tables, meta) else {
        return false;
    };
    let tracking = &meta.tracking;
    admit(tables, place.words(), meta);
    let protocol = u64::from(tracking.key.protocol) << 32;
    tables.store(&place.words().protocol, protocol);
    keep(tables, place.words(), meta);
    let deadline = tracking.now.wrapping_add(tracking.lifetime(tracking.state));
    place.restart(tables, tracking.state, deadline);
    true
}

/// Takes connections whose time is over off the counts of their domains, in one part of the table after
/// the other.
#[inline(always)]
fn sweep<T: Tables>(tables: &T, meta: &Meta) {
    let Some(sweeps) = tables.usage(&SWEEPS) else {
        return;
    };
    let last = tables.load(sweeps);
    let now = (meta.tracking.time >> SWEEP_PAUSE_SHIFT) as u32;
    if last != 0 && (last >> 32) as u32 == now {
        return;
    }
    let first = last as u32;
    let next = u64::from(now) << 32 | u64::from(first.wrapping_add(SWEEP));
    if tables.replace(sweeps, last, next) != last {
        return;
    }
    let mut sweeping = Sweeping {
        tables,
        first,
        now: meta.tracking.now,
    };
    let all = tables.connection_mask().wrapping_add(1);
    tables.repeat(if all < SWEEP { all } else { SWEEP }, &mut sweeping);
}

struct Sweeping<'a, T> {
    tables: &'a T,
    first: u32,
    now: u32,
}

impl<T: Tables> Repeat for Sweeping<'_, T> {
    #[inline(always)]
    fn step(&mut self, index: u32) -> bool {
        let index = self.first.wrapping_add(index) & self.tables.connection_mask();
        let Some(bucket) = self.tables.connections(index) else {
            return false;
        };
        for way in 0..WAYS {
            let place = Place {
                bucket,
                way,
                tag: Tag(self.tables.load(&bucket.tags[way])),
            };
            if place.tag.state() != State::EMPTY
                && place.tag.is_free(self.now)
                && take(self.tables, &place, self.now)
            {
                self.tables.publish(&bucket.tags[way], 0);
            }
        }
        true
    }
}
