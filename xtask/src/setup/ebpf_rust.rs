//! Finds a Rust that can compile for the kernel: one with the source of `core` beside it.
//!
//! rustup's stable toolchain cannot. Debian's `rustc-web` with `rust-web-src` can (with
//! RUSTC_BOOTSTRAP), and so can rustup's nightly with the component rust-src. Debian's comes first:
//! it is what the tests of this repository ran with.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{may_install, packages};
use crate::process::{Cmd, find_program};

/// A Rust toolchain with the source of `core`.
#[derive(Debug)]
pub struct EbpfRust {
    /// Where it came from.
    pub origin: Origin,
    /// Its cargo.
    pub cargo: PathBuf,
    /// Its rustc.
    pub rustc: PathBuf,
    /// Its version, as `rustc --version` says it.
    pub version: String,
    /// The major version of its LLVM, which the linker must share.
    pub llvm: u32,
}

/// Who packaged a toolchain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Debian's packages rustc-web, cargo-web and rust-web-src.
    Debian,
    /// rustup's nightly toolchain.
    RustupNightly,
}

impl fmt::Display for EbpfRust {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = match self.origin {
            Origin::Debian => "Debian's",
            Origin::RustupNightly => "rustup nightly's",
        };
        write!(
            formatter,
            "{origin} {} with LLVM {}",
            self.version, self.llvm
        )
    }
}

/// The oldest Rust that compiles edition 2024 with the syntax that the shared crates use.
const OLDEST_MINOR: u32 = 88;

const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Finds one, or installs Debian's.
pub fn find_or_install() -> Result<EbpfRust> {
    if let Some(found) = find() {
        return Ok(found);
    }
    if let Err(reason) = may_install() {
        bail!(
            "no Rust that can compile for the kernel, and {reason}. Either of these brings one:\n    \
             apt-get install {}        (Debian 12, as root)\n    \
             rustup toolchain install nightly --component rust-src",
            DEBIAN_PACKAGES.join(" ")
        );
    }
    packages::install(&DEBIAN_PACKAGES)?;
    find().context("Debian's Rust was installed, but cannot be used to compile for the kernel")
}

/// Finds one.
pub fn find() -> Option<EbpfRust> {
    debian().or_else(rustup_nightly)
}

fn debian() -> Option<EbpfRust> {
    // By explicit path: rustup's cargo is usually first on PATH.
    let (cargo, rustc) = (
        PathBuf::from("/usr/bin/cargo"),
        PathBuf::from("/usr/bin/rustc"),
    );
    probe(Origin::Debian, cargo, rustc)
}

fn rustup_nightly() -> Option<EbpfRust> {
    find_program("rustup")?;
    let which = |program: &str| -> Option<PathBuf> {
        let command = Cmd::new("rustup").args(["which", "--toolchain", "nightly", program]);
        command
            .captured()
            .ok()
            .map(|path| PathBuf::from(path.trim()))
    };
    probe(Origin::RustupNightly, which("cargo")?, which("rustc")?)
}

fn probe(origin: Origin, cargo: PathBuf, rustc: PathBuf) -> Option<EbpfRust> {
    if !cargo.exists() || !rustc.exists() {
        return None;
    }
    let sysroot = clean(Cmd::new(&rustc))
        .args(["--print", "sysroot"])
        .captured()
        .ok()?;
    let core = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml");
    if !core.exists() {
        return None;
    }
    let verbose = clean(Cmd::new(&rustc)).arg("-vV").captured().ok()?;
    let (version, minor, llvm) = parse_version(&verbose)?;
    (minor >= OLDEST_MINOR).then_some(EbpfRust {
        origin,
        cargo,
        rustc,
        version,
        llvm,
    })
}

/// Reads `rustc -vV`: the first line, the minor version of Rust and the major version of LLVM.
fn parse_version(verbose: &str) -> Option<(String, u32, u32)> {
    let first = verbose.lines().next()?;
    let short: Vec<&str> = first.split(' ').take(2).collect();
    let minor = short.get(1)?.split('.').nth(1)?.parse().ok()?;
    let llvm = verbose
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    Some((
        short.join(" "),
        minor,
        llvm.split('.').next()?.parse().ok()?,
    ))
}

/// Takes away what the outer cargo and rustup set for their own toolchain.
pub fn clean(command: Cmd) -> Cmd {
    command.env_remove(&[
        "CARGO",
        "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "LD_LIBRARY_PATH",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let debian = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\n\
                      binary: rustc\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        assert_eq!(
            parse_version(debian).unwrap(),
            (String::from("rustc 1.96.0"), 96, 22)
        );
        let nightly = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nLLVM version: 23.0.0\n";
        assert_eq!(
            parse_version(nightly).unwrap(),
            (String::from("rustc 1.97.0-nightly"), 97, 23)
        );
        assert_eq!(parse_version("rustc"), None);
        assert_eq!(parse_version("rustc 1.96.0\n"), None);
    }

    #[test]
    fn a_toolchain_that_is_not_there_is_not_found() {
        assert!(
            probe(
                Origin::Debian,
                "/coax/no/cargo".into(),
                "/coax/no/rustc".into()
            )
            .is_none()
        );
    }
}
