//! Starting and stopping an agent: what is read from the host before the core can begin.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use coax_netlink::{LinkWatch, Netlink};
use coax_vswitch::{DataPlane, KernelDataPlane, KernelOptions};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::answers::AnswerThread;
use crate::args::{AgentCommand, Args, RunArgs, Underlay};
use crate::cache::Cache;
use crate::cache_thread::CacheThread;
use crate::canary::CanaryThread;
use crate::core::{Core, Found};
use crate::desired;
use crate::doctor::{self, Subject};
use crate::error::Error;
use crate::flow_thread;
use crate::input::{Config, Input};
use crate::membership::Membership;
use crate::plane::PlaneThread;
use crate::punts;
use crate::tasks::{Channels, DEVICES, FLOWS, PUNTS, RESULTS, run_core};
use crate::tracer::Tracer;
use crate::{links, stream};

/// Does what the command line says; an agent runs until SIGTERM or SIGINT.
pub async fn run(args: Args) -> Result<(), Error> {
    match (args.command, args.run) {
        (Some(AgentCommand::Detach { pins }), _) => detach(&pins),
        (None, Some(run)) => run_agent(&run).await,
        (None, None) => Err(Error::NothingToDo),
    }
}

/// Takes the vSwitch whose pins are in `pins` off this host.
pub fn detach(pins: &Path) -> Result<(), Error> {
    KernelDataPlane::remove(pins)?;
    tracing::info!(pins = %pins.display(), "the vSwitch is detached");
    Ok(())
}

async fn run_agent(args: &RunArgs) -> Result<(), Error> {
    let stop = stop_signal()?;
    for address in &args.controllers {
        stream::endpoint(address)?;
    }
    std::fs::create_dir_all(&args.state).map_err(|source| Error::State {
        path: args.state.clone(),
        source,
    })?;
    let membership = Membership::load(&args.state, &args.host)?;
    let mut config = config(args, &Netlink::open()?).await?;
    let options = KernelOptions {
        pins: args.pins_folder(),
        capacity: args.capacity,
        take_over_layout: args.take_over_layout,
    };
    let mut plane: Box<dyn DataPlane> = Box::new(KernelDataPlane::open(&options)?);
    let (found, cache) = find(args, plane.as_ref())?;
    config.secret = desired::secret(&found.rows.host, RandomState::new().build_hasher().finish());
    tracing::info!(
        host = config.host,
        vtep_ipv4 = ?config.vtep_ipv4,
        vtep_ipv6 = ?config.vtep_ipv6,
        cached_networks = found.cache.as_ref().map_or(0, |cache| cache.slices.len()),
        "the agent starts"
    );

    let (device_sender, devices) = mpsc::channel(DEVICES);
    tokio::spawn(links::tell_links(LinkWatch::open()?, device_sender));
    let (result_sender, results) = mpsc::channel(RESULTS);
    let (punt_sender, punts) = mpsc::channel(PUNTS);
    let punt_thread = plane
        .take_punts()
        .map(|reader| punts::start(reader, punt_sender));
    // Ends its thread when this function ends.
    let _punt_thread = punt_thread.transpose()?;
    let (flow_sender, flows) = mpsc::channel(FLOWS);
    let flow_reader = plane
        .take_flows()
        .map(|reader| flow_thread::start(reader, flow_sender));
    let _flow_reader = flow_reader.transpose()?;
    let plane = PlaneThread::start(config.host.clone(), plane, result_sender.clone())?;
    let subject = Subject::of(&config);
    tokio::spawn(watch_host(
        Netlink::open()?,
        subject.clone(),
        result_sender.clone(),
    ));
    let tracer = Tracer::new(plane.copies(), Netlink::open()?, result_sender, subject);
    let cache = CacheThread::start(cache)?;
    let core = Core::new(config, found, Duration::ZERO);
    // What forwards is in place; the controller may come later.
    coax_api::service_manager::ready();
    let channels = Channels {
        devices,
        results,
        plane,
        punts,
        flows,
        answers: AnswerThread::start()?,
        cache,
        tracer,
        canary: CanaryThread::start()?,
    };
    let outcome = run_core(core, channels, membership, stop).await;
    tracing::info!("the agent stops; forwarding goes on");
    outcome
}

