//! Breaking and healing: cables, nodes and processes. What is broken is part of the lab's record; the
//! state of a cable follows from all faults together, so healing a leaf does not heal a cable to it
//! that was cut on its own.

use std::collections::BTreeSet;
use std::fmt;

use coax_fabric::{LinkId, NodeName, Topology};
use serde::{Deserialize, Serialize};

use crate::daemon::{self, Daemon};
use crate::error::Error;
use crate::name::LabName;
use crate::site::Site;
use crate::state::Record;

/// Something broken on purpose.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// A cable is cut: upper and lower end.
    Link(NodeName, NodeName),
    /// All cables of a node are cut.
    Node(NodeName),
    /// A process was killed.
    Process(Daemon),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(upper, lower) => write!(f, "link {upper} - {lower}"),
            Self::Node(node) => write!(f, "node {node}"),
            Self::Process(daemon) => write!(f, "{daemon}"),
        }
    }
}

/// What a user names to be broken or healed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The cable between two nodes.
    Link(String, String),
    /// A spine, leaf or host with all its cables.
    Node(String),
    /// A host's uplink, counted from 1.
    Uplink(String, usize),
    /// A hypervisor's agent.
    Agent(String),
    /// The controller.
    Controller,
    /// The process that routes and runs VMs.
    Supervisor,
}

impl Target {
    /// The fault that is meant, in a given lab.
    pub fn resolve(&self, site: &Site) -> Result<Fault, Error> {
        let topology = &site.plan.topology;
        Ok(match self {
            Self::Link(a, b) => {
                let (from, to) = (site.find(a)?, site.find(b)?);
                let link = topology.link_between(from, to);
                cut(
                    topology,
                    link.ok_or_else(|| Error::NoSuchLink(a.clone(), b.clone()))?,
                )
            }
            Self::Node(name) => Fault::Node(topology.name(site.find(name)?).clone()),
            Self::Uplink(host, number) => {
                let links = topology.links_of(site.host(host)?.0);
                let link = number.checked_sub(1).and_then(|index| links.get(index));
                let missing = || Error::NoSuchUplink {
                    host: host.clone(),
                    count: links.len(),
                    wanted: *number,
                };
                cut(topology, *link.ok_or_else(missing)?)
            }
            Self::Agent(host) => {
                Fault::Process(Daemon::Agent(topology.name(site.host(host)?.0).clone()))
            }
            Self::Controller => Fault::Process(Daemon::Controller),
            Self::Supervisor => Fault::Process(Daemon::Supervisor),
        })
    }
}

fn cut(topology: &Topology, link: LinkId) -> Fault {
    let link = topology.link(link);
    Fault::Link(
        topology.name(link.upper).clone(),
        topology.name(link.lower).clone(),
    )
}

/// Breaks something; breaking it twice is the same as once.
pub async fn inflict(site: &Site, target: &Target) -> Result<Fault, Error> {
    let fault = target.resolve(site)?;
    if let Fault::Process(daemon) = &fault {
        let record = Record::load(&site.lab)?;
        if let Some(process) = record.processes.get(&daemon.to_string()) {
            process.kill();
        }
    }
    let note = fault.clone();
    let faults = Record::update(&site.lab, move |record| {
        record.faults.insert(note);
        record.faults.clone()
    })?;
    apply(site, &faults).await?;
    Ok(fault)
}

/// Heals something; healing what is not broken changes nothing.
pub async fn heal(site: &Site, target: &Target) -> Result<Fault, Error> {
    let fault = target.resolve(site)?;
    let note = fault.clone();
    let faults = Record::update(&site.lab, move |record| {
        record.faults.remove(&note);
        record.faults.clone()
    })?;
    apply(site, &faults).await?;
    if let Fault::Process(daemon) = &fault {
        restart(&site.lab, daemon).await?;
    }
    Ok(fault)
}

async fn restart(lab: &LabName, daemon: &Daemon) -> Result<(), Error> {
    let record = Record::load(lab)?;
    let old = record.processes.get(&daemon.to_string());
    if old.is_some_and(|process| process.is_alive()) {
        return Ok(());
    }
    daemon::start(&record, daemon, &daemon::own_binary())
}

/// Makes every cable what the faults say.
async fn apply(site: &Site, faults: &BTreeSet<Fault>) -> Result<(), Error> {
    let topology = &site.plan.topology;
    for (_, link) in topology.links() {
        let [upper, lower] = [link.upper, link.lower].map(|end| topology.name(end).clone());
        let broken = faults.contains(&Fault::Node(upper.clone()))
            || faults.contains(&Fault::Node(lower.clone()))
            || faults.contains(&Fault::Link(upper, lower));
        // One end switched off is a cable without light at the other. The upper end it is, so that
        // a host sees what it would see in life: its uplink lost the carrier.
        let node = site.node(link.upper);
        let device = node.device(&link.upper_device)?;
        let is_up = node.netlink.link_by_index(device).await?.up;
        match (broken, is_up) {
            (true, true) => node.netlink.set_down(device).await?,
            (false, false) => node.netlink.set_up(device).await?,
            _ => {}
        }
    }
    Ok(())
}
