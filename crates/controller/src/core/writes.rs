//! From requests and claims to changes. One transaction at a time: while a commit is under way,
//! requests wait in a queue and the core's own decisions are not taken.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use coax_api::{Action, Plan, PlannedChange};
use coax_model::{
    Binding, Change, HostName, Name, Plan as ModelPlan, PortName, plan_delete, plan_file,
};
use coax_store::Revision;

use super::binding::{Facts, Hold, decide};
use super::message::{Answer, Command, RequestId, Write};
use super::{Core, LOST_AFTER, problem};
use crate::records;

/// After a failed commit the core's own decisions rest this long.
const REST: Duration = Duration::from_secs(1);
/// The most changes of the core's own in one transaction.
const BATCH: usize = 1024;

/// What is being stored.
#[derive(Debug)]
pub(super) struct Pending {
    changes: Vec<Change>,
    reply: Option<Reply>,
}

/// Who is told when it is stored.
#[derive(Debug)]
enum Reply {
    Plan(RequestId, Plan),
    Port(RequestId, PortName),
    Host(RequestId, Box<coax_api::Host>),
}

impl Core {
    /// Starts the next transaction if none is under way.
    pub(super) fn advance(&mut self, now: Instant, out: &mut Vec<Command>) {
        while self.pending.is_none() {
            if let Some((id, write)) = self.queue.pop_front() {
                match write {
                    Write::Apply { file, dry_run } => match plan_file(&file, &self.intent) {
                        Ok(plan) => self.start(id, &plan, dry_run, now, out),
                        Err(refusals) => out.push(Command::Reply {
                            id,
                            answer: Err(Box::new(problem::refusals(&refusals))),
                        }),
                    },
                    Write::Destroy { project, dry_run } => {
                        self.start_destroy(id, &project, dry_run, now, out);
                    }
                    Write::Move { port, host } => self.start_move(id, port, host, now, out),
                    Write::RemoveHost { host } => self.start_remove_host(id, &host, now, out),
                }
                continue;
            }
            if now < self.rest_until {
                return;
            }
            let changes = self.own_changes(now, out);
            if changes.is_empty() {
                return;
            }
            self.commit(changes, None, out);
        }
    }

    fn commit(&mut self, changes: Vec<Change>, reply: Option<Reply>, out: &mut Vec<Command>) {
        out.push(Command::Commit {
            operations: records::operations(&changes),
        });
        self.pending = Some(Pending { changes, reply });
    }

    fn start(
        &mut self,
        id: RequestId,
        plan: &ModelPlan,
        dry_run: bool,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        let answer = described(plan, dry_run, self.revision);
        if dry_run || plan.is_empty() {
            let answer = Ok(Answer::Plan(answer));
            return out.push(Command::Reply { id, answer });
        }
        let mut changes = plan.changes();
        // A port that is claimed already is bound in the same revision.
        let bindings: Vec<Change> = changes
            .iter()
            .filter_map(|change| match change {
                Change::PutPort { name, port } => {
                    let stored = self.intent.bindings.get(name);
                    self.rebinding(name, port.host.as_ref(), stored, now)
                }
                _ => None,
            })
            .collect();
        changes.extend(bindings);
        self.commit(changes, Some(Reply::Plan(id, answer)), out);
    }

    fn start_destroy(
        &mut self,
        id: RequestId,
        project: &Name,
        dry_run: bool,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        let plan = plan_delete(project, &self.intent);
        if plan.is_empty() {
            let answer = Err(Box::new(problem::no_such("project", project.as_str())));
            return out.push(Command::Reply { id, answer });
        }
        self.start(id, &plan, dry_run, now, out);
    }

    fn start_move(
        &mut self,
        id: RequestId,
        name: PortName,
        host: HostName,
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
        let changes = self.move_changes(&name, host, now);
        if changes.is_empty() {
            out.extend(self.view_port(&name).map(|port| Command::Reply {
                id,
                answer: Ok(Answer::Port(Box::new(port))),
            }));
            return;
        }
        self.commit(changes, Some(Reply::Port(id, name)), out);
    }

