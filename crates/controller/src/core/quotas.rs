//! Quotas: how much projects may have. Admins of the deployment say it; whatever a project has already
//! stays.

use std::time::Instant;

use coax_api::{Action, PlannedChange};
use coax_model::{Change, Counted, Name, Quota};

use super::Core;
use super::history::Note;
use super::message::{Command, RequestId};
use super::submission::Submission;
use super::writes::Reply;
use crate::history::Deed;

impl Core {
    /// Stores the limits of a project, or of all that have none of their own.
    pub(super) fn start_quota(
        &mut self,
        id: RequestId,
        (project, quota): (Option<Name>, Option<Quota>),
        submission: Submission,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        let name = project
            .as_ref()
            .map_or("of every other project", Name::as_str);
        let change = PlannedChange {
            action: Action::Change,
            kind: "quota".to_owned(),
            name: name.to_owned(),
            detail: words(quota),
        };
        let note = Note {
            changes: vec![change],
            ..Note::about(Deed::Quota, None, submission)
        };
        let change = Change::PutQuota { project, quota };
        self.commit(vec![change], Some(note), Some(Reply::Record(id)), now, out);
    }
}

/// Limits in words.
fn words(quota: Option<Quota>) -> String {
    let Some(quota) = quota else {
        return "that of every other project".to_owned();
    };
    let limits = Counted::ALL.into_iter().filter_map(|counted| {
        let limit = quota.limit(counted)?;
        Some(format!("{counted} {limit}"))
    });
    let limits: Vec<String> = limits.collect();
    match limits.as_slice() {
        [] => "no limits".to_owned(),
        limits => limits.join(", "),
    }
}
