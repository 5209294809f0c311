//! `coax rollback`: makes a project what it was right after a revision. That is a change like any
//! other: it has a revision, waits for the hosts, and can be taken back itself.

use std::time::Duration;

use coax_api::RollbackOptions;

use super::apply::{duration, realise};
use crate::commands::{Outcome, diff};
use crate::connection::ConnectionArgs;
use crate::exit::Exit;
use crate::output::Output;

/// Flags of `coax rollback`.
#[derive(Debug, clap::Args)]
pub struct RollbackArgs {
    /// The revision to go back to, from `coax history`
    #[arg(value_name = "REVISION")]
    pub revision: u64,
    /// The project, if it is not the one that the revision is about
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Why, for `coax history`
    #[arg(short = 'm', long = "message", value_name = "TEXT")]
    pub message: Option<String>,
    /// Only show what would change; exit code 2 if anything
    #[arg(long)]
    pub dry_run: bool,
    /// How long to wait for the hosts, like 30s or 500ms; 0 not to wait
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(args: &RollbackArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    let options = RollbackOptions {
        project: args.project.clone(),
        dry_run: args.dry_run,
        reason: args.message.clone(),
    };
    let mut plan = client.rollback(args.revision, &options).await?;
    let changes = !plan.changes.is_empty();
    let mut exit = match changes {
        true if args.dry_run => Exit::Different,
        _ => Exit::Done,
    };
    if changes && !args.dry_run && !args.timeout.is_zero() {
        let realisation = realise(&client, plan.revision, args.timeout, output).await?;
        if !realisation.done {
            exit = Exit::Partly;
        }
        plan.realisation = Some(realisation);
    }
    diff::print(&vec![plan], output)?;
    Ok(exit)
}
