//! Every error that a user can see: what happened, why, and the command to type next.
//!
//! Invariant: what is printed is made of sentences and names; the debug form of a Rust value never
//! reaches a user. The code in brackets is stable and known to `coax explain`.

mod code;
mod etcd;
mod next;
mod render;

use std::io;
use std::path::PathBuf;

use coax_api::ClientError;

use crate::exit::Exit;
use crate::stack::{Mistake, Source};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// No flag says which controller, and none is found.
    #[error("no Coax controller is running on this machine")]
    NoController {
        /// Where the controller's socket would be.
        socket: PathBuf,
    },
    /// Several labs are running and none was named.
    #[error("several labs are running: {}", names.join(", "))]
    SeveralLabs {
        /// Their names.
        names: Vec<String>,
    },
    /// The lab does not exist.
    #[error("no lab `{name}` is running")]
    NoSuchLab {
        /// What was asked for.
        name: String,
        /// A running lab with a similar name.
        similar: Option<String>,
    },
    /// The controller cannot be reached or refuses.
    #[error(transparent)]
    Api(#[from] ClientError),
    /// A lab could not do it.
    #[error(transparent)]
    Lab(coax_lab::Error),
    /// A controller cannot start or go on.
    #[error(transparent)]
    Controller(#[from] coax_controller::Error),
    /// A backup cannot be made, read or restored.
    #[error("{}: {source}", path.display())]
    Backup {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<coax_controller::backup::BackupError>,
    },
    /// An agent cannot start or go on.
    #[error(transparent)]
    Agent(#[from] coax_agent::Error),
    /// Two hypervisors could not be built or measured.
    #[error(transparent)]
    Bench(#[from] coax_bench::Error),
    /// A configuration file has mistakes.
    #[error("{} cannot be used: {reason}", path.display())]
    BadConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A question has no answer: nothing was found, nothing was said.
    #[error("not known: {question}")]
    NoAnswer {
        /// What is missing.
        question: &'static str,
        /// The flag that says it.
        flag: &'static str,
    },
    /// An answer is none.
    #[error("`{answer}` does not do as {question}: {reason}")]
    BadAnswer {
        /// What was asked.
        question: &'static str,
        /// What was said.
        answer: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A join token is none.
    #[error(transparent)]
    Token(#[from] coax_identity::TokenError),
    /// The kernel does not tell what this machine has.
    #[error(transparent)]
    Netlink(#[from] coax_netlink::Error),
    /// `create` of something that is there.
    #[error("there is a {kind} `{name}` already")]
    Exists {
        /// `port`, `network`, …
        kind: &'static str,
        /// Its full name.
        name: String,
    },
    /// No object has that name.
    #[error("there is no {kind} `{name}`{}", in_project(project))]
    NoSuchObject {
        /// `port`, `network`, …
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The project that was searched, if it was one.
        project: Option<String>,
        /// A similar name that exists.
        similar: Option<String>,
    },
    /// Objects of several projects have that name.
    #[error("several projects have a {kind} `{name}`: {}", candidates.join(", "))]
    AmbiguousObject {
        /// `port`, `network`, …
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// Full names of those that match.
        candidates: Vec<String>,
    },
    /// A bug report does not answer this command.
    #[error("a bug report cannot answer this command: it does more than ask, or asks hosts anew")]
    NotInBundle,
    /// There is nothing to draw on.
    #[error("this needs a terminal to draw on")]
    NoTerminal,
    /// The terminal does not do as it is told.
    #[error("the terminal cannot be used: {source}")]
    Terminal {
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file; `-` is the standard input.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A stack file has mistakes.
    #[error("{} has mistakes", file.name())]
    BadFile {
        /// The file.
        file: Source,
        /// What is wrong with it.
        mistakes: Vec<Mistake>,
    },
    /// Two files speak for the same project.
    #[error("{} and {} both describe the project `{project}`", first.display(), second.display())]
    SameProject {
        /// The project.
        project: String,
        /// The file named first.
        first: PathBuf,
        /// The file named second.
        second: PathBuf,
    },
    /// `export` without a project where there are several.
    #[error("there are several projects: {}", names.join(", "))]
    SeveralProjects {
        /// Their names.
        names: Vec<String>,
    },
    /// `export` where there is nothing.
    #[error("there is no project yet")]
    NoProject,
    /// No change waits for confirmation.
    #[error("no change waits for confirmation")]
    NothingUnconfirmed,
    /// Changes of several projects wait for confirmation.
    #[error("several projects wait for confirmation")]
    SeveralUnconfirmed {
        /// The newest revision of each.
        revisions: Vec<u64>,
    },
    /// `explain` does not know the word.
    #[error("`{word}` is no word of Coax")]
    UnknownWord {
        /// What was asked for.
        word: String,
        /// A similar word that is known.
        similar: Option<String>,
    },
    /// The standard output does not take the data.
    #[error("cannot write to the standard output: {source}")]
    Stdout {
        /// What the system says.
        source: io::Error,
    },
    /// A value has no JSON form.
    #[error("cannot write the answer as JSON: {source}")]
    Json {
        /// What the serialiser says.
        source: serde_json::Error,
    },
    /// A value has no YAML form.
    #[error("cannot write the answer as YAML: {source}")]
    Yaml {
        /// What the serialiser says.
        source: serde_saphyr::SerializeError,
    },
    /// The asynchronous runtime does not start.
    #[error("cannot start: {source}")]
    Runtime {
        /// What the system says.
        source: io::Error,
    },
}

impl From<coax_lab::Error> for CliError {
    /// The controller's refusals read the same, whoever asked.
    fn from(error: coax_lab::Error) -> Self {
        match error {
            coax_lab::Error::Api(error) => Self::Api(error),
            error => Self::Lab(error),
        }
    }
}

fn in_project(project: &Option<String>) -> String {
    project
        .as_ref()
        .map(|project| format!(" in project `{project}`"))
        .unwrap_or_default()
}
impl CliError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Api(ClientError::Refused(problem)) if matches!(problem.status, 401 | 403) => {
                Exit::Denied
            }
            Self::Api(ClientError::Unreachable { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Exit::Denied
            }
            _ => Exit::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_may_not_open_the_socket_is_denied() {
        let denied = ClientError::Unreachable {
            endpoint: coax_api::Endpoint::Unix("/run/coax/controller.sock".into()),
            source: io::ErrorKind::PermissionDenied.into(),
        };
        let error = CliError::from(denied);
        assert_eq!(error.exit(), Exit::Denied);
        assert!(error.render(false).contains("as root"));
    }

    #[test]
    fn numbers_of_the_system_are_left_out() {
        let error = CliError::Unreadable {
            path: "shop.yaml".into(),
            source: io::Error::from_raw_os_error(2),
        };
        assert!(!error.render(false).contains("os error"));
    }
}
