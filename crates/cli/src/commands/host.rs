//! `coax host list|show|invite|remove`.

use std::time::{Duration, Instant};

use coax_api::{Client, ClientError, Host, InvitationRequest};

use super::noun::status_properties;
use super::noun::{ListAllArgs, ShowAnyArgs, find, names_of, or_dash, print_list, print_object};
use crate::commands::Outcome;
use crate::commands::apply::duration;
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Format, Listed, Output, Shown};

/// How often a controller that is starting is looked for.
const POLL: Duration = Duration::from_millis(100);

/// `coax host …`
#[derive(Debug, clap::Subcommand)]
pub enum HostCommand {
    /// List hosts
    List(ListAllArgs),
    /// Show one host
    Show(ShowAnyArgs),
    /// Print a token with which a machine joins
    Invite(InviteArgs),
    /// Remove a host that does not come back, or that must not: its certificate counts no more
    Remove(RemoveArgs),
}

/// Flags of `coax host invite`.
#[derive(Debug, clap::Args)]
pub struct InviteArgs {
    /// The name that the host gets; without it the machine brings its own
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// How long the token may be used
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub expires: String,
    /// Wait so long for a controller that is just starting
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub wait: Option<Duration>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Flags of `coax host remove`.
#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    /// Which host.
    #[command(flatten)]
    pub host: ShowAnyArgs,
    /// Also while its agent is attached: its stream ends at once
    #[arg(long)]
    pub force: bool,
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
        HostCommand::Invite(args) => invite(args, output).await,
        HostCommand::Remove(args) => remove(args, output).await,
    }
}

/// A client of a controller that may take a moment until it listens.
async fn starting(args: &InviteArgs) -> Result<Client, CliError> {
    let deadline = Instant::now() + args.wait.unwrap_or_default();
    loop {
        let client = args.connection.client();
        let ready = match &client {
            Ok(client) => client.ready().await.is_ok(),
            Err(_) => false,
        };
        if ready || Instant::now() >= deadline {
            return client;
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn invite(args: &InviteArgs, output: &Output) -> Outcome {
    let request = InvitationRequest {
        host: args.name.clone(),
        expires_in: Some(args.expires.clone()),
    };
    let client = starting(args).await?;
    let invitation = client.invite(&request).await?;
    output.value(
        &invitation,
        |invitation| vec![invitation.token.clone()],
        |invitation| format!("{}\n", invitation.token),
    )?;
    let who = invitation.host.as_deref().unwrap_or("one machine");
    output.say(&format!(
        "{who} joins with it, once, within {}: `coax join TOKEN` there",
        invitation.expires_in
    ));
    Ok(Exit::Done)
}

async fn names(client: &Client) -> Result<Vec<(String, String)>, ClientError> {
    let hosts = client.hosts().await?;
    Ok(names_of(hosts, |host| (String::new(), host.name)))
}

async fn remove(args: &RemoveArgs, output: &Output) -> Outcome {
    let client = args.host.connection.client()?;
    let removed = client.remove_host(&args.host.name, args.force).await;
    let unknown = |error: &ClientError| {
        let code = error.problem().map(|problem| problem.code.as_str());
        matches!(code, Some("no-such-host" | "bad-name"))
    };
    let host = match removed {
        // The list of names knows what was meant. A host that never attached is not in it.
        Err(error) if unknown(&error) => {
            find(
                &args.host.wanted(),
                "host",
                async || names(&client).await,
                async |_, name| client.remove_host(&name, args.force).await,
            )
            .await?
        }
        removed => removed?,
    };
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
    match (host.connected, host.ready, host.lag) {
        (false, ..) => "away",
        (true, false, _) => "not ready",
        (true, true, 0) => "current",
        (true, true, _) => "behind",
    }
}

impl Listed for Host {
    const PLURAL: &'static str = "hosts";
    const FILLED_BY: &'static str = "`coax host invite` and `coax join` make a machine one";
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
