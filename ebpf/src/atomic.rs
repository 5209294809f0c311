//! Atomic operations on map values. The target's `core` leaves the types of `core::sync::atomic`
//! without them, because the oldest BPF machines had none; the kernels that the programs run on have.

use core::intrinsics::{AtomicOrdering, atomic_cxchg};

const RELAXED: AtomicOrdering = AtomicOrdering::Relaxed;

/// Writes `new` if the value is `old`; true when it was.
///
/// # Safety
/// `value` is an aligned map value, and everybody changes it by atomic operations only.
#[inline(always)]
pub unsafe fn replace(value: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: as the caller says.
    unsafe { atomic_cxchg::<u64, RELAXED, RELAXED>(value, old, new).1 }
}
