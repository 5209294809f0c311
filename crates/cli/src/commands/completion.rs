//! `coax completion SHELL`. For bash it knows the names of objects, which it asks the controller for when they are needed.

use clap_complete::Shell;

use crate::commands::Outcome;
use crate::exit::Exit;
use crate::output::Output;

/// What bash does besides completing commands and flags.
const NAMES: &str = include_str!("names.bash");

/// Flags of `coax completion`.
#[derive(Debug, clap::Args)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// Runs it.
pub fn run(args: &CompletionArgs, output: &Output) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut crate::args::command(true),
        "coax",
        &mut script,
    );
    if args.shell == Shell::Bash {
        script.extend_from_slice(NAMES.as_bytes());
    }
    output.data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
