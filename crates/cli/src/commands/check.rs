//! `coax check`: puts the checks of projects to the proof, by packets on the real hosts. Exit code 0 if all
//! passed, 1 if one failed, 2 if nothing could be checked, 3 if something could not be told or was skipped.

use std::path::PathBuf;

use coax_api::{Check, CheckRequest, CheckResult, ProbeState, ProofState};

use super::explain::wrapped;
use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::junit;
use crate::output::{Format, Output};

/// Flags of `coax check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The project; all projects by itself
    #[arg(value_name = "PROJECT")]
    pub project: Option<String>,
    /// Only prove it by rules, routers and members; send nothing
    #[arg(long)]
    pub proof: bool,
    /// Also write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(args: &CheckArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    let checks = client.checks(args.project.as_deref()).await?;
    let mut results = Vec::new();
    for check in checks {
        if args.proof {
            results.push(proved(check));
            continue;
        }
        output.say(&format!("probing {}: {}", check.project, check.title));
        let request = CheckRequest {
            project: check.project,
            place: Some(check.place),
        };
        results.extend(client.probe_checks(&request).await?);
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::report(&results)).map_err(|source| CliError::Unwritable {
            path: path.clone(),
            source,
        })?;
    }
    output.value(
        &results,
        |results| {
            let name = |it: &CheckResult| format!("{}: {}", it.project, it.title);
            results.iter().map(name).collect()
        },
        |results| people(results, output),
    )?;
    Ok(exit(&results))
}

/// A proof in the form of what probes find.
fn proved(check: Check) -> CheckResult {
    CheckResult {
        state: match check.state {
            ProofState::Holds => ProbeState::Passed,
            ProofState::Fails => ProbeState::Failed,
            ProofState::Idle => ProbeState::Skipped,
            ProofState::Unproved => ProbeState::Unknown,
        },
        project: check.project,
        place: check.place,
        title: check.title,
        sentence: check.sentence,
        notes: Vec::new(),
        probes: Vec::new(),
        milliseconds: 0,
    }
}

fn exit(results: &[CheckResult]) -> Exit {
    let any = |state| results.iter().any(|it| it.state == state);
    if any(ProbeState::Failed) {
        Exit::Error
    } else if any(ProbeState::Unknown) {
        Exit::Warnings
    } else if !any(ProbeState::Passed) {
        // Nothing was checked.
        Exit::Different
    } else if any(ProbeState::Skipped) {
        Exit::Warnings
    } else {
        Exit::Done
    }
}

/// What a state is called in lists.
fn word(state: ProbeState) -> &'static str {
    match state {
        ProbeState::Passed => "passed",
        ProbeState::Skipped => "skipped",
        ProbeState::Unknown => "unknown",
        ProbeState::Failed => "FAILED",
    }
}

fn people(results: &[CheckResult], output: &Output) -> String {
    if results.is_empty() {
        return "there are no checks: `checks` in a project's file states them\n".to_owned();
    }
    let width = output.prose_width();
    let mut text = String::new();
    for result in results {
        let probes = match result.probes.len() {
            0 => String::new(),
            1 => " (1 probe)".to_owned(),
            count => format!(" ({count} probes)"),
        };
        let line = format!(
            "{:7} {}: {}{probes}",
            word(result.state),
            result.project,
            result.sentence
        );
        text += &wrapped(&line, width, "        ");
        for note in &result.notes {
            text += &wrapped(&format!("        note: {note}"), width, "          ");
        }
        for probe in result
            .probes
            .iter()
            .filter(|_| output.format == Format::Wide)
        {
            let line = format!(
                "        {:7} {} to {}, {} over {}: {}",
                word(probe.state),
                probe.from,
                probe.to,
                probe.traffic,
                probe.family,
                probe.summary
            );
            text += &wrapped(&line, width, "                ");
        }
    }
    let count = |state| results.iter().filter(|it| it.state == state).count();
    text += &format!(
        "{} passed, {} failed, {} unknown, {} skipped\n",
        count(ProbeState::Passed),
        count(ProbeState::Failed),
        count(ProbeState::Unknown),
        count(ProbeState::Skipped)
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(states: &[ProbeState]) -> Vec<CheckResult> {
        let result = |(place, state): (usize, &ProbeState)| CheckResult {
            project: "shop".into(),
            place,
            title: "web".into(),
            state: *state,
            sentence: "web".into(),
            notes: Vec::new(),
            probes: Vec::new(),
            milliseconds: 0,
        };
        states.iter().enumerate().map(result).collect()
    }

    #[test]
    fn the_exit_code_says_how_it_went() {
        use ProbeState::{Failed, Passed, Skipped, Unknown};
        let cases: [(&[ProbeState], Exit); 6] = [
            (&[Passed, Passed], Exit::Done),
            (&[Passed, Failed, Unknown], Exit::Error),
            (&[], Exit::Different),
            (&[Skipped], Exit::Different),
            (&[Passed, Skipped], Exit::Warnings),
            (&[Unknown], Exit::Warnings),
        ];
        for (states, expected) in cases {
            assert_eq!(exit(&results(states)), expected, "{states:?}");
        }
    }
}
