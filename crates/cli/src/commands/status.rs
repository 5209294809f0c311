//! `coax status`: the whole system at a glance. Exit code 3 if something is not as it should be.

use coax_api::{Condition, Status};

use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::exit::Exit;
use crate::output::Output;

/// Flags of `coax status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(args: &StatusArgs, output: &Output) -> Outcome {
    let status = args.connection.client()?.status().await?;
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
    Ok(if status.conditions.is_empty() {
        Exit::Done
    } else {
        Exit::Warnings
    })
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
