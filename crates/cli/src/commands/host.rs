//! `coax host list|show|remove`.

use coax_api::{Client, ClientError, Host};

use super::noun::status_properties;
use super::noun::{ListAllArgs, ShowAnyArgs, find, names_of, or_dash, print_list, print_object};
use crate::commands::Outcome;
use crate::exit::Exit;
use crate::output::{Format, Listed, Output, Shown};

/// `coax host …`
#[derive(Debug, clap::Subcommand)]
pub enum HostCommand {
    /// List hosts
    List(ListAllArgs),
    /// Show one host
    Show(ShowAnyArgs),
    /// Forget a host that does not come back
    Remove(ShowAnyArgs),
}

/// Runs it.
pub async fn run(command: &HostCommand, output: &Output) -> Outcome {
    match command {
        HostCommand::List(args) => print_list(&args.connection.client()?.hosts().await?, output),
        HostCommand::Show(args) => {
            let client = args.connection.client()?;
            let host = find(
                &args.wanted(),
                "host",
                async || names(&client).await,
                async |_, name| client.host(&name).await,
            )
            .await?;
            print_object(&host, output)
        }
        HostCommand::Remove(args) => remove(args, output).await,
    }
}

async fn names(client: &Client) -> Result<Vec<(String, String)>, ClientError> {
    let hosts = client.hosts().await?;
    Ok(names_of(hosts, |host| (String::new(), host.name)))
}

async fn remove(args: &ShowAnyArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    let host = find(
        &args.wanted(),
        "host",
        async || names(&client).await,
        async |_, name| client.remove_host(&name).await,
    )
    .await?;
    output.say(&match host.ports {
        0 => format!("{} is forgotten", host.name),
        1 => format!(
            "{} is forgotten; the port that was there is nowhere now",
            host.name
        ),
        ports => format!(
            "{} is forgotten; the {ports} ports that were there are nowhere now",
            host.name
        ),
    });
    if matches!(output.format, Format::Table) {
        return Ok(Exit::Done);
    }
    print_object(&host, output)
}

/// What the host is doing, in a word.
fn state(host: &Host) -> &'static str {
    match (host.connected, host.lag) {
        (false, _) => "away",
        (true, 0) => "current",
        (true, _) => "behind",
    }
}

impl Listed for Host {
    const PLURAL: &'static str = "hosts";
    const FILLED_BY: &'static str = "`coax agent` on a machine makes it one";
    const COLUMNS: &'static [&'static str] = &["HOST", "VTEP", "PORTS", "NETWORKS", "STATE"];
    const MORE: &'static [&'static str] = &["VTEP-IPV6", "MTU", "LAG", "VERSION"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let vtep = self.vtep_ipv4.as_deref().or(self.vtep_ipv6.as_deref());
        let mut cells = vec![
            self.id.clone(),
            or_dash(vtep),
            self.ports.to_string(),
            self.networks.to_string(),
            state(self).to_owned(),
        ];
        if wide {
            cells.extend([
                or_dash(self.vtep_ipv6.as_deref()),
                self.underlay_mtu.to_string(),
                self.lag.to_string(),
                or_dash(Some(&self.version)),
            ]);
        }
        cells
    }

    fn full_name(&self) -> String {
        self.id.clone()
    }
}

impl Shown for Host {
    fn properties(&self) -> Vec<(&'static str, String)> {
        let mut properties = vec![
            ("host", self.name.clone()),
            ("state", state(self).to_owned()),
            ("vtep ipv4", self.vtep_ipv4.clone().unwrap_or_default()),
            ("vtep ipv6", self.vtep_ipv6.clone().unwrap_or_default()),
            ("underlay mtu", self.underlay_mtu.to_string()),
            ("ports", self.ports.to_string()),
            ("networks", self.networks.to_string()),
            ("revisions behind", self.lag.to_string()),
            ("agent", self.version.clone()),
        ];
        let [_, problems] = status_properties(&self.status);
        properties.push(problems);
        properties
    }
}
