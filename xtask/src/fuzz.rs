//! `cargo xtask fuzz`: lists the fuzz targets in `fuzz/`, or runs one for a while.
//!
//! It builds with the flags that cargo-fuzz would pass, so neither that tool nor a nightly compiler
//! is needed. The corpora in fuzz/corpus are replayed by the ordinary tests.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::process::Cmd;
use crate::workspace::Workspace;

/// Coverage feedback for libFuzzer, overflow checks, and AddressSanitizer.
const FLAGS: &str = "--cfg fuzzing -C debug-assertions -C passes=sancov-module \
    -C llvm-args=-sanitizer-coverage-level=4 -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
    -C llvm-args=-sanitizer-coverage-pc-table -C llvm-args=-sanitizer-coverage-trace-compares \
    -C codegen-units=1 -Z sanitizer=address";

const DEFAULT_SECONDS: u32 = 60;

/// The command.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let targets = targets(workspace)?;
    let (target, seconds) = match arguments {
        [] => {
            println!("{}", targets.join("\n"));
            return Ok(());
        }
        [target] => (target, DEFAULT_SECONDS),
        [target, seconds] => (target, seconds.parse().context("SECONDS must be a number")?),
        [_, _, more @ ..] => bail!("too many arguments: {}", more.join(" ")),
    };
    if !targets.contains(target) {
        bail!(
            "no fuzz target `{target}`; there are: {}",
            targets.join(", ")
        );
    }
    fuzz(workspace, target, seconds)
}

/// The names of the targets: the files in fuzz/fuzz_targets.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.path("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned()),
            );
        }
    }
    names.sort();
    Ok(names)
}

fn fuzz(workspace: &Workspace, target: &str, seconds: u32) -> Result<()> {
    let triple = host_triple()?;
    // Found inputs go to target/fuzz; the committed corpus is only read (the first folder is written).
    let found = workspace.path("target/fuzz/found").join(target);
    let committed = workspace.path("fuzz/corpus").join(target);
    fs::create_dir_all(&found)?;
    fs::create_dir_all(&committed)?;
    workspace
        .cargo([
            "build",
            "--release",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--bin",
            target,
        ])
        // With --target, the flags are for the target's code only, not for build scripts.
        .args(["--target", &triple, "--target-dir", "target/fuzz"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", FLAGS)
        .run()?;
    Cmd::new(
        workspace
            .path("target/fuzz")
            .join(&triple)
            .join("release")
            .join(target),
    )
    .arg(&found)
    .arg(&committed)
    .arg(format!("-max_total_time={seconds}"))
    .arg("-artifact_prefix=target/fuzz/")
    .current_dir(&workspace.root)
    .run()
    .with_context(|| {
        format!("{target}: the input is in target/fuzz (crash-…); add it to fuzz/corpus/{target}")
    })
}

fn host_triple() -> Result<String> {
    let verbose = Cmd::new("rustc").arg("-vV").captured()?;
    let host = verbose.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}
