//! Going back, confirming, and what becomes of changes that nobody confirms. All of it works on whole
//! projects: "back to revision N" means that the project of N becomes what it was right after N, and
//! nothing else changes. The file of that moment goes through the same checks as any file, so going
//! back is refused where it would take something that others have by now.

use std::time::{Duration, Instant};

use coax_api as api;
use coax_api::{Action, AuditEntry, PlannedChange};
use coax_model::{Change, Name, file_before, inverses, plan_delete, plan_file};
use coax_store::Revision;

use super::message::{Command, RequestId};
use super::submission::{Confirm, Submission};
use super::writes::Reply;
use super::{Core, problem};
use crate::audit::Recording;
use crate::history::{Body, Deed, Head, Record, RecordId};
use crate::records::{Batch, Unconfirmed, change_of, steps};

/// After this time a change that could not be taken back is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(60);
/// Who takes back what nobody confirms.
const COAX: &str = "coax";

/// What is written into the history about a change that is about to be stored.
#[derive(Debug)]
pub(super) struct Note {
    pub deed: Deed,
    pub project: Option<Name>,
    pub changes: Vec<PlannedChange>,
    pub back_to: Option<Revision>,
    pub submission: Submission,
}

impl Note {
    /// A note that says nothing yet of what changes.
    pub(super) fn about(deed: Deed, project: Option<Name>, submission: Submission) -> Self {
        Self {
            deed,
            project,
            changes: Vec::new(),
            back_to: None,
            submission,
        }
    }
}

/// A change that is to be confirmed, and when it is taken back.
#[derive(Debug)]
pub(super) struct Countdown {
    pub(super) stored: Unconfirmed,
    pub(super) deadline: Instant,
    /// Why it could not be taken back in time.
    pub(super) trouble: Option<String>,
}

impl Core {
    /// The record of a change, and what has to go for it.
    pub(super) fn record(&self, note: Note, changes: &[Change], now: Instant) -> Record {
        let count = |action| {
            let of_kind = note.changes.iter().filter(|it| it.action == action);
            of_kind.count()
        };
        let head = Head {
            author: note.submission.author,
            reason: note.submission.reason,
            time: self.clock.milliseconds(now),
            deed: note.deed,
            project: note.project,
            counts: [Action::Create, Action::Change, Action::Delete].map(count),
            back_to: note.back_to,
            repeat: note.submission.repeat,
            pieces: 0,
        };
        let body = Body {
            undo: steps(&inverses(changes, &self.intent)),
            changes: note.changes,
        };
        Record::new(RecordId(self.revision), head, &body)
    }

    /// What the audit log says of a change, whoever asked for it.
    pub(super) fn audit_entry(&self, note: &Note, now: Instant) -> AuditEntry {
        let project = note.project.as_ref().map_or("", Name::as_str);
        let recording = note.submission.recording.clone().unwrap_or_else(|| {
            Recording::new(AuditEntry {
                time: self.clock.milliseconds(now) / 1000,
                who: note.submission.author.clone(),
                from: "local".to_owned(),
                method: note.deed.name().to_uppercase(),
                path: project.to_owned(),
                ..AuditEntry::default()
            })
        });
        let sentences = note.changes.iter().map(|it| it.sentence(project));
        AuditEntry {
            decided_on: Some(self.revision),
            ..recording.of_change(sentences)
        }
    }

    /// What a change of a project does to its confirmation.
    pub(super) fn confirmation(
        &self,
        note: &Note,
        now: Instant,
    ) -> Option<(Name, Option<Unconfirmed>)> {
        let project = note.project.clone()?;
        let pending = self.unconfirmed.get(&project);
        let ends = pending.is_some().then(|| (project.clone(), None));
        match (note.deed, note.submission.confirm) {
            (Deed::Apply | Deed::Destroy, Confirm::Within(time)) => {
                let within = time.as_millis().try_into().unwrap_or(u64::MAX);
                let unconfirmed = Unconfirmed {
                    // What was to be confirmed before goes back together with this.
                    back_to: pending.map_or(self.revision, |it| it.stored.back_to),
                    until: self.clock.milliseconds(now).saturating_add(within),
                    within,
                };
                Some((project, Some(unconfirmed)))
            }
            (Deed::Move | Deed::RemoveHost, _) => None,
            _ => ends,
        }
    }

    /// Takes in that a project is to be confirmed, or no more.
    pub(super) fn count_down(
        &mut self,
        project: Name,
        unconfirmed: Option<Unconfirmed>,
        now: Instant,
    ) {
        let Some(stored) = unconfirmed else {
            self.unconfirmed.remove(&project);
            return;
        };
        // The clock of whoever stored it may be wrong, or mine: never longer than was asked for.
        let left = stored.until.saturating_sub(self.clock.milliseconds(now));
        let deadline = now + Duration::from_millis(left.min(stored.within));
        self.unconfirmed.insert(
            project,
            Countdown {
                stored,
                deadline,
                trouble: None,
            },
        );
    }

