//! Random frames over random rows: no panic, every frame accounted for, every kind of end met.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use coax_pipeline::{Stage, Verdict};
use coax_sim::{Operation, Stand, noise};
use coax_tables::DropReason;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::BTreeSet;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..1400)
}

proptest! {
    // Counterexamples become golden cases, not seeds in a file.
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_frame_is_accounted_for(bytes in bytes()) {
        noise::scenario(&bytes, &Stand::default()).play(&Stand::default()).unwrap();
    }

    #[test]
    fn also_where_the_kernel_refuses(bytes in bytes(), operation in 0usize..8) {
        let operation = [
            Operation::Write, Operation::PopTag, Operation::PushTag, Operation::Open,
            Operation::Close, Operation::Resize, Operation::Copy, Operation::Punt,
        ][operation];
        noise::scenario(&bytes, &Stand::default()).play_refusing(&Stand::default(), Some(operation)).unwrap();
    }

    #[test]
    fn stages_drop_only_for_the_reasons_that_their_list_names(bytes in bytes()) {
        let (_, outcomes) = noise::scenario(&bytes, &Stand::default()).play(&Stand::default()).unwrap();
        for outcome in outcomes {
            if let Some(reason) = outcome.reason {
                let named = outcome.stages.iter().any(|stage| stage.drops().contains(&reason));
                prop_assert!(named, "{reason:?} in none of {:?}", outcome.stages);
            }
        }
    }
}

/// Noise is worth little if it never gets beyond the door.
#[test]
fn noise_reaches_every_stage_verdict_and_reason() {
    let mut runner = TestRunner::deterministic();
    let (mut stages, mut verdicts, mut reasons) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for _ in 0..10_000 {
        let bytes = bytes().new_tree(&mut runner).unwrap().current();
        let (host, outcomes) = noise::scenario(&bytes, &Stand::default())
            .play(&Stand::default())
            .unwrap();
        for outcome in outcomes {
            stages.extend(outcome.stages);
            verdicts.insert(outcome.verdict as u32);
        }
        for tally in host.sink.tallies().values() {
            reasons.extend(tally.drops.keys().copied());
        }
    }
    assert_eq!(stages, Stage::ALL.iter().copied().collect());
    let met = [
        Verdict::Pass,
        Verdict::Drop,
        Verdict::Deliver,
        Verdict::Send,
        Verdict::SendUnresolved,
        Verdict::Answer,
        Verdict::Flood,
        Verdict::Punt,
    ];
    assert_eq!(verdicts, met.map(|verdict| verdict as u32).into());
    // Nothing is refused for lack of memory here.
    reasons.insert(DropReason::RewriteFailed);
    // A scenario is too short to fill a bucket of connections.
    reasons.insert(DropReason::ConnectionsFull);
    let missed: Vec<_> = Stage::ALL
        .iter()
        .flat_map(|stage| stage.drops())
        .filter(|reason| !reasons.contains(reason))
        .collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}
