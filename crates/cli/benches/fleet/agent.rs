//! An agent without a data plane: joins, attaches, keeps what it is told as far as the protocol needs it, acknowledges, comes
//! back. What it is told must fit together, or it counts as broken.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use coax_agent::session::Session;
use coax_api::agent::agent_message::Body as Say;
use coax_api::agent::control_stream_client::ControlStreamClient;
use coax_api::agent::controller_message::Body as Hear;
use coax_api::agent::{
    AgentMessage, Claims, ControllerMessage, Delta, Held, Hello, Plugged, Realised, SliceKind,
    Snapshot,
};
use coax_api::sequence::Arrival;
use coax_api::stream::LARGEST_MESSAGE;
use coax_compile::{NetworkSlice, SliceDelta};
use coax_identity::{Credentials, tls};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

/// What all agents have seen together.
#[derive(Debug, Default)]
pub struct Tally {
    /// Agents that have everything now.
    pub current: AtomicUsize,
    /// Bytes of messages received, before HTTP/2 and TLS.
    pub bytes: AtomicU64,
    /// Streams that a controller ended with a refusal, or that carried what does not fit.
    pub broken: AtomicUsize,
}

pub struct Agent {
    name: String,
    number: u16,
    endpoint: Endpoint,
    credentials: Credentials,
    plugged: Vec<Plugged>,
    generation: u64,
    networks: BTreeMap<u32, u64>,
    tally: Arc<Tally>,
}

impl Agent {
    pub fn new(
        (name, number): (String, u16),
        controller: &str,
        identity: &Path,
        plugged: Vec<Plugged>,
        tally: Arc<Tally>,
    ) -> Self {
        Self {
            name,
            number,
            endpoint: Endpoint::from_shared(format!("http://{controller}")).unwrap(),
            credentials: Credentials::load(identity).unwrap(),
            plugged,
            generation: 0,
            networks: BTreeMap::new(),
            tally,
        }
    }

    /// Attaches again and again, for ever, with the pauses of a real agent.
    pub async fn run(mut self) {
        let started = Instant::now();
        let mut session = Session::new((u64::from(self.number) + 1) * 0x9e37_79b9_7f4a_7c15);
        session.start(started.elapsed());
        loop {
            let due = session.deadline().unwrap_or_default();
            tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
            if session.open_if_due(&mut 0, started.elapsed()).is_none() {
                continue;
            }
            let ended = self.attach(&mut session, started).await;
            if session.is_current() {
                self.tally.current.fetch_sub(1, Ordering::Relaxed);
            }
            if let Err(Broken) = ended {
                self.tally.broken.fetch_add(1, Ordering::Relaxed);
            }
            session.pause(started.elapsed());
        }
    }

    /// One stream, until it ends.
    async fn attach(&mut self, session: &mut Session, started: Instant) -> Result<(), Broken> {
        let config = Arc::new(tls::host_client(&self.credentials).map_err(|_| Broken)?);
        let Ok(channel) = coax_api::stream::connect(&self.endpoint, config).await else {
            return Ok(());
        };
        session.opened(started.elapsed());
        let (say, said) = mpsc::channel(16);
        let mut client =
            ControlStreamClient::new(channel).max_decoding_message_size(LARGEST_MESSAGE);
        for body in [self.hello(), self.claims()] {
            speak(session, &say, body).await;
        }
        let Ok(answer) = client.attach(ReceiverStream::new(said)).await else {
            return Ok(());
        };
        let mut incoming = answer.into_inner();
        while let Ok(Some(message)) = incoming.message().await {
            let bytes = message.encoded_len() as u64;
            self.tally.bytes.fetch_add(bytes, Ordering::Relaxed);
            if let Some(answer) = self.hear(session, message)? {
                speak(session, &say, answer).await;
            }
        }
        Ok(())
    }

    fn hear(
        &mut self,
        session: &mut Session,
        message: ControllerMessage,
    ) -> Result<Option<Say>, Broken> {
        if session.accept(message.sequence) != Some(Arrival::Fresh) {
            return Err(Broken);
        }
        match message.body.ok_or(Broken)? {
            Hear::Welcome(welcome) => {
                if welcome.generation < self.generation {
                    return Err(Broken);
                }
                self.generation = welcome.generation;
                session.welcomed(welcome.run);
            }
            Hear::Snapshot(snapshot) => self.replace(&snapshot)?,
            Hear::Delta(delta) => self.advance(&delta)?,
            Hear::Forget(forget) => drop(self.networks.remove(&forget.number)),
            Hear::Current(current) => {
                if !session.is_current() {
                    session.became_current();
                    self.tally.current.fetch_add(1, Ordering::Relaxed);
                }
                return Ok(Some(Say::Realised(Realised {
                    generation: self.generation,
                    revision: current.revision,
                    problems: Vec::new(),
                })));
            }
            Hear::Refused(_) => return Err(Broken),
            Hear::ReportRequest(_)
            | Hear::Question(_)
            | Hear::Connections(_)
            | Hear::Controllers(_) => {}
        }
        Ok(None)
    }

    fn replace(&mut self, snapshot: &Snapshot) -> Result<(), Broken> {
        let slice = NetworkSlice::decode(snapshot.slice.as_ref()).map_err(|_| Broken)?;
        let here = self.networks.entry(slice.network_id).or_default();
        if snapshot.kind() != SliceKind::Network || slice.revision < *here {
            return Err(Broken);
        }
        *here = slice.revision;
        Ok(())
    }

    fn advance(&mut self, delta: &Delta) -> Result<(), Broken> {
        let step = SliceDelta::decode(delta.delta.as_ref()).map_err(|_| Broken)?;
        let here = self.networks.get_mut(&step.network_id).ok_or(Broken)?;
        if delta.kind() != SliceKind::Network || step.from_revision != *here {
            return Err(Broken);
        }
        *here = step.to_revision;
        Ok(())
    }

    fn hello(&self) -> Say {
        let [high, low] = self.number.to_be_bytes();
        let held = |(number, revision): (&u32, &u64)| Held {
            number: *number,
            revision: *revision,
            kind: SliceKind::Network.into(),
        };
        Say::Hello(Hello {
            host: self.name.clone(),
            vtep_ipv4: vec![10, 255, high, low].into(),
            underlay_mtu: 1600,
            generation: self.generation,
            have: self.networks.iter().map(held).collect(),
            ..Hello::default()
        })
    }

    fn claims(&self) -> Say {
        Say::Claims(Claims {
            full: true,
            plugged: self.plugged.clone(),
            unplugged: Vec::new(),
        })
    }
}

/// The controller refused the agent, or said what does not fit to what it said before.
struct Broken;

async fn speak(session: &mut Session, say: &mpsc::Sender<AgentMessage>, body: Say) {
    let message = AgentMessage {
        sequence: session.number().unwrap_or_default(),
        body: Some(body),
    };
    // The stream ended; the reader finds out.
    let _ = say.send(message).await;
}

/// Waits until so many agents have everything.
pub async fn all_current(tally: &Tally, agents: usize) {
    while tally.current.load(Ordering::Relaxed) < agents {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
