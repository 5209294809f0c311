//! Random frames over random rows: the kernel's programs and the simulator agree in verdict,
//! bytes and counters.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod stand;

use coax_sim::golden::Case;
use coax_sim::{Outcome, Scenario, Stand, noise};
use coax_tables::FlowRecord;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use stand::KernelStand;
use stand::executor::Executor;
use stand::wire::Wire;
use std::cell::RefCell;

const CASES: u32 = 3000;

const CASES_WITH_PACKETS: u32 = 500;

/// Runs the same cases every time, so that a red run can be repeated; with `COAX_NOISE=random`, new ones.
fn runner(config: Config) -> TestRunner {
    if std::env::var_os("COAX_NOISE").is_some_and(|value| value == "random") {
        return TestRunner::new(config);
    }
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn on_noise(cases: u32, shrinks: u32, play: impl Fn(&[u8]) -> Result<(), TestCaseError>) {
    let config = Config {
        cases: std::env::var("PROPTEST_CASES").map_or(cases, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        max_shrink_iters: shrinks,
        ..Config::default()
    };
    let noise = proptest::collection::vec(any::<u8>(), 0..1400);
    if let Err(error) = runner(config).run(&noise, |bytes| play(&bytes)) {
        panic!("{error}");
    }
}

#[test]
fn test_runs_and_simulator_agree() {
    KernelStand::build("noise").run("noise", |executor| {
        let executor = RefCell::new(executor);
        on_noise(CASES, 20_000, |bytes| {
            let executor = &mut *executor.borrow_mut();
            let mut scenario = noise::scenario(bytes, &executor.stand);
            fit(&mut scenario);
            compare(executor, &scenario).map_err(|error| with_case(error, bytes))
        });
    });
}

#[test]
fn real_packets_and_simulator_agree() {
    KernelStand::build("packets").wire("packets", |wire| {
        let wire = RefCell::new(wire);
        on_noise(CASES_WITH_PACKETS, 200, |bytes| {
            let wire = &mut *wire.borrow_mut();
            let mut scenario = noise::scenario(bytes, &wire.executor.stand);
            for frame in &mut scenario.frames {
                frame.segment_payload = 0;
            }
            compare_packets(wire, scenario).map_err(|error| with_case(error, bytes))
        });
    });
}

/// Adds the case as a golden file to the message.
fn with_case(error: TestCaseError, bytes: &[u8]) -> TestCaseError {
    let TestCaseError::Fail(reason) = error else {
        return error;
    };
    let scenario = noise::scenario(bytes, &Stand::default());
    let case = Case::of("Found by the random tests: say what it shows.", scenario);
    let text = case.and_then(|case| case.text()).unwrap();
    TestCaseError::fail(format!("{reason}\nas a golden case:\n{text}"))
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
    executor.begin(scenario);
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
    prop_assert_eq!(executor.hits(), host.sink.hits());
    compare_flows(&executor.flows(), &host.sink.take_flows())
}

/// The kernel reports what the simulator does, in the same order, but for what is too much at a time.
fn compare_flows(found: &[FlowRecord], all: &[FlowRecord]) -> Result<(), TestCaseError> {
    let mut expected = all.iter();
    for record in found {
        let same = |other: &&FlowRecord| {
            let record = FlowRecord {
                time: other.time,
                missed: other.missed,
                ..*record
            };
            record == **other
        };
        let known = expected.find(same).is_some();
        prop_assert!(known, "the kernel reports {record:?} beside {all:?}");
    }
    Ok(())
}

fn compare_packets(wire: &mut Wire<'_>, mut scenario: Scenario) -> Result<(), TestCaseError> {
    // What is left out may have changed what becomes of those behind it.
    loop {
        let (_, outcomes) = scenario.play(&wire.executor.stand).unwrap();
        let mut outcomes = outcomes.iter();
        let frames = scenario.frames.len();
        scenario
            .frames
            .retain(|frame| wire.why_not(frame, outcomes.next().unwrap()).is_none());
        if scenario.frames.len() == frames {
            break;
        }
    }
    let mut host = scenario.host(&wire.executor.stand);
    wire.executor.begin(&scenario);
    for frame in &scenario.frames {
        let index = wire.executor.stand.index(frame.device);
        let expected = host.frame(frame.side, index, &frame.bytes, frame.segment_payload);
        let (stages, verdict) = (&expected.stages, expected.verdict);
        let about = format!("{frame:02x?}\nthrough {stages:?}, {verdict:?}");
        if let Err(difference) = wire.play(frame, &expected) {
            return Err(TestCaseError::fail(format!("{about}\n{difference}")));
        }
        prop_assert_eq!(wire.executor.tallies(), host.sink.tallies(), "{}", about);
    }
    Ok(())
}

fn show(outcome: &Outcome) -> String {
    format!("{outcome:02x?}")
}
