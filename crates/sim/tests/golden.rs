//! Every golden file, also those that no test of a stage wrote, is what the simulator does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use coax_pipeline::Stage;
use coax_sim::Stand;
use coax_sim::golden::{self, Case};
use std::collections::BTreeSet;

#[test]
fn the_simulator_does_what_every_file_says() {
    let names = golden::names().unwrap();
    assert!(names.len() > 300);
    for name in names {
        let case = Case::read(&name, &Stand::default()).unwrap();
        let again = Case::of(&case.about, case.scenario.clone()).unwrap();
        assert_eq!(again, case, "{name}");
        let bless = std::env::var_os("BLESS").is_some();
        again
            .settle(&name, bless)
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn every_stage_has_its_cases_and_every_folder_its_stage() {
    let names = golden::names().unwrap();
    let folders: BTreeSet<&str> = names
        .iter()
        .filter_map(|name| name.split('/').next())
        .collect();
    let stages: BTreeSet<&str> = Stage::ALL.iter().map(|stage| stage.name()).collect();
    let missing: Vec<_> = stages.difference(&folders).collect();
    assert!(missing.is_empty(), "no golden case for {missing:?}");
    let more: Vec<_> = folders
        .difference(&stages)
        .filter(|name| **name != "found")
        .collect();
    assert!(more.is_empty(), "no stage is called {more:?}");
}

#[test]
fn every_reason_of_a_stage_is_met_by_a_case() {
    let mut met = BTreeSet::new();
    for name in golden::names().unwrap() {
        let case = Case::read(&name, &Stand::default()).unwrap();
        met.extend(
            case.tallies
                .values()
                .flat_map(|tally| tally.drops.keys().copied()),
        );
    }
    let named: BTreeSet<_> = coax_pipeline::Stage::ALL
        .iter()
        .flat_map(|stage| stage.drops())
        .collect();
    let missed: Vec<_> = named
        .into_iter()
        .filter(|reason| !met.contains(reason))
        .collect();
    // Golden cases are played by the kernel, which refuses nothing while it has memory.
    assert_eq!(missed, [&coax_tables::DropReason::RewriteFailed]);
}
