//! Any bytes as one frame of a VM or of the fabric: no panic, accounted for, dropped by name.
#![no_main]

use coax_sim::{Stand, noise};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let stand = Stand::default();
    noise::check(&noise::raw(bytes, &stand), &stand);
});
