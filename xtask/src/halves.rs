//! The workspace's tests, half of the programs beside the other half: most of them wait for kernels and processes more than they
//! compute, and Cargo runs one after the other.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::Cmd;
use crate::workspace::Workspace;

/// Which test programs each half runs: patterns, so that a new one is in one of them by its name.
const HALVES: [&[&str]; 2] = [
    &["--lib", "--bins", "--test", "[!i-qt-z]*"],
    &["--test", "[i-qt-z]*"],
];

/// Builds all tests, runs both halves, then the documentation tests; all that fail are shown.
pub fn run(workspace: &Workspace, time_limit: Duration) -> Result<()> {
    let cargo_test = |arguments: &[&str]| {
        let common = ["test", "--workspace", "--locked", "--no-fail-fast"];
        workspace
            .cargo(common)
            .args(arguments)
            .time_limit(time_limit)
    };
    cargo_test(&["--no-run", "--quiet"]).run()?;
    let [first, second] = HALVES.map(cargo_test);
    let halves = beside(first, second, &workspace.path("target/second-half.log"));
    let documentation = cargo_test(&["--doc"]).run();
    halves.and(documentation)
}

/// Runs two commands at a time. What the second says is shown when both have ended.
fn beside(first: Cmd, second: Cmd, log: &Path) -> Result<()> {
    let reason = || format!("cannot write {}", log.display());
    let file = File::create(log).with_context(reason)?;
    let second = std::thread::spawn(move || second.into_file(file).run());
    let first = first.run();
    let Ok(second) = second.join() else {
        bail!("the thread that ran the second half of the tests ended early");
    };
    let said = std::fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    eprintln!("{}", String::from_utf8_lossy(&said));
    match (first, second) {
        (Err(first), Err(second)) => bail!("{first:#}; {second:#}"),
        (first, second) => first.and(second),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_either_half_is_one() {
        let log = std::env::temp_dir().join(format!("coax-halves-{}", std::process::id()));
        let both = |first: &str, second: &str| beside(Cmd::new(first), Cmd::new(second), &log);
        assert!(both("true", "true").is_ok());
        assert!(both("false", "true").is_err() && both("true", "false").is_err());
        assert!(both("false", "false").is_err());
        std::fs::remove_file(log).unwrap();
    }
}
