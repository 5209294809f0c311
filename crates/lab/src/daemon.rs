//! The lab's processes: one controller in the manager's namespace, one agent per hypervisor in the
//! hypervisor's, one supervisor outside. All are this very binary.

use std::fmt;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use coax_controller::{Deployment, DeploymentError};
use coax_fabric::{NodeName, Tier};
use coax_model::HostName;
use coax_netlink::Namespace;
use serde::{Deserialize, Serialize};

use crate::build;
use crate::error::Error;
use crate::name::{LabName, MANAGER};
use crate::process::{self, ProcessId};
use crate::state::Record;

/// Where the controller listens for agents, inside the management network.
const AGENT_PORT: u16 = 7400;
/// What the processes log unless the user's RUST_LOG says otherwise.
const LOG_LEVEL: &str = "info";

/// A process of a lab.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Daemon {
    /// `coax controller`.
    Controller,
    /// `coax agent` of a host.
    Agent(NodeName),
    /// `coax lab supervise`.
    Supervisor,
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controller => f.write_str("controller"),
            Self::Agent(host) => write!(f, "agent-{host}"),
            Self::Supervisor => f.write_str("supervisor"),
        }
    }
}

/// The running binary, which is also the lab's: by the link of the process and not by its path, where
/// a build may have put another one in the meantime.
pub fn own_binary() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// Starts a process and writes it into the lab's record. Returns at once: whether it works shows later.
pub fn start(record: &Record, daemon: &Daemon, binary: &Path) -> Result<(), Error> {
    let lab = &record.name;
    let mut command = Command::new(binary);
    command.arg0("coax");
    let namespace = match daemon {
        Daemon::Controller => {
            controller(record, &mut command);
            Some(Namespace::open(&lab.namespace(MANAGER))?)
        }
        Daemon::Agent(host) => {
            agent(record, host, &mut command)?;
            Some(Namespace::open(&lab.namespace(host.as_str()))?)
        }
        Daemon::Supervisor => {
            command.args(["lab", "supervise", lab.as_str()]);
            None
        }
    };
    if std::env::var_os("RUST_LOG").is_none() {
        command.env("RUST_LOG", LOG_LEVEL);
    }
    let name = daemon.to_string();
    let process = process::spawn_logged(&mut command, namespace.as_ref(), &lab.log(&name))?;
    Record::update(lab, |record| record.processes.insert(name, process))?;
    Ok(())
}

fn controller(record: &Record, command: &mut Command) {
    let lab = &record.name;
    command.arg("controller");
    command.arg("--state").arg(lab.state("controller"));
    command
        .arg("--api")
        .arg(format!("unix:{}", lab.api_socket().display()));
    command
        .arg("--agents")
        .arg(format!("{}:{AGENT_PORT}", build::manager_address()));
    command
        .arg("--underlay-mtu")
        .arg(record.file.underlay_mtu.to_string());
}

fn agent(record: &Record, host: &NodeName, command: &mut Command) -> Result<(), Error> {
    let lab = &record.name;
    let plan = record.file.plan()?;
    let id = plan
        .topology
        .find(host.as_str())
        .ok_or_else(|| Error::NoSuchNode {
            lab: lab.clone(),
            what: "host",
            name: host.to_string(),
            known: plan
                .topology
                .tier(Tier::Host)
                .map(|(_, n)| n.name.to_string())
                .collect(),
        })?;
    let vtep = plan.addressing.loopback(id);
    command.args(["agent", "--host", host.as_str()]);
    let controller = format!("{}:{AGENT_PORT}", build::manager_address());
    command.args(["--controller", &controller]);
    for link in plan.topology.links_of(id) {
        if let Some(device) = plan.topology.link(*link).device(id) {
            command.args(["--uplink", device]);
        }
    }
    command.args(["--vtep-ipv4", &vtep.v4.to_string()]);
    command.args(["--vtep-ipv6", &vtep.v6.to_string()]);
    command.args(["--underlay", record.file.underlay.as_str()]);
    command
        .arg("--state")
        .arg(lab.state(&format!("agent-{host}")));
    command.arg("--pins").arg(lab.pins(host));
    Ok(())
}

/// Makes the lab's deployment: an authority, and a certificate for each hypervisor in the state folder
/// of its agent.
pub fn enrol(record: &Record) -> Result<(), Error> {
    let now = SystemTime::now();
    let deployment = Deployment::create(&record.name.state("controller"), now)?;
    let hosts: Vec<HostName> = record
        .file
        .hosts
        .keys()
        .filter_map(|host| host.as_str().parse().ok())
        .collect();
    for credentials in deployment.enrol(&hosts, now)? {
        let host = &credentials.identity().host;
        let folder = record.name.state(&format!("agent-{host}"));
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        credentials.save(&folder).map_err(DeploymentError::from)?;
    }
    Ok(())
}

/// All processes that a lab of this record should have.
pub fn wanted(record: &Record) -> Vec<Daemon> {
    let agents = record.file.hosts.keys().cloned().map(Daemon::Agent);
    [Daemon::Controller]
        .into_iter()
        .chain(agents)
        .chain([Daemon::Supervisor])
        .collect()
}

/// The first process that should run and does not; what was killed on purpose does not count.
pub fn dead(lab: &LabName) -> Result<Option<Daemon>, Error> {
    let record = Record::load(lab)?;
    let broken = |daemon: &Daemon| {
        record
            .faults
            .contains(&crate::fault::Fault::Process(daemon.clone()))
    };
    let alive = |daemon: &Daemon| {
        let process: Option<&ProcessId> = record.processes.get(&daemon.to_string());
        process.is_some_and(|process| process.is_alive())
    };
    Ok(wanted(&record)
        .into_iter()
        .find(|daemon| !broken(daemon) && !alive(daemon)))
}
