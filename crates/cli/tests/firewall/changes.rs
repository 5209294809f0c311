//! How long a rule that is taken away outlives the change in streams that it had let begin, in both families: measured from the call
//! of `coax apply`, and from its return, to the last byte that arrived. And a firewall in audit mode, which lets the same pass and
//! says so.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coax_lab::measure::{self, Running};
use serde_json::Value;

use super::lab::until;
use super::{SECOND, Tiers};

const SERVICE: u16 = 5500;
/// Between two bytes of a stream.
const PACE: Duration = Duration::from_millis(2);
/// A stream from which nothing came for so long is over.
const OVER: Duration = Duration::from_millis(700);

/// A stream, and its receiver, which ends by itself when nothing comes any more and knows when the last byte came.
struct Stream {
    what: String,
    heard: Arc<AtomicU64>,
    receiver: Running<Instant>,
    sender: Running<()>,
}

impl Stream {
    fn start(tiers: &Tiers, tcp: bool, ipv6: bool, stop: &Arc<AtomicBool>) -> Self {
        let to: std::net::IpAddr = tiers.address("db-1", ipv6).parse().unwrap();
        let to = SocketAddr::new(to, SERVICE);
        let heard = Arc::new(AtomicU64::new(0));
        let (count, stopped) = (heard.clone(), stop.clone());
        let at = tiers.lab.namespace("tiers/db-1");
        let from = tiers.lab.namespace("tiers/web-1");
        let receiver;
        let sender: Running<()>;
        if tcp {
            let listener = measure::run(&at, move || TcpListener::bind(to)).unwrap();
            receiver = measure::start(&at, move || {
                let mut stream = listener.accept()?.0;
                stream.set_read_timeout(Some(OVER))?;
                Ok(last(&count, || Ok(stream.read(&mut [0; 512])? > 0)))
            });
            sender = measure::start(&from, move || {
                let mut stream = TcpStream::connect(to)?;
                stream.set_nodelay(true)?;
                send(&stopped, || stream.write_all(b"x"));
                Ok(())
            });
        } else {
            let socket = measure::run(&at, move || UdpSocket::bind(to)).unwrap();
            receiver = measure::start(&at, move || {
                socket.set_read_timeout(Some(OVER))?;
                Ok(last(&count, || socket.recv(&mut [0; 9]).map(|_| true)))
            });
            sender = measure::start(&from, move || {
                let own = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
                let socket = UdpSocket::bind(own)?;
                send(&stopped, || socket.send_to(b"x", to).map(drop));
                Ok(())
            });
        }
        let what = format!("{} to {to}", if tcp { "TCP" } else { "UDP" });
        Self {
            what,
            heard,
            receiver,
            sender,
        }
    }
}

/// Counts what comes until nothing does; says when the last came.
fn last(count: &AtomicU64, mut next: impl FnMut() -> std::io::Result<bool>) -> Instant {
    let mut last = Instant::now();
    while let Ok(true) = next() {
        last = Instant::now();
        count.fetch_add(1, Ordering::Relaxed);
    }
    last
}

fn send(stop: &AtomicBool, mut one: impl FnMut() -> std::io::Result<()>) {
    // A refusal is what the test waits for; it is noticed at the other end.
    while !stop.load(Ordering::Relaxed) {
        let _ = one();
        std::thread::sleep(PACE);
    }
}

/// One TCP and one UDP stream in each family, that a rule lets pass and then not any more.
pub fn act_at_once(tiers: &Tiers) {
    let rule = "    - { name: measured, from: group/web, to: group/db, allow: [tcp/5500, udp/5500] }\n    - { name: no-guessing";
    tiers.apply(|text| text.replace("    - { name: no-guessing", rule));
    let stop = Arc::new(AtomicBool::new(false));
    let kinds = [(true, false), (true, true), (false, false), (false, true)];
    let streams = kinds.map(|(tcp, ipv6)| Stream::start(tiers, tcp, ipv6, &stop));
    for stream in &streams {
        until(&stream.what, || {
            match stream.heard.load(Ordering::Relaxed) {
                heard if heard > 50 => Ok(()),
                heard => Err(format!("{heard} heard")),
            }
        });
    }
    let called = Instant::now();
    tiers.apply(str::to_owned);
    let returned = Instant::now();
    // Whoever is not cut goes on for much longer than it may.
    std::thread::sleep((called + 3 * SECOND).saturating_duration_since(Instant::now()));
    stop.store(true, Ordering::Relaxed);
    for stream in streams {
        let last = stream.receiver.join().unwrap();
        let after = last.saturating_duration_since(returned);
        let since_call = last.saturating_duration_since(called);
        println!(
            "{}: the last byte passed {since_call:?} after the call and {after:?} after the return of `apply`, which took {:?}",
            stream.what,
            returned - called
        );
        assert!(
            last > called,
            "{}: nothing came any more before",
            stream.what
        );
        assert!(after < SECOND, "{}: {after:?}", stream.what);
        stream.sender.join().unwrap();
    }
}

/// In audit mode a connection that would be refused is made, noted as such and listed.
pub fn are_tried(tiers: &Tiers) {
    tiers.apply(|text| text.replace("  default: deny", "  mode: audit\n  default: deny"));
    for ipv6 in [false, true] {
        let address = tiers.address("db-1", ipv6);
        let answer = until("a connection that would be refused", || {
            tiers.ask("client-1", &address, 5432)
        });
        assert_eq!(answer, "db-1 hello");
        let is_it = |flow: &Value| {
            flow["from"]["port"] == "tiers/client-1" && flow["to"]["address"] == address
        };
        let words = ["flows", "--verdict", "audit", "-o", "json"];
        let audited = until("the flow", || {
            let flows: Vec<Value> = serde_json::from_str(&tiers.lab.done(&words)).unwrap();
            let found = flows.iter().find(|flow| is_it(flow)).cloned();
            found.ok_or(format!("{flows:?}"))
        });
        assert_eq!(audited["port"], 5432);
        let listed = tiers
            .lab
            .done(&["firewall", "audit", "tiers", "-o", "json"]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let mut would_refuse = listed["would_refuse"].as_array().unwrap().iter();
        assert!(would_refuse.any(is_it), "{listed:#}");
    }
    tiers.apply(str::to_owned);
    last_hits(tiers);
}

/// When a rule decided last is what the host's clock says.
fn last_hits(tiers: &Tiers) {
    let idle = |rule: &str| {
        let hits = tiers
            .lab
            .done(&["firewall", "hits", "--project", "tiers", "-o", "json"]);
        let hits: Vec<Value> = serde_json::from_str(&hits).unwrap();
        let found = hits.iter().find(|it| it["rule"] == format!("tiers/{rule}"));
        found.unwrap()["idle_seconds"].as_u64()
    };
    let address = tiers.address("db-2", false);
    let asked = Instant::now();
    until("a connection", || tiers.ask("app-1", &address, 5432));
    let seconds = idle("app-to-db").unwrap();
    assert!(seconds <= 1 + asked.elapsed().as_secs(), "{seconds} s");
    assert_eq!(idle("ping-the-web"), None, "it never decided anything");
    until("a rule that is left alone", || match idle("app-to-db") {
        Some(older) if older > seconds => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let asked = Instant::now();
    until("a connection", || tiers.ask("app-1", &address, 5432));
    let seconds = idle("app-to-db").unwrap();
    assert!(seconds <= 1 + asked.elapsed().as_secs(), "{seconds} s");
}
