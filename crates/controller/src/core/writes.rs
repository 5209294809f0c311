//! From requests and claims to changes. One transaction at a time: while a commit is under way,
//! requests wait in a queue and the core's own decisions are not taken.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use coax_api::{Action, AuditEntry, Plan, PlannedChange};
use coax_model::{Binding, Change, HostName, Plan as ModelPlan, PortName, plan_delete, plan_file};
use coax_store::{Revision, Transaction};

use super::binding::{Facts, Hold, decide};
use super::foresight::refused_by_checks;
use super::history::Note;
use super::message::{Answer, Command, RequestId, Write};
use super::moves::difference;
use super::submission::Submission;
use super::{Core, problem};
use crate::audit::Written;
use crate::history::{self, Deed};
use crate::records::{self, Batch, Ticket};

/// The most changes of the core's own in one transaction.
pub(super) const BATCH: usize = 1024;

/// What a user wants.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) id: RequestId,
    pub(super) write: Write,
    pub(super) submission: Submission,
    pub(super) since: Instant,
}

impl Asked {
    pub(super) fn new(id: RequestId, write: Write, submission: Submission, since: Instant) -> Self {
        Self {
            id,
            write,
            submission,
            since,
        }
    }
}

/// What is being stored.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) ticket: Ticket,
    pub(super) transaction: Arc<Transaction>,
    pub(super) entry: Option<Arc<AuditEntry>>,
    /// To say that the audit log has the entry.
    pub(super) written: Option<Written>,
    pub(super) batch: Batch,
    pub(super) reply: Option<Reply>,
    /// What it was decided for; it is decided anew if somebody else is faster.
    pub(super) asked: Option<Asked>,
    pub(super) since: Instant,
    /// Nobody knows what became of it: then it is tried again.
    pub(super) again_at: Option<Instant>,
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
    pub(super) fn id(&self) -> RequestId {
        match self {
            Self::Plan(id, _) | Self::Port(id, _) | Self::Host(id, _) | Self::Record(id) => *id,
        }
    }
}

impl Core {
    /// Starts the next transaction if none is under way.
    pub(super) fn advance(&mut self, now: Instant, out: &mut Vec<Command>) {
        while self.pending.is_none() {
            if let Some(asked) = self.queue.pop_front() {
                self.take_up(&asked, now, out);
                if let Some(pending) = &mut self.pending {
                    pending.asked = Some(asked);
                }
                continue;
            }
            if now < self.rest_until {
                return;
            }
            if self.revert_overdue(now, out) {
                continue;
            }
            let changes = self.own_changes(now, out);
            if changes.is_empty() && self.notices(now).is_empty() {
                return;
            }
            self.commit(changes, None, None, now, out);
        }
    }

    /// Takes up what a user wants.
    fn take_up(&mut self, asked: &Asked, now: Instant, out: &mut Vec<Command>) {
        let (id, write) = (asked.id, &asked.write);
        let dry_run = write.is_dry_run();
        if let Some(answer) = self.objection(write, &asked.submission, dry_run) {
            return out.push(Command::Reply { id, answer });
        }
        let submission = asked.submission.clone();
        match write {
            Write::Apply { file, .. } => match plan_file(file, &self.intent) {
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
                let note = Note::about(Deed::Destroy, Some(project.clone()), submission);
                self.start_destroy(id, dry_run, note, now, out);
            }
            Write::Move { port, host } => {
                self.start_move(id, port.clone(), host.clone(), submission, now, out);
            }
            Write::RemoveHost { host, force } => {
                self.start_remove_host(id, (host, *force), submission, now, out);
            }
            Write::Rollback {
                revision, project, ..
            } => {
                let back = (*revision, project.clone());
                self.start_rollback(id, back, dry_run, submission, now, out);
            }
            Write::SetQuota { project, quota } => {
                self.start_quota(id, (project.clone(), *quota), submission, now, out);
            }
            Write::Confirm { revision } => self.start_confirm(id, *revision, submission, now, out),
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
            notices: self.notices(now),
            ..Batch::default()
        };
        let mut deletes = Vec::new();
        let mut entry = None;
        let mut written = None;
        if let Some(note) = note {
            entry = Some(Arc::new(self.audit_entry(&note, now)));
            let recording = note.submission.recording.as_ref();
            written = recording.map(|recording| recording.written().clone());
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
        self.last_commit += 1;
        let ticket = Ticket {
            by: self.run,
            number: self.last_commit,
        };
        let transaction = records::transaction(&batch, deletes, self.revision, ticket);
        let transaction = Arc::new(transaction);
        out.push(Command::Commit {
            number: ticket.number,
            transaction: transaction.clone(),
            entry: entry.clone(),
        });
        self.pending = Some(Pending {
            ticket,
            transaction,
            entry,
            written,
            batch,
            reply,
            asked: None,
            since: now,
            again_at: None,
        });
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
        let holder = binding.and_then(|binding| binding.host.as_ref());
        let holder = holder.map_or(Hold::Lost, |host| self.hold(name, host, now));
        // Claims are granted by the controller that the claiming host obeys: it hears first when they end. But whoever
        // takes a port from its host passes it on.
        let heard = |host: &&HostName| {
            self.hosts.get(*host).is_some_and(|state| {
                let passed_on = state.standby && holder == Hold::Unplugged;
                state.session.is_some() && (!state.standby || passed_on)
            })
        };
        let claimants = self.claimants.get(name).into_iter().flatten();
        Facts {
            wish,
            now: binding,
            claimants: claimants.filter(heard).collect(),
            holder,
        }
    }

    fn hold(&self, name: &PortName, host: &HostName, now: Instant) -> Hold {
        match self.hosts.get(host) {
            // Its own controller hears first what it has.
            Some(state) if state.standby && state.session.is_some() => Hold::Unknown,
            Some(state) if state.ready && state.claims.contains_key(name) => Hold::Plugged,
            Some(state) if state.ready => Hold::Unplugged,
            Some(state) => match state.away_since {
                Some(since) if self.is_lost(host, since, now) => Hold::Lost,
                _ => Hold::Unknown,
            },
            None => Hold::Lost,
        }
    }
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
