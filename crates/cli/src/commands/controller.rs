//! `coax controller`: what it does is in `coax-controller`.

use coax_controller::Options;

use crate::commands::Outcome;
use crate::exit::Exit;
use crate::logging;

/// Runs the controller until it is told to stop.
pub async fn run(options: Options) -> Outcome {
    logging::start("coax-controller", "info");
    coax_controller::run(options).await?;
    Ok(Exit::Done)
}
