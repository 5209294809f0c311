//! The command line of Coax: one binary that is the client, the manager, the agent and the lab.
//!
//! | module | holds |
//! | --- | --- |
//! | [`args`] | the tree of commands, and the environment variable of every flag |
//! | [`commands`] | one module per verb or noun: its flags, and what it does |
//! | [`config`] | configuration files of the daemons |
//! | [`detect`] | what a machine has that becomes a controller or a host |
//! | [`connection`] | which controller a command talks to |
//! | [`output`] | `-o table|wide|json|yaml|name`; data on stdout, talk on stderr |
//! | [`error`] | every error: what, why, the next command |
//! | [`progress`] | a bar on a terminal, lines elsewhere |
//! | [`reference`] | reference pages made from the program |
//! | [`exit`] | the exit codes |
//! | [`junit`] | results of checks for CI systems |
//! | [`logging`] | the daemons' logs |
//! | [`names`] | from a typed name to an object |
//! | [`stack`] | stack files: reading them, and pointing at the line that is wrong |
//! | [`glossary`] | the words that `coax explain` knows |
//!
//! Nothing is decided here: the client commands say what the API says, the daemons' commands start
//! what their crates hold.

pub mod args;
pub mod commands;
pub mod config;
pub mod connection;
pub mod detect;
pub mod error;
pub mod exit;
pub mod glossary;
pub mod junit;
pub mod logging;
pub mod names;
pub mod output;
pub mod progress;
pub mod reference;
pub mod stack;

use std::ffi::OsString;
use std::process::ExitCode;

use args::Cli;
use clap::FromArgMatches;
use exit::Exit;
use output::{Output, complain};

/// Runs the command line and says how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(exit) = commands::completion::answer(&arguments) {
        return exit.into();
    }
    let no_color = arguments.iter().any(|argument| argument == "--no-color");
    let command = args::command(no_color);
    let arguments = match config::expand(arguments, &command) {
        Ok(arguments) => arguments,
        Err(error) => {
            complain(error.render(false).trim_end());
            return error.exit().into();
        }
    };
    let parsed = command
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Ok(cli) => run(cli).into(),
        Err(usage) => {
            let exit = if usage.use_stderr() {
                Exit::Error
            } else {
                Exit::Done
            };
            // Nothing can be said to a terminal that does not take it.
            let _ = usage.print();
            exit.into()
        }
    }
}

fn run(cli: Cli) -> Exit {
    let output = Output::detect(cli.output, cli.quiet, cli.no_color);
    let outcome = match cli.from_bundle {
        Some(file) => connection::answer_from(file, &cli.command),
        None => Ok(()),
    };
    match outcome.and_then(|()| commands::run(cli.command, &output)) {
        Ok(exit) => exit,
        Err(error) => {
            complain(error.render(output.colour).trim_end());
            error.exit()
        }
    }
}
