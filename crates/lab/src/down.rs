//! `coax lab down`: removes every process, device, namespace, pin and file of a lab, whatever state it
//! is in, and says nothing if some of it is gone already. The record goes last, so that an
//! interrupted `down` can be repeated.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use coax_netlink::Namespace;
use nix::sys::signal::Signal;

use crate::daemon::Daemon;
use crate::error::Error;
use crate::name::{LabName, PIN_FOLDER};
use crate::process::{self, ProcessId};
use crate::state::{Phase, Record};

/// Removes a lab; says whether there was one. A lab without a record (its folder was deleted, or it
/// ended before the record was written) is found by its namespaces and pins.
pub async fn down(name: &LabName) -> Result<bool, Error> {
    let record = Record::update(name, |record| {
        record.phase = Phase::Down;
        record.clone()
    });
    let processes = match record {
        Ok(record) => record.processes,
        Err(Error::NoSuchLab { .. }) if !is_there(name)? => return Ok(false),
        Err(error) => {
            tracing::warn!(%error, "taking down a lab without its record");
            BTreeMap::new()
        }
    };
    let lab = name.clone();
    let work = tokio::task::spawn_blocking(move || remove(&lab, &processes));
    let done = work.await.unwrap_or_else(|panic| {
        let source = std::io::Error::other(panic.to_string());
        Err(Error::io("take down", name.folder())(source))
    });
    done.map(|()| true)
}

fn is_there(name: &LabName) -> Result<bool, Error> {
    Ok(name.folder().exists() || !namespaces(name)?.is_empty() || !pins(name)?.is_empty())
}

fn remove(name: &LabName, processes: &BTreeMap<String, ProcessId>) -> Result<(), Error> {
    // The supervisor first: it would boot VMs again.
    if let Some(supervisor) = processes.get(&Daemon::Supervisor.to_string()) {
        supervisor.stop();
    }
    processes
        .values()
        .for_each(|process| process.signal(Signal::SIGTERM));
    processes.values().for_each(|process| process.stop());

    let namespaces = namespaces(name)?;
    let open = namespaces
        .iter()
        .filter_map(|name| Namespace::open(name).ok());
    let open: Vec<Namespace> = open.collect();
    process::inside(&open).into_iter().for_each(ProcessId::kill);
    drop(open);
    for namespace in &namespaces {
        match Namespace::delete(namespace) {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
    }
    for folder in pins(name)? {
        remove_folder(&folder)?;
    }
    remove_folder(&name.folder())
}

/// The folders of pins of all the lab's agents.
fn pins(name: &LabName) -> Result<Vec<PathBuf>, Error> {
    let prefix = format!("{name}-");
    let entries = match fs::read_dir(PIN_FOLDER) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", PIN_FOLDER)(error)),
    };
    let ours = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(&prefix);
    Ok(entries
        .flatten()
        .filter(ours)
        .map(|entry| entry.path())
        .collect())
}

/// All namespaces that carry the lab's name: nodes, VMs, and what a demo put beside them.
fn namespaces(name: &LabName) -> Result<Vec<String>, Error> {
    let prefix = name.namespace("");
    let mut namespaces = Namespace::list()?;
    namespaces.retain(|namespace| namespace.starts_with(&prefix));
    Ok(namespaces)
}

fn remove_folder(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
