//! Why a controller does not start, or stops.

use std::io;
use std::net::SocketAddr;

use coax_api::Endpoint;
use coax_store::StoreError;

use crate::etcd_access::EtcdFlagsError;
use crate::identity::{DeploymentError, IdentityError, JoiningError};
use crate::records::RecordError;

/// Why a controller does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no deployment, or its keys cannot be used.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// The machine did not become a controller.
    #[error(transparent)]
    Joining(#[from] JoiningError),
    /// Certificates cannot be made.
    #[error(transparent)]
    Identity(#[from] coax_identity::Error),
    /// How to get into the etcd is not said.
    #[error(transparent)]
    EtcdFlags(#[from] EtcdFlagsError),
    /// Which authorities count is not to be known, or this controller has no part in them.
    #[error(transparent)]
    Identities(#[from] IdentityError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored cannot be used.
    #[error(transparent)]
    Records(#[from] RecordError),
    /// The API cannot listen.
    #[error("cannot serve the API at {endpoint}: {source}")]
    Api {
        /// Where.
        endpoint: Endpoint,
        /// What the system says.
        source: io::Error,
    },
    /// Another controller has the socket.
    #[error(
        "another controller serves the API at {endpoint}; stop it, or give this one another --api"
    )]
    ApiInUse {
        /// Where.
        endpoint: Endpoint,
    },
    /// The API cannot listen there: it is an address of clients.
    #[error("the local API cannot be at {endpoint}; `--users` is for TLS")]
    ApiElsewhere {
        /// Where.
        endpoint: Endpoint,
    },
    /// The address for users cannot be used.
    #[error("cannot listen for users at {address}: {source}")]
    Users {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The agents' address cannot be used.
    #[error("cannot listen for agents at {address}: {source}")]
    Agents {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The agents' server failed.
    #[error("the agents' server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// A system call that has to work failed.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The task that holds the state ended before it was asked to.
    #[error("the controller's core stopped; see the log")]
    CoreStopped,
}

impl Error {
    /// A thread that could not be started.
    pub(crate) fn starting_a_thread(source: io::Error) -> Self {
        Self::System {
            what: "start a thread",
            source,
        }
    }
}
