//! The audit log: what becomes an entry, and looking at it.

use std::time::SystemTime;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use coax_api::{AuditEntry, AuditVerdict, Problem};
use serde::Deserialize;
use serde_json::Value;
use tokio::task::spawn_blocking;
use tracing::{error, warn};
use utoipa::IntoParams;

use super::App;
use super::failure::Failure;
use super::input::Params;
use super::invitations::identity_failure;
use super::listen::Origin;
use super::rights::Rule;
use crate::audit::Recording;
use crate::identity::{Caller, seconds};

/// The largest answer that is looked into for what changed.
const LARGEST_ANSWER: usize = 64 << 20;
/// Entries that are shown without being asked for more.
const USUAL: usize = 100;

/// Codes of problems that are the store's.
const STORE_FAILS: [&str; 2] = ["store-failed", "outcome-unknown"];

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditParams {
    /// So many of the last entries.
    pub last: Option<usize>,
}

/// The last entries of the audit log, oldest first
#[utoipa::path(
    get, path = "/v1/audit-log", tag = "users", params(AuditParams),
    responses((status = 200, body = Vec<AuditEntry>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn audit_log(
    State(app): State<App>,
    Params(params): Params<AuditParams>,
) -> Result<Json<Vec<AuditEntry>>, Failure> {
    let last = params.last.unwrap_or(USUAL);
    let entries = spawn_blocking(move || app.identities.entries(last)).await;
    let entries = entries.map_err(|_| Failure::stopping())?;
    entries.map(Json).map_err(identity_failure)
}

/// Check that no entry of the audit log was changed or removed
#[utoipa::path(
    get, path = "/v1/audit-log/verify", tag = "users",
    responses((status = 200, body = AuditVerdict), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn verify_audit_log(State(app): State<App>) -> Result<Json<AuditVerdict>, Failure> {
    let verdict = spawn_blocking(move || app.identities.verify()).await;
    let verdict = verdict.map_err(|_| Failure::stopping())?;
    verdict.map(Json).map_err(identity_failure)
}

/// Whether requests of this kind change something, and thus are written down.
fn is_recorded(rule: &Rule) -> bool {
    let asks = ["/v1/traces", "/v1/checks"].contains(&rule.path);
    rule.method != "GET" && !asks
}

/// Handles a request that is allowed, and writes down what has not been written down with its change: that it failed, or
/// did something else than to change the store, or nothing.
pub async fn recorded(
    app: App,
    caller: &Caller,
    rule: &Rule,
    mut request: Request,
    next: Next,
) -> Response {
    if !is_recorded(rule) {
        return next.run(request).await;
    }
    let recording = Recording::new(entry(caller, rule, request.extensions(), request.uri()));
    request.extensions_mut().insert(recording.clone());
    let response = next.run(request).await;
    if response.status().is_success() && recording.written().is_set() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let entry = AuditEntry {
        status: parts.status.as_u16(),
        ..recording.entry().clone()
    };
    if !is_json(&parts.headers) {
        // A file, which says nothing about what changed.
        write(app, entry).await;
        return Response::from_parts(parts, body);
    }
    let Ok(bytes) = to_bytes(body, LARGEST_ANSWER).await else {
        // What was done is written down all the same, without what the answer says of it.
        error!(path = entry.path, "an answer is too large to be passed on");
        write(app, entry).await;
        return Response::from_parts(parts, Body::empty());
    };
    let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let code = answer["code"].as_str().unwrap_or_default();
    if parts.status.is_server_error() && STORE_FAILS.contains(&code) {
        // Whoever could not store the change cannot store this either, and the caller would wait twice.
        if !recording.written().is_set() {
            not_known_to_be_written(&entry);
        }
    } else if answer["dry_run"] != Value::Bool(true) {
        // Nothing changed now: it was so already, or the same request was granted before.
        let revision = answer["revision"].as_u64();
        let revision = revision.filter(|_| parts.status.is_success());
        write(app, AuditEntry { revision, ..entry }).await;
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// The store has the entry of a change that it took without an answer, and only if it took it.
fn not_known_to_be_written(entry: &AuditEntry) {
    warn!(
        who = entry.who,
        from = entry.from,
        method = entry.method,
        path = entry.path,
        status = entry.status,
        "a request may not be in the audit log"
    );
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.contains("json"))
}

/// Writes down that a known caller was refused.
pub async fn refused(app: App, caller: &Caller, rule: &Rule, parts: &Parts) {
    if is_recorded(rule) {
        let entry = entry(caller, rule, &parts.extensions, &parts.uri);
        write(
            app,
            AuditEntry {
                status: 403,
                ..entry
            },
        )
        .await;
    }
}

fn entry(caller: &Caller, rule: &Rule, extensions: &Extensions, uri: &Uri) -> AuditEntry {
    let from = match extensions.get::<ConnectInfo<Origin>>() {
        Some(ConnectInfo(Origin::Remote(address))) => address.to_string(),
        _ => "local".to_owned(),
    };
    AuditEntry {
        time: seconds(SystemTime::now()),
        who: caller.name.clone(),
        role: caller.role.name().to_owned(),
        from,
        method: rule.method.to_owned(),
        path: uri.path().to_owned(),
        ..AuditEntry::default()
    }
}

async fn write(app: App, entry: AuditEntry) {
    match spawn_blocking(move || app.identities.record(&entry)).await {
        Ok(Ok(())) => {}
        Ok(Err(reason)) if reason.leaves_open() => {
            warn!(%reason, "a request may not be in the audit log");
        }
        Ok(Err(reason)) => error!(%reason, "a request is not in the audit log"),
        Err(_) => error!("a request is not in the audit log"),
    }
}
