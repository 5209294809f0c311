//! `coax agent`: what it does is in `coax-agent`.

use coax_agent::Args;

use crate::commands::Outcome;
use crate::exit::Exit;
use crate::logging;

/// Runs the agent until it is told to stop.
pub async fn run(args: Args) -> Outcome {
    logging::start("coax-agent", "info");
    coax_agent::run(args).await?;
    Ok(Exit::Done)
}
