//! Any bytes as rows and frames of a host: no panic, and every frame accounted for.
#![no_main]

use coax_sim::{Stand, noise};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let stand = Stand::default();
    noise::check(&noise::scenario(bytes, &stand), &stand);
});
