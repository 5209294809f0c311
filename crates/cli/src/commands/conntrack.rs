//! `coax conntrack list|flush`: the connections that firewalls follow. Exit code 3 if a host did not answer.

use std::net::IpAddr;

use coax_api::connections::{Connection, ConnectionEnd, ConnectionFilter};

use super::drops::warn_of;
use super::noun::print_list;
use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::output::{Listed, Output};

/// `coax conntrack …`
#[derive(Debug, clap::Subcommand)]
pub enum ConntrackCommand {
    /// List connections; one between two hosts is followed on both
    List(FilterArgs),
    /// Forget connections: the next packet of each is judged by the rules as if it were the first one
    Flush(FilterArgs),
}

/// Which connections.
#[derive(Debug, clap::Args)]
pub struct FilterArgs {
    /// Only those that are followed on this host
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Only those of this project
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Only those with this address at either end
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<IpAddr>,
    /// Only those with this port at either end
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

impl FilterArgs {
    fn filter(&self) -> ConnectionFilter {
        ConnectionFilter {
            host: self.host.clone(),
            project: self.project.clone(),
            address: self.address,
            port: self.port,
        }
    }
}

/// Runs it.
pub async fn run(command: &ConntrackCommand, output: &Output) -> Outcome {
    match command {
        ConntrackCommand::List(args) => {
            let client = args.connection.client()?;
            let found = client.connections(&args.filter()).await?;
            print_list(&found.connections, output)?;
            if found.left_out > 0 {
                let more = found.left_out;
                output.say(&format!(
                    "{more} more are not shown; `--address` and `--port` find them"
                ));
            }
            Ok(warn_of(&found.missing, output))
        }
        ConntrackCommand::Flush(args) => {
            let client = args.connection.client()?;
            let flushed = client.end_connections(&args.filter()).await?;
            output.value(
                &flushed,
                |_| Vec::new(),
                |it| format!("{} connections forgotten\n", it.ended),
            )?;
            Ok(warn_of(&flushed.missing, output))
        }
    }
}

impl Listed for Connection {
    const PLURAL: &'static str = "connections";
    const FILLED_BY: &'static str = "ports of projects with a firewall have them while they talk";
    const COLUMNS: &'static [&'static str] =
        &["HOST", "NETWORK", "PROTOCOL", "FROM", "TO", "STATE", "RULE"];
    const MORE: &'static [&'static str] = &["EXPIRES"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let mut cells = vec![
            self.host.clone(),
            self.network.clone(),
            self.protocol.clone(),
            written(&self.from),
            written(&self.to),
            self.state.clone(),
            self.rule.clone(),
        ];
        if wide {
            cells.push(format!("{} s", self.expires_seconds));
        }
        cells
    }

    fn full_name(&self) -> String {
        format!(
            "{} {}-{}",
            self.protocol,
            written(&self.from),
            written(&self.to)
        )
    }
}

fn written(end: &ConnectionEnd) -> String {
    match end.address {
        IpAddr::V4(address) => format!("{address}:{}", end.port),
        IpAddr::V6(address) => format!("[{address}]:{}", end.port),
    }
}