/// Looks at the host now and again, and tells what is different, until nobody listens.
async fn watch_host(netlink: Netlink, subject: Subject, results: mpsc::Sender<Input>) {
    let mut told = Vec::new();
    loop {
        match doctor::look(&netlink, &subject).await {
            Ok(found) if found != told => {
                told.clone_from(&found);
                if results.send(Input::Examined(found)).await.is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the host cannot be looked at"),
        }
        if results.is_closed() {
            return;
        }
        tokio::time::sleep(doctor::AGAIN).await;
    }
}

/// Reads what the host has from before.
fn find(args: &RunArgs, plane: &dyn DataPlane) -> Result<(Found, Cache), Error> {
    let cache = Cache::new(&args.state);
    let (contents, cache_problem) = match cache.load() {
        Ok(contents) => (contents, None),
        Err(error) => {
            tracing::error!(%error, "starting without a cache");
            (None, Some(error.to_string()))
        }
    };
    let found = Found {
        rows: plane.rows()?,
        attached: plane.attached()?,
        cache: contents,
        cache_problem,
        seed: RandomState::new().build_hasher().finish(),
    };
    Ok((found, cache))
}

/// Completes the command line with what the host knows.
async fn config(args: &RunArgs, netlink: &Netlink) -> Result<Config, Error> {
    let links = netlink.links().await?;
    let mut tunnel_devices: Vec<u32> = links
        .iter()
        .filter(|link| link.name == "lo")
        .map(|link| link.index)
        .collect();
    for name in &args.uplinks {
        match links.iter().find(|link| link.name == *name) {
            Some(link) => tunnel_devices.push(link.index),
            None => {
                let present: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
                return Err(Error::NoUplink {
                    name: name.clone(),
                    present: present.join(", "),
                });
            }
        }
    }
    let (mut vtep_ipv4, mut vtep_ipv6) = (args.vtep_ipv4, args.vtep_ipv6);
    let addresses = netlink.addresses(None).await?;
    if vtep_ipv4.is_none() && vtep_ipv6.is_none() {
        let candidates: Vec<IpAddr> = tunnel_devices
            .iter()
            .flat_map(|device| addresses.iter().filter(move |(index, _)| index == device))
            .map(|(_, net)| net.addr())
            .collect();
        vtep_ipv4 = candidates.iter().find_map(global_ipv4);
        vtep_ipv6 = candidates.iter().find_map(global_ipv6);
    }
    if vtep_ipv4.is_none() && vtep_ipv6.is_none() {
        return Err(Error::NoVtep);
    }
    let given = vtep_ipv4
        .map(IpAddr::from)
        .into_iter()
        .chain(vtep_ipv6.map(IpAddr::from));
    for vtep in given.filter(|vtep| !addresses.iter().any(|(_, net)| net.addr() == *vtep)) {
        tracing::warn!(%vtep, "no device of this host has the tunnel endpoint's address");
    }
    Ok(Config {
        host: args.host.clone(),
        controllers: args.controllers.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        vtep_ipv4,
        vtep_ipv6,
        uplinks: args.uplinks.clone(),
        capacity: args.capacity,
        prefer_ipv6: args.underlay == Underlay::Ipv6,
        canary: crate::canary::secret(&args.host),
        secret: 0,
    })
}

fn global_ipv4(address: &IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) if !address.is_loopback() && !address.is_link_local() => Some(*address),
        _ => None,
    }
}

fn global_ipv6(address: &IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) if !address.is_loopback() && !address.is_unicast_link_local() => {
            Some(*address)
        }
        _ => None,
    }
}

/// Ends when the process is asked to stop.
fn stop_signal() -> Result<impl Future<Output = ()>, Error> {
    let failed = |source| Error::System {
        what: "wait for signals",
        source,
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
