//! Judges from the Python package index, each of one version, in an environment of their own below
//! target/tools: schemathesis, which asks the REST interface what its document allows and what not.

use std::fs;

use anyhow::{Context, Result};

use crate::process::Cmd;
use crate::workspace::Workspace;

/// Every package with its version, also those that they need.
const REQUIREMENTS: &str = include_str!("judges.txt");

/// Installs them, unless these very ones are there.
pub fn ensure(workspace: &Workspace) -> Result<()> {
    let folder = workspace.tools().join("judges");
    let stamp = folder.join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(());
    }
    eprintln!("setup: installing schemathesis");
    let environment = Cmd::new("/usr/bin/python3").args(["-m", "venv", "--clear"]);
    environment
        .arg(&folder)
        .quiet()
        .run()
        .context("cannot make a Python environment")?;
    let list = folder.join("wanted.txt");
    fs::write(&list, REQUIREMENTS)?;
    Cmd::new(folder.join("bin/pip"))
        .args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ])
        .arg(&list)
        .quiet()
        .run()
        .context("cannot install the judges of xtask/src/setup/judges.txt")?;
    // Last, so that what was interrupted is done again.
    fs::rename(&list, &stamp)?;
    Ok(())
}
