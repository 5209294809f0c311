//! Serves the agents' streams. Each is bound to the host that its certificate names.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use coax_api::agent::agent_message::Body as FromAgent;
use coax_api::agent::control_stream_server::{ControlStream, ControlStreamServer};
use coax_api::agent::controller_message::Body as ToAgent;
use coax_api::agent::{AgentMessage, ControllerMessage, Refused};
use coax_api::membership::identity_server::IdentityServer;
use coax_api::stream::{LARGEST_MESSAGE, Peer};
use coax_identity::{Certificate, HostIdentity};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::MissedTickBehavior;
use tokio_stream::Stream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, info, warn};

use crate::core::message::SessionId;
use crate::identity::{Identities, Membership, joined};
use crate::metrics::{Metrics, OutcomeLabels};
use crate::tasks::{Event, Handle, MESSAGES};

/// How often a silent connection is probed, and how long the answer may take: what finds dead
/// machines before the core does.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// How often it is checked that an attached host still is one of this deployment.
const RECHECK: Duration = Duration::from_secs(30);
/// A certificate request is some 300 bytes.
const LARGEST_REQUEST: usize = 64 << 10;

/// Serves agents until `stop` says so.
pub async fn serve(
    listener: TcpListener,
    tls: rustls::ServerConfig,
    identities: Arc<Identities>,
    handle: Handle,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), tonic::transport::Error> {
    let membership = Membership::new(identities.clone(), metrics.clone());
    let membership = IdentityServer::new(membership).max_decoding_message_size(LARGEST_REQUEST);
    let counters = metrics.clone();
    let incoming = coax_api::stream::accept(listener, tls, move |address, error| {
        debug!(%address, %error, "a handshake failed");
        let outcome = "handshake";
        counters
            .agents_refused
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    });
    let service = ControlStreamServer::new(Service {
        handle,
        identities,
        metrics,
        last_session: Arc::default(),
    })
    .max_decoding_message_size(LARGEST_MESSAGE)
    .max_encoding_message_size(LARGEST_MESSAGE);
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(service)
        .add_service(membership)
        .serve_with_incoming_shutdown(incoming, async move {
            // An error means that nobody can say stop any more.
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .await
}

struct Service {
    handle: Handle,
    identities: Arc<Identities>,
    metrics: Arc<Metrics>,
    last_session: Arc<AtomicU64>,
}

#[tonic::async_trait]
impl ControlStream for Service {
    type AttachStream = Messages;

    async fn attach(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Messages>, Status> {
        let identity = joined(&request, &self.identities, &self.metrics).await?;
        let peer = request.extensions().get::<Peer>();
        let certificate = peer.and_then(|peer| peer.certificate.clone());
        // What the controller is about to tell must not be older than what another one told.
        let caught_up = self.handle.catch_up().await;
        caught_up.map_err(|reason| Status::unavailable(reason.to_string()))?;
        let session = SessionId(self.last_session.fetch_add(1, Ordering::Relaxed) + 1);
        info!(session = session.0, host = %identity.host, "an agent attaches");
        let (messages, inbox) = mpsc::channel(MESSAGES);
        let reader = Reader {
            session,
            identity,
            certificate: certificate.ok_or_else(|| Status::unauthenticated("no certificate"))?,
            identities: self.identities.clone(),
            metrics: self.metrics.clone(),
            handle: self.handle.clone(),
            refusals: messages.downgrade(),
        };
        let stopping = || Status::unavailable("the controller is stopping");
        if !self.handle.tell(Event::Opened { session, messages }).await {
            return Err(stopping());
        }
        tokio::spawn(reader.run(request.into_inner()));
        Ok(Response::new(Messages(inbox)))
    }
}

/// Reads what one agent says.
struct Reader {
    session: SessionId,
    /// Whose stream it is: the host of the certificate, whatever the agent says.
    identity: HostIdentity,
    certificate: Certificate,
    identities: Arc<Identities>,
    metrics: Arc<Metrics>,
    handle: Handle,
    /// Weak, so that the core can end the stream by dropping its own end.
    refusals: mpsc::WeakSender<ControllerMessage>,
}

impl Reader {
    async fn run(self, stream: Streaming<AgentMessage>) {
        let session = self.session;
        if let Some(reason) = self.read(stream).await {
            warn!(session = session.0, host = %self.identity.host, reason, "an agent is sent away");
            let refused = Refused {
                port: String::new(),
                reason,
            };
            // Numbers do not matter in the last message; an agent that does not read is gone anyway.
            if let Some(messages) = self.refusals.upgrade() {
                let _ = messages.try_send(ControllerMessage {
                    sequence: 1,
                    body: Some(ToAgent::Refused(refused)),
                });
            }
        }
        info!(session = session.0, "an agent's stream ended");
        self.handle.tell(Event::Closed { session }).await;
    }

    /// Hands messages on until the stream ends; says why, if it is ended from here.
    async fn read(&self, mut stream: Streaming<AgentMessage>) -> Option<String> {
        let session = self.session;
        let mut recheck = tokio::time::interval(RECHECK.min(self.time_left()));
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        recheck.tick().await;
        let mut custody = self.identities.watch_custody();
        loop {
            let message = tokio::select! {
                message = stream.message() => message,
                // It never ends: these identities have the other end.
                true = async {
                    tokio::select! {
                        _ = recheck.tick() => true,
                        changed = custody.changed() => changed.is_ok(),
                    }
                } => match self.still_admitted().await {
                    Ok(()) => continue,
                    Err(reason) => return Some(reason),
                },
            };
            match message {
                Ok(Some(message)) => {
                    if let Err(reason) = self.check(&message) {
                        return Some(reason);
                    }
                    if !self.handle.tell(Event::Said { session, message }).await {
                        return None;
                    }
                }
                Ok(None) => return None,
                Err(status) => {
                    debug!(session = session.0, %status, "an agent's stream broke");
                    return None;
                }
            }
        }
    }

    /// Until the certificate runs out.
    fn time_left(&self) -> Duration {
        let left = self
            .identity
            .validity
            .not_after
            .duration_since(SystemTime::now());
        // An interval of no time at all is none.
        left.unwrap_or_default().max(Duration::from_millis(100))
    }

    /// Who is removed on any controller, or whose certificate runs out, is sent away. A store that
    /// cannot be asked sends nobody away.
    async fn still_admitted(&self) -> Result<(), String> {
        let (identities, identity) = (self.identities.clone(), self.identity.clone());
        let certificate = self.certificate.clone();
        let asked =
            spawn_blocking(move || identities.admit(&identity, &certificate, SystemTime::now()));
        match asked.await {
            Ok(Ok(Err(reason))) => {
                self.refuse(reason.outcome());
                Err(reason.to_string())
            }
            _ => Ok(()),
        }
    }

    /// An agent says who it is in its first message: that must be what its certificate says.
    fn check(&self, message: &AgentMessage) -> Result<(), String> {
        match &message.body {
            Some(FromAgent::Hello(hello)) if hello.host != self.identity.host.as_str() => {
                self.refuse("other-host");
                Err(format!(
                    "this stream is that of {}, which cannot speak for {}",
                    self.identity.host, hello.host
                ))
            }
            _ => Ok(()),
        }
    }

    fn refuse(&self, outcome: &'static str) {
        let labels = OutcomeLabels { outcome };
        self.metrics.agents_refused.get_or_create(&labels).inc();
    }
}

/// What the core sends to one agent, as the stream of the answer.
pub struct Messages(mpsc::Receiver<ControllerMessage>);

impl Stream for Messages {
    type Item = Result<ControllerMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|message| message.map(Ok))
    }
}
