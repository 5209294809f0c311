//! A controller with a fleet of hosts: the real program, its real streams with TLS both ways, and a thousand agents that do
//! everything but program a kernel. `cargo bench -p coax --bench fleet`, with `-- --hosts 100 --seconds 5` for less.
//!
//! Measured: a start from nothing, all agents coming back after the controller was killed, and from a change's API call until every
//! host that needs it has acknowledged it; each with the controller's processor time and memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agent;
mod process;
mod world;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Parser;
use coax_api::{Client, InvitationRequest, StackOptions};
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
    /// How long changes go on, at each rate
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Changes a second; can be repeated
    #[arg(long, default_values_t = [10, 100])]
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

/// Notes what is used while something is measured.
struct Stretch {
    started: Instant,
    usage: Usage,
    bytes: u64,
}

impl Stretch {
    fn begin(controller: &Controller, tally: &Tally) -> Self {
        Self {
            started: Instant::now(),
            usage: controller.usage(),
            bytes: tally.bytes.load(Ordering::Relaxed),
        }
    }

    fn end(
        self,
        what: String,
        mut times: Vec<Duration>,
        controller: &Controller,
        fleet: &Fleet,
    ) -> Figure {
        if times.is_empty() {
            times.push(self.started.elapsed());
        }
        times.sort();
        let at = |share: f64| {
            let place = ((times.len() - 1) as f64 * share).round() as usize;
            times[place].as_secs_f64() * 1e3
        };
        let usage = controller.usage();
        let bytes = fleet.tally.bytes.load(Ordering::Relaxed) - self.bytes;
        Figure {
            what,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            last_ms: at(1.0),
            // A controller that was started anew began at nothing.
            processor_ms: usage
                .processor
                .saturating_sub(self.usage.processor)
                .as_secs_f64()
                * 1e3,
            resident_mib: usage.resident_mib,
            kib_per_agent: bytes as f64 / 1024.0 / fleet.world.hosts as f64,
        }
    }
}

struct Fleet {
    world: World,
    tally: Arc<Tally>,
    folder: tempfile::TempDir,
}

impl Fleet {
    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn identity(&self, host: usize) -> std::path::PathBuf {
        self.folder().join(World::host_name(host))
    }

    /// Every machine becomes a host with a token of its own.
    async fn join(&self, client: &Client) -> Vec<Duration> {
        let mut times = Vec::new();
        let mut joining = JoinSet::new();
        for host in 0..self.world.hosts {
            if joining.len() == JOINING {
                times.extend(joining.join_next().await.map(Result::unwrap));
            }
            let (client, folder) = (client.clone(), self.identity(host));
            joining.spawn(async move {
                let started = Instant::now();
                let name = World::host_name(host);
                let request = InvitationRequest {
                    host: Some(name.clone()),
                    expires_in: None,
                };
                let invitation = client.invite(&request).await.unwrap();
                let token = invitation.token.parse().unwrap();
                coax_agent::join(&token, &name.parse().unwrap(), &folder)
                    .await
                    .unwrap();
                started.elapsed()
            });
        }
        times.extend(joining.join_all().await);
        times
    }

    fn attach(&self, controller: &str) {
        for (host, plugged) in self.world.plugged().into_iter().enumerate() {
            let name = (World::host_name(host), u16::try_from(host).unwrap());
            let identity = self.identity(host);
            let agent = Agent::new(name, controller, &identity, plugged, self.tally.clone());
            tokio::spawn(agent.run());
        }
    }

    /// Changes one port's row on a hundred hosts, at a rate that does not wait for answers.
    async fn change(&self, client: &Client, rate: u64, seconds: u64) -> Vec<Duration> {
        let mut running = JoinSet::new();
        let started = tokio::time::Instant::now();
        for number in 0..usize::try_from(rate * seconds).unwrap() {
            let due = started
                + Duration::from_secs(1) * u32::try_from(number).unwrap()
                    / u32::try_from(rate).unwrap();
            let project = number % self.world.projects;
            let file = World::stack(project, Some(World::some_port(number)));
            tokio::time::sleep_until(due).await;
            let client = client.clone();
            running.spawn(async move {
                let options = StackOptions::default();
                let project = file.project.clone();
                let plan = client
                    .put_stack(project.as_ref(), &file, &options)
                    .await
                    .unwrap();
                let state = client.wait(plan.revision, PATIENCE).await.unwrap();
                assert!(
                    state.done,
                    "revision {} is missing on {:?}",
                    plan.revision, state.missing
                );
                due.elapsed()
            });
        }
        running.join_all().await
    }
}

async fn measure(args: &Args) -> Vec<Figure> {
    let world = World {
        hosts: args.hosts,
        projects: args.hosts.div_ceil(20),
    };
    let fleet = Fleet {
        world,
        tally: Arc::default(),
        folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(),
    };
    let tally = &fleet.tally;
    let mut controller = Controller::start(fleet.folder(), "127.0.0.1:0");
    let client = Controller::client(fleet.folder());
    let mut figures = Vec::new();

    let stretch = Stretch::begin(&controller, tally);
    let times = fleet.join(&client).await;
    figures.push(stretch.end(
        format!("{} hosts are invited and join", world.hosts),
        times,
        &controller,
        &fleet,
    ));

    let stretch = Stretch::begin(&controller, tally);
    let mut times = Vec::new();
    for project in 0..world.projects {
        let started = Instant::now();
        let file = World::stack(project, None);
        client
            .put_stack(file.project.as_ref(), &file, &StackOptions::default())
            .await
            .unwrap();
        times.push(started.elapsed());
    }
    figures.push(stretch.end(
        format!("{} files of 1,000 ports are applied", world.projects),
        times,
        &controller,
        &fleet,
    ));

    let stretch = Stretch::begin(&controller, tally);
    fleet.attach(&controller.agents);
    all_current(tally, world.hosts).await;
    settled(&client).await;
    figures.push(stretch.end(
        format!("all attach, {} ports are plugged in", world.ports()),
        Vec::new(),
        &controller,
        &fleet,
    ));

    for rate in &args.rate {
        let stretch = Stretch::begin(&controller, tally);
        let times = fleet.change(&client, *rate, args.seconds).await;
        let what = format!("{rate} changes/s for {} s, each to 100 hosts", args.seconds);
        figures.push(stretch.end(what, times, &controller, &fleet));
    }

    let stretch = Stretch::begin(&controller, tally);
    controller.restart(fleet.folder());
    all_current(tally, world.hosts).await;
    settled(&client).await;
    figures.push(stretch.end(
        "the controller is killed, starts, all are back".to_owned(),
        Vec::new(),
        &controller,
        &fleet,
    ));
    assert_eq!(
        tally.broken.load(Ordering::Relaxed),
        0,
        "streams with what does not fit"
    );
    figures
}

/// Waits until every host has acknowledged what there is now.
async fn settled(client: &Client) {
    loop {
        let revision = client.status().await.unwrap().revision;
        let state = client.wait(revision, PATIENCE).await.unwrap();
        if state.done && client.status().await.unwrap().revision == revision {
            return;
        }
    }
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
