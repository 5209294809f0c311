//! `coax subnet list|show`.

use coax_api::Subnet;

use super::noun::{ListArgs, or_dash, print_list, print_object, yes};
use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::output::{Listed, Output, Shown};
use coax_model::nearest;

/// `coax subnet …`
#[derive(Debug, clap::Subcommand)]
pub enum SubnetCommand {
    /// List subnets
    List(ListArgs),
    /// Show the subnets with this prefix
    Show(ShowSubnetArgs),
}

/// Flags of `coax subnet show`.
#[derive(Debug, clap::Args)]
pub struct ShowSubnetArgs {
    /// The prefix, like 10.10.1.0/24
    #[arg(value_name = "PREFIX")]
    pub prefix: String,
    /// The project, if several have this prefix
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(command: &SubnetCommand, output: &Output) -> Outcome {
    match command {
        SubnetCommand::List(args) => {
            let client = args.connection.client()?;
            print_list(&client.subnets(args.project.as_deref()).await?, output)
        }
        SubnetCommand::Show(args) => {
            let client = args.connection.client()?;
            let all = client.subnets(args.project.as_deref()).await?;
            print_object(&find(all, args)?, output)
        }
    }
}

/// The subnet with that prefix. Several are normal, as projects may overlap: then a project is asked
/// for.
fn find(all: Vec<Subnet>, args: &ShowSubnetArgs) -> Result<Subnet, CliError> {
    let kind = "subnet";
    let names: Vec<String> = all.iter().map(|subnet| subnet.name.clone()).collect();
    let in_project = |subnet: &Subnet| {
        args.project
            .as_ref()
            .is_none_or(|project| *project == subnet.project)
    };
    let matches = |subnet: &Subnet| {
        subnet.id == args.prefix || (subnet.name == args.prefix && in_project(subnet))
    };
    let mut found: Vec<Subnet> = all.into_iter().filter(matches).collect();
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(last), false) => Err(CliError::AmbiguousObject {
            kind,
            name: args.prefix.clone(),
            candidates: found
                .into_iter()
                .chain([last])
                .map(|subnet| subnet.id)
                .collect(),
        }),
        (None, _) => Err(CliError::NoSuchObject {
            kind,
            name: args.prefix.clone(),
            project: args.project.clone(),
            similar: nearest(&args.prefix, names.iter().map(String::as_str)).map(str::to_owned),
        }),
    }
}

impl Listed for Subnet {
    const PLURAL: &'static str = "subnets";
    const COLUMNS: &'static [&'static str] = &["SUBNET", "NETWORK", "GATEWAY", "USED"];
    const MORE: &'static [&'static str] = &["ROUTER", "DHCP", "REVISION"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let network = format!("{}/{}", self.project, self.network);
        let mut cells = vec![
            self.name.clone(),
            network,
            self.gateway.clone(),
            self.used.to_string(),
        ];
        if wide {
            cells.extend([
                or_dash(self.router.as_deref()),
                yes(self.dhcp),
                self.revision.to_string(),
            ]);
        }
        cells
    }

    fn full_name(&self) -> String {
        self.id.clone()
    }
}

impl Shown for Subnet {
    fn properties(&self) -> Vec<(&'static str, String)> {
        vec![
            ("subnet", self.name.clone()),
            ("network", format!("{}/{}", self.project, self.network)),
            ("gateway", self.gateway.clone()),
            ("router", self.router.clone().unwrap_or_default()),
            ("dhcp", yes(self.dhcp)),
            ("used", self.used.to_string()),
            ("revision", self.revision.to_string()),
        ]
    }
}
