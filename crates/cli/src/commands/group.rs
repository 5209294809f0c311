//! `coax group list|show|create|set|delete`.

use coax_api::{Client, ClientError, Group};

use super::edit::{DeleteArgs, EditArgs, Kind};
use super::noun::{ListArgs, ShowArgs, find, names_of, print_list, print_object};
use crate::commands::Outcome;
use crate::output::{Listed, Output, Shown};

const KIND: Kind = Kind {
    noun: "group",
    key: "groups",
};

/// `coax group …`
#[derive(Debug, clap::Subcommand)]
pub enum GroupCommand {
    /// List groups of ports
    List(ListArgs),
    /// Show one group: how ports get in, who is in, which rules name it
    Show(ShowArgs),
    /// Create a group of ports: its keys are those of a stack file
    Create(EditArgs),
    /// Change a group of ports: only the keys that are given
    Set(EditArgs),
    /// Delete a group of ports
    Delete(DeleteArgs),
}

/// Runs it.
pub async fn run(command: &GroupCommand, output: &Output) -> Outcome {
    match command {
        GroupCommand::Create(args) => KIND.create(args, output).await,
        GroupCommand::Set(args) => KIND.set(args, output).await,
        GroupCommand::Delete(args) => KIND.delete(args, output).await,
        GroupCommand::List(args) => {
            let client = args.connection.client()?;
            print_list(&client.groups(args.project.as_deref()).await?, output)
        }
        GroupCommand::Show(args) => {
            let client = args.connection.client()?;
            let group = find(
                &args.wanted(),
                "group",
                async || known(&client).await,
                async |project, name| client.group(&project, &name).await,
            )
            .await?;
            print_object(&group, output)
        }
    }
}

/// Project and name of all.
async fn known(client: &Client) -> Result<Vec<(String, String)>, ClientError> {
    Ok(names_of(client.groups(None).await?, |it| {
        (it.project, it.name)
    }))
}

/// What a port must have to be in the group without being listed.
fn criteria(group: &Group) -> Vec<String> {
    let name = group.vm.iter().map(|pattern| format!("vm {pattern}"));
    let labels = group.labels.iter();
    name.chain(labels.map(|(key, label)| format!("{key}={label}")))
        .collect()
}

impl Listed for Group {
    const PLURAL: &'static str = "groups";
    const COLUMNS: &'static [&'static str] = &["GROUP", "MATCH", "MEMBERS", "RULES"];
    const MORE: &'static [&'static str] = &["PORTS", "REVISION"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let mut cells = vec![
            self.id.clone(),
            criteria(self).join(" "),
            self.members.len().to_string(),
            self.rules.len().to_string(),
        ];
        if wide {
            cells.extend([self.ports.join(" "), self.revision.to_string()]);
        }
        cells
    }

    fn full_name(&self) -> String {
        self.id.clone()
    }
}

impl Shown for Group {
    fn properties(&self) -> Vec<(&'static str, String)> {
        vec![
            ("group", self.id.clone()),
            ("match", criteria(self).join("\n")),
            ("listed", self.ports.join("\n")),
            ("members", self.members.join("\n")),
            ("rules", self.rules.join("\n")),
            ("revision", self.revision.to_string()),
        ]
    }
}
