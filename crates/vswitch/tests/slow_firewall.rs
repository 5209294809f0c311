//! Random policies and conversations through the kernel's programs: what the firewall that is written the slow
//! way says, the simulator does (`crates/sim/tests/slow_firewall`), and so does the kernel.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../../sim/tests/slow_firewall/compiled.rs"]
mod compiled;
mod stand;

use coax_sim::reference::Script;
use coax_sim::reference::script::{FEW, SOME};
use coax_sim::reference::stage::{Entry, Stage};
use coax_sim::{Scenario, Stand};
use compiled::Compiled;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use stand::KernelStand;
use stand::executor::Executor;
use std::cell::RefCell;

const CASES: u32 = 250;

/// Runs the same cases every time, so that a red run can be repeated; with `COAX_NOISE=random`, new ones.
fn runner(config: ProptestConfig) -> TestRunner {
    if std::env::var_os("COAX_NOISE").is_some_and(|value| value == "random") {
        return TestRunner::new(config);
    }
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

#[test]
fn the_kernel_judges_as_the_slow_firewall_does() {
    let cases = std::env::var("PROPTEST_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    };
    let noise = proptest::collection::vec(any::<u8>(), 0..900);
    KernelStand::build("slow").run("slow", |executor| {
        // Programs are loaded for a table of one size.
        let mut few = Executor::with_connections("slow-few", executor.stand.clone(), FEW as u32);
        let mut some = Executor::with_connections("slow-some", executor.stand.clone(), SOME as u32);
        let executors = RefCell::new((executor, &mut few, &mut some));
        let run = runner(config).run(&noise, |bytes| {
            let script = Script::new(&bytes);
            let (many, few, some) = &mut *executors.borrow_mut();
            let executor = match script.world.crowded {
                None => many,
                Some(FEW) => few,
                Some(_) => some,
            };
            compare(executor, &script)
        });
        if let Err(TestError::Fail(reason, bytes)) = run {
            panic!("{}\n{reason}", Script::new(&bytes));
        }
    });
}

fn compare(executor: &mut Executor, script: &Script) -> Result<(), TestCaseError> {
    let stand: Stand = executor.stand.clone();
    let mut compiled = Compiled::default();
    let mut stage = Stage::new(script, &stand, &mut compiled);
    stage
        .play(script, &mut compiled)
        .map_err(TestCaseError::fail)?;
    for (host, entries) in stage.hosts.iter().zip(&stage.entries) {
        executor.begin(&Scenario::default());
        for entry in entries {
            match entry {
                Entry::Rows(rows) => executor.change(rows),
                Entry::Frame(played) => {
                    let (frame, mut expected) = (**played).clone();
                    expected.stages.clear();
                    let found = executor.frame(&frame);
                    prop_assert!(
                        found == expected,
                        "{frame:02x?}\nsimulator: {expected:02x?}\nkernel:    {found:02x?}"
                    );
                }
            }
        }
        prop_assert_eq!(executor.tallies(), host.sink.tallies());
        prop_assert_eq!(executor.hits(), host.sink.hits());
    }
    Ok(())
}
