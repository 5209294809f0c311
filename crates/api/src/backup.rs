//! Backups of the whole deployment.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a backup is to be encrypted with.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// At least 12 bytes. It is not kept: without it, the backup is lost.
    pub passphrase: String,
}

impl fmt::Debug for BackupRequest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("BackupRequest(…)")
    }
}
