//! `coax network list|show|blast-radius`.

use coax_api::{BlastRadius, Client, ClientError, Network};

use super::noun::{
    ListArgs, ShowArgs, find, names_of, print_list, print_object, status_properties, yes,
};
use crate::commands::Outcome;
use crate::commands::explain::wrapped;
use crate::exit::Exit;
use crate::output::{Listed, Output, Shown};

/// `coax network …`
#[derive(Debug, clap::Subcommand)]
pub enum NetworkCommand {
    /// List networks
    List(ListArgs),
    /// Show one network
    Show(ShowArgs),
    /// How far one misbehaving member of a network gets
    BlastRadius(ShowArgs),
}

/// Runs it.
pub async fn run(command: &NetworkCommand, output: &Output) -> Outcome {
    match command {
        NetworkCommand::List(args) => {
            let client = args.connection.client()?;
            print_list(&client.networks(args.project.as_deref()).await?, output)
        }
        NetworkCommand::Show(args) => {
            let client = args.connection.client()?;
            let network = find(
                &args.wanted(),
                "network",
                async || known(&client).await,
                async |project, name| client.network(&project, &name).await,
            )
            .await?;
            print_object(&network, output)
        }
        NetworkCommand::BlastRadius(args) => {
            let client = args.connection.client()?;
            let radius = find(
                &args.wanted(),
                "network",
                async || known(&client).await,
                async |project, name| client.blast_radius(&project, &name).await,
            )
            .await?;
            output.value(
                &radius,
                |it| it.hosts.iter().map(|host| host.host.clone()).collect(),
                |it| blast_radius(it, output),
            )?;
            Ok(Exit::Done)
        }
    }
}

/// Both sentences, then what is reached.
fn blast_radius(radius: &BlastRadius, output: &Output) -> String {
    let width = output.prose_width();
    let mut text = wrapped(&format!("servers: {}", radius.servers), width, "  ");
    text += &wrapped(&format!("networking: {}", radius.networking), width, "  ");
    let hosts = radius.hosts.iter().map(|host| {
        let endpoints = host.endpoints.join(" ");
        vec![host.host.clone(), endpoints, host.ports.join(" ")]
    });
    let hosts = output.table(&["HOST", "ENDPOINTS", "PORTS"], hosts);
    let gateways = radius
        .gateways
        .iter()
        .map(|gateway| vec![gateway.name.clone(), gateway.endpoint.clone()]);
    let gateways = output.table(&["GATEWAY", "ENDPOINT"], gateways);
    let routers = radius.routers.iter().map(|router| {
        let networks = router.networks.join(" ");
        vec![router.name.clone(), networks, router.ports.to_string()]
    });
    let routers = output.table(&["ROUTER", "NETWORKS", "PORTS"], routers);
    for table in [hosts, gateways, routers] {
        if !table.is_empty() {
            text += &format!("\n{table}");
        }
    }
    if !radius.unplugged.is_empty() {
        let unplugged = radius.unplugged.join(" ");
        text += "\n";
        text += &wrapped(
            &format!("reached once plugged in: {unplugged}"),
            width,
            "  ",
        );
    }
    text
}

/// Project and name of all.
async fn known(client: &Client) -> Result<Vec<(String, String)>, ClientError> {
    Ok(names_of(client.networks(None).await?, |it| {
        (it.project, it.name)
    }))
}

impl Listed for Network {
    const PLURAL: &'static str = "networks";
    const COLUMNS: &'static [&'static str] = &["NETWORK", "SUBNETS", "MTU", "PORTS"];
    const MORE: &'static [&'static str] = &["VNI", "TAGS", "FLOODS", "REVISION"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let subnets = self.subnets.join(" ");
        let mut cells = vec![
            self.id.clone(),
            subnets,
            self.mtu.to_string(),
            self.ports.to_string(),
        ];
        if wide {
            cells.extend([
                self.vni.to_string(),
                yes(self.vlan_transparent),
                yes(self.flood_unknown),
                self.revision.to_string(),
            ]);
        }
        cells
    }

    fn full_name(&self) -> String {
        self.id.clone()
    }
}

impl Shown for Network {
    fn properties(&self) -> Vec<(&'static str, String)> {
        let mut properties = vec![
            ("network", self.id.clone()),
            ("subnets", self.subnets.join("\n")),
            ("mtu", self.mtu.to_string()),
            ("ports", self.ports.to_string()),
            ("vni", self.vni.to_string()),
            ("vlan transparent", yes(self.vlan_transparent)),
            ("floods unknown", yes(self.flood_unknown)),
            ("revision", self.revision.to_string()),
        ];
        properties.extend(status_properties(&self.status));
        properties
    }
}
