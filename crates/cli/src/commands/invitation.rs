//! `coax invitation list|delete`: tokens that were given out and wait for a machine.

use coax_api::{Client, InvitationKind, ListedInvitation};

use crate::commands::Outcome;
use crate::commands::noun::{expiry, or_dash, print_list};
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::names::Wanted;
use crate::output::{Listed, Output};

/// `coax invitation …`
#[derive(Debug, clap::Subcommand)]
pub enum InvitationCommand {
    /// List invitations that a machine may still use, without their secrets
    List(ListArgs),
    /// Withdraw an invitation: its token counts no more
    Delete(DeleteArgs),
}

/// Flags of `coax invitation list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Also those that were used or have expired, until a week after they expire
    #[arg(long)]
    pub all: bool,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Flags of `coax invitation delete`.
#[derive(Debug, clap::Args)]
pub struct DeleteArgs {
    /// Its name, as `coax invitation list` and the audit log have it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(command: &InvitationCommand, output: &Output) -> Outcome {
    match command {
        InvitationCommand::List(args) => {
            let mut invitations = visible(&args.connection.client()?).await?;
            invitations.retain(|invitation| args.all || invitation.is_open());
            print_list(&invitations, output)
        }
        InvitationCommand::Delete(args) => delete(args, output).await,
    }
}

async fn delete(args: &DeleteArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    let invitations = visible(&client).await?;
    let known: Vec<(&str, &str)> = invitations.iter().map(|it| ("", &*it.name)).collect();
    let wanted = Wanted::new(&args.name, Some(""));
    let (_, name) = wanted.find("invitation", &known)?;
    let found = invitations.iter().find(|it| it.name == name);
    // What was found by its name has one.
    let kind = found.map_or(InvitationKind::Host, |it| it.kind);
    let withdrawn = client.withdraw_invitation(kind, &name).await?;
    output.say(&format!("the invitation {} counts no more", withdrawn.name));
    Ok(Exit::Done)
}

/// Those of both kinds, as far as whoever asks may see them: controllers' are for admins only.
async fn visible(client: &Client) -> Result<Vec<ListedInvitation>, CliError> {
    let mut invitations = client.invitations(InvitationKind::Host).await?;
    match client.invitations(InvitationKind::Controller).await {
        Ok(controllers) => invitations.extend(controllers),
        Err(error) if error.problem().is_some_and(|it| it.status == 403) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(invitations)
}

impl Listed for ListedInvitation {
    const PLURAL: &'static str = "invitations";
    const FILLED_BY: &'static str = "`coax host invite` or `coax controller invite` makes one";
    const COLUMNS: &'static [&'static str] = &["INVITATION", "FOR", "HOST", "STATE", "EXPIRES"];
    const MORE: &'static [&'static str] = &["BY"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let state = match &self.used_by {
            Some(by) => format!("used by {by}"),
            None if self.expired => "expired".to_owned(),
            None => "open".to_owned(),
        };
        let mut cells = vec![
            self.name.clone(),
            self.kind.name().to_owned(),
            or_dash(self.host.as_deref()),
            state,
            expiry(self.expires, self.expired),
        ];
        if wide {
            cells.push(or_dash(self.created_by.as_deref()));
        }
        cells
    }

    fn full_name(&self) -> String {
        self.name.clone()
    }
}
