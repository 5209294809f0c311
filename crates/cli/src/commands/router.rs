//! `coax router list|show|create|set|delete`.

use coax_api::{Client, ClientError, Router};

use super::edit::{DeleteArgs, EditArgs, Kind};
use super::noun::{
    ListArgs, ShowArgs, find, names_of, print_list, print_object, status_properties,
};
use crate::commands::Outcome;
use crate::output::{Listed, Output, Shown};

const KIND: Kind = Kind {
    noun: "router",
    key: "routers",
};

/// `coax router …`
#[derive(Debug, clap::Subcommand)]
pub enum RouterCommand {
    /// List routers
    List(ListArgs),
    /// Show one router: its networks, addresses and routes
    Show(ShowArgs),
    /// Create a router: its keys are those of a stack file
    Create(EditArgs),
    /// Change a router: only the keys that are given
    Set(EditArgs),
    /// Delete a router
    Delete(DeleteArgs),
}

/// Runs it.
pub async fn run(command: &RouterCommand, output: &Output) -> Outcome {
    match command {
        RouterCommand::Create(args) => KIND.create(args, output).await,
        RouterCommand::Set(args) => KIND.set(args, output).await,
        RouterCommand::Delete(args) => KIND.delete(args, output).await,
        RouterCommand::List(args) => {
            let client = args.connection.client()?;
            print_list(&client.routers(args.project.as_deref()).await?, output)
        }
        RouterCommand::Show(args) => {
            let client = args.connection.client()?;
            let router = find(
                &args.wanted(),
                "router",
                async || known(&client).await,
                async |project, name| client.router(&project, &name).await,
            )
            .await?;
            print_object(&router, output)
        }
    }
}

/// Project and name of all.
async fn known(client: &Client) -> Result<Vec<(String, String)>, ClientError> {
    Ok(names_of(client.routers(None).await?, |it| {
        (it.project, it.name)
    }))
}

/// The networks that a router joins, each once.
fn networks(router: &Router) -> Vec<&str> {
    let interfaces = router.interfaces.iter();
    let mut networks: Vec<&str> = interfaces.map(|it| it.network.as_str()).collect();
    networks.dedup();
    networks
}

impl Listed for Router {
    const PLURAL: &'static str = "routers";
    const COLUMNS: &'static [&'static str] = &["ROUTER", "NETWORKS", "ROUTES"];
    const MORE: &'static [&'static str] = &["ADDRESSES", "MAC", "REVISION"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let mut cells = vec![
            self.id.clone(),
            networks(self).join(" "),
            self.routes.len().to_string(),
        ];
        if wide {
            let interfaces = self.interfaces.iter();
            let addresses: Vec<&str> = interfaces.map(|it| it.address.as_str()).collect();
            cells.extend([
                addresses.join(" "),
                self.mac.clone(),
                self.revision.to_string(),
            ]);
        }
        cells
    }

    fn full_name(&self) -> String {
        self.id.clone()
    }
}

impl Shown for Router {
    fn properties(&self) -> Vec<(&'static str, String)> {
        let interfaces = self.interfaces.iter();
        let interfaces =
            interfaces.map(|it| format!("{} {} at {}", it.network, it.subnet, it.address));
        let routes = self.routes.iter();
        let routes = routes.map(|it| format!("{} via {}", it.to, it.via));
        let mut properties = vec![
            ("router", self.id.clone()),
            ("interfaces", interfaces.collect::<Vec<_>>().join("\n")),
            ("routes", routes.collect::<Vec<_>>().join("\n")),
            ("mac", self.mac.clone()),
            ("revision", self.revision.to_string()),
        ];
        properties.extend(status_properties(&self.status));
        properties
    }
}
