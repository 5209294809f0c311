//! Counters in per-CPU arrays: no atomics, no sharing between CPUs.

use crate::atomic;
use crate::maps::{COUNTERS, DROPS, LIMITS};
use coax_pipeline::Sink;
use coax_tables::{Counters, DropReason, Limit, Rate, drop_index};

/// How often a word that another CPU changed at the same moment is tried again.
const TRIES: u32 = 4;

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
}
