//! `coax token create|list|delete`: who may use the API, and for what.

use coax_api::{Role, Token, TokenRequest};

use crate::commands::Outcome;
use crate::commands::noun::{ListAllArgs, expiry, or_dash, print_list};
use crate::connection::ConnectionArgs;
use crate::exit::Exit;
use crate::output::{Listed, Output};

/// `coax token …`
#[derive(Debug, clap::Subcommand)]
pub enum TokenCommand {
    /// Make a token; it is printed once
    Create(CreateArgs),
    /// List tokens, without their secrets
    List(ListAllArgs),
    /// Delete a token: its bearer is nobody from then on
    Delete(DeleteArgs),
}

/// Flags of `coax token create`.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// A name for it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What its bearer may do
    #[arg(long, value_enum)]
    pub role: RoleName,
    /// The only project that it is good for; without it, all of them
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// How long it counts
    #[arg(long, value_name = "TIME", default_value = "90d")]
    pub expires: String,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Flags of `coax token delete`.
#[derive(Debug, clap::Args)]
pub struct DeleteArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// The roles, as they are typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum RoleName {
    /// See everything of the project
    Viewer,
    /// Also move ports, trace, capture, end connections
    Operator,
    /// Also change and delete what the project owns
    Editor,
    /// Also give tokens out
    Admin,
    /// See everything; own hosts and the operator's rails
    NetworkTeam,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Viewer => Self::Viewer,
            RoleName::Operator => Self::Operator,
            RoleName::Editor => Self::Editor,
            RoleName::Admin => Self::Admin,
            RoleName::NetworkTeam => Self::NetworkTeam,
        }
    }
}

/// Runs it.
pub async fn run(command: &TokenCommand, output: &Output) -> Outcome {
    match command {
        TokenCommand::Create(args) => create(args, output).await,
        TokenCommand::List(args) => print_list(&args.connection.client()?.tokens().await?, output),
        TokenCommand::Delete(args) => {
            let deleted = args.connection.client()?.delete_token(&args.name).await?;
            output.say(&format!("the token {} counts no more", deleted.name));
            Ok(Exit::Done)
        }
    }
}

async fn create(args: &CreateArgs, output: &Output) -> Outcome {
    let request = TokenRequest {
        name: args.name.clone(),
        role: args.role.into(),
        project: args.project.clone(),
        expires_in: Some(args.expires.clone()),
    };
    let issued = args.connection.client()?.create_token(&request).await?;
    output.value(
        &issued,
        |issued| vec![issued.token.clone()],
        |issued| format!("{}\n", issued.token),
    )?;
    output.say("it is not shown again; use it with `--token`, or COAX_TOKEN");
    Ok(Exit::Done)
}

impl Listed for Token {
    const PLURAL: &'static str = "tokens";
    const FILLED_BY: &'static str = "`coax token create NAME --role ROLE` makes one";
    const COLUMNS: &'static [&'static str] = &["TOKEN", "ROLE", "PROJECT", "EXPIRES", "BY"];
    const MORE: &'static [&'static str] = &[];

    fn cells(&self, _wide: bool) -> Vec<String> {
        vec![
            self.name.clone(),
            self.role.name().to_owned(),
            or_dash(self.project.as_deref()),
            expiry(self.expires, self.expired),
            self.created_by.clone(),
        ]
    }

    fn full_name(&self) -> String {
        self.name.clone()
    }
}
