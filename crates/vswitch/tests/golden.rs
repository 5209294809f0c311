//! Every golden case through the kernel: by test-runs of the programs, and with real packets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod stand;

use coax_sim::golden::{self, Case};
use stand::KernelStand;

/// Golden cases that are played in a way: nearly all.
const LEAST: usize = 350;

#[test]
fn test_runs_do_what_every_file_says() {
    KernelStand::build("golden").run("golden", |executor| {
        let mut wrong = Vec::new();
        let mut played = 0;
        for name in golden::names().unwrap() {
            let case = Case::read(&name, &executor.stand).unwrap();
            if case.no_test_run.is_some() {
                continue;
            }
            played += 1;
            executor.begin(&case.scenario);
            for (frame, mut expected) in case.scenario.frames.iter().zip(case.outcomes) {
                expected.stages.clear();
                let found = executor.frame(frame);
                if found != expected {
                    wrong.push(format!(
                        "{name}\n  kernel {found:02x?}\n  file   {expected:02x?}"
                    ));
                }
            }
            if executor.tallies() != case.tallies {
                wrong.push(format!("{name}: {:?}", executor.tallies()));
            }
            if executor.hits() != case.hits {
                wrong.push(format!("{name}: rules {:?}", executor.hits()));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(played > LEAST, "only {played} cases");
    });
}

#[test]
fn real_packets_do_what_every_file_says() {
    KernelStand::build("golden-packets").wire("golden-packets", |wire| {
        let mut wrong = Vec::new();
        let mut played = 0;
        for name in golden::names().unwrap() {
            let case = Case::read(&name, &wire.executor.stand).unwrap();
            if case.no_packets.is_some() {
                continue;
            }
            played += 1;
            wire.executor.begin(&case.scenario);
            for (frame, expected) in case.scenario.frames.iter().zip(&case.outcomes) {
                if let Some(why) = wire.why_not(frame, expected) {
                    wrong.push(format!("{name}: {why}"));
                } else if let Err(difference) = wire.play(frame, expected) {
                    wrong.push(format!("{name}: {difference}"));
                }
            }
            if wire.executor.tallies() != case.tallies {
                wrong.push(format!("{name}: {:?}", wire.executor.tallies()));
            }
            if wire.executor.hits() != case.hits {
                wrong.push(format!("{name}: rules {:?}", wire.executor.hits()));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(played > LEAST, "only {played} cases");
    });
}
