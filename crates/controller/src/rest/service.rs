//! For those who look after the controller: health, metrics, the specification.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use coax_api::Problem;
use tokio::task::spawn_blocking;

use super::App;
use super::failure::Failure;
use super::stacks::mismatch;
use crate::core::proofs;
use crate::identity::seconds;
use crate::metrics::{Checks, Facts};

/// Whether the process lives
#[utoipa::path(get, path = "/healthz", tag = "system", responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether requests are served
#[utoipa::path(
    get, path = "/readyz", tag = "system",
    responses((status = 200, body = String, content_type = "text/plain"), (status = "5XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn readyz(State(app): State<App>) -> Result<&'static str, Failure> {
    // The core answers: a revision that exists is waited for no time at all.
    let revision = app.handle.read().revision();
    let timeout = std::time::Duration::ZERO;
    app.ask(crate::core::message::Request::Wait { revision, timeout })
        .await?;
    Ok("ready\n")
}

/// Metrics of the controller and of all hosts
#[utoipa::path(
    get, path = "/metrics", tag = "system",
    responses((status = 200, body = String, content_type = "application/openmetrics-text"), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn metrics(State(app): State<App>) -> Result<impl IntoResponse, Failure> {
    let (reports, missing) = app.reports().await?;
    let facts = Facts::of(&app.handle.read());
    tell_authorities(&app);
    let checks = checks(&app, facts.revision()).await?;
    let text = app
        .metrics
        .text(&facts, checks, &reports, &missing)
        .map_err(|_| mismatch())?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text))
}

/// What becomes of all checks at a revision, or at a newer one. That takes a while, for which neither the core nor any other request
/// waits: it is proved on a copy.
async fn checks(app: &App, revision: u64) -> Result<Checks, Failure> {
    if let Some(known) = app.metrics.checks_at(revision) {
        return Ok(known);
    }
    let handle = app.handle.clone();
    let proofs = spawn_blocking(move || {
        let (revision, intent) = {
            let core = handle.read();
            if core.intent().checks.is_empty() {
                return (core.revision(), Checks::count(&[]));
            }
            (core.revision(), core.intent().clone())
        };
        (revision, Checks::count(&proofs(&intent, None)))
    });
    let (revision, checks) = proofs.await.map_err(|_| Failure::stopping())?;
    app.metrics.remember_checks(revision, checks);
    Ok(checks)
}

fn tell_authorities(app: &App) {
    let custody = app.identities.custody();
    app.metrics.authorities.set(custody.trusted().len() as u64);
    // One that was read from a certificate is none that cannot be read.
    if let Ok(validity) = custody.authority().validity() {
        app.metrics.authority_end.set(seconds(validity.not_after));
    }
}

/// This specification
#[utoipa::path(get, path = "/openapi.json", tag = "system", responses((status = 200, body = Object)))]
pub async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(super::openapi::document())
}
