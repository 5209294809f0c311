//! `coax init`: makes this machine the first controller of a deployment, and its first host.
//!
//! Three things are asked, with what was found as default: which devices lead to the other hosts, where
//! tunnels end, where hosts reach the controller. Each has a flag; `--from FILE` answers all of them;
//! `--yes`, or an input that is no terminal, takes what was found. With `--join` it makes another controller instead.

mod answers;
mod joining;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::SystemTime;

use coax_controller::{Deployment, DeploymentError, EtcdAddresses, EtcdFlags};
use coax_identity::file::{self, Readers};
use coax_identity::{Authority, credentials};
use coax_model::HostName;
use coax_store::{EtcdAccess, EtcdCredentials};
use serde::Serialize;

use self::answers::{Answers, decide};
use crate::commands::Outcome;
use crate::commands::start::{self, Places};
use crate::detect::Machine;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;

/// Flags of `coax init`.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Devices that lead to the other hosts [default: those of the default route]
    #[arg(long = "uplink", value_name = "DEVICE", value_delimiter = ',')]
    pub uplinks: Vec<String>,
    /// Where tunnels to this machine end [default: a global address of `lo` or of an uplink]
    #[arg(long = "vtep", value_name = "ADDRESS", value_delimiter = ',')]
    pub vteps: Vec<IpAddr>,
    /// Where hosts reach this controller [default: the first tunnel endpoint, port 7450]
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    pub address: Option<String>,
    /// Name of this machine [default: its host name]
    #[arg(long, value_name = "NAME")]
    pub host: Option<HostName>,
    /// Make this machine a controller only, without a vSwitch
    #[arg(long)]
    pub no_host: bool,
    /// The largest IP packet that every path between hosts carries [default: the smallest MTU of the uplinks]
    #[arg(long, value_name = "BYTES")]
    pub underlay_mtu: Option<u32>,
    /// Keep the store in this etcd, which other controllers may share, instead of a file: https://HOST:PORT, several with commas.
    /// With `--join`: where this machine reaches it [default: where the others do]
    #[arg(long, value_name = "ADDRESS")]
    pub store: Option<EtcdAddresses>,
    /// How to get in; files are copied. With `--join`: what is not handed over by the others.
    #[command(flatten)]
    pub etcd: EtcdFlags,
    /// Make this machine another controller, with a token of `controller invite`; `-` reads it from the standard input
    #[arg(
        long,
        value_name = "TOKEN",
        conflicts_with_all = ["uplinks", "vteps", "host", "no_host", "underlay_mtu", "from"]
    )]
    pub join: Option<String>,
    /// Take the answers from a file that an earlier `coax init` printed
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Ask nothing: take what was found
    #[arg(long, short)]
    pub yes: bool,
    /// Then run controller and agent here until told to stop
    #[arg(long)]
    pub run: bool,
    /// Keep configuration, state and socket in this folder instead of below /etc, /var/lib and /run
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

/// The controller's configuration file.
#[derive(Serialize)]
struct ControllerFile<'a> {
    state: String,
    api: String,
    agents: String,
    address: [&'a str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    #[serde(flatten)]
    settings: BTreeMap<String, Setting>,
}

/// What stands behind the name of a flag.
#[derive(Serialize)]
#[serde(untagged)]
enum Setting {
    Number(u64),
    Text(String),
}

impl From<String> for Setting {
    fn from(text: String) -> Self {
        text.parse().map_or(Self::Text(text), Self::Number)
    }
}

/// Runs it.
pub async fn run(args: &InitArgs, output: &Output) -> Outcome {
    let places = Places::new(args.folder.as_deref());
    if let Some(token) = &args.join {
        joining::run(args, token, &places, output).await?;
    } else if Authority::is_in(&places.controller_state()) {
        say_what_is_there(&places, output)?;
    } else {
        make(args, &places, output).await?;
    }
    if args.run {
        return start::run_daemons(&places).await;
    }
    Ok(Exit::Done)
}

fn say_what_is_there(places: &Places, output: &Output) -> Result<(), CliError> {
    let state = places.controller_state();
    let deployment = Deployment::open(&state).map_err(coax_controller::Error::from)?;
    output.say(&format!(
        "there is a deployment in {} already, nothing is changed\n\
         authority: {}\nconfiguration: {}",
        state.display(),
        deployment.authority().pin(),
        places.controller_config().display(),
    ));
    output.say("next: `coax status` shows how it is, `coax host invite NAME` adds a host");
    Ok(())
}

