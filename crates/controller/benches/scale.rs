//! The controller at scale, with its real core: 1,000 hosts and 50,000 ports in 500 networks, 50
//! projects.
//!
//! Measures what one change costs (decide, compile, encode, address; without storing), the same with
//! a tenth of the networks, a start from the store, the memory that takes, and what storing costs on
//! this disk. Prints a table, and JSON with `--json`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant, SystemTime};

use coax_api::agent::agent_message::Body;
use coax_api::agent::{AgentMessage, Claims, Hello, Plugged};
use coax_controller::core::Core;
use coax_controller::core::message::{
    Command, Input, Request, RequestId, SessionId, Stored, Write,
};
use coax_controller::core::submission::{Clock, Submission};
use coax_controller::records;
use coax_model::StackFile;
use coax_store::{Embedded, Memory, Outcome, Store, Transaction};

const HOSTS: usize = 1_000;
const PORTS_PER_NETWORK: usize = 100;
const NETWORKS_PER_PROJECT: usize = 10;
const CHANGES: usize = 2_000;

struct World {
    core: Core,
    store: Memory,
    now: Instant,
    bytes_sent: u64,
    last_request: u64,
    sequence: Vec<u64>,
}

impl World {
    /// Handles an input with all that follows; says how long the core took.
    fn input(&mut self, input: Input) -> Duration {
        let mut took = Duration::ZERO;
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let started = Instant::now();
            let commands = self.core.handle(input, self.now);
            took += started.elapsed();
            for command in commands {
                match command {
                    Command::Commit {
                        number,
                        transaction,
                        ..
                    } => match self.store.transact(&transaction).unwrap() {
                        Outcome::Done(revision) => {
                            let outcome = Stored::Done(revision);
                            next = Some(Input::Stored { number, outcome });
                        }
                        Outcome::Conflict { .. } => unreachable!("nobody else writes"),
                    },
                    Command::Send { message, .. } => {
                        self.bytes_sent += prost::Message::encoded_len(&message) as u64;
                    }
                    Command::Note(_) => {}
                    Command::Reply { answer, .. } => drop(answer.unwrap()),
                    Command::Recorded(_) => {}
                    Command::Close { .. } => panic!("nobody is sent away"),
                }
            }
        }
        took
    }

    fn say(&mut self, host: usize, body: Body) -> Duration {
        self.sequence[host] += 1;
        let message = AgentMessage {
            sequence: self.sequence[host],
            body: Some(body),
        };
        self.input(Input::Message {
            session: SessionId(host as u64),
            message,
        })
    }

    fn claim(
        &mut self,
        host: usize,
        plugged: Vec<Plugged>,
        unplugged: Vec<String>,
        full: bool,
    ) -> Duration {
        self.say(
            host,
            Body::Claims(Claims {
                full,
                plugged,
                unplugged,
            }),
        )
    }

    fn apply(&mut self, file: StackFile) -> Duration {
        self.last_request += 1;
        let request = Request::Write {
            write: Write::Apply {
                file: Box::new(file.into()),
                dry_run: false,
            },
            submission: Submission::default(),
        };
        self.input(Input::Request {
            id: RequestId(self.last_request),
            request,
        })
    }
}

fn plugged(port: &str) -> Plugged {
    Plugged {
        port: port.to_owned(),
        device: "tap0".to_owned(),
        ifindex: 1,
    }
}

fn stack(project: usize, networks: usize) -> StackFile {
    let mut yaml = format!("version: 1\nproject: p{project}\nnetworks:\n");
    for network in 0..networks {
        yaml += &format!(
            "  n{network}: {{ subnets: [10.{network}.0.0/22, \"fd00:{network}::/64\"] }}\n"
        );
    }
    yaml += "ports:\n";
    for port in 0..networks * PORTS_PER_NETWORK {
        yaml += &format!(
            "  vm-{port}: {{ network: n{} }}\n",
            port / PORTS_PER_NETWORK
        );
    }
    StackFile::parse(&yaml).unwrap()
}

/// All hosts attached, all ports bound: 50 on each host.
fn world(projects: usize) -> World {
    let (store, now) = (Memory::new(), Instant::now());
    let mut world = World {
        core: boot(&store, now),
        store,
        now,
        bytes_sent: 0,
        last_request: 0,
        sequence: vec![0; HOSTS],
    };
    let mut claims: Vec<Vec<Plugged>> = vec![Vec::new(); HOSTS];
    for project in 0..projects {
        for port in 0..NETWORKS_PER_PROJECT * PORTS_PER_NETWORK {
            // The ports of a network are on different hosts.
            let host = (port + project * 37) % HOSTS;
            claims[host].push(plugged(&format!("p{project}/vm-{port}")));
        }
        world.apply(stack(project, NETWORKS_PER_PROJECT));
    }
    for (host, claims) in claims.into_iter().enumerate() {
        let number = u16::try_from(host).unwrap().to_be_bytes();
        let hello = Hello {
            host: format!("hv{host}"),
            vtep_ipv4: vec![10, 255, number[0], number[1]].into(),
            underlay_mtu: 1600,
            ..Hello::default()
        };
        world.say(host, Body::Hello(hello));
        world.claim(host, claims, Vec::new(), true);
    }
    world
}

