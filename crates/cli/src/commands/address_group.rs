//! `coax address-group list|show|create|set|delete`.

use coax_api::{AddressGroup, Client, ClientError};

use super::edit::{DeleteArgs, EditArgs, Kind, Prefixes};
use super::noun::{ListArgs, ShowArgs, find, names_of, print_list, print_object};
use crate::commands::Outcome;
use crate::output::{Listed, Output, Shown};

const KIND: Kind = Kind {
    noun: "address-group",
    key: "address_groups",
};

/// `coax address-group …`
#[derive(Debug, clap::Subcommand)]
pub enum AddressGroupCommand {
    /// List groups of addresses; those of `rails` are the operator's
    List(ListArgs),
    /// Show one group of addresses
    Show(ShowArgs),
    /// Create a group of addresses
    Create(EditArgs<Prefixes>),
    /// Change a group of addresses: it gets the prefixes that are given, and no others
    Set(EditArgs<Prefixes>),
    /// Delete a group of addresses
    Delete(DeleteArgs),
}

/// Runs it.
pub async fn run(command: &AddressGroupCommand, output: &Output) -> Outcome {
    match command {
        AddressGroupCommand::Create(args) => KIND.create(args, output).await,
        AddressGroupCommand::Set(args) => KIND.set(args, output).await,
        AddressGroupCommand::Delete(args) => KIND.delete(args, output).await,
        AddressGroupCommand::List(args) => {
            let client = args.connection.client()?;
            print_list(
                &client.address_groups(args.project.as_deref()).await?,
                output,
            )
        }
        AddressGroupCommand::Show(args) => {
            let client = args.connection.client()?;
            let group = find(
                &args.wanted(),
                "address-group",
                async || known(&client).await,
                async |project, name| client.address_group(&project, &name).await,
            )
            .await?;
            print_object(&group, output)
        }
    }
}

/// Project and name of all.
async fn known(client: &Client) -> Result<Vec<(String, String)>, ClientError> {
    Ok(names_of(client.address_groups(None).await?, |it| {
        (it.project, it.name)
    }))
}

impl Listed for AddressGroup {
    const PLURAL: &'static str = "address groups";
    const COLUMNS: &'static [&'static str] = &["ADDRESS-GROUP", "PREFIXES", "RULES"];
    const MORE: &'static [&'static str] = &["REVISION"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let mut cells = vec![
            self.id.clone(),
            self.prefixes.join(" "),
            self.rules.len().to_string(),
        ];
        if wide {
            cells.push(self.revision.to_string());
        }
        cells
    }

    fn full_name(&self) -> String {
        self.id.clone()
    }
}

impl Shown for AddressGroup {
    fn properties(&self) -> Vec<(&'static str, String)> {
        vec![
            ("address group", self.id.clone()),
            ("prefixes", self.prefixes.join("\n")),
            ("rules", self.rules.join("\n")),
            ("revision", self.revision.to_string()),
        ]
    }
}
