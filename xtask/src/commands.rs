//! The table of commands, and those that only set up, build and hand over to `coax`.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use crate::process::Cmd;
use crate::setup::{self, Need};
use crate::workspace::Workspace;
use crate::{budget, ebpf, fuzz, package, test, tidy, vm};

/// One command of `cargo xtask`.
pub struct Command {
    /// What the user types.
    pub name: &'static str,
    /// Its arguments, for the help text.
    pub arguments: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Whether its arguments belong to the program it starts (so `--help` does too).
    pub passes_arguments: bool,
    /// The work.
    pub run: fn(&Workspace, &[String]) -> Result<()>,
}

const fn command(
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&Workspace, &[String]) -> Result<()>,
) -> Command {
    Command {
        name,
        arguments,
        about,
        passes_arguments: false,
        run,
    }
}

/// Every command there is.
pub const COMMANDS: &[Command] = &[
    command(
        "setup",
        "",
        "install or name everything that the other commands need",
        run_setup,
    ),
    command(
        "build",
        "",
        "the kernel programs, then `coax` (target/release/coax)",
        run_build,
    ),
    Command {
        passes_arguments: true,
        ..command(
            "demo",
            "[arguments of coax demo]",
            "the main job, with its report",
            run_demo,
        )
    },
    command(
        "test",
        "[step ...]",
        "every test and check, or only the steps named",
        test::run,
    ),
    Command {
        passes_arguments: true,
        ..command(
            "bench",
            "[arguments of coax bench]",
            "data plane, then compiler benches",
            run_bench,
        )
    },
    command(
        "ebpf",
        "",
        "the kernel programs only (target/ebpf/coax.o)",
        ebpf::run,
    ),
    command(
        "package",
        "[--into DIR] [--debug]",
        "Debian packages of the release build (target/packages)",
        package::run,
    ),
    command(
        "tidy",
        "",
        "the structure of the repository: tiers, sizes, docs",
        tidy::run,
    ),
    command(
        "vm",
        "[6.1|6.12 ...]",
        "smoke test under other kernels, emulated by QEMU",
        vm::run,
    ),
    command(
        "budget",
        "",
        "verifier cost against ebpf/verifier-budget.toml",
        budget::run,
    ),
    command(
        "fuzz",
        "[TARGET [SECONDS]]",
        "list the fuzz targets, or run one",
        fuzz::run,
    ),
    command(
        "advisories",
        "",
        "known vulnerabilities of dependencies (needs network)",
        run_advisories,
    ),
];

/// The command of that name.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// The help text: one line for each command.
pub fn help() -> String {
    let mut text = String::from("usage: cargo xtask <command>\n\n");
    for command in COMMANDS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<11} {}", command.name, command.about);
        if !command.arguments.is_empty() {
            let _ = writeln!(
                text,
                "  {:<11}   {} {}",
                "", command.name, command.arguments
            );
        }
    }
    text.push_str("\nBLESS=1 rewrites expectations instead of comparing them.\n");
    text
}

/// Refuses arguments where a command takes none.
pub fn no_arguments(name: &str, arguments: &[String]) -> Result<()> {
    if let Some(first) = arguments.first() {
        bail!("`cargo xtask {name}` takes no arguments, but got `{first}`");
    }
    Ok(())
}

fn run_setup(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    no_arguments("setup", arguments)?;
    setup::ensure(workspace, Need::Test)
}

fn run_build(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    no_arguments("build", arguments)?;
    build(workspace, Need::Build)
}

fn build(workspace: &Workspace, need: Need) -> Result<()> {
    setup::ensure(workspace, need)?;
    ebpf::build(workspace)?;
    workspace
        .cargo(["build", "--release", "--package", "coax"])
        .run()
}

fn run_demo(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    build(workspace, Need::Run)?;
    released(workspace, "demo").args(arguments).run()
}

fn run_bench(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    build(workspace, Need::Run)?;
    released(workspace, "bench").args(arguments).run()?;
    workspace
        .cargo(["bench", "--package", "coax-compile"])
        .run()
}

fn released(workspace: &Workspace, subcommand: &str) -> Cmd {
    Cmd::new(workspace.coax_release())
        .arg(subcommand)
        .current_dir(&workspace.root)
}

fn run_advisories(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    no_arguments("advisories", arguments)?;
    setup::ensure(workspace, Need::Test)?;
    let outcome = setup::tools::cargo_deny(workspace)?
        .args(["check", "advisories"])
        .run();
    if outcome.is_err() {
        eprintln!(
            "note: without network the advisory database cannot be fetched; that is no finding"
        );
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_the_help() {
        let help = help();
        for command in COMMANDS {
            assert_eq!(
                COMMANDS
                    .iter()
                    .filter(|other| other.name == command.name)
                    .count(),
                1
            );
            assert!(
                help.contains(&format!("\n  {} ", command.name)),
                "{}",
                command.name
            );
        }
    }

    #[test]
    fn unexpected_arguments_are_refused() {
        assert!(no_arguments("build", &[]).is_ok());
        assert!(no_arguments("build", &[String::from("--fast")]).is_err());
    }
}
