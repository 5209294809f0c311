//! Backups of the whole deployment, as a file.

use std::time::SystemTime;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use coax_api::{BackupRequest, Problem};
use tokio::task::spawn_blocking;

use super::App;
use super::failure::Failure;
use super::input::body;
use super::payload::Payload;
use crate::backup::{BackupError, take};

/// Take a backup of everything: intent, history, identities, audit log, and the authority's key, encrypted
///
/// The answer is the file. It is of one revision; nothing is stopped for it. Whoever has it and the passphrase has the
/// deployment.
#[utoipa::path(
    post, path = "/v1/backups", tag = "system",
    request_body = BackupRequest,
    responses(
        (status = 200, body = String, content_type = "application/x-coax-backup"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")
    )
)]
pub async fn create_backup(
    State(app): State<App>,
    bytes: Payload,
) -> Result<impl IntoResponse, Failure> {
    let request: BackupRequest = body(&bytes)?;
    let generation = app.handle.read().generation();
    let identities = app.identities.clone();
    let now = SystemTime::now();
    let file =
        spawn_blocking(move || take(&identities, generation, request.passphrase.as_bytes(), now))
            .await
            .map_err(|_| Failure::stopping())?
            .map_err(backup_failure)?;
    Ok(([(header::CONTENT_TYPE, "application/x-coax-backup")], file))
}

fn backup_failure(error: BackupError) -> Failure {
    if let BackupError::ShortPassphrase { .. } = error {
        let hint =
            "a few words in a row make a good one: `coax backup create --passphrase-file FILE`";
        return Failure::bad_request("short-passphrase", error.to_string(), hint);
    }
    Problem::new(
        503,
        "backup-failed",
        "The backup could not be made",
        error.to_string(),
        "nothing was changed; see whether the store answers, and try again",
    )
    .into()
}