async fn make(args: &InitArgs, places: &Places, output: &Output) -> Result<(), CliError> {
    let machine = Machine::detect().await?;
    let answers = decide(args, &machine)?;
    let now = SystemTime::now();
    let etcd = answers.etcd()?;
    places.create()?;
    let state = places.controller_state();
    let failed = |error: DeploymentError| CliError::from(coax_controller::Error::from(error));
    let deployment = Deployment::create_with(&state, etcd.as_ref(), now).map_err(failed)?;
    let address = answers.address.as_deref().unwrap_or_default();
    let mtu = answers.underlay_mtu;
    let settings = mtu.map(|mtu| ("underlay-mtu".to_owned(), mtu.to_string()));
    let settings = settings.into_iter().collect();
    write_controller_config(places, address, deployment.etcd(), settings)?;
    if let Some(host) = &answers.host {
        let host: HostName = host.parse().map_err(|error| CliError::BadAnswer {
            question: "host",
            answer: host.clone(),
            reason: format!("{error}"),
        })?;
        enrol(&deployment, &host, places, now).map_err(failed)?;
        let controllers = [address.to_owned()];
        let (uplinks, vteps) = (&answers.uplinks, &answers.vteps);
        start::write_agent_config(places, &host, &controllers, uplinks, vteps)?;
    }
    report(&answers, places, output)
}

/// Writes the configuration of a controller that hosts reach at `address`.
fn write_controller_config(
    places: &Places,
    address: &str,
    etcd: Option<&EtcdAccess>,
    mut settings: BTreeMap<String, String>,
) -> Result<(), CliError> {
    if let Some(credentials) = etcd.and_then(|etcd| etcd.credentials.as_ref()) {
        add_credentials(credentials, &mut settings);
    }
    let port = address.rsplit(':').next().unwrap_or_default();
    let any = match address.starts_with('[') {
        true => format!("[{}]", Ipv6Addr::UNSPECIFIED),
        false => Ipv4Addr::UNSPECIFIED.to_string(),
    };
    let settings = settings.into_iter();
    let config = ControllerFile {
        state: places.controller_state().display().to_string(),
        api: format!("unix:{}", places.socket().display()),
        agents: format!("{any}:{port}"),
        address: [address],
        store: etcd.map(|etcd| EtcdAddresses::from(etcd).to_string()),
        settings: settings
            .map(|(name, value)| (name, Setting::from(value)))
            .collect(),
    };
    start::write_config(&places.controller_config(), "controller", &config)
}

/// The settings that say how to get into an etcd.
pub(super) fn add_credentials(
    credentials: &EtcdCredentials,
    settings: &mut BTreeMap<String, String>,
) {
    let mut set = |name: &str, value: String| settings.insert(name.to_owned(), value);
    set("store-cacert", credentials.cacert.display().to_string());
    set("store-cert", credentials.cert.display().to_string());
    set("store-key", credentials.key.display().to_string());
    if let Some(login) = &credentials.login {
        set("store-user", login.user.clone());
        set("store-password-file", login.password.display().to_string());
    }
}

/// Whoever made the authority's key needs no token.
fn enrol(
    deployment: &Deployment,
    host: &HostName,
    places: &Places,
    now: SystemTime,
) -> Result<(), DeploymentError> {
    let enrolled = deployment.enrol(std::slice::from_ref(host), now)?;
    for credentials in enrolled {
        credentials.save(&places.agent_state())?;
    }
    Ok(())
}

fn report(answers: &Answers, places: &Places, output: &Output) -> Result<(), CliError> {
    output.say(&format!(
        "the deployment is made: its keys are in {}, its configuration is {}",
        places.controller_state().display(),
        places.controller_config().display(),
    ));
    if let Some(host) = &answers.host {
        output.say(&format!(
            "this machine is its host {host}: {}, {}",
            places.agent_config().display(),
            places.agent_state().join(credentials::FILE).display(),
        ));
    }
    output.say("the same again, for `--from`:");
    output.value(
        answers,
        |_| Vec::new(),
        |answers| serde_saphyr::to_string(answers).unwrap_or_default(),
    )?;
    output.say(&format!(
        "next: {}, then `coax host invite NAME`",
        start::how_to_start(places, "coax-controller coax-agent", &places.run_all())
    ));
    Ok(())
}

/// Writes a file that only its owner reads.
pub(super) fn write_private(path: &std::path::Path, text: &str) -> Result<(), CliError> {
    file::write(path, text.as_bytes(), Readers::Owner)
        .map_err(|error| CliError::from(coax_controller::Error::from(error)))
}
