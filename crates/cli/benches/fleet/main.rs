//! A controller with a fleet of hosts: the real program, its real streams with TLS both ways, and a thousand agents that do
//! everything but program a kernel. `cargo bench -p coax --bench fleet`, with `-- --hosts 100 --seconds 5` for less.
//!
//! Measured: a start from nothing, all agents coming back after the controller was killed, and from a change's API call until every
//! host that needs it has acknowledged it; each with the controller's processor time and memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agent;
mod process;
mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Parser;
use coax_api::{Client, InvitationRequest, StackOptions};
use coax_model::StackFile;
use serde::Serialize;
use tokio::task::JoinSet;

use agent::{Agent, Tally, all_current};
use process::{Controller, Usage};
use world::World;

/// Machines that join at the same time.
const JOINING: usize = 8;
/// A change that takes longer than this is lost.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Parser)]
struct Args {
    /// Hosts, with 50 ports each
    #[arg(long, default_value_t = 1_000)]
    hosts: usize,
    /// Ports of each project; a change is the file of a whole project
    #[arg(long, default_value_t = 1_000)]
    project: usize,
    /// How long changes go on, at each rate
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Changes a second; can be repeated
    #[arg(long, default_values_t = [10])]
    rate: Vec<u64>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// What `cargo bench` says
    #[arg(long, hide = true)]
    bench: bool,
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Figure {
    what: String,
    /// How long it took until the first half, 99 of 100, and the last of it was there.
    p50_ms: f64,
    p99_ms: f64,
    last_ms: f64,
    /// What the controller used meanwhile, and of memory at the end.
    processor_ms: f64,
    resident_mib: f64,
    /// What each agent was sent.
    kib_per_agent: f64,
}

/// What there was when a measurement began.
struct Stretch {
    started: Instant,
    usage: Usage,
    bytes: u64,
}

struct Fleet {
    world: World,
    tally: Arc<Tally>,
    controller: Controller,
    client: Client,
    folder: tempfile::TempDir,
    figures: Vec<Figure>,
}

impl Fleet {
    fn new(world: World) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self {
            world,
            tally: Arc::default(),
            controller: Controller::start(folder.path(), "127.0.0.1:0"),
            client: Controller::client(folder.path()),
            folder,
            figures: Vec::new(),
        }
    }

    fn begin(&self) -> Stretch {
        Stretch {
            started: Instant::now(),
            usage: self.controller.usage(),
            bytes: self.tally.bytes.load(Ordering::Relaxed),
        }
    }

    /// Notes what was used since then, and how long things took: no times, all of it.
    fn note(&mut self, what: String, begun: Stretch, mut times: Vec<Duration>) {
        if times.is_empty() {
            times.push(begun.started.elapsed());
        }
        times.sort();
        let at = |share: f64| {
            let place = ((times.len() - 1) as f64 * share).round() as usize;
            times[place].as_secs_f64() * 1e3
        };
        let usage = self.controller.usage();
        // A controller that was started anew began at nothing.
        let processor = usage.processor.checked_sub(begun.usage.processor);
        let bytes = self.tally.bytes.load(Ordering::Relaxed) - begun.bytes;
        self.figures.push(Figure {
            what,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            last_ms: at(1.0),
            processor_ms: processor.unwrap_or(usage.processor).as_secs_f64() * 1e3,
            resident_mib: usage.resident_mib,
            kib_per_agent: bytes as f64 / 1024.0 / self.world.hosts as f64,
        });
    }

    fn identity(&self, host: usize) -> PathBuf {
        self.folder.path().join(World::host_name(host))
    }

    /// Every machine becomes a host with a token of its own.
    async fn join(&mut self) {
        let begun = self.begin();
        let mut times = Vec::new();
        let mut joining = JoinSet::new();
        for host in 0..self.world.hosts {
            if joining.len() == JOINING {
                times.extend(joining.join_next().await.map(Result::unwrap));
            }
            joining.spawn(join(self.client.clone(), host, self.identity(host)));
        }
        times.extend(joining.join_all().await);
        let what = format!("{} hosts are invited and join", self.world.hosts);
        self.note(what, begun, times);
    }

