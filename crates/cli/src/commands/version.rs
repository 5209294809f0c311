//! `coax version`.

use serde::Serialize;

use crate::commands::Outcome;
use crate::exit::Exit;
use crate::output::Output;

/// Flags of `coax version`.
#[derive(Debug, clap::Args)]
pub struct VersionArgs {}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    file_format: u32,
}

/// Runs it.
pub fn run(_: &VersionArgs, output: &Output) -> Outcome {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        file_format: coax_model::file::FILE_VERSION,
    };
    output.value(
        &version,
        |it| vec![it.version.to_owned()],
        |it| format!("coax {}\n", it.version),
    )?;
    Ok(Exit::Done)
}
