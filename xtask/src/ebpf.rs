//! `cargo xtask ebpf`: builds the kernel programs and puts the object where `vswitch` embeds it.
//!
//! `ebpf/` is a workspace of its own, for a target and a toolchain of its own. The result is
//! target/ebpf/coax.o, made again only when the sources that go into it or the tools changed.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::commands::no_arguments;
use crate::process::Cmd;
use crate::setup::ebpf_rust::{self, EbpfRust};
use crate::setup::{self, Need};
use crate::stamp::{self, Inputs};
use crate::steps::show;
use crate::workspace::Workspace;

const TARGET: &str = "bpfel-unknown-none";
/// Line information for the verifier's messages, and types for the kernel.
const FLAGS: &str = "-C debuginfo=2 -C link-arg=--btf";
/// The one binary of `ebpf/`.
const BINARY: &str = "coax";
/// What the object is made from. The root manifest is there for the versions that the crates share.
const SOURCES: [&str; 7] = [
    "ebpf/src",
    "ebpf/Cargo.toml",
    "ebpf/Cargo.lock",
    "crates/wire",
    "crates/tables",
    "crates/pipeline",
    "Cargo.toml",
];

/// The command.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    no_arguments("ebpf", arguments)?;
    setup::ensure(workspace, Need::Build)?;
    build(workspace)
}

/// Builds the object if it is not fresh. The tools must be there.
pub fn build(workspace: &Workspace) -> Result<()> {
    let rust = ebpf_rust::find().context("no Rust for eBPF: run `cargo xtask setup`")?;
    let linker = setup::tools::bpf_linker(workspace, &rust)?;
    let object = workspace.ebpf_object();
    let stamp = object.with_extension("stamp");
    let hash = hash_inputs(workspace, &rust, &linker)?;
    if object.exists() && stamp::is_fresh(&stamp, &hash) {
        eprintln!("ebpf: target/ebpf/coax.o is up to date");
        return Ok(());
    }
    let start = Instant::now();
    compile(workspace, &rust, &linker)?;
    publish(workspace, &object)?;
    stamp::write(&stamp, &hash)?;
    eprintln!(
        "ebpf: built target/ebpf/coax.o ({} KiB) in {}",
        fs::metadata(&object)?.len() / 1024,
        show(start.elapsed())
    );
    Ok(())
}

fn hash_inputs(workspace: &Workspace, rust: &EbpfRust, linker: &Path) -> Result<String> {
    let mut inputs = Inputs::default();
    inputs.text(&rust.to_string());
    inputs.text(FLAGS);
    inputs.text(&linker.to_string_lossy());
    for source in SOURCES {
        inputs.path(&workspace.path(source))?;
    }
    Ok(inputs.finish())
}

fn compile(workspace: &Workspace, rust: &EbpfRust, linker: &Path) -> Result<()> {
    let folder = workspace.path("ebpf");
    if !folder.join("Cargo.toml").exists() {
        bail!("ebpf/Cargo.toml is missing: the kernel programs are a workspace of their own");
    }
    ebpf_rust::clean(Cmd::new(&rust.cargo))
        .args(["build", "--release", "--bin", BINARY, "--target", TARGET])
        .args(["-Z", "build-std=core", "--target-dir"])
        .arg(workspace.path("target/ebpf/build"))
        // A stable compiler is let use `-Z build-std`, which compiles `core` for the target.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", &rust.rustc)
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker)
        .current_dir(folder)
        .run()
        .with_context(|| format!("cannot build the kernel programs with {rust}"))
}

/// Puts the object in its place in one step, so that nobody ever reads half of it. One that came out
/// the same stays as it is: its age decides whether `vswitch` is compiled again.
fn publish(workspace: &Workspace, object: &Path) -> Result<()> {
    let built = workspace
        .path("target/ebpf/build")
        .join(TARGET)
        .join("release")
        .join(BINARY);
    let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    if fs::read(object).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let partial = object.with_extension("partial");
    fs::write(&partial, bytes).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, object).with_context(|| format!("cannot write {}", object.display()))
}