    async fn apply(&mut self) {
        let begun = self.begin();
        let mut times = Vec::new();
        for project in 0..self.world.projects {
            let started = Instant::now();
            let file = self.world.stack(project, None);
            put(&self.client, &file).await;
            times.push(started.elapsed());
        }
        let World {
            projects, project, ..
        } = self.world;
        let what = format!("{projects} files of {project} ports are applied");
        self.note(what, begun, times);
    }

    async fn attach(&mut self) {
        let begun = self.begin();
        for (host, plugged) in self.world.plugged().into_iter().enumerate() {
            let name = (World::host_name(host), u16::try_from(host).unwrap());
            let identity = self.identity(host);
            let controller = &self.controller.agents;
            let agent = Agent::new(name, controller, &identity, plugged, self.tally.clone());
            tokio::spawn(agent.run());
        }
        self.settled().await;
        let what = format!("all attach, {} ports are plugged in", self.world.ports());
        self.note(what, begun, Vec::new());
    }

    /// Changes one port's row on a hundred hosts, at a rate that does not wait for answers.
    async fn change(&mut self, rate: u64, seconds: u64) {
        let begun = self.begin();
        let mut running = JoinSet::new();
        let started = tokio::time::Instant::now();
        for number in 0..rate * seconds {
            let due = started + Duration::from_micros(number * 1_000_000 / rate);
            let (project, port) = self.world.change(usize::try_from(number).unwrap());
            let file = self.world.stack(project, Some(port));
            tokio::time::sleep_until(due).await;
            let client = self.client.clone();
            running.spawn(async move {
                let revision = put(&client, &file).await;
                let state = client.wait(revision, PATIENCE).await.unwrap();
                assert!(state.done, "{revision} is missing on {:?}", state.missing);
                due.elapsed()
            });
        }
        let times = running.join_all().await;
        let what = format!("{rate} changes/s for {seconds} s, each to 100 hosts");
        self.note(what, begun, times);
    }

    async fn restart(&mut self) {
        let begun = self.begin();
        self.controller.restart(self.folder.path());
        self.settled().await;
        let what = "the controller is killed, starts, all are back".to_owned();
        self.note(what, begun, Vec::new());
    }

    /// Waits until every host is there and has acknowledged what there is now.
    async fn settled(&self) {
        all_current(&self.tally, self.world.hosts).await;
        loop {
            let revision = self.client.status().await.unwrap().revision;
            let state = self.client.wait(revision, PATIENCE).await.unwrap();
            if state.done && self.client.status().await.unwrap().revision == revision {
                return;
            }
        }
    }
}

async fn join(client: Client, host: usize, folder: PathBuf) -> Duration {
    let started = Instant::now();
    let name = World::host_name(host);
    let request = InvitationRequest {
        host: Some(name.clone()),
        expires_in: None,
    };
    let invitation = client.invite(&request).await.unwrap();
    let token = invitation.token.parse().unwrap();
    let name = name.parse().unwrap();
    coax_agent::join(&token, &name, &folder).await.unwrap();
    started.elapsed()
}

/// Applies a file; says which revision that made.
async fn put(client: &Client, file: &StackFile) -> u64 {
    let options = StackOptions::default();
    let plan = client.put_stack(file.project.as_ref(), file, &options);
    plan.await.unwrap().revision
}

async fn measure(args: &Args) -> Vec<Figure> {
    let mut fleet = Fleet::new(World::new(args.hosts, args.project));
    fleet.join().await;
    fleet.apply().await;
    fleet.attach().await;
    for rate in &args.rate {
        fleet.change(*rate, args.seconds).await;
    }
    fleet.restart().await;
    let broken = fleet.tally.broken.load(Ordering::Relaxed);
    assert_eq!(broken, 0, "streams that carried what does not fit");
    fleet.figures
}

fn main() {
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let figures = runtime.block_on(measure(&args));
    runtime.shutdown_background();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&figures).unwrap());
        return;
    }
    println!(
        "{:<48} {:>9} {:>9} {:>9} {:>8} {:>9} {:>10}",
        "", "p50 ms", "p99 ms", "last ms", "CPU ms", "RSS MiB", "KiB/agent"
    );
    for it in figures {
        println!(
            "{:<48} {:>9.1} {:>9.1} {:>9.1} {:>8.0} {:>9.0} {:>10.1}",
            it.what,
            it.p50_ms,
            it.p99_ms,
            it.last_ms,
            it.processor_ms,
            it.resident_mib,
            it.kib_per_agent
        );
    }
}
