//! The main job, end to end, with real packets through the real kernel: `coax demo`. Nine points,
//! one file each, and a tenth that closes the books. Two labs stand side by side for it: one with
//! Coax, one with Linux bridges and vxlan devices. Both are gone afterwards, however it ends.

mod baseline;
mod changes;
mod cuts;
mod flood;
mod foreign;
mod forgeries;
mod hostile;
mod moves;
mod plug;
mod reach;
pub mod report;
mod restarts;
mod sniffer;
mod speed;
pub mod world;
mod zones;

use std::time::{Duration, Instant};

use report::{Checks, Point, Report};
use serde::Serialize;
use sniffer::Sniffer;
use tokio::runtime::Handle;
use world::{World, example};

use crate::args::Format;
use crate::error::Error;
use crate::file::LabFile;
use crate::name::LabName;
use crate::site::Site;
use crate::{daemon, down, up};

const START: Duration = Duration::from_secs(30);
/// Exit code of what Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Do the main job with real traffic and report
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Only these points: 1 to 10
    #[arg(long, value_name = "NUMBER", value_delimiter = ',')]
    points: Vec<u8>,
    /// Leave the labs up afterwards
    #[arg(long)]
    keep: bool,
    /// What the names of the two labs begin with. What an earlier demo of that name left behind is
    /// removed at the start
    #[arg(long, hide = true, default_value = "demo")]
    name: String,
}

impl Args {
    /// The lab with Coax, and the one with bridges.
    fn labs(&self) -> Result<[LabName; 2], Error> {
        Ok([
            format!("{}run", self.name).parse()?,
            format!("{}base", self.name).parse()?,
        ])
    }

    fn wants(&self, point: u8) -> bool {
        self.points.is_empty() || self.points.contains(&point)
    }
}

/// Runs the demo. The result is the exit code: 0 if every point passed. Needs a running tokio runtime.
pub async fn run(args: Args, format: Format, quiet: bool) -> Result<u8, Error> {
    let labs = args.labs()?;
    clean_up(&labs).await?;
    let (handle, keep) = (Handle::current(), args.keep);
    let mut work = tokio::task::spawn_blocking(move || job(&args, format, quiet, handle));
    let done = tokio::select! {
        done = &mut work => Some(done),
        () = crate::commands::interrupted() => None,
    };
    if !keep || done.is_none() {
        clean_up(&labs).await?;
    }
    match done {
        Some(Ok(done)) => done,
        Some(Err(panicked)) => Err(Error::Output(panicked.to_string())),
        None => {
            eprintln!("interrupted; both labs are gone");
            // The blocking thread may wait for packets that will not come any more.
            std::process::exit(i32::from(INTERRUPTED));
        }
    }
}

async fn clean_up(labs: &[LabName]) -> Result<(), Error> {
    for name in labs {
        down::down(name).await?;
    }
    Ok(())
}

fn job(args: &Args, format: Format, quiet: bool, handle: Handle) -> Result<u8, Error> {
    let tell = |text: &str| {
        if !quiet {
            eprintln!("{text}");
        }
    };
    let start = Instant::now();
    let mut demo = Demo::prepare(args, handle, &tell)?;
    let mut points = Vec::new();
    for number in (1..=10).filter(|number| args.wants(*number)) {
        let point = demo.point(number);
        tell(&point.render());
        points.push(point);
    }
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        kernel: kernel.trim().to_owned(),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        passed: points.iter().all(|point| point.passed),
        points,
        seconds: start.elapsed().as_secs_f64(),
    };
    crate::commands::print(format, &report, &report.summary(), &[])?;
    Ok(u8::from(!report.passed))
}

/// The demo's two labs.
struct Demo {
    world: World,
    sniffer: Option<Sniffer>,
    baseline: LabName,
    underlay_mtu: u32,
    /// No cable was cut so far, and nobody foreign took part.
    undisturbed: bool,
}

