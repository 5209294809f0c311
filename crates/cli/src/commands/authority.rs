//! `coax authority show|renew|finish`: whom everybody in the deployment trusts, and trusting another one instead.

use coax_api::{AuthorityStatus, CountingAuthority, FinishAuthorityRequest, RenewAuthorityRequest};

use crate::commands::Outcome;
use crate::commands::noun::{ListAllArgs, expiry};
use crate::connection::ConnectionArgs;
use crate::exit::Exit;
use crate::output::{Format, Listed, Output};

/// Digits of a pin that tell it from the few others of a deployment.
const DIGITS: usize = 16;

/// `coax authority …`
#[derive(Debug, clap::Subcommand)]
pub enum AuthorityCommand {
    /// Show which authorities count, and who has not moved to the newest
    Show(ListAllArgs),
    /// Make another authority, which counts beside the present one; hosts move to it by themselves
    Renew(RenewArgs),
    /// Give up all authorities but the newest: whoever did not move to it is cut off
    Finish(FinishArgs),
}

/// Flags of `coax authority renew`.
#[derive(Debug, clap::Args)]
pub struct RenewArgs {
    /// Also while a renewal is under way, if every controller that had the new key is lost
    #[arg(long)]
    pub force: bool,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Flags of `coax authority finish`.
#[derive(Debug, clap::Args)]
pub struct FinishArgs {
    /// Hosts and controllers that are to stay out, as `coax authority show` names them
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub without: Vec<String>,
    /// Whoever is cut off
    #[arg(long)]
    pub force: bool,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(command: &AuthorityCommand, output: &Output) -> Outcome {
    match command {
        AuthorityCommand::Show(args) => {
            let status = args.connection.client()?.authorities().await?;
            print(&status, output)
        }
        AuthorityCommand::Renew(args) => {
            let request = RenewAuthorityRequest { force: args.force };
            let status = args.connection.client()?.renew_authority(&request).await?;
            let exit = print(&status, output)?;
            output.say(
                "next: other controllers join again (`coax controller invite`, `coax init --join TOKEN` there), but for those that \
                 are to stay out; then `coax authority finish`",
            );
            Ok(exit)
        }
        AuthorityCommand::Finish(args) => {
            let request = FinishAuthorityRequest {
                without: args.without.clone(),
                force: args.force,
            };
            let client = args.connection.client()?;
            let exit = print(&client.finish_authority(&request).await?, output)?;
            output.say(
                "tokens that were made before the renewal are of no use on other machines any more; make a backup: older ones hold the \
                 old authority",
            );
            Ok(exit)
        }
    }
}

fn print(status: &AuthorityStatus, output: &Output) -> Outcome {
    match output.format {
        Format::Table | Format::Wide | Format::Name => output.list(&status.authorities)?,
        _ => output.value(status, |_| Vec::new(), |_| String::new())?,
    }
    for (what, waiting) in [
        ("hosts that have not moved", &status.waiting_hosts),
        (
            "controllers without the new key",
            &status.waiting_controllers,
        ),
    ] {
        if !waiting.is_empty() {
            output.say(&format!("{what}: {}", waiting.join(", ")));
        }
    }
    Ok(Exit::Done)
}

impl Listed for CountingAuthority {
    const PLURAL: &'static str = "authorities";
    const FILLED_BY: &'static str = "`coax init` makes one";
    const COLUMNS: &'static [&'static str] = &["AUTHORITY", "ENDS", "HOSTS", "CONTROLLERS"];
    const MORE: &'static [&'static str] = &["PIN"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let controllers = match self.controllers.as_slice() {
            [] => "-".to_owned(),
            known => known.join(", "),
        };
        let mut cells = vec![
            self.pin.chars().take(DIGITS).collect(),
            expiry(self.until, false),
            self.hosts.to_string(),
            controllers,
        ];
        if wide {
            cells.push(self.pin.clone());
        }
        cells
    }

    fn full_name(&self) -> String {
        self.pin.clone()
    }
}
