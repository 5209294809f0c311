//! Any bytes as what a VM sends to DHCP, DNS and as router solicitation: no panic, and answers only to who asked.
#![no_main]

use coax_services::{noise, stand::Stand};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| noise::check(bytes, &Stand::routed()));
