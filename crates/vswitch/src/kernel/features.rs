//! What the running kernel can do.

use aya::util::KernelVersion;

fn at_least(major: u8, minor: u8) -> bool {
    KernelVersion::current().is_ok_and(|running| running >= KernelVersion::new(major, minor, 0))
}

/// Links of the tcx hook (Linux 6.6).
pub(super) fn has_tcx() -> bool {
    at_least(6, 6)
}

/// A program may say that the IP family changed while it took a tunnel off (Linux 6.3).
pub(super) fn can_change_family() -> bool {
    at_least(6, 3)
}
