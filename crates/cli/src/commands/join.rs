//! `coax join TOKEN`: makes this machine a host of the deployment that made the token.

use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use coax_identity::{Credentials, JoinToken, TokenError, credentials};
use coax_model::HostName;

use crate::commands::Outcome;
use crate::commands::start::{self, Places};
use crate::detect::Machine;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;

/// Flags of `coax join`.
#[derive(Debug, clap::Args)]
pub struct JoinArgs {
    /// What `coax host invite` printed; `-` reads it from the standard input
    #[arg(value_name = "TOKEN")]
    pub token: String,
    /// Name of this machine, if the token leaves it open [default: its host name]
    #[arg(long, value_name = "NAME")]
    pub host: Option<HostName>,
    /// Devices that lead to the other hosts [default: those of the default route]
    #[arg(long = "uplink", value_name = "DEVICE", value_delimiter = ',')]
    pub uplinks: Vec<String>,
    /// Where tunnels to this machine end [default: a global address of `lo` or of an uplink]
    #[arg(long = "vtep", value_name = "ADDRESS", value_delimiter = ',')]
    pub vteps: Vec<IpAddr>,
    /// Join anew, where this machine is a host already
    #[arg(long)]
    pub again: bool,
    /// Then run the agent here until told to stop
    #[arg(long)]
    pub run: bool,
    /// Keep configuration and state in this folder instead of below /etc and /var/lib
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

/// Runs it.
pub async fn run(args: &JoinArgs, output: &Output) -> Outcome {
    let places = Places::new(args.folder.as_deref());
    let state = places.agent_state();
    if state.join(credentials::FILE).exists() && !args.again {
        let present = Credentials::load(&state).map_err(coax_agent::Error::from)?;
        output.say(&format!(
            "this machine is the host {} already, nothing is changed; `--again` joins anew",
            present.identity().host,
        ));
    } else {
        join(args, &places, output).await?;
    }
    if args.run {
        return start::run_daemons(&places).await;
    }
    Ok(Exit::Done)
}

async fn join(args: &JoinArgs, places: &Places, output: &Output) -> Result<(), CliError> {
    let token: JoinToken = read_token(&args.token)?;
    let machine = Machine::detect().await?;
    let uplinks = match args.uplinks.as_slice() {
        [] => machine.uplinks.clone(),
        given => given.to_vec(),
    };
    if uplinks.is_empty() {
        return Err(CliError::NoAnswer {
            question: "the devices that lead to the other hosts",
            flag: "--uplink",
        });
    }
    let found = [
        machine.ipv4.map(IpAddr::from),
        machine.ipv6.map(IpAddr::from),
    ];
    let vteps = match args.vteps.as_slice() {
        [] => found.into_iter().flatten().collect(),
        given => given.to_vec(),
    };
    let own_name = args.host.clone().unwrap_or_else(|| machine.name.clone());
    places.create()?;
    let host = coax_agent::join(&token, &own_name, &places.agent_state()).await?;
    start::write_agent_config(places, &host, &token.controllers, &uplinks, &vteps)?;
    output.say(&format!(
        "this machine is the host {host} now: uplinks {}, configuration {}",
        uplinks.join(", "),
        places.agent_config().display(),
    ));
    output.say(&format!(
        "next: {}",
        start::how_to_start(places, "coax-agent", &places.run_agent())
    ));
    Ok(())
}

/// A token as it was given, or from the standard input.
pub(super) fn read_token<T: FromStr<Err = TokenError>>(text: &str) -> Result<T, TokenError> {
    if text != "-" {
        return text.parse();
    }
    let mut line = String::new();
    // What cannot be read is no token.
    let _ = std::io::stdin().lock().take(4096).read_to_string(&mut line);
    line.parse()
}
