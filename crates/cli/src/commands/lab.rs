//! `coax lab …`, `coax graph` and `coax demo`: what they do is in `coax-lab`.

use coax_lab::args::{self as lab, GraphArgs};

use crate::commands::Outcome;
use crate::exit::Exit;
use crate::logging;
use crate::output::{Format, Output};

/// Runs `coax lab …`.
pub async fn run(args: lab::Args, output: &Output) -> Outcome {
    logging::start("coax-lab", "warn");
    let code = coax_lab::run(args, format_of(output.format), output.quiet).await?;
    Ok(exit_of(code))
}

/// Runs `coax graph`.
pub async fn graph(args: GraphArgs) -> Outcome {
    Ok(exit_of(coax_lab::commands::run_graph(args).await?))
}

/// Runs `coax demo`.
pub async fn demo(args: coax_lab::demo::Args, output: &Output) -> Outcome {
    logging::start("coax-lab", "warn");
    let code = coax_lab::demo::run(args, format_of(output.format), output.quiet).await?;
    Ok(exit_of(code))
}

fn exit_of(code: u8) -> Exit {
    if code == 0 { Exit::Done } else { Exit::Error }
}

fn format_of(format: Format) -> coax_lab::Format {
    match format {
        Format::Table | Format::Wide => coax_lab::Format::Table,
        Format::Json => coax_lab::Format::Json,
        Format::Yaml => coax_lab::Format::Yaml,
        Format::Name => coax_lab::Format::Name,
    }
}