fn boot(store: &Memory, now: Instant) -> Core {
    let generation = records::generation(store).unwrap();
    let loaded = records::load(store, 1600).unwrap();
    Core::new(
        generation,
        1,
        loaded,
        Clock::new(SystemTime::UNIX_EPOCH, now),
    )
}

#[derive(serde::Serialize)]
struct Figure {
    what: String,
    p50_us: f64,
    p99_us: f64,
    limit_us: Option<f64>,
}

fn figure(what: &str, mut times: Vec<Duration>, limit_us: Option<f64>) -> Figure {
    times.sort();
    let at = |share: f64| {
        let index = ((times.len() - 1) as f64 * share).round() as usize;
        times[index].as_secs_f64() * 1e6
    };
    Figure {
        what: what.to_owned(),
        p50_us: at(0.5),
        p99_us: at(0.99),
        limit_us,
    }
}

/// A port is unplugged on its host and plugged in again: two revisions, each to ~100 hosts.
fn port_changes(world: &mut World, projects: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for change in 0..CHANGES / 2 {
        let project = change % projects;
        let port = change * 7 % (NETWORKS_PER_PROJECT * PORTS_PER_NETWORK);
        let host = (port + project * 37) % HOSTS;
        let name = format!("p{project}/vm-{port}");
        times.push(world.claim(host, Vec::new(), vec![name.clone()], false));
        times.push(world.claim(host, vec![plugged(&name)], Vec::new(), false));
    }
    times
}

fn file_changes(world: &mut World) -> Vec<Duration> {
    let change = |round: usize| {
        let mut file = stack(0, NETWORKS_PER_PROJECT);
        let name = format!("new-{round}").parse().unwrap();
        let entry = file.ports.values().next().unwrap().clone();
        file.ports.insert(name, entry);
        file
    };
    (0..50)
        .map(change)
        .collect::<Vec<_>>()
        .into_iter()
        .map(|file| world.apply(file))
        .collect()
}

fn commits() -> Vec<Duration> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = Embedded::open(&folder.path().join("store.redb")).unwrap();
    let commit = |n: usize| {
        let transaction = Transaction::new()
            .put(format!("/coax/v1/port/shop/vm-{n}"), "x".repeat(150))
            .put(format!("/coax/v1/binding/shop/vm-{n}"), "x".repeat(20));
        let started = Instant::now();
        store.transact(&transaction).unwrap();
        started.elapsed()
    };
    (0..500).map(commit).collect()
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

fn main() {
    let mut figures = Vec::new();
    {
        let mut small = world(5);
        let times = port_changes(&mut small, 5);
        figures.push(figure(
            "one port changes, 50 networks, 5,000 ports",
            times,
            Some(1000.0),
        ));
    }
    let before = resident_mib();
    let mut large = world(50);
    let with_store = resident_mib() - before;
    let times = port_changes(&mut large, 50);
    figures.push(figure(
        "one port changes, 500 networks, 50,000 ports",
        times,
        Some(1000.0),
    ));
    figures.push(figure(
        "one port more in the file of a project with 1,000",
        file_changes(&mut large),
        None,
    ));
    let starts = (0..5).map(|_| {
        let started = Instant::now();
        let core = boot(&large.store, large.now);
        let took = started.elapsed();
        assert_eq!(core.intent().hosts.len(), HOSTS);
        took
    });
    figures.push(figure(
        "start from the store, full recompute",
        starts.collect(),
        Some(2e6),
    ));
    figures.push(figure("a transaction on this disk", commits(), None));
    if std::env::args().any(|argument| argument == "--json") {
        println!("{}", serde_json::to_string_pretty(&figures).unwrap());
        return;
    }
    println!(
        "{:<52} {:>12} {:>12} {:>12}",
        "", "p50 us", "p99 us", "limit us"
    );
    for Figure {
        what,
        p50_us,
        p99_us,
        limit_us,
    } in figures
    {
        let limit = limit_us.map_or(String::new(), |limit| format!("{limit:.0}"));
        println!("{what:<52} {p50_us:>12.0} {p99_us:>12.0} {limit:>12}");
    }
    println!("memory of core and store in memory: {with_store:.0} MiB (limit 1024)");
    println!(
        "sent to agents: {:.1} MiB",
        large.bytes_sent as f64 / f64::from(1 << 20)
    );
}
