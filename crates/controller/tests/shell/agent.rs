//! An agent that speaks the protocol over a real stream.

use std::sync::Arc;
use std::time::Instant;

use coax_api::agent::agent_message::Body as FromAgent;
use coax_api::agent::control_stream_client::ControlStreamClient;
use coax_api::agent::controller_message::Body;
use coax_api::agent::{AgentMessage, Claims, ControllerMessage, Hello, Plugged, Realised, Report};
use coax_api::sequence::Sender;
use coax_api::{DropCount, HostReport, PortReport, RequestCount};
use coax_identity::{Credentials, tls};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use super::PATIENCE;
use super::controller::Controller;

pub struct Agent {
    messages: mpsc::Sender<AgentMessage>,
    stream: Streaming<ControllerMessage>,
    sender: Sender,
    generation: u64,
    pub run: u64,
    /// The newest revision that a controller told.
    pub newest: u64,
    /// Where controllers are, as one told.
    pub controllers: Vec<String>,
}

impl Agent {
    /// A machine that joins and attaches.
    pub async fn attach(controller: &Controller, host: &str, number: u8, ports: &[&str]) -> Self {
        let credentials = controller.join(host).await;
        let attached = Self::attach_with(controller, &credentials, host, number, ports).await;
        attached.unwrap()
    }

    /// Attaches and says to be `host`, whatever the credentials say.
    pub async fn attach_with(
        controller: &Controller,
        credentials: &Credentials,
        host: &str,
        number: u8,
        ports: &[&str],
    ) -> Result<Self, tonic::Status> {
        let hello = Hello {
            host: host.into(),
            vtep_ipv4: vec![192, 0, 2, number].into(),
            ..Hello::default()
        };
        Self::attach_saying(controller, credentials, hello, ports).await
    }

    /// Attaches to a controller that another one is to tell what to do.
    pub async fn attach_standby(
        controller: &Controller,
        credentials: &Credentials,
        host: &str,
        number: u8,
        ports: &[&str],
    ) -> Self {
        let hello = Hello {
            host: host.into(),
            vtep_ipv4: vec![192, 0, 2, number].into(),
            standby: true,
            ..Hello::default()
        };
        let attached = Self::attach_saying(controller, credentials, hello, ports).await;
        attached.unwrap()
    }

    async fn attach_saying(
        controller: &Controller,
        credentials: &Credentials,
        hello: Hello,
        ports: &[&str],
    ) -> Result<Self, tonic::Status> {
        let (messages, outgoing) = mpsc::channel(100);
        let mut sender = Sender::default();
        let hello = Hello {
            version: "test".into(),
            underlay_mtu: 1600,
            ..hello
        };
        let plugged = ports.iter().map(|port| Plugged {
            port: (*port).into(),
            device: "tap0".into(),
            ifindex: 7,
        });
        let claims = Claims {
            full: true,
            plugged: plugged.collect(),
            unplugged: Vec::new(),
        };
        for body in [FromAgent::Hello(hello), FromAgent::Claims(claims)] {
            let message = AgentMessage {
                sequence: sender.number(),
                body: Some(body),
            };
            messages.send(message).await.unwrap();
        }
        let mut client = ControlStreamClient::new(connect(controller, credentials).await);
        let outgoing = ReceiverStream::new(outgoing);
        let stream = client.attach(outgoing).await?.into_inner();
        Ok(Self {
            messages,
            stream,
            sender,
            generation: 0,
            run: 0,
            newest: 0,
            controllers: Vec::new(),
        })
    }

    /// Why the stream was ended from the other side.
    pub async fn until_refused(&mut self) -> String {
        loop {
            if let Body::Refused(refused) = self.next().await
                && refused.port.is_empty()
            {
                return refused.reason;
            }
        }
    }

    /// The stream ends.
    pub async fn until_ended(&mut self) {
        let ended = async { while let Ok(Some(_)) = self.stream.message().await {} };
        timeout(PATIENCE, ended).await.expect("the stream ends");
    }

    async fn next(&mut self) -> Body {
        let message = timeout(PATIENCE, self.stream.message())
            .await
            .expect("a message in time");
        message.unwrap().expect("the stream goes on").body.unwrap()
    }

    async fn say(&mut self, body: FromAgent) {
        let message = AgentMessage {
            sequence: self.sender.number(),
            body: Some(body),
        };
        self.messages.send(message).await.unwrap();
    }

    async fn realised(&mut self, revision: u64) {
        let realised = Realised {
            generation: self.generation,
            revision,
            problems: Vec::new(),
        };
        self.say(FromAgent::Realised(realised)).await;
    }

    /// Reads up to the next Current and confirms it.
    pub async fn until_current(&mut self) -> Vec<Body> {
        let mut seen = Vec::new();
        loop {
            let body = self.next().await;
            seen.push(body.clone());
            match body {
                Body::Welcome(welcome) => {
                    self.generation = welcome.generation;
                    self.run = welcome.run;
                    self.newest = welcome.revision;
                }
                Body::Controllers(told) => {
                    let all = told.controllers.into_iter();
                    self.controllers = all.flat_map(|it| it.addresses).collect();
                }
                Body::Current(current) => {
                    assert!(current.revision >= self.newest, "nothing older is told");
                    self.newest = current.revision;
                    self.realised(current.revision).await;
                    return seen;
                }
                _ => {}
            }
        }
    }

    pub async fn until_revision(&mut self, revision: u64) {
        loop {
            let seen = self.until_current().await;
            if matches!(seen.last(), Some(Body::Current(current)) if current.revision >= revision) {
                return;
            }
        }
    }

    /// When the next delta came.
    pub async fn until_delta(&mut self) -> Instant {
        while !matches!(self.next().await, Body::Delta(_)) {}
        Instant::now()
    }

    /// Confirms everything and answers reports, for ever.
    pub async fn keep_up(mut self) {
        while let Ok(Some(message)) = self.stream.message().await {
            match message.body.unwrap() {
                Body::Welcome(welcome) => self.generation = welcome.generation,
                Body::Current(current) => self.realised(current.revision).await,
                Body::ReportRequest(request) => {
                    let json = serde_json::to_vec(&report()).unwrap().into();
                    let request_id = request.request_id;
                    self.say(FromAgent::Report(Report { request_id, json }))
                        .await;
                }
                _ => {}
            }
        }
    }
}

/// A connection that proves itself with these.
pub async fn connect(controller: &Controller, credentials: &Credentials) -> Channel {
    let address = format!("http://{}", controller.addresses.agents);
    let endpoint = Endpoint::from_shared(address).unwrap();
    let config = tls::host_client(credentials).unwrap();
    let connected = coax_api::stream::connect(&endpoint, Arc::new(config)).await;
    connected.unwrap()
}

fn report() -> HostReport {
    let drops = vec![DropCount {
        reason: "too-big".into(),
        count: 3,
    }];
    let port = PortReport {
        port: "shop/web-1".into(),
        rx_frames: 7,
        drops,
        ..PortReport::default()
    };
    let asked = |request: &str, count| RequestCount {
        request: request.into(),
        outcome: "answered".into(),
        count,
    };
    HostReport {
        ports: vec![port],
        requests: vec![
            asked("dhcpv4-discover", 5),
            asked("router-solicitation", 2),
            asked("dns", 9),
        ],
        ..HostReport::default()
    }
}