    /// Forgets a host: its ports are nowhere, moves to it are given up, and nobody waits for it to release
    /// what has moved away.
    fn start_remove_host(
        &mut self,
        id: RequestId,
        host: &HostName,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        let Some(view) = self.host_named(host) else {
            let answer = Err(Box::new(problem::no_such("host", host.as_str())));
            return out.push(Command::Reply { id, answer });
        };
        if view.connected {
            let answer = Err(Box::new(problem::host_attached(host)));
            return out.push(Command::Reply { id, answer });
        }
        let ports: BTreeSet<&PortName> = self.reach().ports(host).collect();
        let mut changes: Vec<Change> = ports
            .into_iter()
            .filter_map(|port| self.without_host(port, host, now))
            .collect();
        let name = host.clone();
        changes.push(Change::DeleteHost { name });
        self.commit(changes, Some(Reply::Host(id, Box::new(view))), out);
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

    /// What the core changes by itself: hosts that presented themselves, ports that were claimed or
    /// unplugged, moves that everybody knows of.
    fn own_changes(&mut self, now: Instant, out: &mut Vec<Command>) -> Vec<Change> {
        let mut changes = Vec::new();
        let presented: Vec<_> = self
            .presented
            .iter()
            .map(|(name, host)| (name.clone(), host.clone()))
            .collect();
        let mut addresses = BTreeSet::new();
        for (name, host) in presented {
            let mine = [host.ipv4.map(IpAddr::from), host.ipv6.map(IpAddr::from)];
            if let Err(refusals) = coax_model::check_host(&name, &host, &self.intent) {
                self.turn_away(&name, problem::sentences(&refusals), now, out);
            } else if mine
                .into_iter()
                .flatten()
                .all(|address| addresses.insert(address))
            {
                changes.push(Change::PutHost { name, host });
            }
            // Else another host presented the same address just before: it is first, and when that
            // is stored this one is checked against it.
        }
        while changes.len() < BATCH
            && let Some(name) = self.dirty.pop_first()
        {
            let Some(port) = self.intent.ports.get(&name) else {
                continue;
            };
            let stored = self.intent.bindings.get(&name);
            let change = self.rebinding(&name, port.host.as_ref(), stored, now);
            if change.is_none() {
                self.say_refusals(&name, out);
            }
            changes.extend(change);
        }
        if changes.is_empty() {
            changes = self.settled_moves();
        }
        changes
    }

    /// Releases the old hosts of ports whose move everybody knows of.
    fn settled_moves(&self) -> Vec<Change> {
        let settled = self
            .moves
            .iter()
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

    fn rebinding(
        &self,
        name: &PortName,
        wish: Option<&HostName>,
        stored: Option<&Binding>,
        now: Instant,
    ) -> Option<Change> {
        difference(name, stored, decide(&self.facts(name, wish, stored, now)))
    }

    fn facts<'a>(
        &'a self,
        name: &PortName,
        wish: Option<&'a HostName>,
        binding: Option<&'a Binding>,
        now: Instant,
    ) -> Facts<'a> {
        let attached = |host: &&HostName| {
            self.hosts
                .get(*host)
                .is_some_and(|state| state.session.is_some())
        };
        let claimants = self
            .claimants
            .get(name)
            .into_iter()
            .flatten()
            .filter(attached);
        let holder = binding.and_then(|binding| binding.host.as_ref());
        Facts {
            wish,
            now: binding,
            claimants: claimants.collect(),
            holder: holder.map_or(Hold::Lost, |host| self.hold(name, host, now)),
        }
    }

    fn hold(&self, name: &PortName, host: &HostName, now: Instant) -> Hold {
        match self.hosts.get(host) {
            Some(state) if state.ready && state.claims.contains_key(name) => Hold::Plugged,
            Some(state) if state.ready => Hold::Unplugged,
            Some(state) => match state.away_since {
                Some(since) if now.duration_since(since) >= LOST_AFTER => Hold::Lost,
                _ => Hold::Unknown,
            },
            None => Hold::Lost,
        }
    }

    pub(super) fn committed(&mut self, revision: Revision, out: &mut Vec<Command>) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        self.publish(revision, &pending.changes, out);
        let reply = match pending.reply {
            Some(Reply::Plan(id, plan)) => Some((id, Answer::Plan(Plan { revision, ..plan }))),
            Some(Reply::Port(id, name)) => {
                let port = self.view_port(&name);
                port.map(|port| (id, Answer::Port(Box::new(port))))
            }
            Some(Reply::Host(id, host)) => Some((id, Answer::Host(host))),
            None => None,
        };
        out.extend(reply.map(|(id, answer)| Command::Reply {
            id,
            answer: Ok(answer),
        }));
    }

    pub(super) fn commit_failed(&mut self, reason: &str, now: Instant, out: &mut Vec<Command>) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        if let Some(Reply::Plan(id, _) | Reply::Port(id, _) | Reply::Host(id, _)) = pending.reply {
            let answer = Err(Box::new(problem::store(reason)));
            return out.push(Command::Reply { id, answer });
        }
        // Everything else is decided again later, from the facts as they are then.
        self.rest_until = now + REST;
        let ports = pending
            .changes
            .into_iter()
            .filter_map(|change| match change {
                Change::PutBinding { port, .. } | Change::DeleteBinding { port } => Some(port),
                _ => None,
            });
        self.dirty.extend(ports);
    }
}

fn difference(
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

fn described(plan: &ModelPlan, dry_run: bool, revision: Revision) -> Plan {
    let changes = plan.steps.iter().map(|step| PlannedChange {
        action: match step.action {
            coax_model::Action::Create => Action::Create,
            coax_model::Action::Change => Action::Change,
            coax_model::Action::Delete => Action::Delete,
        },
        kind: step.kind.to_string(),
        name: step.name.name.to_string(),
        detail: step.detail.clone(),
    });
    Plan {
        project: plan.project.to_string(),
        changes: changes.collect(),
        sentences: plan.sentences(),
        dry_run,
        revision,
        realisation: None,
    }
}
