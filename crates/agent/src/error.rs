//! Why an agent cannot start or go on.

use std::path::PathBuf;

use coax_vswitch::DataPlaneError;

/// Why a machine could not join a deployment.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No controller answers, or none that the token is for.
    #[error("no controller of the token's deployment answers: {0}")]
    Unreachable(String),
    /// The controller says no, and why.
    #[error("{0}")]
    Refused(String),
    /// The controller's answer is not what the token promises.
    #[error("the controller that answered is not of the token's deployment")]
    OtherDeployment,
}

/// Why an agent cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An uplink does not exist.
    #[error("there is no device `{name}` to use as uplink; the devices here are: {present}")]
    NoUplink {
        /// The name that was given.
        name: String,
        /// The devices that exist.
        present: String,
    },
    /// The host has no address that could be a tunnel endpoint.
    #[error(
        "no global IP address on `lo` or on an uplink: give this host a tunnel endpoint with `--vtep-ipv4` or `--vtep-ipv6`"
    )]
    NoVtep,
    /// The controller's address cannot be understood.
    #[error("`{address}` is no address of a controller: write it like 10.0.0.1:7450")]
    ControllerAddress {
        /// What was given.
        address: String,
    },
    /// The host has no certificate.
    #[error("this host has not joined a deployment: there is no certificate in {state}")]
    NotJoined {
        /// The state folder.
        state: PathBuf,
    },
    /// The host has the certificate of another one.
    #[error("this host is to be `{host}`, but its certificate is that of `{certificate}`")]
    OtherHost {
        /// The name that was given.
        host: String,
        /// The name in the certificate.
        certificate: String,
    },
    /// Joining a deployment failed.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// Keys and certificates cannot be made, read or written.
    #[error(transparent)]
    Identity(#[from] coax_identity::Error),
    /// The state folder cannot be used.
    #[error("state folder {path}: {source}")]
    State {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The kernel's view of the devices cannot be read.
    #[error(transparent)]
    Netlink(#[from] coax_netlink::Error),
    /// The data plane cannot be opened or read.
    #[error("data plane: {0}")]
    DataPlane(#[from] DataPlaneError),
    /// The system refused something that every process may do.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Neither running nor anything else was asked for.
    #[error("say how to run the agent: `coax agent --help`")]
    NothingToDo,
    /// A task of the agent ended although it must not.
    #[error("the agent's task `{task}` ended")]
    TaskEnded {
        /// The task.
        task: &'static str,
    },
}
