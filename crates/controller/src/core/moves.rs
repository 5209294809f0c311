//! Ports that go to another host, and hosts that go for good.

use std::collections::BTreeSet;
use std::time::Instant;

use coax_api::{Action, PlannedChange};
use coax_model::{Binding, Change, HostName, PortName};
use coax_store::Revision;

use super::binding::decide;
use super::history::Note;
use super::host::HostState;
use super::message::{Answer, Command, RequestId};
use super::submission::Submission;
use super::writes::{BATCH, Reply};
use super::{Core, problem};
use crate::history::Deed;

impl Core {
    pub(super) fn start_move(
        &mut self,
        id: RequestId,
        name: PortName,
        host: HostName,
        submission: Submission,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        let refusal = match self.intent.ports.get(&name) {
            None => Some(problem::no_such("port", &name.to_string())),
            Some(_) if !self.intent.hosts.contains_key(&host) => {
                Some(problem::no_such("host", host.as_str()))
            }
            Some(_) => None,
        };
        if let Some(refusal) = refusal {
            let answer = Err(Box::new(refusal));
            return out.push(Command::Reply { id, answer });
        }
        let detail = format!("to {host}");
        let changes = self.move_changes(&name, host, now);
        if changes.is_empty() {
            out.extend(self.view_port(&name).map(|port| Command::Reply {
                id,
                answer: Ok(Answer::Port(Box::new(port))),
            }));
            return;
        }
        let project = Some(name.project.clone());
        let note = Note {
            changes: vec![PlannedChange {
                action: Action::Change,
                kind: "port".to_owned(),
                name: name.name.to_string(),
                detail,
            }],
            ..Note::about(Deed::Move, project, submission)
        };
        self.commit(changes, Some(note), Some(Reply::Port(id, name)), now, out);
    }

    /// Forgets a host: its ports are nowhere, moves to it are given up, and nobody waits for it to release
    /// what has moved away.
    pub(super) fn start_remove_host(
        &mut self,
        id: RequestId,
        (host, force): (&HostName, bool),
        submission: Submission,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        let Some(view) = self.host_named(host) else {
            let answer = Err(Box::new(problem::no_such("host", host.as_str())));
            return out.push(Command::Reply { id, answer });
        };
        if view.connected && !force {
            let answer = Err(Box::new(problem::host_attached(host)));
            return out.push(Command::Reply { id, answer });
        }
        if view.connected {
            self.turn_away(host, format!("{host} was removed"), now, out);
        }
        let ports: BTreeSet<&PortName> = self.reach().ports(host).collect();
        let mut changes: Vec<Change> = ports
            .into_iter()
            .filter_map(|port| self.without_host(port, host, now))
            .collect();
        let name = host.clone();
        changes.push(Change::DeleteHost { name });
        let note = Note {
            changes: vec![PlannedChange {
                action: Action::Delete,
                kind: "host".to_owned(),
                name: host.to_string(),
                detail: String::new(),
            }],
            ..Note::about(Deed::RemoveHost, None, submission)
        };
        let reply = Reply::Host(id, Box::new(view));
        self.commit(changes, Some(note), Some(reply), now, out);
    }

    fn without_host(&self, name: &PortName, host: &HostName, now: Instant) -> Option<Change> {
        let stored = self.intent.bindings.get(name)?;
        let stays = |other: &Option<HostName>| other.clone().filter(|other| other != host);
        let binding = Binding {
            host: stays(&stored.host),
            moving_to: stays(&stored.moving_to),
            moved_from: stays(&stored.moved_from),
        };
        let port = self.intent.ports.get(name)?;
        // A wish for the host stays: the user may have another machine in mind that gets this name.
        let wish = port.host.as_ref();
        difference(
            name,
            Some(stored),
            decide(&self.facts(name, wish, Some(&binding), now)),
        )
    }

    /// A port with a wish gets another wish; the move follows from it. One without is only told
    /// where to go.
    fn move_changes(&self, name: &PortName, host: HostName, now: Instant) -> Vec<Change> {
        let Some(port) = self.intent.ports.get(name) else {
            return Vec::new();
        };
        let stored = self.intent.bindings.get(name);
        let mut changes = Vec::new();
        if port.host.is_some() {
            let mut port = port.clone();
            if port.host.as_ref() != Some(&host) {
                port.host = Some(host.clone());
                changes.push(Change::PutPort {
                    name: name.clone(),
                    port,
                });
            }
            changes.extend(self.rebinding(name, Some(&host), stored, now));
        } else {
            let mut binding = stored.cloned().unwrap_or_default();
            let there = binding.host.as_ref() == Some(&host);
            binding.moving_to = (!there).then_some(host);
            let decided = decide(&self.facts(name, None, Some(&binding), now));
            changes.extend(difference(name, stored, decided));
        }
        changes
    }

    /// Releases the old hosts of ports whose move everybody knows of.
    pub(super) fn settled_moves(&self) -> Vec<Change> {
        let settled = self
            .moves
            .iter()
            .filter(|(port, _)| self.is_settled_here(port))
            .filter(|(port, revision)| self.all_have(port, **revision));
        let release = |port: &PortName| {
            let mut binding = self.intent.bindings.get(port)?.clone();
            binding.moved_from = None;
            Some(Change::PutBinding {
                port: port.clone(),
                binding,
            })
        };
        settled
            .filter_map(|(port, _)| release(port))
            .take(BATCH)
            .collect()
    }

    /// Whether this controller is the one to release the old host: that of the new one.
    fn is_settled_here(&self, port: &PortName) -> bool {
        let host = self
            .intent
            .bindings
            .get(port)
            .and_then(|it| it.host.as_ref());
        let state = host.and_then(|host| self.hosts.get(host));
        !self.shared || state.is_some_and(HostState::is_obedient)
    }

    /// Whether every host that needs a network of the port has a revision.
    fn all_have(&self, port: &PortName, revision: Revision) -> bool {
        let Some(object) = self.intent.ports.get(port) else {
            return false;
        };
        let networks = object
            .networks()
            .map(|(_, network, _)| PortName::new(port.project.clone(), network.clone()));
        let has = |host: &HostName| {
            let state = self.hosts.get(host);
            state.is_some_and(|state| state.has(revision))
        };
        networks
            .into_iter()
            .all(|network| self.reach().hosts(&network).all(has))
    }
}

/// What leads from one binding of a port to another; nothing, if they are the same.
pub(super) fn difference(
    name: &PortName,
    stored: Option<&Binding>,
    decided: Option<Binding>,
) -> Option<Change> {
    if stored == decided.as_ref() {
        return None;
    }
    let port = name.clone();
    Some(match decided {
        Some(binding) => Change::PutBinding { port, binding },
        None => Change::DeleteBinding { port },
    })
}
