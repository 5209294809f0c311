//! Which controller a command talks to.
//!
//! With `--from-bundle`, to none: a file answers. Otherwise, in this order: `--api` (or COAX_API), `--lab` (or COAX_LAB), the controller of this machine, the
//! only running lab. Two labs and nothing said is an error, never a guess.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use coax_api::{Client, Endpoint, Recording};
use coax_identity::UserToken;

use crate::args::Command;
use crate::commands;
use crate::error::CliError;
use coax_model::nearest;

/// Where daemons and labs keep their sockets.
pub const RUNTIME_DIRECTORY: &str = "/run/coax";

/// What every command of this process answers from, if it is a file of `coax bugreport`.
static RECORDING: OnceLock<(PathBuf, Arc<Recording>)> = OnceLock::new();

/// Lets all clients of this process answer from a file of `coax bugreport`, if the command does nothing else than ask.
pub fn answer_from(file: PathBuf, command: &Command) -> Result<(), CliError> {
    if !commands::only_asks(command) {
        return Err(CliError::NotInBundle);
    }
    let recording = Arc::new(commands::bugreport::bundle::open(&file)?);
    // The only place that sets it is passed once.
    let _ = RECORDING.set((file, recording));
    Ok(())
}

/// The flags of every command that talks to a controller.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ConnectionArgs {
    /// The controller's API: unix:PATH, https://ADDRESS:PORT, or a loopback ADDRESS:PORT
    #[arg(
        long,
        env = "COAX_API",
        value_name = "ADDRESS",
        hide_env = true,
        conflicts_with = "lab"
    )]
    pub api: Option<Endpoint>,
    /// Talk to the controller of this lab
    #[arg(long, env = "COAX_LAB", value_name = "NAME", hide_env = true)]
    pub lab: Option<String>,
    /// Who asks: a token of `token create`
    #[arg(
        long,
        env = "COAX_TOKEN",
        value_name = "TOKEN",
        hide_env = true,
        hide_env_values = true
    )]
    pub token: Option<UserToken>,
}

impl ConnectionArgs {
    /// A client of the chosen controller.
    pub fn client(&self) -> Result<Client, CliError> {
        if let Some((file, recording)) = RECORDING.get() {
            let client = Client::new(Endpoint::Unix(file.clone()));
            return Ok(client.recorded(recording.clone()));
        }
        let client = Client::new(self.endpoint(Path::new(RUNTIME_DIRECTORY))?);
        Ok(match &self.token {
            Some(token) => client.with_token(token.clone()),
            None => client,
        })
    }

    /// The endpoint of the chosen controller, with sockets below `runtime`.
    pub fn endpoint(&self, runtime: &Path) -> Result<Endpoint, CliError> {
        if let Some(endpoint) = &self.api {
            return Ok(endpoint.clone());
        }
        let labs = labs(runtime);
        if let Some(wanted) = &self.lab {
            return match labs.iter().find(|lab| lab.name == *wanted) {
                Some(lab) => Ok(Endpoint::Unix(lab.socket.clone())),
                None => Err(CliError::NoSuchLab {
                    similar: nearest(wanted, labs.iter().map(|lab| lab.name.as_str()))
                        .map(str::to_owned),
                    name: wanted.clone(),
                }),
            };
        }
        let here = runtime.join("controller.sock");
        if here.exists() {
            return Ok(Endpoint::Unix(here));
        }
        match labs.as_slice() {
            [] => Err(CliError::NoController { socket: here }),
            [only] => Ok(Endpoint::Unix(only.socket.clone())),
            several => Err(CliError::SeveralLabs {
                names: several.iter().map(|lab| lab.name.clone()).collect(),
            }),
        }
    }
}

struct Lab {
    name: String,
    socket: PathBuf,
}

/// Labs whose controller has a socket, by name.
fn labs(runtime: &Path) -> Vec<Lab> {
    let Ok(entries) = std::fs::read_dir(runtime.join("lab")) else {
        return Vec::new();
    };
    let mut labs: Vec<Lab> = entries
        .filter_map(Result::ok)
        .map(|entry| Lab {
            name: entry.file_name().to_string_lossy().into_owned(),
            socket: entry.path().join("api.sock"),
        })
        .filter(|lab| lab.socket.exists())
        .collect();
    labs.sort_by(|left, right| left.name.cmp(&right.name));
    labs
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn machine(sockets: &[&str]) -> tempfile::TempDir {
        let runtime = tempfile::tempdir().unwrap();
        for socket in sockets {
            let path = runtime.path().join(socket);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        runtime
    }

    fn chosen(sockets: &[&str], args: &ConnectionArgs) -> Result<String, CliError> {
        let runtime = machine(sockets);
        let endpoint = args.endpoint(runtime.path())?;
        let Endpoint::Unix(path) = endpoint else {
            return Ok(endpoint.to_string());
        };
        Ok(path
            .strip_prefix(runtime.path())
            .unwrap_or(&path)
            .display()
            .to_string())
    }

    #[test]
    fn what_is_said_comes_first() {
        let args = ConnectionArgs {
            api: "127.0.0.1:7480".parse().ok(),
            ..ConnectionArgs::default()
        };
        assert_eq!(
            chosen(&["controller.sock"], &args).unwrap(),
            "http://127.0.0.1:7480"
        );
        let args = ConnectionArgs {
            lab: Some("two".into()),
            ..ConnectionArgs::default()
        };
        let sockets = ["controller.sock", "lab/one/api.sock", "lab/two/api.sock"];
        assert_eq!(chosen(&sockets, &args).unwrap(), "lab/two/api.sock");
    }

    #[test]
    fn the_machine_comes_before_its_labs() {
        let args = ConnectionArgs::default();
        let sockets = ["controller.sock", "lab/one/api.sock"];
        assert_eq!(chosen(&sockets, &args).unwrap(), "controller.sock");
        assert_eq!(
            chosen(&["lab/one/api.sock"], &args).unwrap(),
            "lab/one/api.sock"
        );
    }

    #[test]
    fn two_labs_are_no_guess() {
        let refused = chosen(
            &["lab/a/api.sock", "lab/b/api.sock"],
            &ConnectionArgs::default(),
        );
        assert!(matches!(refused, Err(CliError::SeveralLabs { names }) if names == ["a", "b"]));
    }

    #[test]
    fn nothing_there_says_where_it_looked() {
        let refused = chosen(&[], &ConnectionArgs::default());
        assert!(matches!(refused, Err(CliError::NoController { .. })));
    }

    #[test]
    fn a_mistyped_lab_is_suggested() {
        let args = ConnectionArgs {
            lab: Some("dmeo".into()),
            ..ConnectionArgs::default()
        };
        let refused = chosen(&["lab/demo/api.sock"], &args);
        assert!(
            matches!(refused, Err(CliError::NoSuchLab { similar: Some(name), .. }) if name == "demo")
        );
    }
}
