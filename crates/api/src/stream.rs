//! TLS around what agents and controllers say to each other: connecting, accepting, and who is at the
//! other end.
//!
//! Handshakes of many agents run side by side, each with a deadline and all of them bounded in number,
//! so that whoever opens connections and says nothing takes no room from the others for long.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use coax_identity::{Certificate, HostIdentity, tls};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Uri};

/// How long connecting, and a handshake at either end, may take.
pub const HANDSHAKE: Duration = Duration::from_secs(5);
/// The largest message between agents and controllers: a snapshot of a network with 100,000 ports has some ten megabytes.
pub const LARGEST_MESSAGE: usize = 256 << 20;
/// Handshakes that run at the same time; more wait in the kernel's queue.
const HANDSHAKES: usize = 256;
/// Connections that are ready and wait to be served.
const READY: usize = 64;

/// Opens a connection to a controller. `endpoint` is `http://ADDRESS:PORT`: TLS is put on here,
/// whatever it says.
pub async fn connect(
    endpoint: &Endpoint,
    tls: Arc<ClientConfig>,
) -> Result<Channel, tonic::transport::Error> {
    let connector = TlsConnector::from(tls);
    let open = tower::service_fn(move |uri: Uri| {
        let connector = connector.clone();
        async move {
            let address = uri.authority().map_or("", |authority| authority.as_str());
            match timeout(HANDSHAKE, dial(address, connector)).await {
                Ok(stream) => stream.map(TokioIo::new),
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
            }
        }
    });
    endpoint.connect_with_connector(open).await
}

/// An error with its causes. Libraries put what happened there: "transport error" alone helps nobody.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The same of a connection for which a token was to be the proof.
pub fn with_token(error: &dyn std::error::Error) -> String {
    let reason = with_causes(error);
    match reason.contains("UnknownIssuer") {
        true => format!(
            "{reason}: it does not prove itself with the authority that the token is of. The token is of another deployment, or was made \
             before the deployment's authority was renewed"
        ),
        false => reason,
    }
}

/// Opens TLS to `ADDRESS:PORT`, in time.
pub(crate) async fn open(
    address: &str,
    tls: Arc<ClientConfig>,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let dialled = dial(address, TlsConnector::from(tls));
    match timeout(HANDSHAKE, dialled).await {
        Ok(stream) => stream,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn dial(
    address: &str,
    connector: TlsConnector,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    connector.connect(tls::controller_name(), stream).await
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The host that its certificate names; none if it showed no certificate.
    pub host: Option<HostIdentity>,
    /// That certificate.
    pub certificate: Option<Certificate>,
}

/// A connection whose handshake is done.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
}

impl Connection {
    /// The other end's address.
    pub fn address(&self) -> SocketAddr {
        self.peer.address
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

/// Accepts connections until the stream is dropped. `failed` hears of every handshake that did not
/// succeed.
pub fn accept(
    listener: TcpListener,
    tls: ServerConfig,
    failed: impl Fn(SocketAddr, &io::Error) + Clone + Send + Sync + 'static,
) -> ReceiverStream<io::Result<Connection>> {
    accept_fairly(listener, tls, usize::MAX, failed)
}

/// As [`accept`], with at most `most` handshakes of one address under way: more are hung up on.
pub fn accept_fairly(
    listener: TcpListener,
    tls: ServerConfig,
    most: usize,
    failed: impl Fn(SocketAddr, &io::Error) + Clone + Send + Sync + 'static,
) -> ReceiverStream<io::Result<Connection>> {
    let (ready, connections) = mpsc::channel(READY);
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let room = Arc::new(Semaphore::new(HANDSHAKES));
    let greeting = Greeting::default();
    tokio::spawn(async move {
        loop {
            // The semaphore is never closed.
            let Ok(place) = room.clone().acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = ready.closed() => return,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(_) => {
                    // Out of file descriptors, or the peer is gone already: neither ends the server,
                    // and the first should not become a busy loop.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            };
            let Some(greeted) = greeting.begin(address.ip(), most) else {
                let error = io::Error::other("too many handshakes of this address");
                failed(address, &error);
                continue;
            };
            let (acceptor, ready, failed) = (acceptor.clone(), ready.clone(), failed.clone());
            tokio::spawn(async move {
                let _place = (place, greeted);
                match timeout(HANDSHAKE, greet(acceptor, stream, address)).await {
                    // Nobody may be serving any more.
                    Ok(Ok(connection)) => drop(ready.send(Ok(connection)).await),
                    Ok(Err(error)) => failed(address, &error),
                    Err(_) => failed(address, &io::ErrorKind::TimedOut.into()),
                }
            });
        }
    });
    ReceiverStream::new(connections)
}

/// How many handshakes of each address are under way.
#[derive(Clone, Default)]
struct Greeting(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One of them; over when it is dropped.
struct Greeted(Greeting, IpAddr);

impl Greeting {
    fn begin(&self, address: IpAddr, most: usize) -> Option<Greeted> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = all.entry(address).or_default();
        if *under_way >= most {
            return None;
        }
        *under_way += 1;
        Some(Greeted(self.clone(), address))
    }
}

impl Drop for Greeted {
    fn drop(&mut self) {
        let Greeting(all) = &self.0;
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = all.get_mut(&self.1) {
            *under_way -= 1;
            if *under_way == 0 {
                all.remove(&self.1);
            }
        }
    }
}

async fn greet(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
) -> io::Result<Connection> {
    // Small messages go out at once.
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let certificates = stream.get_ref().1.peer_certificates();
    let certificate: Option<Certificate> = certificates
        .and_then(|certificates| certificates.first())
        .map(|certificate| certificate.clone().into_owned());
    let host = certificate.as_ref().map(HostIdentity::of).transpose();
    let peer = Peer {
        address,
        host: host.map_err(io::Error::other)?,
        certificate,
    };
    Ok(Connection { stream, peer })
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
