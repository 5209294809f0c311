//! What `init` and `join` have in common: where things are kept, configuration files, and running the
//! daemons that a machine is configured for.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::FromArgMatches;
use coax_model::HostName;
use serde::Serialize;

use crate::args::{Cli, Command};
use crate::commands::Outcome;
use crate::commands::init::write_private;
use crate::error::CliError;
use crate::exit::Exit;
use crate::{args, config, logging};

/// Where a machine keeps what makes it a controller or a host.
pub struct Places {
    /// Everything in one folder, instead of where a real machine has it.
    folder: Option<PathBuf>,
}

impl Places {
    /// What runs here what this machine has a configuration for.
    pub fn run_all(&self) -> String {
        match &self.folder {
            None => "coax init --run".to_owned(),
            Some(folder) => format!("coax init --run --folder {}", folder.display()),
        }
    }

    /// What runs the agent here.
    pub fn run_agent(&self) -> String {
        match &self.folder {
            None => "coax agent".to_owned(),
            Some(_) => format!("coax agent --config {}", self.agent_config().display()),
        }
    }

    /// Those of this machine, or all in one folder.
    pub fn new(folder: Option<&Path>) -> Self {
        let absolute = |folder: &Path| std::path::absolute(folder).unwrap_or(folder.to_owned());
        Self {
            folder: folder.map(absolute),
        }
    }

    fn place(&self, usual: &str, name: &str) -> PathBuf {
        let folder = self.folder.as_deref().unwrap_or(Path::new(usual));
        folder.join(name)
    }

    /// The controller's configuration file.
    pub fn controller_config(&self) -> PathBuf {
        self.place(config::FOLDER, "controller.yaml")
    }

    /// The agent's configuration file.
    pub fn agent_config(&self) -> PathBuf {
        self.place(config::FOLDER, "agent.yaml")
    }

    /// The controller's state folder.
    pub fn controller_state(&self) -> PathBuf {
        self.place("/var/lib/coax", "controller")
    }

    /// The agent's state folder.
    pub fn agent_state(&self) -> PathBuf {
        self.place("/var/lib/coax", "agent")
    }

    /// The socket of the API.
    pub fn socket(&self) -> PathBuf {
        self.place("/run/coax", "controller.sock")
    }

    /// Makes the folders that are missing.
    pub fn create(&self) -> Result<(), CliError> {
        let config = self.place(config::FOLDER, "");
        for folder in [config, self.agent_state()] {
            std::fs::create_dir_all(&folder).map_err(|source| CliError::Unwritable {
                path: folder,
                source,
            })?;
        }
        Ok(())
    }
}

/// Writes a daemon's configuration.
pub fn write_config(path: &Path, daemon: &str, settings: &impl Serialize) -> Result<(), CliError> {
    let settings = serde_saphyr::to_string(settings).map_err(|source| CliError::Yaml { source })?;
    let text = format!(
        "# Every flag of `coax {daemon}` may stand here: see `coax {daemon} --help`.\n{settings}"
    );
    write_private(path, &text)
}

#[derive(Serialize)]
struct AgentFile<'a> {
    host: &'a str,
    controller: &'a [String],
    uplink: &'a [String],
    #[serde(rename = "vtep-ipv4", skip_serializing_if = "Option::is_none")]
    vtep_ipv4: Option<String>,
    #[serde(rename = "vtep-ipv6", skip_serializing_if = "Option::is_none")]
    vtep_ipv6: Option<String>,
    underlay: &'static str,
    state: String,
}

/// Writes the agent's configuration.
pub fn write_agent_config(
    places: &Places,
    host: &HostName,
    controllers: &[String],
    uplinks: &[String],
    vteps: &[IpAddr],
) -> Result<(), CliError> {
    let ipv4 = vteps.iter().find(|address| address.is_ipv4());
    let ipv6 = vteps.iter().find(|address| address.is_ipv6());
    let settings = AgentFile {
        host: host.as_str(),
        controller: controllers,
        uplink: uplinks,
        vtep_ipv4: ipv4.map(IpAddr::to_string),
        vtep_ipv6: ipv6.map(IpAddr::to_string),
        underlay: if ipv4.is_some() { "ipv4" } else { "ipv6" },
        state: places.agent_state().display().to_string(),
    };
    write_config(&places.agent_config(), "agent", &settings)
}

/// What to type to start daemons: with systemd, where it runs and has the units.
pub fn how_to_start(places: &Places, units: &str, here: &str) -> String {
    let systemd = Path::new("/run/systemd/system").exists() && places.folder.is_none();
    match systemd {
        true => format!("`systemctl enable --now {units}`"),
        false => format!("`{here}` runs it"),
    }
}

/// Runs whatever this machine has a configuration for, until told to stop.
pub async fn run_daemons(places: &Places) -> Outcome {
    logging::start("coax", "info");
    let controller = places.controller_config();
    let agent = places.agent_config();
    let run_controller = async {
        if let Some(Command::Controller(args)) = parsed("controller", &controller)? {
            coax_controller::run(args.options).await?;
        }
        Ok::<(), CliError>(())
    };
    let run_agent = async {
        if let Some(Command::Agent(args)) = parsed("agent", &agent)? {
            coax_agent::run(args).await?;
        }
        Ok(())
    };
    tokio::try_join!(run_controller, run_agent)?;
    Ok(Exit::Done)
}

/// The command that the configuration file stands for; none if there is no file.
fn parsed(daemon: &str, file: &Path) -> Result<Option<Command>, CliError> {
    if !file.exists() {
        return Ok(None);
    }
    let command = args::command(true);
    let line = ["coax".into(), daemon.into(), "--config".into(), file.into()];
    let line: Vec<OsString> = config::expand(line.to_vec(), &command)?;
    let wrong = |error: clap::Error| CliError::BadConfig {
        path: file.to_owned(),
        reason: error.to_string(),
    };
    let matches = command.try_get_matches_from(line).map_err(wrong)?;
    let cli = Cli::from_arg_matches(&matches).map_err(wrong)?;
    Ok(Some(cli.command))
}
