//! From requests and claims to changes. One transaction at a time: while a commit is under way,
//! requests wait in a queue and the core's own decisions are not taken.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use coax_api::{Action, Plan, PlannedChange};
use coax_model::{Binding, Change, HostName, Plan as ModelPlan, PortName, plan_delete, plan_file};
use coax_store::Revision;

use super::binding::{Facts, Hold, decide};
use super::foresight::refused_by_checks;
use super::history::Note;
use super::message::{Answer, Command, RequestId, Write};
use super::submission::Submission;
use super::{Core, LOST_AFTER, problem};
use crate::history::{self, Deed};
use crate::records::{self, Batch};

/// After a failed commit the core's own decisions rest this long.
const REST: Duration = Duration::from_secs(1);
/// The most changes of the core's own in one transaction.
pub(super) const BATCH: usize = 1024;

/// What is being stored.
#[derive(Debug)]
pub(super) struct Pending {
    batch: Batch,
    reply: Option<Reply>,
}

/// Who is told when it is stored.
#[derive(Debug)]
pub(super) enum Reply {
    Plan(RequestId, Box<Plan>),
    Port(RequestId, PortName),
    Host(RequestId, Box<coax_api::Host>),
    /// The record of the change.
    Record(RequestId),
}

impl Reply {
    fn id(&self) -> RequestId {
        match self {
            Self::Plan(id, _) | Self::Port(id, _) | Self::Host(id, _) | Self::Record(id) => *id,
        }
    }
}

impl Core {
    /// Starts the next transaction if none is under way.
    pub(super) fn advance(&mut self, now: Instant, out: &mut Vec<Command>) {
        while self.pending.is_none() {
            if let Some((id, write, submission)) = self.queue.pop_front() {
                self.take_up(id, write, submission, now, out);
                continue;
            }
            if now < self.rest_until {
                return;
            }
            if self.revert_overdue(now, out) {
                continue;
            }
            let changes = self.own_changes(now, out);
            if changes.is_empty() {
                return;
            }
            self.commit(changes, None, None, now, out);
        }
    }

    /// Takes up what a user wants.
    fn take_up(
        &mut self,
        id: RequestId,
        write: Write,
        submission: Submission,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        let dry_run = write.is_dry_run();
        if let Some(answer) = self.objection(&write, &submission, dry_run) {
            return out.push(Command::Reply { id, answer });
        }
        match write {
            Write::Apply { file, .. } => match plan_file(&file, &self.intent) {
                Ok(plan) => {
                    let note = Note::about(Deed::Apply, Some(file.project()), submission);
                    self.start(Some(id), &plan, dry_run, note, now, out);
                }
                Err(refusals) => out.push(Command::Reply {
                    id,
                    answer: Err(Box::new(problem::refusals(&refusals))),
                }),
            },
            Write::Destroy { project, .. } => {
                let note = Note::about(Deed::Destroy, Some(project), submission);
                self.start_destroy(id, dry_run, note, now, out);
            }
            Write::Move { port, host } => self.start_move(id, port, host, submission, now, out),
            Write::RemoveHost { host, force } => {
                self.start_remove_host(id, (&host, force), submission, now, out);
            }
            Write::Rollback {
                revision, project, ..
            } => self.start_rollback(id, (revision, project), dry_run, submission, now, out),
            Write::SetQuota { project, quota } => {
                self.start_quota(id, (project, quota), submission, now, out);
            }
            Write::Confirm { revision } => self.start_confirm(id, revision, submission, now, out),
        }
    }

    /// Stores changes, with their record if somebody asked for them.
    pub(super) fn commit(
        &mut self,
        changes: Vec<Change>,
        note: Option<Note>,
        reply: Option<Reply>,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        let mut batch = Batch {
            changes,
            ..Batch::default()
        };
        let mut deletes = Vec::new();
        if let Some(note) = note {
            batch.unconfirmed.extend(self.confirmation(&note, now));
            batch
                .projects
                .extend(note.project.clone().filter(|_| note.deed != Deed::Confirm));
            let record = self.record(note, &batch.changes, now);
            let overdue = || {
                let needed = self.needed_history();
                self.history.overdue(self.limits, &record, needed)
            };
            batch.forgotten = overdue().map(|record| record.id).collect();
            deletes = history::deletes(overdue());
            batch.record = Some(record);
        }
        let transaction = records::transaction(&batch, deletes, self.head);
        out.push(Command::Commit { transaction });
        self.pending = Some(Pending { batch, reply });
    }

