//! What each `coax lab` command does and prints. Data goes to stdout, progress to stderr.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::args::{Args, Command, Format, GraphArgs};
use crate::error::Error;
use crate::fault;
use crate::file::LabFile;
use crate::graph;
use crate::measure::udp;
use crate::name::LabName;
use crate::site::Site;
use crate::state::{self, Record};
use crate::{daemon, down, enter, migrate, status, supervise, up, vm};

/// Where streams of `coax lab measure` go to: the discard service's port.
const MEASURE_PORT: u16 = 9;

/// Runs a lab command. The result is the exit code: 0, or 1 for a lab that is not as it should be.
/// Needs a running tokio runtime.
pub async fn run(args: Args, format: Format, quiet: bool) -> Result<u8, Error> {
    let tell = |text: &str| {
        if !quiet {
            eprintln!("{text}");
        }
    };
    match args.command {
        Command::Up { file, name, limit } => start(file, name, limit, &tell).await,
        Command::Down { name, all } => stop(name, all, &tell).await,
        Command::List => list(format).await,
        Command::Status { name, wait } => show_status(name, wait, format).await,
        Command::Shell { node, lab } => {
            enter::shell(&state::choose(lab.as_ref())?, &node).map(|()| 0)
        }
        Command::Exec { node, command, lab } => {
            let (program, arguments) = command.split_first().unwrap_or((&node, &[]));
            enter::exec(&state::choose(lab.as_ref())?, &node, program, arguments).map(|()| 0)
        }
        Command::Migrate {
            port,
            host,
            lab,
            limit,
        } => {
            let lab = state::choose(lab.as_ref())?;
            let site = open(&lab).await?;
            let done = migrate::migrate(&site, &crate::client(&lab), &port, &host, limit).await?;
            let text = format!(
                "{} moved from {} to {}: prepared in {:.1} ms, switched in {:.1} ms, known in {:.1} ms\n",
                done.port, done.from, done.to, done.prepare_ms, done.switch_ms, done.settle_ms
            );
            print(format, &done, &text, std::slice::from_ref(&done.port))?;
            Ok(0)
        }
        Command::Measure {
            from,
            to,
            rate,
            time,
            ipv6,
            lab,
        } => {
            let lab = state::choose(lab.as_ref())?;
            measure(&lab, [&from, &to], rate, time, ipv6, format).await
        }
        Command::Break { what, lab } => {
            let lab = state::choose(lab.as_ref())?;
            let fault = fault::inflict(&open(&lab).await?, &what.into()).await?;
            tell(&format!("broken: {fault}"));
            Ok(0)
        }
        Command::Heal { what, lab } => {
            let lab = state::choose(lab.as_ref())?;
            let fault = fault::heal(&open(&lab).await?, &what.into()).await?;
            tell(&format!("healed: {fault}"));
            Ok(0)
        }
        Command::Supervise { name } => supervise::run(&name).await.map(|()| 0),
    }
}

/// Runs `coax graph`. Needs a running tokio runtime.
pub async fn run_graph(args: GraphArgs) -> Result<u8, Error> {
    let lab = state::choose(args.name.as_ref())?;
    write_out(&graph::graph(&lab, args.format).await?)?;
    Ok(0)
}

/// Opens the namespaces of a lab that is up.
pub async fn open(lab: &LabName) -> Result<Site, Error> {
    Site::open(lab, Record::load(lab)?.file.plan()?).await
}

async fn start(
    path: PathBuf,
    name: Option<LabName>,
    limit: Duration,
    tell: &dyn Fn(&str),
) -> Result<u8, Error> {
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let file = LabFile::parse(&path, &text)?;
    let options = up::Options {
        name: name.unwrap_or_else(|| file.name.clone()),
        file,
        binary: Some(daemon::own_binary()),
        limit,
    };
    tokio::select! {
        built = up::up(&options, tell) => built?,
        () = interrupted() => {
            down::down(&options.name).await?;
            tell("interrupted; what was built is gone");
            return Ok(1);
        }
    }
    tell(&format!(
        "lab {} is up; `coax apply -f examples/shop.yaml` puts VMs on it",
        options.name
    ));
    Ok(0)
}

/// Waits for Ctrl-C or `SIGTERM`.
pub(crate) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        // Without a handler the signals do what they always do.
        Err(_) => std::future::pending().await,
    }
}

async fn stop(name: Option<LabName>, all: bool, tell: &dyn Fn(&str)) -> Result<u8, Error> {
    let names = match (name, all) {
        (Some(name), _) => vec![name],
        (None, true) => state::list(),
        // Nothing to remove is what was asked for.
        (None, false) => match state::choose(None) {
            Err(Error::NoLab) => Vec::new(),
            other => vec![other?],
        },
    };
    if names.is_empty() {
        tell("no lab is up");
    }
    for name in names {
        let there = down::down(&name).await?;
        tell(&format!(
            "lab {name} {}",
            if there { "is gone" } else { "is not up" }
        ));
    }
    Ok(0)
}

