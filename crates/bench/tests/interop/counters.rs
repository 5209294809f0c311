//! What the data plane of a host counted.

use crate::capture::PATIENCE;
use coax_bench::pair::Pair;
use coax_bench::rows::SLOT;
use coax_bench::selftest;
use coax_tables::{DropReason, FABRIC_SLOT};
use coax_vswitch::DataPlane;
use std::collections::BTreeMap;
use std::time::Instant;

/// Drops by reason.
pub type Drops = BTreeMap<DropReason, u64>;

/// Drops of the first host, on its fabric side.
pub fn fabric_drops(pair: &mut Pair) -> Drops {
    drops(pair, FABRIC_SLOT)
}

/// Drops of the first host, of what its VM sent.
pub fn port_drops(pair: &mut Pair) -> Drops {
    drops(pair, SLOT)
}

fn drops(pair: &mut Pair, slot: u32) -> Drops {
    let found = pair.planes()[0].counters(slot).unwrap();
    found.drops.into_iter().collect()
}

/// What came on top of `before`.
pub fn since(before: &Drops, now: Drops) -> Drops {
    now.into_iter()
        .map(|(reason, count)| (reason, count - before.get(&reason).unwrap_or(&0)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// Waits until `done` is true; the kernel works in the background for a moment after a send.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

/// Asserts that every frame is accounted for. VMs are never quite silent, so a sum that is a frame
/// off while one is on its way is looked at again.
pub fn assert_accounted(pair: &mut Pair) {
    let end = Instant::now() + PATIENCE;
    while let Err(error) = selftest::accounting(pair) {
        assert!(Instant::now() < end, "{error}");
        std::thread::yield_now();
    }
}