    /// Starts what a plan says. Without `id` nobody is told.
    pub(super) fn start(
        &mut self,
        id: Option<RequestId>,
        plan: &ModelPlan,
        dry_run: bool,
        note: Note,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        let mut answer = described(plan, dry_run, self.revision);
        answer.checks = self.proofs_after(plan);
        if dry_run {
            self.foresee(plan, &mut answer);
        }
        // A plan without changes may still end a countdown.
        let idle = plan.is_empty() && !self.unconfirmed.contains_key(&plan.project);
        if dry_run || idle {
            let answer = Ok(Answer::Plan(answer));
            return out.extend(id.map(|id| Command::Reply { id, answer }));
        }
        if let Some(problem) = refused_by_checks(&note, &answer.checks) {
            let answer = Err(Box::new(problem));
            return out.extend(id.map(|id| Command::Reply { id, answer }));
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
        let note = Note {
            changes: answer.changes.clone(),
            ..note
        };
        let reply = id.map(|id| Reply::Plan(id, Box::new(answer)));
        self.commit(changes, Some(note), reply, now, out);
    }

    fn start_destroy(
        &mut self,
        id: RequestId,
        dry_run: bool,
        note: Note,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        let Some(project) = &note.project else {
            return;
        };
        let plan = plan_delete(project, &self.intent);
        if plan.is_empty() {
            let answer = Err(Box::new(problem::no_such("project", project.as_str())));
            return out.push(Command::Reply { id, answer });
        }
        self.start(Some(id), &plan, dry_run, note, now, out);
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

    pub(super) fn rebinding(
        &self,
        name: &PortName,
        wish: Option<&HostName>,
        stored: Option<&Binding>,
        now: Instant,
    ) -> Option<Change> {
        difference(name, stored, decide(&self.facts(name, wish, stored, now)))
    }

    pub(super) fn facts<'a>(
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

    pub(super) fn committed(&mut self, revision: Revision, now: Instant, out: &mut Vec<Command>) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        self.publish(revision, &pending.batch.changes, out);
        self.remember(revision, pending.batch, now);
        let reply = match pending.reply {
            Some(Reply::Plan(id, plan)) => Some((id, Answer::Plan(Plan { revision, ..*plan }))),
            Some(Reply::Port(id, name)) => {
                let port = self.view_port(&name);
                port.map(|port| (id, Answer::Port(Box::new(port))))
            }
            Some(Reply::Host(id, host)) => Some((id, Answer::Host(host))),
            Some(Reply::Record(id)) => {
                let record = self.revision_named(revision);
                record.map(|record| (id, Answer::Record(Box::new(record))))
            }
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
        if let Some(reply) = pending.reply {
            let answer = Err(Box::new(problem::store(reason)));
            let id = reply.id();
            return out.push(Command::Reply { id, answer });
        }
        // Everything else is decided again later, from the facts as they are then.
        self.rest_until = now + REST;
        let ports = pending
            .batch
            .changes
            .into_iter()
            .filter_map(|change| match change {
                Change::PutBinding { port, .. } | Change::DeleteBinding { port } => Some(port),
                _ => None,
            });
        self.dirty.extend(ports);
    }
}

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

fn described(plan: &ModelPlan, dry_run: bool, revision: Revision) -> Plan {
    let project = plan.project.to_string();
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
    let changes: Vec<PlannedChange> = changes.collect();
    Plan {
        sentences: changes.iter().map(|it| it.sentence(&project)).collect(),
        project,
        changes,
        hosts: Vec::new(),
        gained: Vec::new(),
        lost: Vec::new(),
        checks: Vec::new(),
        dry_run,
        revision,
        realisation: None,
    }
}
