//! `cargo xtask setup`: finds out what is missing and installs it, or says exactly what to install.
//!
//! Four sources: Debian packages ([`packages`]), an eBPF-capable Rust ([`ebpf_rust`]), tools that cargo builds
//! below target/tools ([`tools`]), and judges from the Python package index ([`judges`]). Each is probed first, so a second run changes nothing.

pub mod ebpf_rust;
pub mod judges;
pub mod packages;
pub mod tools;

use std::time::Instant;

use anyhow::{Result, bail};

use crate::process::{Cmd, find_program};
use crate::steps::show;
use crate::workspace::Workspace;

/// How much of it a command needs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Need {
    /// To compile the kernel programs and `coax`.
    Build,
    /// To run labs, the demo and the benchmarks as well.
    Run,
    /// To run every test: outside judges, emulated kernels, licence checks.
    Test,
}

/// Brings in everything up to that need.
pub fn ensure(workspace: &Workspace, need: Need) -> Result<()> {
    let start = Instant::now();
    components(need)?;
    packages::ensure(need)?;
    let rust = ebpf_rust::find_or_install()?;
    let linker = tools::bpf_linker(workspace, &rust)?;
    eprintln!("setup: eBPF Rust: {rust}; linker: {}", linker.display());
    if need >= Need::Test {
        tools::cargo_deny(workspace)?;
        judges::ensure(workspace)?;
    }
    eprintln!("setup: everything is there ({})", show(start.elapsed()));
    Ok(())
}

/// Whether this process may install Debian packages, and if not, why.
pub fn may_install() -> Result<(), String> {
    if find_program("apt-get").is_none() {
        return Err(String::from("there is no apt-get here"));
    }
    if !is_root() {
        return Err(String::from("only root can install packages"));
    }
    Ok(())
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    Cmd::new("id")
        .arg("-u")
        .captured()
        .is_ok_and(|uid| uid.trim() == "0")
}

/// rustfmt and clippy are missing from rustup's minimal profile.
fn components(need: Need) -> Result<()> {
    if need < Need::Test {
        return Ok(());
    }
    let missing: Vec<&str> = [("rustfmt", "fmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(_, subcommand)| !Cmd::new("cargo").args([subcommand, "--version"]).succeeds())
        .map(|(component, _)| component)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("setup: adding the Rust components {}", missing.join(" "));
    let added = Cmd::new("rustup")
        .args(["component", "add"])
        .args(&missing)
        .run();
    if let Err(error) = added {
        bail!(
            "install the Rust components {} ({error:#})",
            missing.join(" and ")
        );
    }
    Ok(())
}
