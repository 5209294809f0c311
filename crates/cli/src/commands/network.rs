//! `coax network list|show|create|set|delete|blast-radius`.

use coax_api::{BlastRadius, Client, ClientError, Network, StormControl};

use super::edit::{DeleteArgs, EditArgs, Kind};
use super::noun::{
    ListArgs, ShowArgs, find, names_of, or_dash, print_list, print_object, status_properties, yes,
};
use crate::commands::Outcome;
use crate::commands::explain::wrapped;
use crate::exit::Exit;
use crate::output::{Listed, Output, Shown};

const KIND: Kind = Kind {
    noun: "network",
    key: "networks",
};

/// `coax network …`
#[derive(Debug, clap::Subcommand)]
pub enum NetworkCommand {
    /// List networks
    List(ListArgs),
    /// Show one network
    Show(ShowArgs),
    /// How far one misbehaving member of a network gets
    BlastRadius(ShowArgs),
    /// Create a network: its keys are those of a stack file
    Create(EditArgs),
    /// Change a network: only the keys that are given
    Set(EditArgs),
    /// Delete a network
    Delete(DeleteArgs),
}

/// Runs it.
pub async fn run(command: &NetworkCommand, output: &Output) -> Outcome {
    match command {
        NetworkCommand::Create(args) => KIND.create(args, output).await,
        NetworkCommand::Set(args) => KIND.set(args, output).await,
        NetworkCommand::Delete(args) => KIND.delete(args, output).await,
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
    const MORE: &'static [&'static str] = &[
        "TYPE", "ROUTER", "DHCP", "VNI", "TAGS", "FLOODS", "REVISION",
    ];

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
                self.kind.clone(),
                or_dash(self.router.as_deref()),
                yes(self.dhcp.is_some()),
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
        let endpoints = match self.max_endpoints {
            Some(max) => format!("{} of at most {max}", self.ports),
            None => self.ports.to_string(),
        };
        let mut properties = vec![
            ("network", self.id.clone()),
            ("subnets", self.subnets.join("\n")),
            ("type", self.kind.clone()),
            ("router", self.router.clone().unwrap_or_default()),
            ("mtu", self.mtu.to_string()),
            ("ports", endpoints),
            ("ports isolated", yes(self.isolated)),
            ("vni", self.vni.to_string()),
            ("vlan transparent", yes(self.vlan_transparent)),
            ("floods unknown", yes(self.flood_unknown)),
        ];
        properties.extend(answers(self));
        properties.extend([
            ("storm control", storm_control(&self.storm_control)),
            ("guards shut ports for", format!("{} s", self.shut_seconds)),
            ("revision", self.revision.to_string()),
        ]);
        properties.extend(status_properties(&self.status));
        properties
    }
}

/// What is answered on a network, and by whom.
fn answers(network: &Network) -> [(&'static str, String); 4] {
    let dhcp = match (&network.dhcp, network.own_servers) {
        (Some(dhcp), _) => {
            let routes = dhcp.routes.iter();
            let routes = routes.map(|it| format!("\nroute {} via {}", it.to, it.via));
            let routes: String = routes.collect();
            format!("leases of {} s{routes}", dhcp.lease_seconds)
        }
        (None, true) => "by its own servers".to_owned(),
        (None, false) => String::new(),
    };
    let (domain, servers) = (network.dns.domain.clone(), network.dns.servers.join("\n"));
    let told = network.dhcp.is_some() || network.router_advertisements;
    let when_told = |text: String| if told { text } else { String::new() };
    [
        ("dhcp", dhcp),
        ("router advertisements", yes(network.router_advertisements)),
        ("dns domain", when_told(domain)),
        ("dns servers", when_told(servers)),
    ]
}

fn storm_control(limits: &StormControl) -> String {
    let limit = |what: &str, limit: Option<u32>| match limit {
        Some(packets) => format!("{what} {packets}/s"),
        None => format!("{what} unlimited"),
    };
    [
        limit("broadcast", limits.broadcast),
        limit("multicast", limits.multicast),
        limit("unknown", limits.unknown),
    ]
    .join(", ")
}
