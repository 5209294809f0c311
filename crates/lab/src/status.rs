//! `coax lab status`: what a lab is made of and whether all of it works.

use std::time::{Duration, Instant};

use coax_api::PortState;
use serde::Serialize;

use crate::daemon;
use crate::error::Error;
use crate::fault::Fault;
use crate::name::LabName;
use crate::site::Site;
use crate::state::{Phase, Record};
use crate::vm;

/// How often a lab that is to become ready is looked at.
const POLL: Duration = Duration::from_millis(20);

/// A lab at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Its name.
    pub name: LabName,
    /// How far it is.
    pub phase: Phase,
    /// Whether everything that should run does.
    pub ready: bool,
    /// What does not, in words.
    pub missing: Vec<String>,
    /// What is broken on purpose.
    pub broken: Vec<String>,
    /// Processes.
    pub processes: Vec<ProcessStatus>,
    /// Hypervisors.
    pub hosts: Vec<String>,
    /// VMs that run: the ports' full names.
    pub vms: Vec<String>,
}

/// A process at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct ProcessStatus {
    /// `controller`, `supervisor`, `agent-hv1`, ….
    pub name: String,
    /// Its pid.
    pub pid: i32,
    /// Whether it runs.
    pub running: bool,
}

/// Looks at a lab.
pub async fn status(lab: &LabName) -> Result<Status, Error> {
    let record = Record::load(lab)?;
    let processes: Vec<ProcessStatus> = record
        .processes
        .iter()
        .map(|(name, process)| ProcessStatus {
            name: name.clone(),
            pid: process.pid,
            running: process.is_alive(),
        })
        .collect();
    let mut missing = Vec::new();
    if record.phase != Phase::Up {
        missing.push("the lab is not completely built".to_owned());
    }
    for daemon in daemon::wanted(&record) {
        let name = daemon.to_string();
        if !processes
            .iter()
            .any(|process| process.name == name && process.running)
        {
            missing.push(format!("{name} does not run"));
        }
    }
    let vms = running_vms(&record).await.unwrap_or_default();
    if let Err(error) = missing_in_api(&record, &vms, &mut missing).await {
        missing.push(error.to_string());
    }
    Ok(Status {
        name: lab.clone(),
        phase: record.phase,
        ready: missing.is_empty(),
        missing,
        broken: record.faults.iter().map(Fault::to_string).collect(),
        processes,
        hosts: record.file.hosts.keys().map(ToString::to_string).collect(),
        vms,
    })
}

async fn running_vms(record: &Record) -> Result<Vec<String>, Error> {
    let site = Site::open(&record.name, record.file.plan()?).await?;
    vm::list(&site)
}

async fn missing_in_api(
    record: &Record,
    vms: &[String],
    missing: &mut Vec<String>,
) -> Result<(), Error> {
    let client = crate::client(&record.name);
    let attached = client.hosts().await?;
    for name in record.file.hosts.keys() {
        if !attached
            .iter()
            .any(|host| host.name == name.as_str() && host.connected)
        {
            missing.push(format!("{name} is not attached"));
        }
    }
    let ports = client.ports(None).await?;
    for port in &ports {
        let here = port
            .host_wanted
            .as_deref()
            .and_then(|host| host.parse().ok());
        if !here.is_some_and(|host| record.file.hosts.contains_key(&host)) {
            continue;
        }
        if !vms.contains(&port.id) {
            missing.push(format!("the VM of {} does not run yet", port.id));
        } else if port.state != PortState::Active {
            missing.push(format!("port {} is {}", port.id, port.state.as_str()));
        }
    }
    for vm in vms
        .iter()
        .filter(|vm| !ports.iter().any(|port| port.id == **vm))
    {
        missing.push(format!("the VM of {vm} is being switched off"));
    }
    Ok(())
}

/// Waits until a lab is ready, that is: all agents attached, all VMs plugged in.
pub async fn wait(lab: &LabName, limit: Duration) -> Result<Status, Error> {
    let end = Instant::now() + limit;
    loop {
        let status = status(lab).await?;
        if status.ready || Instant::now() >= end {
            return Ok(status);
        }
        tokio::time::sleep(POLL).await;
    }
}
