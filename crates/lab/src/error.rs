//! Everything that can go wrong with a lab, each with a stable code and the next command.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use coax_api::ClientError;

use crate::file::{FileError, PlanError};
use crate::name::{LabName, LabNameError};

/// A failed lab command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lab file cannot be read as one.
    #[error(transparent)]
    File(#[from] FileError),
    /// The fabric cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Not a lab name.
    #[error(transparent)]
    Name(#[from] LabNameError),
    /// Namespaces need root.
    #[error("a lab is made of network namespaces, which only root may create")]
    NotRoot,
    /// A lab of that name is up.
    #[error("lab {0} exists already")]
    Exists(LabName),
    /// No lab of that name.
    #[error("there is no lab {name}{}", others(known))]
    NoSuchLab {
        /// What was asked for.
        name: LabName,
        /// Labs that exist.
        known: Vec<String>,
    },
    /// No lab at all.
    #[error("no lab is up")]
    NoLab,
    /// Several labs, none named.
    #[error("several labs are up: {}", .0.join(", "))]
    SeveralLabs(Vec<String>),
    /// A node or VM that the lab does not have.
    #[error("lab {lab} has no {what} {name}; it has {}", known.join(", "))]
    NoSuchNode {
        /// The lab.
        lab: LabName,
        /// `node`, `host`, `VM`, …
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Two nodes without a cable between them.
    #[error("there is no link between {0} and {1}; `coax graph` shows the cabling")]
    NoSuchLink(String, String),
    /// An uplink number that the host does not have.
    #[error("host {host} has uplinks 1 to {count}, not {wanted}")]
    NoSuchUplink {
        /// The host.
        host: String,
        /// How many it has.
        count: usize,
        /// What was asked for.
        wanted: usize,
    },
    /// A VM's device is on no host.
    #[error("the VM of port {0} is plugged in nowhere")]
    NotPlugged(String),
    /// A process of the lab ended right after its start.
    #[error("{process} ended at once; its last words:\n{log}")]
    Died {
        /// Which.
        process: String,
        /// The end of its log.
        log: String,
    },
    /// Something did not become true in time.
    #[error("{what} took longer than {} s{}", .limit.as_secs(), because(detail))]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// How far it came.
        detail: String,
    },
    /// The kernel refused something.
    #[error(transparent)]
    Netlink(#[from] coax_netlink::Error),
    /// The controller refused something or is not there.
    #[error(transparent)]
    Api(#[from] ClientError),
    /// The lab's deployment could not be made.
    #[error(transparent)]
    Deployment(#[from] coax_controller::DeploymentError),
    /// A file or process operation failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The lab's record cannot be read.
    #[error("{} is damaged: {source}", path.display())]
    Damaged {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An answer cannot be written in the chosen format.
    #[error("cannot write the answer: {0}")]
    Output(String),
}

fn others(known: &[String]) -> String {
    if known.is_empty() {
        String::from("; none is up")
    } else {
        format!("; up: {}", known.join(", "))
    }
}

fn because(detail: &str) -> String {
    if detail.is_empty() {
        String::new()
    } else {
        format!(": {detail}")
    }
}

impl Error {
    /// Wraps an operating system error.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// A name for machines that never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(_) => "lab-file",
            Self::Plan(_) => "lab-plan",
            Self::Name(_) => "lab-name",
            Self::NotRoot => "not-root",
            Self::Exists(_) => "lab-exists",
            Self::NoSuchLab { .. } | Self::NoLab => "no-such-lab",
            Self::SeveralLabs(_) => "several-labs",
            Self::NoSuchNode { .. } => "no-such-node",
            Self::NoSuchLink(..) | Self::NoSuchUplink { .. } => "no-such-link",
            Self::NotPlugged(_) => "not-plugged",
            Self::Died { .. } => "process-died",
            Self::TimedOut { .. } => "timed-out",
            Self::Netlink(_) => "kernel-refused",
            Self::Api(_) => "controller",
            Self::Deployment(_) => "deployment",
            Self::Io { .. } => "system",
            Self::Damaged { .. } => "lab-damaged",
            Self::Output(_) => "output-failed",
        }
    }

    /// What to do next.
    pub fn next(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => error.hint.clone(),
            Self::NotRoot => "run it with sudo".into(),
            Self::Exists(name) => {
                format!("`coax lab down {name}` removes it; `--name OTHER` puts one beside it")
            }
            Self::NoLab | Self::NoSuchLab { .. } => {
                "`coax lab up examples/leaf-spine.yaml` starts one".into()
            }
            Self::SeveralLabs(names) => {
                format!(
                    "name one: `--lab {}`",
                    names.first().map_or("NAME", String::as_str)
                )
            }
            Self::NotPlugged(_) => "`coax lab status --wait 30s` waits until every VM runs".into(),
            Self::Died { .. } => "`RUST_LOG=debug coax lab up …` tells more".into(),
            Self::Damaged { .. } => {
                "`coax lab down NAME` cleans up, also what is half built".into()
            }
            Self::TimedOut { .. } => "`coax lab status` shows what is missing".into(),
            Self::Api(ClientError::Refused(problem)) => problem.hint.clone(),
            Self::Api(_) => "`coax lab status` shows whether the controller runs".into(),
            _ => return None,
        })
    }
}
