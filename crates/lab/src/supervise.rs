//! The supervisor: what a routing protocol and a VM manager do around a real Coax. It watches the
//! devices of every spine, leaf and host and reroutes when one changes, and it runs a VM for every
//! port that is wanted on a host of the lab.
//!
//! ```text
//!   watcher (one per node) --DeviceChange, 256--> router        (the main task)
//!   VM keeper: polls the API's revision, boots and removes VMs  (its own task)
//! ```
//! The two share nothing: a slow boot never delays a reroute.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use coax_api::Client;
use coax_fabric::NodeId;
use coax_netlink::{LinkEvent, LinkWatch};
use tokio::sync::mpsc;

use crate::error::Error;
use crate::name::LabName;
use crate::routing::Routing;
use crate::site::Site;
use crate::state::Record;
use crate::vm::{self, VmSpec};

/// How often the API is asked whether something has changed.
const POLL: Duration = Duration::from_millis(50);
/// When routes that a kernel refused are tried again, if nothing else happens before.
const RETRY: Duration = Duration::from_millis(10);
/// Device changes that may wait for the router.
const QUEUE: usize = 256;

/// A device of a node went up or down.
#[derive(Debug)]
struct DeviceChange {
    node: NodeId,
    device: String,
    up: bool,
}

/// Supervises a lab until `SIGTERM`.
pub async fn run(lab: &LabName) -> Result<(), Error> {
    let record = Record::load(lab)?;
    let site = Site::open(lab, record.file.plan()?).await?;
    let keeper = tokio::spawn(keep_vms(site.clone(), record.file.underlay_mtu));
    let stop = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(error) => tracing::warn!(%error, "cannot listen for SIGTERM"),
        }
    };
    let done = tokio::select! {
        done = route(site) => done,
        () = stop => Ok(()),
    };
    keeper.abort();
    done
}

/// Keeps the routes of all nodes right, for ever.
pub async fn route(site: Site) -> Result<(), Error> {
    let (sender, mut changes) = mpsc::channel(QUEUE);
    for (id, _) in site.plan.topology.nodes() {
        let watch = LinkWatch::open_in(&site.node(id).namespace)?;
        tokio::spawn(watch_node(id, watch, sender.clone()));
    }
    let mut routing = Routing::new(site);
    routing.adopt().await?;
    let mut changed = true;
    loop {
        // All that is known now goes into one computation.
        while let Ok(change) = changes.try_recv() {
            changed |= note(&mut routing, change).await?;
        }
        if std::mem::take(&mut changed) {
            let start = Instant::now();
            let synced = routing.sync().await?;
            let down = routing.state().down().count();
            tracing::info!(?synced, links_down = down, took = ?start.elapsed(), "rerouted");
            changed = synced.refused > 0;
        }
        let wait = if changed { RETRY } else { Duration::MAX };
        match tokio::time::timeout(wait, changes.recv()).await {
            Ok(Some(change)) => changed |= note(&mut routing, change).await?,
            Ok(None) => return Ok(()),
            Err(_) => {}
        }
    }
}

async fn note(routing: &mut Routing, change: DeviceChange) -> Result<bool, Error> {
    routing
        .device_changed(change.node, &change.device, change.up)
        .await
}

async fn watch_node(node: NodeId, mut watch: LinkWatch, changes: mpsc::Sender<DeviceChange>) {
    loop {
        let (link, up) = match watch.next().await {
            Ok(LinkEvent::Changed(link)) => {
                let up = link.up && link.carrier;
                (link, up)
            }
            Ok(LinkEvent::Gone(link)) => (link, false),
            Ok(LinkEvent::Listed) => continue,
            Err(error) => {
                tracing::error!(%error, "no more news of a node's devices");
                return;
            }
        };
        let change = DeviceChange {
            node,
            device: link.name,
            up,
        };
        if changes.send(change).await.is_err() {
            return;
        }
    }
}

/// Runs the VMs that the API asks for. A controller that is away changes nothing.
async fn keep_vms(site: Site, device_mtu: u32) {
    let client = crate::client(&site.lab);
    let mut known = BTreeMap::new();
    let mut seen = None;
    loop {
        match poll(&site, &client, device_mtu, &mut known, seen).await {
            Ok(revision) => seen = Some(revision),
            Err(Error::Api(error)) => tracing::debug!(%error, "the controller is away"),
            Err(error) => tracing::warn!(%error, "cannot run a VM, trying again"),
        }
        tokio::time::sleep(POLL).await;
    }
}

/// One round; returns the revision up to which all VMs are as wanted.
async fn poll(
    site: &Site,
    client: &Client,
    device_mtu: u32,
    known: &mut BTreeMap<String, VmSpec>,
    seen: Option<u64>,
) -> Result<u64, Error> {
    let revision = client.status().await?.revision;
    if seen == Some(revision) {
        return Ok(revision);
    }
    let mut wanted = BTreeMap::new();
    for port in client.ports(None).await? {
        let host = port
            .host_wanted
            .as_deref()
            .and_then(|host| site.host(host).ok());
        if let (Some((host, _)), Some(spec)) = (host, VmSpec::of(&port)) {
            wanted.insert(port.id, (host, spec));
        }
    }
    let running = vm::list(site)?;
    for port in &running {
        let same = match (wanted.get(port), known.get(port)) {
            (Some((_, spec)), Some(known)) => spec == known,
            // After a restart of the supervisor a VM that runs is taken for right.
            (Some(_), None) => true,
            (None, _) => false,
        };
        if !same {
            tracing::info!(%port, "switching the VM off");
            vm::remove(site, port).await?;
            known.remove(port);
        }
    }
    let running = vm::list(site)?;
    for (port, (host, spec)) in wanted {
        if !running.contains(&port) {
            tracing::info!(%port, host = %site.plan.topology.name(host), "booting the VM");
            vm::boot(site, &spec, host, device_mtu).await?;
        }
        known.insert(port, spec);
    }
    Ok(revision)
}
