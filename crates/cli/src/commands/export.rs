//! `coax export`: a project as the file that `apply` takes. What was allocated (addresses, MAC
//! addresses, VNIs) is written out, so that the file makes the same project elsewhere.

use coax_api::Client;
use coax_model::{RAILS, RailsFile, StackFile, nearest, to_yaml};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Format, Output, json};

/// Flags of `coax export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// The project; may be left out if there is only one. `rails` prints the operator's rails
    #[arg(value_name = "PROJECT")]
    pub project: Option<String>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(args: &ExportArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    let project = choose(&client, args.project.as_deref()).await?;
    let stack = client.stack(&project).await?;
    let text = match output.format {
        Format::Json => json(&stack)?,
        Format::Name => project + "\n",
        Format::Table | Format::Wide | Format::Yaml => {
            if project == RAILS {
                canonical::<RailsFile>(stack)?
            } else {
                canonical::<StackFile>(stack)?
            }
        }
    };
    output.data(&text)?;
    Ok(Exit::Done)
}

/// The text of a file, its keys in their usual order.
fn canonical<T: Serialize + DeserializeOwned>(
    stack: serde_json::Value,
) -> Result<String, CliError> {
    let file: T = serde_json::from_value(stack).map_err(|source| CliError::Json { source })?;
    to_yaml(&file).map_err(|source| CliError::Yaml { source })
}

/// The project that is meant; the only one, if none is named.
pub async fn choose(client: &Client, wanted: Option<&str>) -> Result<String, CliError> {
    let names: Vec<String> = client
        .projects()
        .await?
        .into_iter()
        .map(|project| project.name)
        .collect();
    match (wanted, names.as_slice()) {
        (Some(RAILS), _) => Ok(RAILS.to_owned()),
        (Some(wanted), _) if names.iter().any(|name| name == wanted) => Ok(wanted.to_owned()),
        (Some(wanted), _) => Err(CliError::NoSuchObject {
            kind: "project",
            name: wanted.to_owned(),
            project: None,
            similar: nearest(wanted, names.iter().map(String::as_str)).map(str::to_owned),
        }),
        (None, [only]) => Ok(only.clone()),
        (None, []) => Err(CliError::NoProject),
        (None, _) => Err(CliError::SeveralProjects { names }),
    }
}
