//! Bytes of a packet through the kernel's helper, wherever they are.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use zerocopy::{FromBytes, IntoBytes};

/// Reads through a helper, wherever the bytes are.
#[inline(always)]
pub fn load<T: FromBytes>(skb: *mut __sk_buff, offset: u32) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper fills all of `value` or says that it did not.
    let loaded = unsafe {
        bpf_skb_load_bytes(
            skb.cast::<c_void>(),
            offset,
            value.as_mut_ptr().cast::<c_void>(),
            size_of::<T>() as u32,
        )
    };
    if loaded == 0 {
        // SAFETY: filled, and any bytes are a value of `T`.
        Some(unsafe { value.assume_init() })
    } else {
        None
    }
}

/// Fills the first `length` bytes of `value`.
///
/// # Safety
/// `value` has so many bytes.
#[inline(always)]
pub unsafe fn fill<T: FromBytes + IntoBytes>(
    skb: *mut __sk_buff,
    offset: u32,
    value: &mut T,
    length: u32,
) -> bool {
    let to = (value as *mut T).cast::<c_void>();
    // SAFETY: the context is valid, and the value's own bytes are written.
    unsafe { bpf_skb_load_bytes(skb.cast::<c_void>(), offset, to, length) == 0 }
}

/// A number of bytes, if a `T` has as many. The compiler is kept from knowing what it was before, so
/// that the number which the verifier sees compared is the one that it sees used. One less than the
/// number is compared, because Linux 6.1 learns from a comparison with zero that a number is not zero,
/// but not that it is at least one.
#[inline(always)]
pub fn within<T>(length: u32) -> Option<u32> {
    let less_one = core::hint::black_box(length.wrapping_sub(1));
    (less_one < size_of::<T>() as u32).then_some(less_one + 1)
}
