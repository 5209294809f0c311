//! Words that processors share. The target's compiler knows no atomic operations; its assembler does, and
//! the kernel has them since Linux 5.12.

use core::arch::asm;
use core::sync::atomic::AtomicU64;

/// Reads a word.
#[inline(always)]
pub fn load(word: &AtomicU64) -> u64 {
    // SAFETY: the word is valid and aligned, so this is one load. Volatile ones are neither torn, joined nor
    // left out.
    unsafe { word.as_ptr().read_volatile() }
}

/// Writes a word.
#[inline(always)]
pub fn store(word: &AtomicU64, value: u64) {
    // SAFETY: as in `load`.
    unsafe { word.as_ptr().write_volatile(value) };
}

/// Writes a word; gives what was there.
#[inline(always)]
pub fn exchange(word: &AtomicU64, value: u64) -> u64 {
    let found;
    // SAFETY: the word is valid and aligned, and changed by one instruction.
    unsafe {
        asm!(
            "{value} = xchg_64({word} + 0, {value})",
            word = in(reg) word.as_ptr(),
            value = inout(reg) value => found,
            options(nostack),
        );
    }
    found
}

/// Adds to a word; gives what was there.
#[inline(always)]
pub fn add(word: &AtomicU64, value: u64) -> u64 {
    let found;
    // SAFETY: as in `exchange`.
    unsafe {
        asm!(
            "{value} = atomic_fetch_add((u64 *)({word} + 0), {value})",
            word = in(reg) word.as_ptr(),
            value = inout(reg) value => found,
            options(nostack),
        );
    }
    found
}

/// Writes a word if it is `old`; gives what was there.
#[inline(always)]
pub fn replace(word: &AtomicU64, old: u64, new: u64) -> u64 {
    let found;
    // SAFETY: as in `exchange`.
    unsafe {
        asm!(
            "r0 = cmpxchg_64({word} + 0, r0, {new})",
            word = in(reg) word.as_ptr(),
            new = in(reg) new,
            inout("r0") old => found,
            options(nostack),
        );
    }
    found
}
