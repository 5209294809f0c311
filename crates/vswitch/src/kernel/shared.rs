//! Memory of a map that this process has in its own address space, beside the programs.

use super::failed;
use crate::DataPlaneError;
use aya::maps::MapData;
use nix::libc;
use std::os::fd::{AsFd, AsRawFd};

/// The entries of an array map, as shared memory.
pub(super) struct Shared<T> {
    start: *mut T,
    entries: usize,
}

// SAFETY: the memory stays where it is until the value is dropped, and `T` is made of atomic words.
unsafe impl<T: Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Maps the memory of `map`, whose values are `T`: words that are only ever read and changed as a
    /// whole, for which all bits are values.
    pub(super) fn map(map: &MapData, name: &str) -> Result<Self, DataPlaneError> {
        const { assert!(size_of::<T>().is_multiple_of(8) && align_of::<T>() == 8) };
        let info = map
            .info()
            .map_err(failed(format!("read about the map {name}")))?;
        let entries = info.max_entries() as usize;
        if info.value_size() as usize != size_of::<T>() {
            return Err(failed(format!("map the memory of {name}"))(
                "its values have another size",
            ));
        }
        // SAFETY: a new mapping; the kernel chooses where, and says when it cannot be made.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                entries * size_of::<T>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(failed(format!("map the memory of {name}"))(
                std::io::Error::last_os_error(),
            ));
        }
        Ok(Self {
            start: start.cast(),
            entries,
        })
    }

    /// The entries.
    pub(super) fn entries(&self) -> &[T] {
        // SAFETY: mapped for as long as `self` lives, aligned to a page, and any bits are a `T`.
        unsafe { std::slice::from_raw_parts(self.start, self.entries) }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this size, and nobody borrows it any more.
        unsafe { libc::munmap(self.start.cast(), self.entries * size_of::<T>()) };
    }
}
