//! The deployment's authorities: which count, who has moved to the newest, and replacing one by another.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How an authority is to be renewed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewAuthorityRequest {
    /// Also while a renewal is under way, if this controller lacks the newest key: for when all that had it are lost.
    #[serde(default)]
    pub force: bool,
}

/// How a renewal is to be finished.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishAuthorityRequest {
    /// Hosts and controllers that may be cut off.
    #[serde(default)]
    pub without: Vec<String>,
    /// Whoever is cut off.
    #[serde(default)]
    pub force: bool,
}

/// The authorities of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthorityStatus {
    /// Those that count, the newest last: more than one while a renewal is under way.
    pub authorities: Vec<CountingAuthority>,
    /// Hosts that have no certificate of the newest yet, while a renewal is under way.
    pub waiting_hosts: Vec<String>,
    /// Controllers that do not have the newest one's key, while a renewal is under way.
    pub waiting_controllers: Vec<String>,
    /// Those that count no more, the latest last.
    pub former: Vec<FormerAuthority>,
}

/// An authority that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountingAuthority {
    /// The SHA-256 of its certificate, which tokens carry.
    pub pin: String,
    /// Since when it counts, in seconds since 1970.
    pub since: u64,
    /// When its certificate ends, in seconds since 1970.
    pub until: u64,
    /// Hosts that have told that their certificates are of it, or joined under it.
    pub hosts: usize,
    /// Controllers that have its key. Before the first renewal they do not say so.
    pub controllers: Vec<String>,
}

/// An authority that counts no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FormerAuthority {
    /// The SHA-256 of its certificate.
    pub pin: String,
    /// Since when it does not count, in seconds since 1970.
    pub ended: u64,
}
