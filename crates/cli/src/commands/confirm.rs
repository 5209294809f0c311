//! `coax confirm`: lets a change hold that `coax apply --confirm` would take back.

use coax_api::{HistoryOptions, Revision};

use super::noun::print_object;
use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::output::Output;

/// Flags of `coax confirm`.
#[derive(Debug, clap::Args)]
pub struct ConfirmArgs {
    /// The revision; can be left out while only one project waits for confirmation
    #[arg(value_name = "REVISION")]
    pub revision: Option<u64>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(args: &ConfirmArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    let revision = match args.revision {
        Some(revision) => revision,
        None => only(&client.revisions(&HistoryOptions::default()).await?)?,
    };
    print_object(&client.confirm(revision).await?, output)
}

/// The newest unconfirmed revision, if all of them are of one project.
fn only(revisions: &[Revision]) -> Result<u64, CliError> {
    let mut waiting: Vec<&Revision> = Vec::new();
    for revision in revisions.iter().filter(|it| it.unconfirmed_until.is_some()) {
        if !waiting.iter().any(|it| it.project == revision.project) {
            waiting.push(revision);
        }
    }
    match waiting.as_slice() {
        [] => Err(CliError::NothingUnconfirmed),
        [one] => Ok(one.revision),
        several => Err(CliError::SeveralUnconfirmed {
            revisions: several.iter().map(|it| it.revision).collect(),
        }),
    }
}
