//! The committed corpora of the fuzz targets, replayed.
#![allow(clippy::unwrap_used, missing_docs)]

use coax_pipeline::Verdict;
use coax_sim::{Stand, noise};
use std::collections::BTreeSet;
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
        noise::check(&noise::scenario(&bytes, &stand), &stand);
    }
}

#[test]
fn frame() {
    let stand = Stand::default();
    for bytes in corpus("frame") {
        noise::check(&noise::raw(&bytes, &stand), &stand);
    }
}

/// Inputs that get nowhere find nothing: the frames of the corpus end in every way.
#[test]
fn frames_of_the_corpus_end_in_every_way() {
    let stand = Stand::default();
    let mut ends = BTreeSet::new();
    for bytes in corpus("frame") {
        let (_, outcomes) = noise::raw(&bytes, &stand).play(&stand).unwrap();
        ends.extend(outcomes.iter().map(|outcome| outcome.verdict as u32));
    }
    assert_eq!(
        ends,
        (1..=7)
            .filter(|end| *end != Verdict::SendUnresolved as u32)
            .collect()
    );
}

#[test]
fn wire() {
    for bytes in corpus("wire") {
        noise::wire(&bytes);
    }
}
