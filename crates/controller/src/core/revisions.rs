//! What the history says, to users and to those who ask again; and the conditions that writes come with.

use coax_api as api;
use coax_api::Plan;
use coax_model::Name;
use coax_store::Revision;

use super::message::{Answer, Write};
use super::submission::{Condition, Confirm, Submission};
use super::{Core, problem};
use crate::history::Record;

impl Core {
    /// The history, the newest first; of one project if it is given.
    pub fn revisions(&self, project: Option<&Name>) -> impl Iterator<Item = api::Revision> {
        let wanted = move |record: &Record| {
            project.is_none_or(|project| record.head.project.as_ref() == Some(project))
        };
        let records = self.history.newest_first();
        records
            .filter(move |(_, record)| wanted(record))
            .map(|(revision, record)| self.revision_view(revision, record))
    }

    /// One change with all that it did.
    pub fn revision_named(&self, revision: Revision) -> Option<api::Revision> {
        let record = self.history.get(revision)?;
        let body = record.read().unwrap_or_default();
        Some(api::Revision {
            changes: body.changes,
            ..self.revision_view(revision, record)
        })
    }

    fn revision_view(&self, revision: Revision, record: &Record) -> api::Revision {
        let head = &record.head;
        let [created, changed, deleted] = head.counts;
        let countdown = head
            .project
            .as_ref()
            .and_then(|project| self.unconfirmed.get(project))
            .filter(|countdown| revision > countdown.stored.back_to);
        api::Revision {
            revision,
            author: head.author.clone(),
            reason: head.reason.clone(),
            time: api::time::rfc3339(head.time),
            action: head.deed.name().to_owned(),
            project: head.project.as_ref().map(ToString::to_string),
            created,
            changed,
            deleted,
            back_to: head.back_to,
            unconfirmed_until: countdown.map(|it| api::time::rfc3339(it.stored.until)),
            trouble: countdown.and_then(|it| it.trouble.clone()),
            changes: Vec::new(),
        }
    }

    /// The revision of what a write is about; `None`: it is not there.
    fn revision_of(&self, write: &Write) -> Option<Revision> {
        let of_project = |project: &Name| {
            let rails = project.is_rails() && self.stack(project).is_some();
            let exists = rails || self.intent.projects().contains(project);
            exists.then(|| self.project_revision(project))
        };
        match write {
            Write::Apply { file, .. } => of_project(&file.project()),
            Write::Destroy { project, .. } => of_project(project),
            Write::Move { port, .. } => {
                let exists = self.intent.ports.contains_key(port);
                exists.then(|| self.revisions.of("port", port))
            }
            Write::RemoveHost { host, .. } => {
                let exists = self.intent.hosts.contains_key(host);
                exists.then(|| self.revisions.of("host", host))
            }
            Write::Rollback {
                revision, project, ..
            } => {
                let record = self.history.get(*revision)?;
                of_project(project.as_ref().or(record.head.project.as_ref())?)
            }
            Write::SetQuota { project, .. } => match project {
                Some(project) => {
                    let exists = self.intent.quotas.contains_key(project);
                    exists.then(|| self.revisions.of("quota", project))
                }
                None => Some(self.revisions.of("default-quota", &"all")),
            },
            Write::Confirm { revision } => Some(*revision),
        }
    }

    /// The revision of a project's last change, which is the entity tag of its file.
    pub fn project_revision(&self, project: &Name) -> Revision {
        self.revisions.of_project(project, &self.intent)
    }

    /// Why a write must not be taken as it is, or what it was answered with when it came before.
    pub(super) fn objection(
        &self,
        write: &Write,
        submission: &Submission,
        dry_run: bool,
    ) -> Option<Result<Answer, Box<api::Problem>>> {
        if let Some(answer) = self.repeated(write, submission) {
            return Some(answer);
        }
        if submission.condition != Condition::Any {
            let found = self.revision_of(write);
            if !submission.condition.holds(found) {
                return Some(Err(Box::new(problem::revision_mismatch(found))));
            }
        }
        let project = match write {
            Write::Apply { file, .. } => file.project(),
            Write::Destroy { project, .. } => project.clone(),
            _ => return None,
        };
        let countdown = self.unconfirmed.get(&project)?;
        let unanswered = submission.confirm == Confirm::No && !dry_run;
        unanswered.then(|| {
            let until = api::time::rfc3339(countdown.stored.until);
            Err(Box::new(problem::unconfirmed(&project, &until)))
        })
    }

    /// The answer to a request that was granted before.
    fn repeated(
        &self,
        write: &Write,
        submission: &Submission,
    ) -> Option<Result<Answer, Box<api::Problem>>> {
        let repeat = submission.repeat.as_ref()?;
        let same = |record: &Record| {
            let known = record.head.repeat.as_ref();
            record.head.author == submission.author
                && known.is_some_and(|known| known.key == repeat.key)
        };
        let (revision, record) = self.history.newest_first().find(|(_, it)| same(it))?;
        if record.head.repeat.as_ref() != Some(repeat) {
            return Some(Err(Box::new(problem::key_reused(&repeat.key, revision))));
        }
        match write {
            Write::Move { port, .. } => {
                let port = self.view_port(port)?;
                Some(Ok(Answer::Port(Box::new(port))))
            }
            Write::Apply { .. } | Write::Destroy { .. } | Write::Rollback { .. } => {
                Some(Ok(Answer::Plan(plan_of(revision, record))))
            }
            Write::SetQuota { .. } | Write::Confirm { .. } => {
                let record = self.revision_named(revision)?;
                Some(Ok(Answer::Record(Box::new(record))))
            }
            // Done twice it does nothing else.
            Write::RemoveHost { .. } => None,
        }
    }
}

/// What a request was answered with when it was granted.
fn plan_of(revision: Revision, record: &Record) -> Plan {
    let body = record.read().unwrap_or_default();
    let project = record.head.project.as_ref();
    let project = project.map(ToString::to_string).unwrap_or_default();
    Plan {
        sentences: body
            .changes
            .iter()
            .map(|change| change.sentence(&project))
            .collect(),
        project,
        changes: body.changes,
        hosts: Vec::new(),
        gained: Vec::new(),
        lost: Vec::new(),
        checks: Vec::new(),
        dry_run: false,
        revision,
        realisation: None,
    }
}
