//! Whole projects, moves and waiting: what changes things.

use axum::Json;
use axum::extract::{Path, State};
use coax_api::{MoveRequest, Plan, Port, Problem, Realisation};
use coax_model::{File, HostName, Name, RailsFile, StackFile};

use super::App;
use super::failure::Failure;
use super::input::{
    Params, StackParams, WaitParams, body, full_name, name, revision_number, timeout,
};
use super::payload::Payload;
use super::submission::{SubmissionHeaders, Submitted, Tagged};
use crate::core::message::{Answer, Request, Write};
use crate::core::submission::Submission;

impl App {
    /// Asks the core.
    pub(super) async fn ask(&self, request: Request) -> Result<Answer, Failure> {
        let reply = self
            .handle
            .ask(request)
            .await
            .ok_or_else(Failure::stopping)?;
        reply.map_err(Failure::from)
    }

    async fn change(
        &self,
        write: Write,
        submission: Submission,
        params: &StackParams,
    ) -> Result<Tagged<Plan>, Failure> {
        let wait = params.wait()?;
        let submission = Submission {
            reason: params.reason.clone().unwrap_or_default(),
            confirm: params.confirm()?,
            ignore_checks: params.ignore_checks,
            ..submission
        };
        let request = Request::Write { write, submission };
        let Answer::Plan(mut plan) = self.ask(request).await? else {
            return Err(mismatch());
        };
        if let Some(timeout) = wait.filter(|_| !plan.dry_run) {
            plan.realisation = Some(self.wait_for(plan.revision, timeout).await?);
        }
        Ok(Tagged(plan.revision, plan))
    }

    async fn wait_for(
        &self,
        revision: u64,
        timeout: std::time::Duration,
    ) -> Result<Realisation, Failure> {
        match self.ask(Request::Wait { revision, timeout }).await? {
            Answer::Realisation(realisation) => Ok(realisation),
            _ => Err(mismatch()),
        }
    }
}

/// The core answered another question than was asked.
pub(super) fn mismatch() -> Failure {
    let problem = Problem::new(
        500,
        "internal",
        "The controller contradicts itself",
        "the core's answer does not fit the request",
        "this is a bug; please report it with the controller's log",
    );
    problem.into()
}

/// Make a project what its file says
///
/// Everything in the file that the project does not have is created, everything that it has and the
/// file has not is deleted, in one transaction. The project `rails` is the operator's: its file has
/// `rails` instead of `project`.
#[utoipa::path(
    put, path = "/v1/stacks/{project}", tag = "stacks",
    params(("project" = String, Path, description = "The project, the same as in the file"), StackParams, SubmissionHeaders),
    request_body(content = Object, description = "The stack file as JSON"),
    responses((status = 200, body = Plan), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn put_stack(
    State(app): State<App>,
    Path(project): Path<String>,
    Params(params): Params<StackParams>,
    submitted: Submitted,
    bytes: Payload,
) -> Result<Tagged<Plan>, Failure> {
    let project: Name = name("project", &project)?;
    let file = if project.is_rails() {
        File::Rails(body::<RailsFile>(&bytes)?)
    } else {
        File::Stack(owned_by(&project, body(&bytes)?)?)
    };
    let (file, dry_run) = (Box::new(file), params.dry_run);
    let write = Write::Apply { file, dry_run };
    app.change(write, submitted.with(&bytes), &params).await
}

/// The file, if it is of the project that the path names.
fn owned_by(project: &Name, file: StackFile) -> Result<StackFile, Failure> {
    if file.project == *project {
        return Ok(file);
    }
    let written = &file.project;
    let problem = Problem::new(
        400,
        "other-project",
        "The file is for another project",
        format!("the file says project `{written}`, the path `{project}`"),
        "a file owns the project that it names",
    );
    Err(problem.at("project").into())
}

/// A project as a file
///
/// Complete, with everything that was chosen for it: applied again it changes nothing. The project
/// `rails` gives the operator's file.
#[utoipa::path(
    get, path = "/v1/stacks/{project}", tag = "stacks",
    params(("project" = String, Path, description = "The project")),
    responses((status = 200, body = Object), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn get_stack(
    State(app): State<App>,
    Path(project): Path<String>,
) -> Result<Tagged<File>, Failure> {
    let name: Name = name("project", &project)?;
    let core = app.handle.read();
    core.stack(&name)
        .map(|file| Tagged(core.project_revision(&name), file))
        .ok_or_else(|| Failure::no_such("project", &project))
}

/// Delete everything in a project
#[utoipa::path(
    delete, path = "/v1/stacks/{project}", tag = "stacks",
    params(("project" = String, Path, description = "The project"), StackParams, SubmissionHeaders),
    responses((status = 200, body = Plan), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn delete_stack(
    State(app): State<App>,
    Path(project): Path<String>,
    Params(params): Params<StackParams>,
    submitted: Submitted,
) -> Result<Tagged<Plan>, Failure> {
    let project = name("project", &project)?;
    let dry_run = params.dry_run;
    let write = Write::Destroy { project, dry_run };
    app.change(write, submitted.with(&[]), &params).await
}

/// Prepare a host to take over a port
///
/// The port moves when its device is plugged in there; until then it stays where it is.
#[utoipa::path(
    post, path = "/v1/ports/{project}/{name}/move", tag = "ports",
    params(("project" = String, Path, description = "The project"), ("name" = String, Path, description = "The port"), SubmissionHeaders),
    request_body = MoveRequest,
    responses((status = 200, body = Port), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn move_port(
    State(app): State<App>,
    Path((project, port)): Path<(String, String)>,
    submitted: Submitted,
    bytes: Payload,
) -> Result<Json<Port>, Failure> {
    let port = full_name(&project, &port)?;
    let request: MoveRequest = body(&bytes)?;
    let host: HostName = name("host", &request.host)?;
    let request = Request::Write {
        write: Write::Move { port, host },
        submission: submitted.with(&bytes),
    };
    match app.ask(request).await? {
        Answer::Port(port) => Ok(Json(*port)),
        _ => Err(mismatch()),
    }
}

/// Wait until every host that needs a revision has it
///
/// Answers early when only hosts that are away for a while lack it: they are named.
#[utoipa::path(
    get, path = "/v1/revisions/{revision}/wait", tag = "system",
    params(("revision" = u64, Path, description = "The revision"), WaitParams),
    responses((status = 200, body = Realisation), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn wait(
    State(app): State<App>,
    Path(revision): Path<String>,
    Params(params): Params<WaitParams>,
) -> Result<Json<Realisation>, Failure> {
    let revision = revision_number(&revision)?;
    let timeout = timeout(params.timeout.as_deref())?;
    app.wait_for(revision, timeout).await.map(Json)
}
