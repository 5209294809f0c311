//! Serves the agents' streams.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use coax_api::agent::control_stream_server::{ControlStream, ControlStreamServer};
use coax_api::agent::{AgentMessage, ControllerMessage};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, info};

use crate::core::message::SessionId;
use crate::tasks::{Event, Handle, MESSAGES};

/// A slice of a network with 50,000 ports is some 5 MiB.
const LARGEST_MESSAGE: usize = 256 << 20;
/// How often a silent connection is probed, and how long the answer may take: what finds dead
/// machines before the core does.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Serves until `stop` says so.
pub async fn serve(
    listener: TcpListener,
    handle: Handle,
    mut stop: watch::Receiver<bool>,
) -> Result<(), tonic::transport::Error> {
    let service = ControlStreamServer::new(Service {
        handle,
        last_session: Arc::default(),
    })
    .max_decoding_message_size(LARGEST_MESSAGE)
    .max_encoding_message_size(LARGEST_MESSAGE);
    // An accepted socket waits for nothing: small messages go out at once.
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, async move {
            // An error means that nobody can say stop any more.
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .await
}

struct Service {
    handle: Handle,
    last_session: Arc<AtomicU64>,
}

#[tonic::async_trait]
impl ControlStream for Service {
    type AttachStream = Messages;

    async fn attach(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Messages>, Status> {
        let session = SessionId(self.last_session.fetch_add(1, Ordering::Relaxed) + 1);
        let peer = request.remote_addr();
        info!(session = session.0, ?peer, "an agent attaches");
        let (messages, inbox) = mpsc::channel(MESSAGES);
        let stopping = || Status::unavailable("the controller is stopping");
        if !self.handle.tell(Event::Opened { session, messages }).await {
            return Err(stopping());
        }
        tokio::spawn(read(session, request.into_inner(), self.handle.clone()));
        Ok(Response::new(Messages(inbox)))
    }
}

async fn read(session: SessionId, mut stream: Streaming<AgentMessage>, handle: Handle) {
    loop {
        match stream.message().await {
            Ok(Some(message)) => {
                if !handle.tell(Event::Said { session, message }).await {
                    return;
                }
            }
            Ok(None) => break,
            Err(status) => {
                debug!(session = session.0, %status, "an agent's stream broke");
                break;
            }
        }
    }
    info!(session = session.0, "an agent's stream ended");
    handle.tell(Event::Closed { session }).await;
}

/// What the core sends to one agent, as the stream of the answer.
pub struct Messages(mpsc::Receiver<ControllerMessage>);

impl Stream for Messages {
    type Item = Result<ControllerMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|message| message.map(Ok))
    }
}
