//! The audit log: who changed what, from where.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One thing that somebody did, or tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Counts the entries, from 1.
    pub number: u64,
    /// When, in seconds since 1970.
    pub time: u64,
    /// Whose request it was: the name of a token, of the local user, or of the invitation by which a machine joined.
    pub who: String,
    /// In which role.
    pub role: String,
    /// From where: `local`, or an address.
    pub from: String,
    /// PUT, POST, DELETE; JOIN: a machine became a host or a controller; RESTORE: a backup became the deployment.
    pub method: String,
    /// The path, which names the object.
    pub path: String,
    /// How it ended: the HTTP status.
    pub status: u16,
    /// The revision that holds the change, if it is one of the intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// What changed, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// The newest revision when a change of the intent was decided on: no two changes have that in common.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_on: Option<u64>,
    /// The hash of the entry before, in hexadecimal digits.
    pub previous: String,
    /// The SHA-256 of all of the above. Where `decided_on` is there it is without `revision`, which only the store knows then.
    pub hash: String,
}

/// What became of checking the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditVerdict {
    /// How many entries there are.
    pub entries: u64,
    /// The hash of the last one. Written down elsewhere, it proves later that nothing before it was changed.
    pub last_hash: String,
    /// The first entry that is not as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<u64>,
    /// What is wrong there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
