//! The history: every change that somebody asked for, with author, reason and difference.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::change::PlannedChange;

/// One change that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revision {
    /// Its number. Numbers grow, with gaps: what Coax stores by itself, like the place of a port,
    /// takes one too.
    pub revision: u64,
    /// Who asked for it.
    pub author: String,
    /// Why, in the author's words; empty if nothing was said.
    pub reason: String,
    /// When it was stored: RFC 3339, in UTC.
    pub time: String,
    /// `apply`, `destroy`, `move`, `remove-host`, `rollback`, `revert` (a change that nobody
    /// confirmed) or `confirm`.
    pub action: String,
    /// The project that it is about, if it is about one; `rails` for the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// How many objects it created.
    pub created: usize,
    /// How many objects it changed.
    pub changed: usize,
    /// How many objects it deleted.
    pub deleted: usize,
    /// Of a rollback or revert: the revision that it went back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<u64>,
    /// When it will be reverted unless it is confirmed: RFC 3339, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfirmed_until: Option<String>,
    /// Why it could not be reverted though nobody confirmed it in time: it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Object by object; left out in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<PlannedChange>,
}

/// Which revisions to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HistoryOptions {
    /// Only those about this project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only those before this one.
    #[serde(rename = "marker", skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// How to go back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RollbackOptions {
    /// The project, if it is not the one that the revision is about.
    pub project: Option<String>,
    /// Only say what would change.
    pub dry_run: bool,
    /// Why.
    pub reason: Option<String>,
}
