//! Projects by themselves, and how much they may have.

use axum::Json;
use axum::extract::{Path, State};
use coax_api::{Problem, Project, Quota};
use coax_model::Name;

use super::App;
use super::failure::Failure;
use super::input::{body, name};
use super::payload::Payload;
use super::stacks::mismatch;
use super::submission::{SubmissionHeaders, Submitted};
use crate::core::message::{Answer, Request, Write};
use crate::core::submission::Submission;
use crate::core::{Listing, quota_view};

/// A project: what it has and what it may have
#[utoipa::path(
    get, path = "/v1/projects/{project}", tag = "projects",
    params(("project" = String, Path, description = "The project")),
    responses((status = 200, body = Project), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn project(
    State(app): State<App>,
    Path(project): Path<String>,
) -> Result<Json<Project>, Failure> {
    let known: Name = name("project", &project)?;
    let found = Listing::single(&app.handle.read()).project_named(&known);
    found
        .map(Json)
        .ok_or_else(|| Failure::no_such("project", &project))
}

/// Say how much a project may have
///
/// What is not in the body has no limit. What the project has already stays, also where it is more.
#[utoipa::path(
    put, path = "/v1/projects/{project}/quota", tag = "projects",
    params(("project" = String, Path, description = "The project; it need not exist yet"), SubmissionHeaders),
    request_body = Quota,
    responses((status = 200, body = Project), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn put_quota(
    State(app): State<App>,
    Path(project): Path<String>,
    submitted: Submitted,
    bytes: Payload,
) -> Result<Json<Project>, Failure> {
    let project = limited(&project)?;
    let quota = body(&bytes)?;
    app.set_quota(Some(project.clone()), Some(quota), submitted.with(&bytes))
        .await?;
    app.project(&project)
}

/// Let a project have as much as every other
#[utoipa::path(
    delete, path = "/v1/projects/{project}/quota", tag = "projects",
    params(("project" = String, Path, description = "The project"), SubmissionHeaders),
    responses((status = 200, body = Project), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn delete_quota(
    State(app): State<App>,
    Path(project): Path<String>,
    submitted: Submitted,
) -> Result<Json<Project>, Failure> {
    let project = limited(&project)?;
    app.set_quota(Some(project.clone()), None, submitted.with(&[]))
        .await?;
    app.project(&project)
}

/// How much projects may have that have no quota of their own
#[utoipa::path(
    get, path = "/v1/default-quota", tag = "projects", responses((status = 200, body = Quota), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn default_quota(State(app): State<App>) -> Json<Quota> {
    Json(quota_view(app.handle.read().intent().default_quota))
}

/// Say how much projects may have that have no quota of their own
#[utoipa::path(
    put, path = "/v1/default-quota", tag = "projects", params(SubmissionHeaders), request_body = Quota,
    responses((status = 200, body = Quota), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn put_default_quota(
    State(app): State<App>,
    submitted: Submitted,
    bytes: Payload,
) -> Result<Json<Quota>, Failure> {
    let quota = body(&bytes)?;
    app.set_quota(None, Some(quota), submitted.with(&bytes))
        .await?;
    Ok(Json(quota_view(quota)))
}

impl App {
    async fn set_quota(
        &self,
        project: Option<Name>,
        quota: Option<coax_model::Quota>,
        submission: Submission,
    ) -> Result<(), Failure> {
        let write = Write::SetQuota { project, quota };
        match self.ask(Request::Write { write, submission }).await? {
            Answer::Record(_) => Ok(()),
            _ => Err(mismatch()),
        }
    }

    fn project(&self, project: &Name) -> Result<Json<Project>, Failure> {
        Ok(Json(Listing::single(&self.handle.read()).project(project)))
    }
}

/// The name of what can have a quota.
fn limited(project: &str) -> Result<Name, Failure> {
    let project: Name = name("project", project)?;
    if project.is_rails() {
        return Err(Failure::bad_request(
            "bad-scope",
            "rails are the operator's: they have no quota",
            "name a project",
        ));
    }
    Ok(project)
}
