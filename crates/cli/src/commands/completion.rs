//! `coax completion SHELL`.

use clap_complete::Shell;

use crate::commands::Outcome;
use crate::exit::Exit;
use crate::output::Output;

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
    output.data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
