//! `coax vtep list|show|create|set|delete`.

use coax_api::{Client, ClientError, Vtep};

use super::edit::{DeleteArgs, EditArgs, Kind};
use super::noun::{
    ListArgs, ShowArgs, find, names_of, print_list, print_object, status_properties, yes,
};
use crate::commands::Outcome;
use crate::output::{Listed, Output, Shown};

const KIND: Kind = Kind {
    noun: "vtep",
    key: "vteps",
};

/// `coax vtep …`
#[derive(Debug, clap::Subcommand)]
pub enum VtepCommand {
    /// List foreign tunnel endpoints
    List(ListArgs),
    /// Show one foreign tunnel endpoint
    Show(ShowArgs),
    /// Create a foreign tunnel endpoint: its keys are those of a stack file
    Create(EditArgs),
    /// Change a foreign tunnel endpoint: only the keys that are given
    Set(EditArgs),
    /// Delete a foreign tunnel endpoint
    Delete(DeleteArgs),
}

/// Runs it.
pub async fn run(command: &VtepCommand, output: &Output) -> Outcome {
    match command {
        VtepCommand::Create(args) => KIND.create(args, output).await,
        VtepCommand::Set(args) => KIND.set(args, output).await,
        VtepCommand::Delete(args) => KIND.delete(args, output).await,
        VtepCommand::List(args) => {
            let client = args.connection.client()?;
            print_list(&client.vteps(args.project.as_deref()).await?, output)
        }
        VtepCommand::Show(args) => {
            let client = args.connection.client()?;
            let vtep = find(
                &args.wanted(),
                "vtep",
                async || known(&client).await,
                async |project, name| client.vtep(&project, &name).await,
            )
            .await?;
            print_object(&vtep, output)
        }
    }
}

/// Project and name of all.
async fn known(client: &Client) -> Result<Vec<(String, String)>, ClientError> {
    Ok(names_of(client.vteps(None).await?, |it| {
        (it.project, it.name)
    }))
}

impl Listed for Vtep {
    const PLURAL: &'static str = "vteps";
    const COLUMNS: &'static [&'static str] = &["VTEP", "ADDRESS", "NETWORKS"];
    const MORE: &'static [&'static str] = &["MACS", "ZERO-CHECKSUM", "REVISION"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let mut cells = vec![
            self.id.clone(),
            self.address.clone(),
            self.networks.join(" "),
        ];
        if wide {
            cells.extend([
                self.macs.join(" "),
                yes(self.udp6_zero_checksum),
                self.revision.to_string(),
            ]);
        }
        cells
    }

    fn full_name(&self) -> String {
        self.id.clone()
    }
}

impl Shown for Vtep {
    fn properties(&self) -> Vec<(&'static str, String)> {
        let mut properties = vec![
            ("vtep", self.id.clone()),
            ("address", self.address.clone()),
            ("networks", self.networks.join("\n")),
            ("macs", self.macs.join("\n")),
            (
                "takes zero UDP checksums over IPv6",
                yes(self.udp6_zero_checksum),
            ),
            ("revision", self.revision.to_string()),
        ];
        properties.extend(status_properties(&self.status));
        properties
    }
}
