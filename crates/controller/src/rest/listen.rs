//! The sockets that users connect to, and where a request comes from.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use coax_api::Endpoint;
use coax_api::stream::{Connection, accept_fairly};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::Error;

/// The most handshakes of one address that may be under way.
const HANDSHAKES: usize = 64;

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The local socket: the kernel says who opened it.
    Local {
        /// The user; none that exists if the kernel does not say.
        uid: u32,
    },
    /// An address. That says nothing about who it is.
    Remote(SocketAddr),
}

/// A connection that says where it comes from.
pub trait Arrival: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Where it comes from.
    fn origin(&self) -> Origin;
}

impl Arrival for UnixStream {
    fn origin(&self) -> Origin {
        let uid = self.peer_cred().map(|peer| peer.uid());
        Origin::Local {
            uid: uid.unwrap_or(u32::MAX),
        }
    }
}

impl Arrival for TcpStream {
    fn origin(&self) -> Origin {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        // Whoever has hung up already is from nowhere.
        Origin::Remote(self.peer_addr().unwrap_or(nowhere))
    }
}

impl Arrival for Connection {
    fn origin(&self) -> Origin {
        Origin::Remote(self.address())
    }
}

/// A TCP socket whose connections are TLS from their first byte.
pub struct TlsListener {
    address: SocketAddr,
    connections: ReceiverStream<io::Result<Connection>>,
}

impl TlsListener {
    /// Binds. `failed` hears of handshakes that did not succeed.
    pub async fn bind(
        address: SocketAddr,
        tls: rustls::ServerConfig,
        failed: impl Fn(SocketAddr, &io::Error) + Clone + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            address: listener.local_addr()?,
            connections: accept_fairly(listener, tls, HANDSHAKES, failed),
        })
    }

    /// Where it is, with the port that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.connections.next().await {
                Some(Ok(connection)) => {
                    let address = connection.address();
                    return (connection, address);
                }
                Some(Err(_)) => {}
                // Whoever accepted is gone with the runtime, and so is whoever asks soon.
                None => match std::future::pending::<Infallible>().await {},
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

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
            Endpoint::Tls(_) => Err(Error::ApiElsewhere {
                endpoint: endpoint.clone(),
            }),
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
