//! `coax lab down`: removes every process, device, namespace, pin and file of a lab, whatever state it
//! is in, and says nothing if some of it is gone already. The record goes last, so that an
//! interrupted `down` can be repeated.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use coax_netlink::Namespace;

use crate::error::Error;
use crate::name::{LabName, MANAGER};
use crate::process::{self, ProcessId};
use crate::state::{Phase, Record};

/// Removes a lab; says whether there was one.
pub async fn down(name: &LabName) -> Result<bool, Error> {
    if !name.folder().exists() {
        return Ok(false);
    }
    let record = match Record::update(name, |record| {
        record.phase = Phase::Down;
        record.clone()
    }) {
        // Ended before the record was written, and so before anything was made.
        Err(Error::NoSuchLab { .. }) => return remove_folder(&name.folder()).map(|()| true),
        other => other?,
    };
    let lab = name.clone();
    let work = tokio::task::spawn_blocking(move || remove(&lab, &record));
    let done = work.await.unwrap_or_else(|panic| {
        let source = std::io::Error::other(panic.to_string());
        Err(Error::io("take down", name.folder())(source))
    });
    done.map(|()| true)
}

fn remove(name: &LabName, record: &Record) -> Result<(), Error> {
    // The supervisor first: it would boot VMs again.
    let (first, rest): (Vec<_>, Vec<_>) = record
        .processes
        .iter()
        .partition(|(process, _)| *process == "supervisor");
    first.into_iter().for_each(|(_, process)| process.stop());
    rest.iter()
        .for_each(|(_, process)| process.signal(nix::sys::signal::Signal::SIGTERM));
    rest.into_iter().for_each(|(_, process)| process.stop());

    let namespaces = namespaces(name, record)?;
    let open: Vec<Namespace> = namespaces
        .iter()
        .filter_map(|name| Namespace::open(name).ok())
        .collect();
    process::inside(&open).into_iter().for_each(ProcessId::kill);
    drop(open);
    for namespace in &namespaces {
        match Namespace::delete(namespace) {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
    }
    for host in record.file.hosts.keys() {
        remove_folder(&name.pins(host))?;
    }
    remove_folder(&name.folder())
}

/// The lab's namespaces, whether they exist or not, and those of its VMs.
fn namespaces(name: &LabName, record: &Record) -> Result<Vec<String>, Error> {
    let mut namespaces: Vec<String> = Namespace::list()?;
    let plan = record.file.plan()?;
    let nodes = plan
        .topology
        .nodes()
        .map(|(_, node)| name.namespace(node.name.as_str()));
    let nodes: Vec<String> = nodes.chain([name.namespace(MANAGER)]).collect();
    namespaces.retain(|namespace| nodes.contains(namespace) || name.vm_port(namespace).is_some());
    Ok(namespaces)
}

fn remove_folder(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
