//! The socket that users connect to.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use coax_api::Endpoint;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::Error;

/// A bound socket.
pub enum Listener {
    /// On a path.
    Unix {
        /// The socket.
        listener: UnixListener,
        /// Where it is.
        endpoint: Endpoint,
    },
    /// On a loopback address.
    Loopback {
        /// The socket.
        listener: TcpListener,
        /// Where it is.
        endpoint: Endpoint,
    },
}

impl Listener {
    /// Binds. A socket that a dead controller left behind is replaced; one that somebody serves is
    /// not.
    pub async fn bind(endpoint: &Endpoint) -> Result<Self, Error> {
        let failed = |source| Error::Api {
            endpoint: endpoint.clone(),
            source,
        };
        match endpoint {
            Endpoint::Unix(path) => {
                if UnixStream::connect(path).await.is_ok() {
                    return Err(Error::ApiInUse {
                        endpoint: endpoint.clone(),
                    });
                }
                let listener = bind_unix(path).map_err(failed)?;
                Ok(Self::Unix {
                    listener,
                    endpoint: endpoint.clone(),
                })
            }
            Endpoint::Loopback(address) => {
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                let endpoint = Endpoint::Loopback(listener.local_addr().map_err(failed)?);
                Ok(Self::Loopback { listener, endpoint })
            }
        }
    }

    /// Where it is, with the port that it got.
    pub fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Unix { endpoint, .. } | Self::Loopback { endpoint, .. } => endpoint,
        }
    }
}

fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // Who may open the socket may do everything: its owner only.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
