//! Random policies and conversations: the pipeline's firewall lets pass what the one written the slow way does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod compiled;

use coax_sim::Stand;
use coax_sim::reference::Script;
use coax_sim::reference::stage::Stage;
use compiled::Compiled;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

const CASES: u32 = 1000;

/// Runs the same cases every time, so that a red run can be repeated; with `COAX_NOISE=random`, new ones.
fn runner(config: ProptestConfig) -> TestRunner {
    if std::env::var_os("COAX_NOISE").is_some_and(|value| value == "random") {
        return TestRunner::new(config);
    }
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn play(script: &Script) -> Result<Stage, String> {
    let mut compiled = Compiled::default();
    let mut stage = Stage::new(script, &Stand::default(), &mut compiled);
    stage.play(script, &mut compiled).map(|()| stage)
}

#[test]
fn the_firewall_judges_as_the_slow_one_does() {
    let cases = std::env::var("PROPTEST_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    };
    let noise = proptest::collection::vec(any::<u8>(), 0..900);
    let run = runner(config).run(&noise, |bytes| {
        play(&Script::new(&bytes))
            .map(drop)
            .map_err(TestCaseError::fail)
    });
    if let Err(TestError::Fail(reason, bytes)) = run {
        panic!("{}\n{reason}", Script::new(&bytes));
    }
}
