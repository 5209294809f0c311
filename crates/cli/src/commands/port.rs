//! `coax port list|show|create|set|delete|move`.

use coax_api::{AllowedAddress, Client, ClientError, Port, TrunkVlan};

use super::edit::{DeleteArgs, EditArgs, Kind};
use super::noun::{
    ListArgs, ShowArgs, find, names_of, or_dash, print_list, print_object, status_properties,
};
use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::exit::Exit;
use crate::names::Wanted;
use crate::output::{Format, Listed, Output, Shown};

const KIND: Kind = Kind {
    noun: "port",
    key: "ports",
};

/// `coax port …`
#[derive(Debug, clap::Subcommand)]
pub enum PortCommand {
    /// List ports
    List(ListArgs),
    /// Show one port
    Show(ShowArgs),
    /// Prepare another host for a port; it moves when its device appears there
    Move(MoveArgs),
    /// Create a port: its keys are those of a stack file
    Create(EditArgs),
    /// Change a port: only the keys that are given
    Set(EditArgs),
    /// Delete a port
    Delete(DeleteArgs),
}

/// Flags of `coax port move`.
#[derive(Debug, clap::Args)]
pub struct MoveArgs {
    /// Its name, alone or as PROJECT/NAME
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where it is to go; the host it is on calls the move off
    #[arg(value_name = "HOST")]
    pub host: String,
    /// The project, if the name alone is not enough
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(command: &PortCommand, output: &Output) -> Outcome {
    match command {
        PortCommand::Create(args) => KIND.create(args, output).await,
        PortCommand::Set(args) => KIND.set(args, output).await,
        PortCommand::Delete(args) => KIND.delete(args, output).await,
        PortCommand::List(args) => {
            let client = args.connection.client()?;
            print_list(&client.ports(args.project.as_deref()).await?, output)
        }
        PortCommand::Show(args) => {
            let client = args.connection.client()?;
            let port = find(
                &args.wanted(),
                "port",
                async || known(&client).await,
                async |project, name| client.port(&project, &name).await,
            )
            .await?;
            print_object(&port, output)
        }
        PortCommand::Move(args) => move_port(args, output).await,
    }
}

async fn move_port(args: &MoveArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    let port = find(
        &Wanted::new(&args.name, args.project.as_deref()),
        "port",
        async || known(&client).await,
        async |project, name| client.move_port(&project, &name, &args.host).await,
    )
    .await?;
    match port.moving_to {
        Some(ref host) => output.say(&format!(
            "{host} is ready for {}: plug its device in there (alias `coax:{}`)",
            port.id, port.id
        )),
        None => output.say(&format!(
            "{} stays on {}",
            port.id,
            or_dash(port.host.as_deref())
        )),
    }
    if matches!(output.format, Format::Table) {
        return Ok(Exit::Done);
    }
    print_object(&port, output)
}

/// Project and name of all.
async fn known(client: &Client) -> Result<Vec<(String, String)>, ClientError> {
    Ok(names_of(client.ports(None).await?, |it| {
        (it.project, it.name)
    }))
}

impl Listed for Port {
    const PLURAL: &'static str = "ports";
    const COLUMNS: &'static [&'static str] = &["PORT", "NETWORK", "ADDRESSES", "HOST", "STATE"];
    const MORE: &'static [&'static str] = &["MAC", "MTU", "DEVICE", "REVISION"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let host = match (&self.host, &self.moving_to) {
            (Some(host), Some(next)) => format!("{host} > {next}"),
            (host, _) => or_dash(host.as_deref()),
        };
        let addresses = self.addresses.join(" ");
        let mut cells = vec![
            self.id.clone(),
            self.network.clone(),
            addresses,
            host,
            self.state.as_str().to_owned(),
        ];
        if wide {
            cells.extend([
                self.mac.clone(),
                self.mtu.to_string(),
                or_dash(self.device.as_deref()),
                self.revision.to_string(),
            ]);
        }
        cells
    }

    fn full_name(&self) -> String {
        self.id.clone()
    }
}

impl Shown for Port {
    fn properties(&self) -> Vec<(&'static str, String)> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let mut properties = vec![
            ("port", self.id.clone()),
            ("network", self.network.clone()),
            ("state", self.state.as_str().to_owned()),
            ("host", text(&self.host)),
            ("wanted host", text(&self.host_wanted)),
            ("moving to", text(&self.moving_to)),
            ("moved from", text(&self.moved_from)),
            ("device", text(&self.device)),
            ("addresses", self.prefixes.join("\n")),
            ("gateways", self.gateways.join("\n")),
            ("mac", self.mac.clone()),
            ("mtu", self.mtu.to_string()),
            ("groups", self.groups.join("\n")),
            (
                "labels",
                lines(
                    self.labels
                        .iter()
                        .map(|(key, label)| format!("{key}={label}")),
                ),
            ),
            (
                "may also use",
                lines(self.allowed_addresses.iter().map(allowed)),
            ),
            ("trunk", lines(self.trunk.iter().map(vlan))),
            ("rights", rights(self)),
            ("revision", self.revision.to_string()),
        ];
        properties.extend(status_properties(&self.status));
        properties
    }
}

fn lines(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join("\n")
}

fn allowed(address: &AllowedAddress) -> String {
    match &address.mac {
        Some(mac) => format!("{} with {mac}", address.ip),
        None => address.ip.clone(),
    }
}

fn vlan(vlan: &TrunkVlan) -> String {
    let addresses: String = vlan.prefixes.iter().map(|it| format!(" {it}")).collect();
    format!("VLAN {}: {}{addresses}", vlan.vlan, vlan.network)
}

/// What the port may do that others may not, and the other way round.
fn rights(port: &Port) -> String {
    let rights = [
        (port.any_address, "sends from any address"),
        (port.any_mac, "sends from any MAC address"),
        (port.may_serve, "may answer DHCP and advertise routes"),
        (port.isolated, "reaches no other isolated port"),
    ];
    let held = rights.into_iter().filter(|(held, _)| *held);
    lines(held.map(|(_, right)| right.to_owned()))
}
