//! `coax drops`: every frame that went nowhere, by host, port and reason. Exit code 3 if a host did
//! not answer, because then the list is not complete.

use std::collections::BTreeMap;

use coax_api::{Drops, HostDrop, MissingHost};

use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::exit::Exit;
use crate::output::{Format, Output};

const COLUMNS: [&str; 4] = ["HOST", "PORT", "REASON", "COUNT"];

/// Flags of `coax drops`.
#[derive(Debug, clap::Args)]
pub struct DropsArgs {
    /// Only this host
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Only this port (PROJECT/NAME), or `fabric` for what came from the fabric
    #[arg(long, value_name = "PORT")]
    pub port: Option<String>,
    /// Only this reason
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(args: &DropsArgs, output: &Output) -> Outcome {
    let mut drops = args.connection.client()?.drops().await?;
    drops.drops.retain(|drop| wanted(args, drop));
    if drops.drops.is_empty() && drops.missing.is_empty() {
        output.say("no frame was dropped");
    }
    output.value(
        &drops,
        |it| it.drops.iter().map(|drop| drop.reason.clone()).collect(),
        |it| people(it, output),
    )?;
    Ok(warn_of(&drops.missing, output))
}

fn wanted(args: &DropsArgs, drop: &HostDrop) -> bool {
    let same =
        |wanted: &Option<String>, have: &str| wanted.as_deref().is_none_or(|wanted| wanted == have);
    same(&args.host, &drop.host) && same(&args.port, &drop.port) && same(&args.reason, &drop.reason)
}

/// The table, and below it what each reason in it hints at; `wide` has the hint in each line.
fn people(drops: &Drops, output: &Output) -> String {
    let row = |drop: &HostDrop| {
        vec![
            drop.host.clone(),
            drop.port.clone(),
            drop.reason.clone(),
            drop.count.to_string(),
        ]
    };
    if output.format == Format::Wide {
        let columns = [COLUMNS.as_slice(), &["HINT"]].concat();
        let rows = drops
            .drops
            .iter()
            .map(|drop| [row(drop), vec![drop.hint.clone()]].concat());
        return output.table(&columns, rows);
    }
    let mut text = output.table(&COLUMNS, drops.drops.iter().map(row));
    let hints: BTreeMap<&str, &str> = drops
        .drops
        .iter()
        .map(|drop| (drop.reason.as_str(), drop.hint.as_str()))
        .collect();
    if !hints.is_empty() {
        text.push('\n');
    }
    let width = output.prose_width();
    for (reason, hint) in hints {
        text.push_str(&super::explain::wrapped(
            &format!("{reason}: {hint}"),
            width,
            "  ",
        ));
    }
    text
}

/// Names the hosts whose numbers are missing.
pub fn warn_of(missing: &[MissingHost], output: &Output) -> Exit {
    for host in missing {
        output.warn(&format!(
            "{} is not in these numbers: {}",
            host.host, host.reason
        ));
    }
    if missing.is_empty() {
        Exit::Done
    } else {
        Exit::Warnings
    }
}
