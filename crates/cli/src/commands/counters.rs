//! `coax counters`: frames of every port, and how full the vSwitch's tables are. Exit code 3 if a host
//! did not answer.

use coax_api::{Counters, HostPortCounters, HostTable};

use super::drops::warn_of;
use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::output::{Format, Output};

const FRAMES: [&str; 9] = [
    "HOST", "PORT", "IN", "OUT", "ANSWERED", "FLOODED", "COPIES", "PUNTED", "DROPPED",
];
const TABLES: [&str; 5] = ["HOST", "TABLE", "ENTRIES", "CAPACITY", "FULL"];

/// Flags of `coax counters`.
#[derive(Debug, clap::Args)]
pub struct CountersArgs {
    /// Only this host
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(args: &CountersArgs, output: &Output) -> Outcome {
    let mut counters = args.connection.client()?.counters().await?;
    if let Some(host) = &args.host {
        counters.ports.retain(|port| port.host == *host);
        counters.tables.retain(|table| table.host == *host);
        counters.missing.retain(|missing| missing.host == *host);
    }
    if counters.ports.is_empty() && counters.missing.is_empty() {
        output.say("no host is attached; `coax agent` on a machine makes it one");
    }
    output.value(
        &counters,
        |it| {
            it.ports
                .iter()
                .map(|port| port.counters.port.clone())
                .collect()
        },
        |it| people(it, output),
    )?;
    Ok(warn_of(&counters.missing, output))
}

fn people(counters: &Counters, output: &Output) -> String {
    let wide = output.format == Format::Wide;
    let mut columns = FRAMES.to_vec();
    if wide {
        columns.extend(["BYTES-IN", "BYTES-OUT"]);
    }
    let mut text = output.table(
        &columns,
        counters.ports.iter().map(|port| frames(port, wide)),
    );
    let tables = counters
        .tables
        .iter()
        .filter(|table| wide || is_news(table));
    let usage = output.table(&TABLES, tables.map(table));
    if !text.is_empty() && !usage.is_empty() {
        text.push('\n');
    }
    text + &usage
}

/// Whether a table fills up. Hundreds that are nearly empty are no news, nor is one made for one row.
fn is_news(table: &HostTable) -> bool {
    table.usage.capacity > 1 && percent(table) >= 80
}

fn percent(table: &HostTable) -> u64 {
    (table.usage.entries * 100)
        .checked_div(table.usage.capacity)
        .unwrap_or(0)
}

fn frames(port: &HostPortCounters, wide: bool) -> Vec<String> {
    let of = &port.counters;
    let dropped: u64 = of.drops.iter().map(|drop| drop.count).sum();
    let mut cells = vec![port.host.clone(), of.port.clone()];
    let numbers = [
        of.rx_frames,
        of.tx_frames,
        of.answered,
        of.flooded,
        of.copies,
        of.punted,
        dropped,
    ];
    cells.extend(numbers.map(|number| number.to_string()));
    if wide {
        cells.extend([of.rx_bytes, of.tx_bytes].map(|number| number.to_string()));
    }
    cells
}

fn table(table: &HostTable) -> Vec<String> {
    let usage = &table.usage;
    vec![
        table.host.clone(),
        usage.name.clone(),
        usage.entries.to_string(),
        usage.capacity.to_string(),
        format!("{}%", percent(table)),
    ]
}
