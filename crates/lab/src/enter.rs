//! `coax lab shell` and `exec`: a program inside a node or a VM. It takes the place of the `coax`
//! process, so terminal, signals and exit code are the program's own.

use std::os::unix::process::CommandExt;
use std::process::Command;

use coax_netlink::Namespace;

use crate::error::Error;
use crate::name::{LabName, MANAGER};
use crate::state::Record;

/// The namespace that is meant: a node, `manager`, or a VM by its port's full or short name.
pub fn resolve(lab: &LabName, name: &str) -> Result<Namespace, Error> {
    let record = Record::load(lab)?;
    let plan = record.file.plan()?;
    if name == MANAGER || plan.topology.find(name).is_some() {
        return Ok(Namespace::open(&lab.namespace(name))?);
    }
    let vms: Vec<String> = Namespace::list()?
        .iter()
        .filter_map(|n| lab.vm_port(n))
        .collect();
    let short = |vm: &&String| vm.split_once('/').is_some_and(|(_, short)| short == name);
    let matching: Vec<&String> = match vms.iter().find(|vm| *vm == name) {
        Some(vm) => vec![vm],
        None => vms.iter().filter(short).collect(),
    };
    if let [vm] = matching.as_slice() {
        return Ok(Namespace::open(&lab.vm_namespace(vm))?);
    }
    let nodes = plan.topology.nodes().map(|(_, node)| node.name.to_string());
    let (what, known) = if matching.is_empty() {
        (
            "node or VM",
            nodes.chain([MANAGER.to_owned()]).chain(vms).collect(),
        )
    } else {
        ("single VM", matching.into_iter().cloned().collect())
    };
    Err(Error::NoSuchNode {
        lab: lab.clone(),
        what,
        name: name.to_owned(),
        known,
    })
}

/// Becomes the program. Returns only if that fails.
pub fn exec(lab: &LabName, node: &str, program: &str, arguments: &[String]) -> Result<(), Error> {
    let namespace = resolve(lab, node)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("COAX_LAB", lab.as_str())
        .env("COAX_NODE", node);
    // The thread that is inside the namespace becomes the whole process.
    let failed = namespace.run(move || command.exec())?;
    Err(Error::io("start", program)(failed))
}

/// Becomes an interactive shell whose prompt names the node.
pub fn shell(lab: &LabName, node: &str) -> Result<(), Error> {
    let program = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
    exec(lab, node, &program, &[])
}
