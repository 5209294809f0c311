//! Replays the corpus of the fuzz target `services`, and noise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use coax_services::noise;
use coax_services::stand::Stand;
use proptest::prelude::*;

#[test]
fn the_corpus_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/services");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        noise::check(&bytes, &Stand::routed());
        noise::check(&bytes, &Stand::isolated());
        seen += 1;
    }
    assert!(seen >= 10, "{seen} inputs");
}

/// Requests of real clients with some bytes changed, which come further than noise does.
#[test]
fn damaged_requests_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/services");
    let stand = Stand::routed();
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for at in 0..bytes.len() {
            for value in [0, 0x7f, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                noise::check(&damaged, &stand);
            }
            noise::check(&bytes[..at], &stand);
        }
    }
}

proptest! {
    #[test]
    fn noise_holds(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        noise::check(&bytes, &Stand::routed());
    }
}
