//! `cargo xtask test`: every test and check, cheap ones first, and the first failure ends it.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::setup::{self, Need};
use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{ebpf, halves, preflight, tidy, vm};

/// What a step returns when it went well: what it had to leave out.
type Outcome = Result<Vec<String>>;

struct Step {
    name: &'static str,
    about: &'static str,
    work: fn(&Workspace) -> Outcome,
}

const STEPS: &[Step] = &[
    Step {
        name: "setup",
        about: "what the tests need",
        work: |w| done(setup::ensure(w, Need::Test)),
    },
    Step {
        name: "machine",
        about: "root, kernel, namespaces",
        work: |_| done(preflight::check()),
    },
    Step {
        name: "tidy",
        about: "structure of the repository",
        work: |w| done(tidy::check(w)),
    },
    Step {
        name: "fmt",
        about: "formatting",
        work: |w| done(fmt(w)),
    },
    Step {
        name: "ebpf",
        about: "the kernel programs",
        work: |w| done(ebpf::build(w)),
    },
    Step {
        name: "clippy",
        about: "lints, as errors",
        work: |w| done(clippy(w)),
    },
    Step {
        name: "deny",
        about: "licences, sources, duplicates",
        work: |w| done(deny(w)),
    },
    Step {
        name: "tests",
        about: "unit, property, golden, lab and documentation tests",
        work: |w| done(halves::run(w, TIME_LIMIT)),
    },
    Step {
        name: "fuzz",
        about: "the fuzz targets compile",
        work: |w| done(fuzz_targets(w)),
    },
    Step {
        name: "commands",
        about: "commands in the docs exist",
        work: |w| done(tidy::commands(w)),
    },
    Step {
        name: "vm",
        about: "smoke test and budget under Debian's kernels",
        work: |w| vm::check(w, &[]),
    },
];

/// Nothing hangs for ever: the longest step takes a third of this on two cores.
const TIME_LIMIT: Duration = Duration::from_secs(25 * 60);

/// The command: all steps, or those named.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let chosen = choose(arguments)?;
    let mut steps = Steps::new(chosen.len());
    for step in chosen {
        steps.run(step.name, step.about, || (step.work)(workspace))?;
    }
    println!("\n{}", steps.summary());
    Ok(())
}

fn choose(names: &[String]) -> Result<Vec<&'static Step>> {
    if names.is_empty() {
        return Ok(STEPS.iter().collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        match STEPS.iter().find(|step| step.name == name) {
            Some(step) => chosen.push(step),
            None => {
                let all: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
                bail!("no step `{name}`; the steps are: {}", all.join(" "));
            }
        }
    }
    Ok(chosen)
}

fn done(result: Result<()>) -> Outcome {
    result.map(|()| Vec::new())
}

fn fmt(workspace: &Workspace) -> Result<()> {
    workspace.cargo(["fmt", "--all", "--check"]).run()?;
    for own_workspace in ["ebpf/Cargo.toml", "fuzz/Cargo.toml"] {
        workspace
            .cargo(["fmt", "--check", "--manifest-path", own_workspace])
            .run()?;
    }
    Ok(())
}

fn clippy(workspace: &Workspace) -> Result<()> {
    // `-D warnings` behind `--` reaches our own crates only and compiles nothing of theirs again.
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    workspace.cargo(arguments).time_limit(TIME_LIMIT).run()
}

fn deny(workspace: &Workspace) -> Result<()> {
    for manifest in ["Cargo.toml", "ebpf/Cargo.toml", "fuzz/Cargo.toml"] {
        setup::tools::cargo_deny(workspace)?
            .args([
                "--manifest-path",
                manifest,
                "--config",
                "deny.toml",
                "--log-level",
                "error",
            ])
            .args([
                "check",
                "--hide-inclusion-graph",
                "licenses",
                "bans",
                "sources",
            ])
            .run()?;
    }
    Ok(())
}

fn fuzz_targets(workspace: &Workspace) -> Result<()> {
    workspace
        .cargo([
            "check",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--target-dir",
            "target/fuzz",
        ])
        .run()
}
