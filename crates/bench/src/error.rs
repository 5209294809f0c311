//! What can go wrong while two hypervisors are built and measured.

use thiserror::Error;

/// Why a self-test or a benchmark could not be run.
#[derive(Debug, Error)]
pub enum Error {
    /// Namespaces, devices or routes.
    #[error("{0}")]
    Netlink(#[from] coax_netlink::Error),
    /// The data plane.
    #[error("{0}")]
    DataPlane(#[from] coax_vswitch::DataPlaneError),
    /// The rules of a firewall.
    #[error("{0}")]
    Policy(#[from] coax_compile::policy::PolicyTooLarge),
    /// A socket or a thread.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Traffic did not arrive.
    #[error("{what}: expected {expected}, got {found}")]
    Traffic {
        /// Which traffic.
        what: String,
        /// What should have arrived.
        expected: String,
        /// What did.
        found: String,
    },
}

impl Error {
    /// For `map_err` on results of the standard library.
    pub(crate) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
