//! Random frames over random rows: the kernel's programs and the simulator agree in verdict,
//! bytes and counters.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod stand;

use coax_sim::{Outcome, Scenario, noise};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use stand::KernelStand;
use stand::executor::Executor;

const CASES: u32 = 3000;

#[test]
fn kernel_and_simulator_agree_on_noise() {
    let stand = KernelStand::build("noise");
    stand.run("noise", |executor| {
        let config = Config {
            cases: std::env::var("PROPTEST_CASES").map_or(CASES, |cases| cases.parse().unwrap()),
            failure_persistence: None,
            max_shrink_iters: 20_000,
            ..Config::default()
        };
        let executor = std::cell::RefCell::new(executor);
        TestRunner::new(config)
            .run(&proptest::collection::vec(any::<u8>(), 0..400), |bytes| {
                let executor = &mut *executor.borrow_mut();
                let mut scenario = noise::scenario(&bytes, &executor.stand);
                fit(&mut scenario);
                compare(executor, &scenario)
            })
            .unwrap_or_else(|error| panic!("{error}"));
    });
}

/// Leaves out what a test-run cannot have; real packets cover it.
fn fit(scenario: &mut Scenario) {
    for frame in &mut scenario.frames {
        frame.segment_payload = 0;
    }
    scenario
        .frames
        .retain(|frame| frame.why_no_test_run().is_none());
}

fn compare(executor: &mut Executor, scenario: &Scenario) -> Result<(), TestCaseError> {
    let (host, outcomes) = scenario.play(&executor.stand).unwrap();
    executor.set_rows(&scenario.rows);
    for (number, (frame, mut expected)) in scenario.frames.iter().zip(outcomes).enumerate() {
        let stages = std::mem::take(&mut expected.stages);
        let found = executor.frame(frame);
        prop_assert!(
            found == expected,
            "frame {number}: {frame:02x?}\nthrough {stages:?}\nsimulator: {}\nkernel:    {}",
            show(&expected),
            show(&found)
        );
    }
    prop_assert_eq!(executor.tallies(), host.sink.tallies());
    Ok(())
}

fn show(outcome: &Outcome) -> String {
    format!("{outcome:02x?}")
}