async fn measure(
    lab: &LabName,
    [from, to]: [&str; 2],
    rate: u32,
    time: Duration,
    v6: bool,
    format: Format,
) -> Result<u8, Error> {
    let (sender, receiver) = (enter::resolve(lab, from)?, enter::resolve(lab, to)?);
    let netlink = receiver.netlink()?;
    let card = netlink.link(vm::CARD).await?.index;
    let mut addresses = netlink
        .addresses(Some(card))
        .await?
        .into_iter()
        .map(|(_, net)| net.addr());
    // A link-local address would need to be told the link.
    let usable = |address: &IpAddr| match address {
        IpAddr::V4(_) => !v6,
        IpAddr::V6(address) => v6 && !address.is_unicast_link_local(),
    };
    let address = addresses
        .find(usable)
        .ok_or_else(|| Error::NotPlugged(to.to_owned()))?;
    let stream = udp::Stream {
        to: SocketAddr::new(address, MEASURE_PORT),
        rate,
        size: 64,
        from_port: 0,
    };
    let flow = udp::flow(&sender, &receiver, stream)?;
    tokio::time::sleep(time).await;
    let done = tokio::task::spawn_blocking(move || flow.finish()).await;
    let report = done.map_err(|panicked| Error::Output(panicked.to_string()))??;
    let text = format!(
        "{} sent, {} lost, {} twice, {} out of order; longest silence {:.1} ms\n",
        report.sent, report.lost, report.duplicated, report.reordered, report.longest_gap_ms
    );
    print(format, &report, &text, &[])?;
    Ok(0)
}

#[derive(Serialize)]
struct Listed {
    name: LabName,
    phase: state::Phase,
    spines: usize,
    leaves: usize,
    hosts: usize,
    api: PathBuf,
}

async fn list(format: Format) -> Result<u8, Error> {
    let mut labs = Vec::new();
    for name in state::list() {
        // A lab that goes down at this moment is no longer one.
        if let Ok(record) = Record::load(&name) {
            labs.push(Listed {
                api: name.api_socket(),
                name,
                phase: record.phase,
                spines: record.file.spines,
                leaves: record.file.leaves,
                hosts: record.file.hosts.len(),
            });
        }
    }
    let mut text = String::new();
    for lab in &labs {
        let phase = format!("{:?}", lab.phase).to_lowercase();
        let (name, spines, leaves, hosts) = (&lab.name, lab.spines, lab.leaves, lab.hosts);
        text.push_str(&format!(
            "{name:<12} {phase:<8} {spines} spines, {leaves} leaves, {hosts} hypervisors\n"
        ));
    }
    let names: Vec<String> = labs.iter().map(|lab| lab.name.to_string()).collect();
    print(format, &labs, &text, &names)?;
    Ok(0)
}

async fn show_status(
    name: Option<LabName>,
    wait: Option<Duration>,
    format: Format,
) -> Result<u8, Error> {
    let lab = state::choose(name.as_ref())?;
    let status = match wait {
        Some(limit) => status::wait(&lab, limit).await?,
        None => status::status(&lab).await?,
    };
    let mut text = format!(
        "lab {}: {}\n",
        status.name,
        if status.ready { "ready" } else { "not ready" }
    );
    let running = status
        .processes
        .iter()
        .filter(|process| process.running)
        .count();
    text.push_str(&format!(
        "  processes: {running} of {} running\n",
        status.processes.len()
    ));
    text.push_str(&format!("  hypervisors: {}\n", status.hosts.join(", ")));
    text.push_str(&format!("  VMs: {}\n", status.vms.len()));
    for broken in &status.broken {
        text.push_str(&format!("  broken: {broken}\n"));
    }
    for missing in &status.missing {
        text.push_str(&format!("  missing: {missing}\n"));
    }
    print(
        format,
        &status,
        &text,
        std::slice::from_ref(&status.name.to_string()),
    )?;
    Ok(u8::from(!status.ready))
}

pub(crate) fn print(
    format: Format,
    value: &impl Serialize,
    text: &str,
    names: &[String],
) -> Result<(), Error> {
    let out = match format {
        Format::Table => text.to_owned(),
        Format::Json => {
            let json = serde_json::to_string_pretty(value);
            json.map_err(|error| Error::Output(error.to_string()))? + "\n"
        }
        Format::Yaml => {
            serde_saphyr::to_string(value).map_err(|error| Error::Output(error.to_string()))?
        }
        Format::Name => names.iter().map(|name| format!("{name}\n")).collect(),
    };
    write_out(&out)
}

fn write_out(text: &str) -> Result<(), Error> {
    use std::io::{ErrorKind, Write};
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Output(error.to_string()))
        }
        _ => Ok(()),
    }
}
