//! Any bytes as text and headers: readers neither panic nor disagree with writers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| coax_sim::noise::wire(bytes));
