//! What hostile users do to the edge, by raw sockets: they are refused and counted, and others are
//! served all the while.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use coax_api::{Client, Endpoint, Role, TokenRequest};
use coax_identity::{Authority, tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::PATIENCE;
use super::controller::Controller;

/// Longer than any answer takes that is not held up by others.
const AT_ONCE: Duration = Duration::from_secs(5);

struct Edge {
    controller: Controller,
    tls: TlsConnector,
}

impl Edge {
    async fn start() -> Self {
        let controller = Controller::start().await;
        let pin = Authority::load(&controller.state()).unwrap().pin();
        let client = tls::pinned_client(pin, tls::Protocol::Http1).unwrap();
        Self {
            controller,
            tls: TlsConnector::from(Arc::new(client)),
        }
    }

    /// Opens TCP from an address of this machine.
    async fn dial(&self, last: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
        socket.bind(from).unwrap();
        socket
            .connect(self.controller.addresses.users.unwrap())
            .await
            .unwrap()
    }

    async fn open(&self, last: u8) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = self.dial(last).await;
        self.tls.connect(tls::controller_name(), stream).await
    }

    async fn metrics(&self) -> String {
        self.controller.client.metrics().await.unwrap()
    }

    /// Waits until an outcome was counted at least so often.
    async fn counted(&self, outcome: &str, least: u64) {
        let series = format!("coax_api_refused_total{{outcome=\"{outcome}\"}} ");
        let end = Instant::now() + PATIENCE;
        loop {
            let metrics = self.metrics().await;
            let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
            if line.is_some_and(|count| count.parse::<u64>().unwrap() >= least) {
                return;
            }
            assert!(Instant::now() < end, "{outcome} {least}: {line:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn token(&self, name: &str, expires_in: &str) -> String {
        self.token_of(None, name, expires_in).await
    }

    async fn token_of(&self, project: Option<&str>, name: &str, expires_in: &str) -> String {
        let request = TokenRequest {
            name: name.into(),
            role: Role::Viewer,
            project: project.map(str::to_owned),
            expires_in: Some(expires_in.into()),
        };
        self.controller
            .client
            .create_token(&request)
            .await
            .unwrap()
            .token
    }
}

/// What comes back, until the other side hangs up.
async fn answer(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut answer = Vec::new();
    // A connection that is reset has answered all that it will.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(token: &str) -> String {
    format!(
        "GET /v1/status HTTP/1.1\r\nhost: coax\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_users_are_refused_and_counted_while_others_are_served() {
    let edge = Arc::new(Edge::start().await);
    let token = edge.token("good", "1h").await;
    let (over, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let good = tokio::spawn({
        let (edge, token) = (edge.clone(), token.clone());
        let (over, served) = (over.clone(), served.clone());
        async move {
            while !over.load(Ordering::Relaxed) {
                let asked = async {
                    let mut stream = edge.open(1).await.unwrap();
                    stream.write_all(get(&token).as_bytes()).await.unwrap();
                    answer(&mut stream).await
                };
                let answer = tokio::time::timeout(AT_ONCE, asked).await.expect("held up");
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                served.fetch_add(1, Ordering::Relaxed);
            }
        }
    });

    // Says nothing at all, before TLS and behind it; never comes to the end of a head.
    let silent = [edge.dial(2).await, edge.dial(2).await];
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut stream = edge.open(2).await.unwrap();
        stream
            .write_all(b"GET /v1/status HTTP/1.1\r\nx: ")
            .await
            .unwrap();
        slow.push(stream);
    }
    // More connections than one address may have, over the sockets that TLS leaves open.
    let mut many = Vec::new();
    while many.len() < 300 {
        match edge.open(3).await {
            Ok(stream) => many.push(stream),
            Err(_) => break,
        }
    }
    edge.counted("too-many-connections", 1).await;

    large_heads_and_bodies(&edge, &token).await;
    tokens(&edge).await;
    streams_of_one_project(&edge).await;

    // Ten seconds for a head, five for a handshake.
    edge.counted("slow-head", 4).await;
    edge.counted("handshake", silent.len() as u64).await;
    over.store(true, Ordering::Relaxed);
    good.await.unwrap();
    assert!(served.load(Ordering::Relaxed) > 10);
    drop((silent, slow, many));
}

async fn large_heads_and_bodies(edge: &Edge, token: &str) {
    let mut stream = edge.open(4).await.unwrap();
    let long = "x".repeat(200 << 10);
    let head = format!("GET /v1/status HTTP/1.1\r\nhost: coax\r\nx: {long}\r\n\r\n");
    // It may be hung up on before all of it is written.
    let _ = stream.write_all(head.as_bytes()).await;
    let said = answer(&mut stream).await;
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 431"),
        "{said}"
    );
    edge.counted("large-head", 1).await;

    let mut stream = edge.open(4).await.unwrap();
    let many: String = (0..500).map(|number| format!("x{number}: y\r\n")).collect();
    let head = format!("GET /v1/status HTTP/1.1\r\nhost: coax\r\n{many}\r\n");
    let _ = stream.write_all(head.as_bytes()).await;
    let said = answer(&mut stream).await;
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 431"),
        "{said}"
    );
    edge.counted("large-head", 2).await;

    let Endpoint::Unix(socket) = edge.controller.client.endpoint() else {
        panic!("the tests' controllers listen on Unix sockets");
    };
    for (path, length) in [("/v1/stacks/shop", 1_u64 << 40), ("/v1/traces", 2 << 20)] {
        let method = if path == "/v1/traces" { "POST" } else { "PUT" };
        let mut stream = UnixStream::connect(socket).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: coax\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let said = answer(&mut stream).await;
        assert!(
            said.starts_with("HTTP/1.1 413") && said.contains("body-too-large"),
            "{said}"
        );
    }
    edge.counted("large-body", 2).await;

    let mut stream = edge.open(4).await.unwrap();
    let head = "PUT /v1/stacks/shop HTTP/1.1\r\nhost: coax\r\ncontent-length: 99999999\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // Who says not who he is is not waited for.
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 401");
    let mut stream = edge.open(4).await.unwrap();
    stream
        .write_all(b"\x16\x03\x01 no request\r\n\r\n")
        .await
        .unwrap();
    let said = answer(&mut stream).await;
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 400"),
        "{said}"
    );
    edge.counted("malformed", 1).await;
    let mut stream = edge.open(4).await.unwrap();
    stream.write_all(get(token).as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
}

/// Tokens that ran out, that were taken back and tried again, and that nobody made.
async fn tokens(edge: &Edge) {
    let short = edge.token("short", "1s").await;
    let gone = edge.token("gone", "1h").await;
    assert_eq!(ask(edge, &gone).await, 200);
    delete(&edge.controller.client, "gone").await;
    for _ in 0..3 {
        assert_eq!(ask(edge, &gone).await, 401);
    }
    edge.counted("unknown-token", 3).await;
    let end = Instant::now() + PATIENCE;
    while ask(edge, &short).await == 200 {
        assert!(Instant::now() < end);
    }
    edge.counted("expired-token", 1).await;
    assert_eq!(ask(edge, "coax-token-forged").await, 401);
    edge.counted("bad-token", 1).await;
}

/// A project whose users read more streams than it may leaves what it has to none but itself.
async fn streams_of_one_project(edge: &Edge) {
    let greedy = edge.token_of(Some("greedy"), "greedy", "1h").await;
    let other = edge.token_of(Some("other"), "other", "1h").await;
    let events = format!(
        "GET /v1/events?follow=true HTTP/1.1\r\nhost: coax\r\nauthorization: Bearer {greedy}\r\n\r\n"
    );
    let mut streams = Vec::new();
    let refused = loop {
        let mut stream = edge.open(6).await.unwrap();
        stream.write_all(events.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        match &head {
            b"HTTP/1.1 200" => streams.push(stream),
            b"HTTP/1.1 429" => break stream,
            head => panic!("{}", String::from_utf8_lossy(head)),
        }
    };
    assert_eq!(streams.len(), 64);
    assert_eq!(ask(edge, &greedy).await, 429);
    edge.counted("too-many-requests", 2).await;
    assert_eq!(ask(edge, &other).await, 200);
    drop((refused, streams));
    let end = Instant::now() + PATIENCE;
    while ask(edge, &greedy).await != 200 {
        assert!(Instant::now() < end);
    }
}

async fn delete(client: &Client, name: &str) {
    client.delete_token(name).await.unwrap();
}

async fn ask(edge: &Edge, token: &str) -> u16 {
    let mut stream = edge.open(5).await.unwrap();
    stream.write_all(get(token).as_bytes()).await.unwrap();
    let answer = answer(&mut stream).await;
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}
