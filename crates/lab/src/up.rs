//! `coax lab up`: from a file to a lab whose agents are all attached.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use coax_fabric::Tier;

use crate::build;
use crate::daemon::{self, Daemon};
use crate::down;
use crate::error::Error;
use crate::file::LabFile;
use crate::name::LabName;
use crate::process;
use crate::routing::Routing;
use crate::state::{Phase, Record};

/// How often something that is to happen is looked at.
const POLL: Duration = Duration::from_millis(20);

/// What is to be built.
#[derive(Debug, Clone)]
pub struct Options {
    /// The lab file.
    pub file: LabFile,
    /// The lab's name.
    pub name: LabName,
    /// The `coax` binary to run as controller, agents and supervisor; `None` builds the fabric alone.
    pub binary: Option<PathBuf>,
    /// How long the processes may take to find each other.
    pub limit: Duration,
}

/// Builds a lab. On an error nothing stays behind. `tell` hears each step.
pub async fn up(options: &Options, tell: &dyn Fn(&str)) -> Result<(), Error> {
    if !process::is_root() {
        return Err(Error::NotRoot);
    }
    Record::new(options.name.clone(), options.file.clone()).create()?;
    let built = assemble(options, tell).await;
    if built.is_err() {
        // The first error is the one that counts.
        if let Err(error) = down::down(&options.name).await {
            tracing::warn!(%error, "cleaning up after a failed start");
        }
    }
    built
}

async fn assemble(options: &Options, tell: &dyn Fn(&str)) -> Result<(), Error> {
    let name = &options.name;
    let start = Instant::now();
    let plan = options.file.plan()?;
    let counts = Tier::ALL.map(|tier| plan.topology.tier(tier).count());
    let site = build::build(name, plan, options.file.underlay_mtu).await?;
    let mut routing = Routing::new(site);
    let routes = routing.sync().await?.written;
    let [spines, leaves, hosts] = counts;
    tell(&format!(
        "fabric: {spines} spines, {leaves} leaves, {hosts} hypervisors, {routes} routes ({} ms)",
        start.elapsed().as_millis()
    ));
    if let Some(binary) = &options.binary {
        start_processes(options, binary, tell).await?;
    }
    Record::update(name, |record| record.phase = Phase::Up)
}

async fn start_processes(
    options: &Options,
    binary: &std::path::Path,
    tell: &dyn Fn(&str),
) -> Result<(), Error> {
    let name = &options.name;
    let start = Instant::now();
    let record = Record::load(name)?;
    for folder in ["state", "logs"].map(|folder| name.folder().join(folder)) {
        fs::create_dir_all(&folder).map_err(Error::io("create", folder))?;
    }
    daemon::enrol(&record)?;
    daemon::start(&record, &Daemon::Controller, binary)?;
    let client = crate::client(name);
    until(options, "the controller's start", async || {
        Ok(client.ready().await.err().map(|error| error.to_string()))
    })
    .await?;
    for daemon in daemon::wanted(&record)
        .into_iter()
        .filter(|d| *d != Daemon::Controller)
    {
        daemon::start(&record, &daemon, binary)?;
    }
    let hosts = record.file.hosts.len();
    until(options, "attaching the agents", async || {
        let connected = client.status().await?.hosts.connected;
        Ok((connected < hosts).then(|| format!("{connected} of {hosts} are attached")))
    })
    .await?;
    tell(&format!(
        "controller and {hosts} agents attached ({} ms)",
        start.elapsed().as_millis()
    ));
    Ok(())
}

/// Asks again until `missing` misses nothing; gives up after the limit or when a process has died.
async fn until(
    options: &Options,
    what: &str,
    missing: impl AsyncFn() -> Result<Option<String>, Error>,
) -> Result<(), Error> {
    let end = Instant::now() + options.limit;
    loop {
        let Some(detail) = missing().await? else {
            return Ok(());
        };
        let record = Record::load(&options.name)?;
        if let Some((process, _)) = record.processes.iter().find(|(_, id)| !id.is_alive()) {
            return Err(process::died(&options.name.log(process)));
        }
        if Instant::now() >= end {
            return Err(Error::TimedOut {
                what: what.to_owned(),
                limit: options.limit,
                detail,
            });
        }
        tokio::time::sleep(POLL).await;
    }
}
