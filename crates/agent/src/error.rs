//! Why an agent cannot start or go on.

use std::path::PathBuf;

use coax_vswitch::DataPlaneError;

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
    #[error("`{url}` is no address of a controller: write it like http://10.0.0.1:7481")]
    ControllerUrl {
        /// What was given.
        url: String,
    },
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
