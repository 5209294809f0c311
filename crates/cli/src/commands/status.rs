//! `coax status`: the whole system at a glance. Exit code 3 if something is not as it should be, with
//! `--wait` also if not everything is in place in time.

use std::time::{Duration, Instant};

use coax_api::{Client, ClientError, Condition, Status};

use crate::commands::Outcome;
use crate::commands::apply::duration;
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;

/// Flags of `coax status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Wait until the controller answers, all hosts are current and all ports active
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub wait: Option<Duration>,
    /// With --wait: until at least so many hosts are attached
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "wait")]
    pub hosts: usize,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(args: &StatusArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    let (status, in_place) = match args.wait {
        Some(limit) => settle(&client, limit, args.hosts).await?,
        None => (client.status().await?, true),
    };
    output.value(
        &status,
        |status| {
            status
                .conditions
                .iter()
                .filter_map(|it| it.host.clone())
                .collect()
        },
        |status| people(status, output),
    )?;
    if !in_place {
        output.warn("not everything is in place yet");
    }
    let well = in_place && status.conditions.is_empty();
    Ok(if well { Exit::Done } else { Exit::Warnings })
}

/// How often a system that is not in place is asked again. The API has no event for "all is well".
const POLL: Duration = Duration::from_millis(50);

/// Asks until everything is in place, or the time is over; a controller that does not answer yet may
/// still be starting.
async fn settle(
    client: &Client,
    limit: Duration,
    hosts: usize,
) -> Result<(Status, bool), CliError> {
    let deadline = Instant::now() + limit;
    loop {
        let over = Instant::now() >= deadline;
        match client.status().await {
            Ok(status) if in_place(&status, hosts) => return Ok((status, true)),
            Ok(status) if over => return Ok((status, false)),
            Err(error) if over || !may_be_starting(&error) => return Err(error.into()),
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

fn may_be_starting(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Unreachable { .. } | ClientError::Transport { .. }
    )
}

fn in_place(status: &Status, hosts: usize) -> bool {
    status.conditions.is_empty()
        && status.hosts.connected >= hosts
        && status.hosts.current == status.hosts.total
        && status.ports.active == status.ports.total
}

fn people(status: &Status, output: &Output) -> String {
    let hosts = &status.hosts;
    let ports = &status.ports;
    let mut text = output.properties([
        (
            "controller",
            format!("version {}, revision {}", status.version, status.revision),
        ),
        (
            "hosts",
            parts(
                hosts.total,
                &[
                    ("current", hosts.current),
                    ("behind", hosts.connected.saturating_sub(hosts.current)),
                    ("away", hosts.total.saturating_sub(hosts.connected)),
                ],
            ),
        ),
        ("projects", status.projects.to_string()),
        ("networks", status.networks.to_string()),
        (
            "ports",
            parts(
                ports.total,
                &[
                    ("active", ports.active),
                    ("moving", ports.moving),
                    ("down", ports.down),
                    ("unbound", ports.unbound),
                ],
            ),
        ),
        ("foreign vteps", status.vteps.to_string()),
    ]);
    if status.conditions.is_empty() {
        text.push_str("\nNothing is wrong.\n");
    } else {
        text.push_str("\nNot as it should be:\n");
        text.extend(status.conditions.iter().map(sentence));
    }
    if !status.guards.is_empty() {
        text.push_str("\nDropped by guards:\n");
        text.extend(status.guards.iter().map(sentence));
    }
    text
}

fn sentence(condition: &Condition) -> String {
    match &condition.host {
        Some(host) => format!("  {host}: {} [{}]\n", condition.message, condition.code),
        None => format!("  {} [{}]\n", condition.message, condition.code),
    }
}

/// `6: 5 current, 1 away`; kinds that do not occur are left out.
fn parts(total: usize, kinds: &[(&str, usize)]) -> String {
    let present: Vec<String> = kinds
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    if present.is_empty() {
        total.to_string()
    } else {
        format!("{total}: {}", present.join(", "))
    }
}
