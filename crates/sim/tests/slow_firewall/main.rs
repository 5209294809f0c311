//! Random policies and conversations: the pipeline's firewall lets pass what the one written the slow way does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod compiled;

use coax_sim::Stand;
use coax_sim::reference::stage::Stage;
use coax_sim::reference::{Firewall, Script};
use compiled::Compiled;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;

const CASES: u32 = 1000;

/// What the scripts must lead to, or nothing of it is compared.
const HAPPENS: [&str; 33] = [
    "passed",
    "denied",
    "rejected",
    "no-connection",
    "fragment",
    "connection-quota",
    "connections-full",
    "replaced",
    "tagged-frame",
    "vlan-not-allowed",
    "arrived in a VLAN",
    "answered",
    "heard",
    "forged-address",
    "forged-arp",
    "forged-neighbour",
    "own-address",
    "unknown-address",
    "unknown-unicast",
    "isolated",
    "not-routable",
    "no-neighbour",
    "not-here",
    "hairpin",
    "crowded out",
    "heard abroad",
    "heard by hosts",
    "arrived in a routed network",
    "arrived over a router",
    "arrived at a shared address",
    "went abroad",
    "told abroad",
    "came from abroad",
];

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
    let seen = RefCell::new(BTreeMap::<&str, u64>::new());
    let run = runner(config).run(&noise, |bytes| {
        let stage = play(&Script::new(&bytes)).map_err(TestCaseError::fail)?;
        let sum = |count: fn(&Firewall) -> u64| stage.models.iter().map(count).sum();
        let counted = [
            ("replaced", sum(Firewall::replaced)),
            ("crowded out", sum(Firewall::crowded_out)),
        ];
        for (what, often) in stage.seen.into_iter().chain(counted) {
            *seen.borrow_mut().entry(what).or_default() += often;
        }
        Ok(())
    });
    if let Err(TestError::Fail(reason, bytes)) = run {
        panic!("{}\n{reason}", Script::new(&bytes));
    }
    let seen = seen.into_inner();
    for what in HAPPENS {
        let often = seen.get(what).copied().unwrap_or(0);
        assert!(often > 0 || cases < CASES, "never {what}: {seen:?}");
    }
}
