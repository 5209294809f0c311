//! Where things are in the repository and what is built where.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::Cmd;

/// The repository that this command works on.
pub struct Workspace {
    /// Its top folder.
    pub root: PathBuf,
}

impl Workspace {
    /// The workspace that xtask itself was built from.
    pub fn locate() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.parent().context("xtask has no parent folder")?;
        Ok(Self {
            root: root.to_path_buf(),
        })
    }

    /// A file or folder below the top.
    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.join(below)
    }

    /// The kernel programs, as `vswitch` embeds them.
    pub fn ebpf_object(&self) -> PathBuf {
        self.path("target/ebpf/coax.o")
    }

    /// The root folder of tools that xtask built for itself.
    pub fn tools(&self) -> PathBuf {
        self.path("target/tools")
    }

    /// The `coax` binary of the release profile.
    pub fn coax_release(&self) -> PathBuf {
        self.path("target/release/coax")
    }

    /// The `coax` binary of the dev profile, which the tests use.
    pub fn coax_debug(&self) -> PathBuf {
        self.path("target/debug/coax")
    }

    /// The cargo that runs us, started at the top of the workspace.
    pub fn cargo<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Cmd {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Cmd::new(cargo).args(arguments).current_dir(&self.root)
    }
}
