//! Tools that cargo builds: bpf-linker, which links the kernel programs, and cargo-deny.
//!
//! They go to target/tools, never to the user's own folders; a fitting one on PATH is used as it is.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::ebpf_rust::EbpfRust;
use super::packages;
use crate::process::{Cmd, find_program};
use crate::steps::show;
use crate::workspace::Workspace;

const BPF_LINKER: &str = "0.13.0";
/// The LLVM versions that this bpf-linker can be built with.
const BPF_LINKER_LLVM: [u32; 3] = [21, 22, 23];
const CARGO_DENY: &str = "0.20.2";

/// A bpf-linker that reads what this Rust writes, built if there is none.
pub fn bpf_linker(workspace: &Workspace, rust: &EbpfRust) -> Result<PathBuf> {
    let own = workspace.tools().join("bin/bpf-linker");
    let on_path = find_program("bpf-linker");
    for linker in [Some(own.clone()), on_path].into_iter().flatten() {
        if links_llvm(&linker, rust.llvm) {
            return Ok(linker);
        }
    }
    if !BPF_LINKER_LLVM.contains(&rust.llvm) {
        bail!(
            "{rust} needs a bpf-linker for LLVM {}, which bpf-linker {BPF_LINKER} does not know; \
             put one that does on PATH",
            rust.llvm
        );
    }
    let bin = llvm_bin(rust.llvm)?;
    let feature = format!("llvm-{}", rust.llvm);
    let install = install(workspace, "bpf-linker", BPF_LINKER);
    let install = install.args(["--no-default-features", "--features", &feature]);
    build("bpf-linker", install.first_on_path(&bin))?;
    if !links_llvm(&own, rust.llvm) {
        bail!("{} was built, but does not start", own.display());
    }
    Ok(own)
}

/// Whether this linker starts and uses that LLVM. One that was linked statically does not say which
/// it uses; it is taken, and the first link tells.
fn links_llvm(linker: &Path, llvm: u32) -> bool {
    let version = Cmd::new(linker).arg("--version").captured();
    if !version.is_ok_and(|text| text.trim() == format!("bpf-linker {BPF_LINKER}")) {
        return false;
    }
    let libraries = Cmd::new("ldd").arg(linker).captured().unwrap_or_default();
    !libraries.contains("libLLVM") || libraries.contains(&format!("libLLVM.so.{llvm}"))
}

/// The folder of LLVM's programs with `llvm-config`, installed if it is not there.
fn llvm_bin(llvm: u32) -> Result<PathBuf> {
    let bin = PathBuf::from(format!("/usr/lib/llvm-{llvm}/bin"));
    let libraries = ["libzstd-dev", "zlib1g-dev", "libxml2-dev"].map(String::from);
    let needed = [
        (bin.join("llvm-config"), format!("llvm-{llvm}")),
        (
            PathBuf::from(format!("/usr/lib/llvm-{llvm}/include/llvm-c")),
            format!("llvm-{llvm}-dev"),
        ),
        (
            PathBuf::from(format!("/usr/lib/llvm-{llvm}/lib/libPolly.a")),
            format!("libpolly-{llvm}-dev"),
        ),
        (PathBuf::from("/usr/include/zstd.h"), libraries[0].clone()),
        (PathBuf::from("/usr/include/zlib.h"), libraries[1].clone()),
        (PathBuf::from("/usr/include/libxml2"), libraries[2].clone()),
    ];
    let missing: Vec<String> = needed
        .into_iter()
        .filter(|(file, _)| !file.exists())
        .map(|(_, package)| package)
        .collect();
    packages::install(&missing).context("LLVM is needed to build bpf-linker")?;
    Ok(bin)
}

/// `cargo deny`, ready for its arguments; built if there is none.
pub fn cargo_deny(workspace: &Workspace) -> Result<Cmd> {
    let own = workspace.tools().join("bin/cargo-deny");
    let program = match find_program("cargo-deny") {
        Some(on_path) if !own.exists() => on_path,
        _ => {
            if !own.exists() {
                build("cargo-deny", install(workspace, "cargo-deny", CARGO_DENY))?;
            }
            own
        }
    };
    Ok(Cmd::new(program).current_dir(&workspace.root))
}

/// Unoptimised they are built in a third of the time: cargo-deny still answers in seconds, and what takes bpf-linker's
/// time is LLVM, which is there already.
fn install(workspace: &Workspace, tool: &str, version: &str) -> Cmd {
    workspace
        .cargo([
            "install",
            "--debug",
            "--locked",
            "--quiet",
            "--force",
            tool,
            "--version",
            version,
            "--root",
        ])
        .arg(workspace.tools())
}

fn build(tool: &str, install: Cmd) -> Result<()> {
    eprintln!("setup: building {tool} (once, some minutes)");
    let start = Instant::now();
    install
        .run()
        .with_context(|| format!("cannot build {tool}"))?;
    eprintln!("setup: built {tool} in {}", show(start.elapsed()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_else_is_no_linker() {
        assert!(!links_llvm(Path::new("/bin/true"), 22));
        assert!(!links_llvm(Path::new("/coax/no/bpf-linker"), 22));
    }
}
