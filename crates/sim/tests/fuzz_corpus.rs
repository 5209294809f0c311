//! The committed corpora of the fuzz targets, replayed.
#![allow(clippy::unwrap_used, missing_docs)]

use coax_sim::{Stand, noise};
use std::path::PathBuf;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(!files.is_empty());
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

#[test]
fn pipeline() {
    let stand = Stand::default();
    for bytes in corpus("pipeline") {
        noise::scenario(&bytes, &stand).play(&stand).unwrap();
    }
}

#[test]
fn wire() {
    for bytes in corpus("wire") {
        noise::wire(&bytes);
    }
}
