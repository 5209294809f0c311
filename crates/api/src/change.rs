//! Changing intent: what a stack file would change, moves, and waiting until hosts have it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::check::Check;

/// What happens to one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is new.
    Create,
    /// It stays and becomes different.
    Change,
    /// It goes.
    Delete,
}

impl Action {
    /// The word used in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Delete => "delete",
        }
    }
}

/// One line of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedChange {
    /// What happens.
    pub action: Action,
    /// `network`, `port`, `vtep`, `router`, `group`, `address-group`, `firewall`, `firewall-rule` or
    /// `checks`; in the history also `host` and `quota`.
    pub kind: String,
    /// Name in the project.
    pub name: String,
    /// What changes in it: `mtu 1500 -> 1450`; for new objects what they get.
    pub detail: String,
}

impl PlannedChange {
    /// The change as a sentence; `project` is whose object it is.
    pub fn sentence(&self, project: &str) -> String {
        let mut sentence = format!("{} {} ", self.action.as_str(), self.kind);
        match self.kind.as_str() {
            // Its name is the project's.
            "firewall" | "checks" => sentence.push_str(project),
            "host" | "quota" => sentence.push_str(&self.name),
            _ => sentence.push_str(&format!("{project}/{}", self.name)),
        }
        if !self.detail.is_empty() {
            sentence.push_str(&format!(": {}", self.detail));
        }
        sentence
    }
}

/// What applying a stack file changes, or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// The project; `rails` for the operator's.
    pub project: String,
    /// Object by object; empty if the file is what there is already.
    pub changes: Vec<PlannedChange>,
    /// The same for people.
    pub sentences: Vec<String>,
    /// Of a dry run: the hosts that would be told something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Of a dry run: which connections could be opened that cannot now, in sentences:
    /// `web-* may now reach db-* on tcp/5432`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gained: Vec<String>,
    /// Of a dry run: which connections could no longer be opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
    /// The project's checks (for `rails` those of all projects) as they are after the change. Where one
    /// fails, the change is refused unless `ignore_checks` is set; a change of `rails` never is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// Whether it was only asked for, not done.
    pub dry_run: bool,
    /// The revision that holds the result; for a dry run the one that it was compared with.
    pub revision: u64,
    /// With `wait=hosts`: how far the hosts came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realisation: Option<Realisation>,
}

/// Which hosts have a revision in their maps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Realisation {
    /// The revision that was waited for.
    pub revision: u64,
    /// Whether every host that needs something of it has it.
    pub done: bool,
    /// Hosts that have it.
    pub realized: Vec<String>,
    /// Hosts that do not, and why.
    pub missing: Vec<HostWait>,
}

/// A host that does not have a revision yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostWait {
    /// The host.
    pub host: String,
    /// What it has.
    pub revision: u64,
    /// Whether its agent is attached.
    pub connected: bool,
    /// What it is missing, in words.
    pub reason: String,
}

/// Where a port is to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MoveRequest {
    /// Name of the host; the one it is on to call a move off.
    pub host: String,
}

/// How to apply a stack file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackOptions {
    /// Only say what would change.
    pub dry_run: bool,
    /// Return when the hosts have it, or after this time at the latest.
    pub wait: Option<Duration>,
    /// Why: kept in the history.
    pub reason: Option<String>,
    /// What to do about confirmation.
    pub confirm: Confirmation,
    /// Also if checks fail after it.
    pub ignore_checks: bool,
    /// Only if this is the project's newest revision.
    pub if_match: Option<u64>,
    /// Only if there is no such project.
    pub if_absent: bool,
    /// A name for this request: sent again under the same name, it is not done again.
    pub idempotency_key: Option<String>,
}

/// Whether a change must be confirmed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Confirmation {
    /// It holds; refused while the project has an unconfirmed change.
    #[default]
    None,
    /// It is reverted unless it is confirmed within this time.
    Within(Duration),
    /// It holds, and so does what was unconfirmed before.
    Now,
}
