//! The history: who changed what, going back, confirming.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use coax_api::{Plan, Problem, Revision};
use coax_model::Name;

use super::App;
use super::authorise::outside;
use super::failure::Failure;
use super::input::{ListParams, Params, RollbackParams, name, revision_number};
use super::rights::Right;
use super::stacks::mismatch;
use super::submission::{SubmissionHeaders, Submitted, Tagged};
use crate::core::message::{Answer, Request, Write};
use crate::core::not_in_history;
use crate::core::submission::Submission;
use crate::identity::Caller;

/// The history, the newest change first
///
/// Without the differences; one revision by itself has them. The marker of a page is the last revision
/// of the page before.
#[utoipa::path(
    get, path = "/v1/revisions", tag = "revisions", params(ListParams),
    responses((status = 200, body = Vec<Revision>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn revisions(
    State(app): State<App>,
    Params(params): Params<ListParams>,
) -> Result<Json<Vec<Revision>>, Failure> {
    let project = params.project()?;
    let marker = params.marker.as_deref().map(revision_number).transpose()?;
    let core = app.handle.read();
    let revisions = core
        .revisions(project.as_ref())
        .skip_while(|it| marker.is_some_and(|marker| it.revision >= marker));
    let limit = params.limit.unwrap_or(usize::MAX);
    Ok(Json(revisions.take(limit).collect()))
}

/// One change with all that it did
#[utoipa::path(
    get, path = "/v1/revisions/{revision}", tag = "revisions",
    params(("revision" = u64, Path, description = "The revision")),
    responses((status = 200, body = Revision), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn revision(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(revision): Path<String>,
) -> Result<Json<Revision>, Failure> {
    let revision = revision_number(&revision)?;
    seen(&app, &caller, revision).map(Json)
}

/// A change, as far as the caller may know of it.
fn seen(app: &App, caller: &Caller, revision: u64) -> Result<Revision, Failure> {
    let found = app.handle.read().revision_named(revision);
    let own = |found: &Revision| {
        let project = caller.project.as_ref().map(Name::as_str);
        project.is_none_or(|project| found.project.as_deref() == Some(project))
    };
    found
        .filter(own)
        .ok_or_else(|| not_in_history(revision).into())
}

/// Whether the caller may change what a change was about.
fn may_change(caller: &Caller, project: Option<&str>) -> bool {
    match project.and_then(|project| project.parse::<Name>().ok()) {
        Some(project) => caller.may(Right::Edit, &project),
        None => caller.project.is_none(),
    }
}

/// Make a project what it was right after a revision
///
/// A new revision of its own. What other projects have got since is not touched: where the project
/// would need what is theirs by now, the rollback is refused with their names.
#[utoipa::path(
    post, path = "/v1/revisions/{revision}/rollback", tag = "revisions",
    params(("revision" = u64, Path, description = "The revision"), RollbackParams, SubmissionHeaders),
    responses((status = 200, body = Plan), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn rollback(
    State(app): State<App>,
    Path(revision): Path<String>,
    Params(params): Params<RollbackParams>,
    Extension(caller): Extension<Caller>,
    submitted: Submitted,
) -> Result<Tagged<Plan>, Failure> {
    let project = params.project.as_deref();
    let meant = match project {
        Some(project) => Some(project.to_owned()),
        None => seen(&app, &caller, revision_number(&revision)?)?.project,
    };
    if !may_change(&caller, meant.as_deref()) {
        return Err(outside(&caller));
    }
    let write = Write::Rollback {
        revision: revision_number(&revision)?,
        project: project.map(|text| name("project", text)).transpose()?,
        dry_run: params.dry_run,
    };
    let submission = Submission {
        reason: params.reason.unwrap_or_default(),
        ..submitted.with(&[])
    };
    match app.ask(Request::Write { write, submission }).await? {
        Answer::Plan(plan) => Ok(Tagged(plan.revision, plan)),
        _ => Err(mismatch()),
    }
}

/// Let a change hold that would be reverted
#[utoipa::path(
    post, path = "/v1/revisions/{revision}/confirm", tag = "revisions",
    params(("revision" = u64, Path, description = "The revision")),
    responses((status = 200, body = Revision), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn confirm(
    State(app): State<App>,
    Path(revision): Path<String>,
    Extension(caller): Extension<Caller>,
    submitted: Submitted,
) -> Result<Json<Revision>, Failure> {
    let revision = revision_number(&revision)?;
    let about = seen(&app, &caller, revision)?.project;
    if !may_change(&caller, about.as_deref()) {
        return Err(outside(&caller));
    }
    let write = Write::Confirm { revision };
    let submission = submitted.with(&[]);
    match app.ask(Request::Write { write, submission }).await? {
        Answer::Record(record) => Ok(Json(*record)),
        _ => Err(mismatch()),
    }
}