    /// The oldest revision that somebody may have to go back to by himself.
    pub(super) fn needed_history(&self) -> Option<Revision> {
        let countdowns = self.unconfirmed.values();
        countdowns.map(|countdown| countdown.stored.back_to).min()
    }

    pub(super) fn start_rollback(
        &mut self,
        id: RequestId,
        (revision, project): (Revision, Option<Name>),
        dry_run: bool,
        submission: Submission,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        let planned = match (self.history.get(revision), project) {
            (None, _) => Err(Box::new(problem::not_in_history(revision))),
            (Some(record), project) => match project.or_else(|| record.head.project.clone()) {
                Some(project) => self.way_back(&project, revision),
                None => Err(Box::new(problem::whose_rollback(revision))),
            },
        };
        match planned {
            Ok(plan) => {
                let project = Some(plan.project.clone());
                let note = Note {
                    back_to: Some(revision),
                    ..Note::about(Deed::Rollback, project, submission)
                };
                self.start(Some(id), &plan, dry_run, note, now, out);
            }
            Err(problem) => out.push(Command::Reply {
                id,
                answer: Err(problem),
            }),
        }
    }

    /// What makes a project what it was right after a revision.
    fn way_back(
        &self,
        project: &Name,
        revision: Revision,
    ) -> Result<coax_model::Plan, Box<api::Problem>> {
        let since = self.history.since(revision);
        let since = since.ok_or_else(|| Box::new(problem::not_in_history(revision)))?;
        let mut undo = Vec::new();
        for (number, record) in since.filter(|(_, it)| it.head.project.as_ref() == Some(project)) {
            let damaged = || Box::new(problem::damaged_history(number));
            let body = record.read().map_err(|_| damaged())?;
            for step in &body.undo {
                undo.push(change_of(step).map_err(|_| damaged())?);
            }
        }
        match file_before(project, &self.intent, &undo) {
            Some(file) => plan_file(&file, &self.intent)
                .map_err(|refusals| Box::new(problem::refusals(&refusals))),
            None => Ok(plan_delete(project, &self.intent)),
        }
    }

    pub(super) fn start_confirm(
        &mut self,
        id: RequestId,
        revision: Revision,
        submission: Submission,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        let record = self.history.get(revision);
        let project = record.and_then(|record| record.head.project.clone());
        let pending = |project: &Name| {
            let countdown = self.unconfirmed.get(project);
            countdown.is_some_and(|countdown| revision > countdown.stored.back_to)
        };
        let Some(project) = project.filter(pending) else {
            let answer = Err(Box::new(match record {
                Some(_) => problem::nothing_unconfirmed(revision),
                None => problem::not_in_history(revision),
            }));
            return out.push(Command::Reply { id, answer });
        };
        let note = Note::about(Deed::Confirm, Some(project), submission);
        self.commit(Vec::new(), Some(note), Some(Reply::Record(id)), now, out);
    }

    /// Takes back what nobody confirmed in time; says whether there was anything.
    pub(super) fn revert_overdue(&mut self, now: Instant, out: &mut Vec<Command>) -> bool {
        let mut overdue = self.unconfirmed.iter().filter(|(_, it)| now >= it.deadline);
        let Some((project, countdown)) = overdue.next() else {
            return false;
        };
        let (project, back_to) = (project.clone(), countdown.stored.back_to);
        let reason = match self.way_back(&project, back_to) {
            Ok(plan) => {
                let submission = Submission {
                    author: COAX.to_owned(),
                    reason: "not confirmed in time".to_owned(),
                    ..Submission::default()
                };
                let note = Note {
                    back_to: Some(back_to),
                    ..Note::about(Deed::Revert, Some(project), submission)
                };
                self.start(None, &plan, false, note, now, out);
                return true;
            }
            Err(problem) => problem.message,
        };
        // Others may have taken what the project had: it stays as it is, and is tried again.
        if let Some(countdown) = self.unconfirmed.get_mut(&project) {
            countdown.deadline = now + TRY_AGAIN;
            countdown.trouble = Some(reason);
        }
        true
    }

    /// Takes in what a stored batch means beside its objects.
    pub(super) fn remember(&mut self, revision: Revision, batch: Batch, now: Instant) {
        for project in &batch.projects {
            self.revisions.note_project(project, revision);
        }
        if let Some(record) = batch.record {
            self.history.add(revision, record);
        }
        for id in batch.forgotten {
            self.history.forget(id);
        }
        for (project, unconfirmed) in batch.unconfirmed {
            self.count_down(project, unconfirmed, now);
        }
        self.take_notices(batch.notices, now);
    }
}
