//! `coax man DIR`: a manual page for every command, made from the same tree as `--help`.

use std::path::PathBuf;

use crate::commands::Outcome;
use crate::error::CliError;
use crate::exit::Exit;

/// Flags of `coax man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Folder for the pages: coax.1, coax-apply.1, …
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// Runs it.
pub fn run(args: &ManArgs) -> Outcome {
    let failed = |source| CliError::Unwritable {
        path: args.folder.clone(),
        source,
    };
    std::fs::create_dir_all(&args.folder).map_err(failed)?;
    // The width of a terminal is none of a page's business.
    let command = crate::args::command(true).term_width(0);
    clap_mangen::generate_to(command, &args.folder).map_err(failed)?;
    Ok(Exit::Done)
}
