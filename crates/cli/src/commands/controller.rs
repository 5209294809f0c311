//! `coax controller`: what it does is in `coax-controller`. And `coax controller invite`, which lets another one in.

use coax_api::ControllerInvitationRequest;
use coax_controller::Options;

use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::exit::Exit;
use crate::logging;
use crate::output::Output;

/// Runs the controller of this machine, or lets another one in.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ControllerArgs {
    /// Something else than running.
    #[command(subcommand)]
    pub command: Option<ControllerCommand>,
    /// How to run.
    #[command(flatten)]
    pub options: Options,
}

/// `coax controller …`
#[derive(Debug, clap::Subcommand)]
pub enum ControllerCommand {
    /// Print a token with which a machine becomes another controller over the same etcd; it is given the authority's key
    Invite(InviteArgs),
}

/// Flags of `coax controller invite`.
#[derive(Debug, clap::Args)]
pub struct InviteArgs {
    /// How long the token may be used, a day at most
    #[arg(long, value_name = "TIME", default_value = "30m")]
    pub expires: String,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs the controller until it is told to stop, or does what else is asked for.
pub async fn run(args: ControllerArgs, output: &Output) -> Outcome {
    match args.command {
        Some(ControllerCommand::Invite(args)) => invite(&args, output).await,
        None => {
            logging::start("coax-controller", "info");
            coax_controller::run(args.options).await?;
            Ok(Exit::Done)
        }
    }
}

async fn invite(args: &InviteArgs, output: &Output) -> Outcome {
    let request = ControllerInvitationRequest {
        expires_in: Some(args.expires.clone()),
    };
    let invitation = args
        .connection
        .client()?
        .invite_controller(&request)
        .await?;
    output.value(
        &invitation,
        |invitation| vec![invitation.token.clone()],
        |invitation| format!("{}\n", invitation.token),
    )?;
    output.say(&format!(
        "one machine becomes a controller with it, once, within {}: `coax init --join TOKEN` there\n\
         it is given the key of the deployment: show the token to nobody",
        invitation.expires_in
    ));
    Ok(Exit::Done)
}
