//! `cargo xtask`: sets up what Coax needs, then builds, tests, demonstrates and measures it.
//!
//! One table, [`commands::COMMANDS`], names every command; the help text, the dispatch below and the
//! check of the commands quoted in the documentation all read it. Each command lives in a module of
//! its own name. Nothing in here is linked into Coax.

mod budget;
mod commands;
mod ebpf;
mod fuzz;
mod halves;
mod package;
mod preflight;
mod process;
mod setup;
mod stamp;
mod steps;
mod test;
mod tidy;
mod vm;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| String::from("help"));
    let rest: Vec<String> = arguments.collect();
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{}", commands::help());
        return ExitCode::SUCCESS;
    }
    let Some(command) = commands::find(&name) else {
        eprintln!(
            "error: `cargo xtask {name}` does not exist\n\n{}",
            commands::help()
        );
        return ExitCode::FAILURE;
    };
    if rest.iter().any(|argument| argument == "--help") && !command.passes_arguments {
        println!(
            "cargo xtask {} {}\n    {}",
            command.name, command.arguments, command.about
        );
        return ExitCode::SUCCESS;
    }
    match Workspace::locate().and_then(|workspace| (command.run)(&workspace, &rest)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