impl Demo {
    fn prepare(args: &Args, handle: Handle, tell: &dyn Fn(&str)) -> Result<Self, Error> {
        let (path, text) = example("lab");
        let file = LabFile::parse(path, text)?;
        let underlay_mtu = file.underlay_mtu;
        let [name, baseline] = args.labs()?;
        let mut options = up::Options {
            name,
            file,
            binary: Some(daemon::own_binary()),
            limit: START,
        };
        handle.block_on(up::up(&options, tell))?;
        let world = World::open(&options.name, handle.clone())?;
        // Before the first VM is booted: not one ARP frame may be missed.
        let watched = args.wants(2).then(|| Sniffer::start(&world.site));
        let start = Instant::now();
        world.apply(example("shop").1)?;
        world.apply(example("bank").1)?;
        tell(&format!(
            "networks and VMs of two projects ({} ms)",
            start.elapsed().as_millis()
        ));
        options.name = baseline;
        options.binary = None;
        let demo = Self {
            world,
            sniffer: watched.transpose()?,
            baseline: options.name.clone(),
            underlay_mtu,
            undisturbed: true,
        };
        if args.wants(3) {
            handle.block_on(up::up(&options, tell))?;
            demo.build_baseline()?;
        }
        Ok(demo)
    }

    fn build_baseline(&self) -> Result<(), Error> {
        let plan = self.world.site.plan.clone();
        let site = self.world.wait(Site::open(&self.baseline, plan))?;
        for (network, ports) in self.world.networks()? {
            let (project, name) = network.split_once('/').unwrap_or_default();
            let vni = self
                .world
                .wait(self.world.client.network(project, name))?
                .vni;
            let ports: Vec<_> = ports.iter().collect();
            self.world
                .wait(baseline::build(&site, &ports, vni, self.underlay_mtu))?;
        }
        Ok(())
    }

    fn point(&mut self, number: u8) -> Point {
        let start = Instant::now();
        self.undisturbed &= ![5, 7].contains(&number);
        let mut checks = Checks::default();
        let world = &self.world;
        let (title, done) = match number {
            1 => ("who reaches whom", details(reach::run(world, &mut checks))),
            2 => (
                "what is flooded, and what is delivered",
                details(flood::run(world, self.sniffer.take(), &mut checks)),
            ),
            3 => (
                "speed next to Linux bridge and vxlan",
                details(speed::run(world, &self.baseline, &mut checks)),
            ),
            4 => (
                "a VM moves ten times",
                details(moves::run(world, &mut checks)),
            ),
            5 => (
                "cables and a spine are cut",
                details(cuts::run(world, &mut checks)),
            ),
            6 => (
                "agents and controller are killed",
                details(restarts::run(world, &mut checks)),
            ),
            7 => (
                "a foreign tunnel endpoint",
                details(foreign::run(world, &mut checks)),
            ),
            8 => (
                "three tiers and a hostile VM",
                details(zones::run(world, &mut checks)),
            ),
            9 => (
                "a change, and the way back, under traffic",
                details(changes::run(world, &mut checks)),
            ),
            _ => (
                "every frame is accounted for",
                details(books(world, self.undisturbed, &mut checks)),
            ),
        };
        let (details, error) = match done {
            Ok(details) => (details, None),
            Err(error) => (serde_json::Value::Null, Some(error.to_string())),
        };
        Point {
            number,
            title,
            passed: error.is_none() && checks.0.iter().all(|check| check.passed),
            checks,
            error,
            details,
            seconds: start.elapsed().as_secs_f64(),
        }
    }
}

fn details<T: Serialize>(done: Result<T, Error>) -> Result<serde_json::Value, Error> {
    serde_json::to_value(done?).map_err(|error| Error::Output(error.to_string()))
}

/// Point 10: frames in = frames out + drops by named reason, exactly, on every host. What the fabric
/// itself lost is known as well: nothing, unless cables were cut or foreign machines took part.
fn books(
    world: &World,
    undisturbed: bool,
    checks: &mut Checks,
) -> Result<crate::accounting::Ledger, Error> {
    let ledger = world.ledger()?;
    for (host, books) in &ledger.hosts {
        let dropped: u64 = books.drops.values().sum();
        let measured = format!(
            "{} in + {} copies = {} out + {} flooded + {} punted + {dropped} dropped",
            books.received, books.copies, books.sent, books.flooded, books.punted
        );
        let difference = books.difference();
        checks.check(
            host.as_str(),
            measured,
            format!("difference {difference} is 0"),
            difference == 0,
        );
    }
    let (what, lost) = (
        "tunnel frames sent and not received by a host",
        ledger.lost_in_fabric(),
    );
    if undisturbed {
        checks.equal(what, lost, 0);
    } else {
        checks.tell(
            what,
            format!("{lost} (cables were cut, foreign endpoints took part)"),
        );
    }
    checks.equal("hosts that did not tell", ledger.missing.len(), 0);
    checks.equal(
        "hosts whose books are known",
        ledger.hosts.len(),
        world.hosts().len(),
    );
    Ok(ledger)
}
