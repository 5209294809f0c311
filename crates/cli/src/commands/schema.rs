//! `coax schema stack`: what may stand in a file, for editors and other tools.

use crate::commands::Outcome;
use crate::exit::Exit;
use crate::output::{Format, Output, json, yaml};

/// `coax schema …`
#[derive(Debug, clap::Subcommand)]
pub enum SchemaCommand {
    /// Of the files that `apply` takes: projects and the operator's rails
    Stack,
}

/// Runs it.
pub fn run(command: &SchemaCommand, output: &Output) -> Outcome {
    let SchemaCommand::Stack = command;
    let schema = coax_model::schema::files();
    output.data(&match output.format {
        Format::Yaml => yaml(&schema)?,
        _ => json(&schema)?,
    })?;
    Ok(Exit::Done)
}
