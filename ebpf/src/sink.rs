//! Counters in per-CPU arrays: no atomics, no sharing between CPUs.

use crate::atomic;
use crate::maps::{COUNTERS, DROPS, FLOW_LIMITS, FLOWS, LIMITS, RULES};
use crate::memory;
use aya_ebpf::bindings::BPF_NOEXIST;
use coax_pipeline::Sink;
use coax_tables::{
    Counters, DropReason, FlowRecord, Limit, PolicyRow, Rate, RuleCounters, drop_index,
};
use core::sync::atomic::AtomicU64;

/// How often a word that another CPU changed at the same moment is tried again.
const TRIES: u32 = 4;

/// How many records of flows domains have caused on this CPU, and ports that are about drops for other reasons than
/// firewalls. They share places, so that the table is small; a noisy one leaves room for nearly all others.
#[repr(C)]
pub struct FlowLimit {
    /// When, in steps of 2^27 ns, some 0.13 s.
    window: u32,
    /// Records in this step.
    records: u16,
    /// Records that were left out since the last one that was not.
    missed: u16,
}

impl FlowLimit {
    /// Places for each CPU.
    pub const PLACES: u32 = 2 * Self::DOMAINS;
    /// Of these, for domains; the others are for ports.
    const DOMAINS: u32 = 64;
    const WINDOW: u32 = 27;
    /// Records in a step: some 2000 a second.
    const MOST: u16 = 268;
    /// Likewise of a port: some 240 a second.
    const MOST_OF_PORT: u16 = 32;

    /// The place for a record, and the records that it may have in a step.
    #[inline(always)]
    const fn of(record: &FlowRecord) -> (u32, u16) {
        if record.domain == 0 {
            let place = record.slot & (Self::DOMAINS - 1);
            (Self::DOMAINS + place, Self::MOST_OF_PORT)
        } else {
            (record.domain & (Self::DOMAINS - 1), Self::MOST)
        }
    }
}

/// Counts a decision of a rule, which gets its counters with the first one.
#[inline(never)]
fn count(rule: u32, time: u64) {
    if let Some(counters) = RULES.get_ptr_mut(&rule) {
        // SAFETY: not null and aligned, and programs change both as whole words only.
        let (hits, last_hit) = unsafe {
            (
                AtomicU64::from_ptr(&raw mut (*counters).hits),
                AtomicU64::from_ptr(&raw mut (*counters).last_hit),
            )
        };
        memory::add(hits, 1);
        memory::store(last_hit, time);
        return;
    }
    let first = RuleCounters {
        hits: 1,
        last_hit: time,
    };
    // When another CPU was faster, its first one stands for both; when there is no room, nothing counts.
    let _ = RULES.insert(&rule, &first, BPF_NOEXIST.into());
}

/// Counts into the maps.
pub struct MapSink;

#[inline(always)]
fn change(slot: u32, change: impl FnOnce(&mut Counters)) {
    if let Some(counters) = COUNTERS.get_ptr_mut(slot) {
        // SAFETY: not null, and a per-CPU value has one user at a time.
        change(unsafe { &mut *counters });
    }
}

impl Sink for MapSink {
    #[inline(always)]
    fn received(&self, slot: u32, bytes: u32) {
        change(slot, |counters| {
            counters.received_frames += 1;
            counters.received_bytes += u64::from(bytes);
        });
    }

    #[inline(always)]
    fn sent(&self, slot: u32, bytes: u32) {
        change(slot, |counters| {
            counters.sent_frames += 1;
            counters.sent_bytes += u64::from(bytes);
        });
    }

    #[inline(always)]
    fn answered(&self, slot: u32, bytes: u32) {
        change(slot, |counters| {
            counters.answered += 1;
            counters.sent_frames += 1;
            counters.sent_bytes += u64::from(bytes);
        });
    }

    #[inline(always)]
    fn flooded(&self, slot: u32, copies: u32, unknown_unicast: bool) {
        change(slot, |counters| {
            counters.flooded += 1;
            counters.copies += u64::from(copies);
            counters.unknown_unicast += u64::from(unknown_unicast);
        });
    }

    #[inline(always)]
    fn punted(&self, slot: u32) {
        change(slot, |counters| counters.punted += 1);
    }

    #[inline(always)]
    fn permit(&self, limit: Limit, slot: u32, rate: &Rate, now: u64) -> bool {
        let Some(word) = LIMITS.get_ptr_mut(limit.index(slot)) else {
            return false;
        };
        for _ in 0..TRIES {
            // SAFETY: not null and aligned.
            let before = unsafe { word.read_volatile() };
            let Some(after) = rate.spend(before, now) else {
                return false;
            };
            // SAFETY: not null and aligned, and changed here only.
            if unsafe { atomic::replace(word, before, after) } {
                return true;
            }
        }
        false
    }

    #[inline(always)]
    fn dropped(&self, slot: u32, reason: DropReason) {
        if let Some(drops) = DROPS.get_ptr_mut(drop_index(slot, reason)) {
            // SAFETY: not null, and a per-CPU value has one user at a time.
            unsafe { *drops += 1 };
        }
    }

    #[inline(always)]
    fn hit(&self, rule: u32, time: u64) {
        if rule != PolicyRow::NO_RULE {
            count(rule, time);
        }
    }

    #[inline(always)]
    fn flow(&self, record: &mut FlowRecord) {
        let (place, most) = FlowLimit::of(record);
        let Some(limit) = FLOW_LIMITS.get_ptr_mut(place) else {
            return;
        };
        // SAFETY: not null, and a per-CPU value has one user at a time.
        let limit = unsafe { &mut *limit };
        let now = (record.time >> FlowLimit::WINDOW) as u32;
        if limit.window != now {
            limit.window = now;
            limit.records = 0;
        }
        record.missed = limit.missed;
        if limit.records < most && FLOWS.output::<FlowRecord>(&*record, 0).is_ok() {
            limit.records += 1;
            limit.missed = 0;
        } else {
            limit.missed = limit.missed.saturating_add(1);
        }
    }
}
