//! `coax bugreport`: one archive with what is needed to understand a system from afar, without its secrets. It is read with
//! `coax --from-bundle FILE …`, without a controller.
//!
//! | module | holds |
//! | --- | --- |
//! | `bundle` | the archive: writing it, reading it |
//! | `machine` | what this machine says of itself |
//! | `redact` | taking secrets out of texts |

pub mod bundle;
mod machine;
mod redact;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coax_api::{Client, HistoryOptions};
use serde_json::json;

use crate::commands::Outcome;
use crate::config;
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;
use bundle::Contents;

/// What is recorded of the API: the path, and the query by which it is asked for.
const ANSWERS: [(&str, &str); 20] = [
    ("/v1/status", ""),
    ("/v1/hosts", ""),
    ("/v1/projects", ""),
    ("/v1/default-quota", ""),
    ("/v1/networks", ""),
    ("/v1/subnets", ""),
    ("/v1/ports", ""),
    ("/v1/vteps", ""),
    ("/v1/routers", ""),
    ("/v1/groups", ""),
    ("/v1/address-groups", ""),
    ("/v1/firewalls", ""),
    ("/v1/firewall-rules", ""),
    ("/v1/checks", ""),
    ("/v1/drops", ""),
    ("/v1/counters", ""),
    ("/v1/findings", ""),
    ("/v1/events", "?last=500"),
    ("/v1/audit-log", "?last=500"),
    ("/v1/audit-log/verify", ""),
];
/// Revisions of the history.
const REVISIONS: usize = 200;
/// Of which so many with all that they changed.
const WHOLE_REVISIONS: usize = 20;

/// How long the controller may take for all of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Flags of `coax bugreport`.
#[derive(Debug, clap::Args)]
pub struct BugreportArgs {
    /// The archive; left out: a name with the time, in this folder
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The folder of this machine's configuration
    #[arg(long, value_name = "FOLDER", default_value = config::FOLDER)]
    pub config: PathBuf,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(args: &BugreportArgs, output: &Output) -> Outcome {
    let now = now();
    let file = args.file.clone().unwrap_or_else(|| {
        let plain: String = now.chars().filter(char::is_ascii_alphanumeric).collect();
        format!("coax-bugreport-{plain}.tar.gz").into()
    });
    let mut contents = Contents::default();
    machine::describe(&args.config, &mut contents);
    // Without a controller there is still this machine.
    match args.connection.client() {
        Ok(client) => {
            let recorded = tokio::time::timeout(PATIENCE, record(&client, &mut contents));
            if recorded.await.is_err() {
                contents.failed("api", "the controller did not answer in time");
            }
        }
        Err(error) => contents.failed("api", &error.to_string()),
    }
    let missing = contents.failures().len();
    contents.add(
        "manifest.json",
        &format!(
            "{:#}\n",
            json!({
                "format": 1,
                "made": now,
                "version": env!("CARGO_PKG_VERSION"),
                "missing": contents.failures(),
            })
        ),
    );
    contents.write(&file)?;
    output.data(&format!("{}\n", file.display()))?;
    output.say(
        "tokens, keys and passwords are taken out; names and addresses are in it. Look before you give it away: \
         `tar -tzf`, and `coax --from-bundle FILE status`",
    );
    if missing == 0 {
        return Ok(Exit::Done);
    }
    output.warn(&format!(
        "{missing} things are not in it; manifest.json says which, and why"
    ));
    Ok(Exit::Warnings)
}

/// The time as text.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let milliseconds = since.unwrap_or_default().as_millis();
    coax_api::time::rfc3339(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}

async fn record(client: &Client, contents: &mut Contents) {
    for (path, query) in ANSWERS {
        match client.raw(&format!("{path}{query}")).await {
            Ok(answer) => contents.answer(path, &answer),
            Err(error) => contents.failed(path, &error.to_string()),
        }
    }
    if let Err(error) = history(client, contents).await {
        contents.failed("/v1/revisions", &error.to_string());
    }
    match client.metrics().await {
        Ok(text) => contents.add("metrics.txt", &text),
        Err(error) => contents.failed("metrics", &error.to_string()),
    }
}

async fn history(client: &Client, contents: &mut Contents) -> Result<(), CliError> {
    let options = HistoryOptions {
        limit: Some(REVISIONS),
        ..HistoryOptions::default()
    };
    let revisions = client.revisions(&options).await?;
    let list = serde_json::to_vec(&revisions).map_err(|source| CliError::Json { source })?;
    contents.answer("/v1/revisions", &list);
    for revision in revisions.iter().take(WHOLE_REVISIONS) {
        let path = format!("/v1/revisions/{}", revision.revision);
        match client.raw(&path).await {
            Ok(answer) => contents.answer(&path, &answer),
            Err(error) => contents.failed(&path, &error.to_string()),
        }
    }
    Ok(())
}
