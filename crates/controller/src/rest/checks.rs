//! Checks of projects: proved by rules and members, or put to the proof on the real hosts.

use axum::extract::State;
use axum::{Extension, Json};
use coax_api::{Check, CheckRequest, CheckResult, Problem};
use coax_model::{Name, prove};
use tokio::task::spawn_blocking;

use super::App;
use super::authorise::outside;
use super::failure::Failure;
use super::input::{ListParams, Params, body, name};
use super::payload::Payload;
use crate::core::proofs;
use crate::identity::Caller;
use crate::probing;

/// Checks of projects, and whether rules, routers and members keep them
#[utoipa::path(
    get, path = "/v1/checks", tag = "checks", params(ListParams),
    responses((status = 200, body = Vec<Check>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn checks(
    State(app): State<App>,
    Params(params): Params<ListParams>,
) -> Result<Json<Vec<Check>>, Failure> {
    let project = params.project()?;
    // Many comparisons, for which neither the core nor any other request has to wait: on a copy.
    let handle = app.handle.clone();
    let all = spawn_blocking(move || {
        let intent = handle.read().intent().clone();
        proofs(&intent, project.as_ref())
    });
    let all = all.await.map_err(|_| Failure::stopping())?;
    Ok(Json(
        params.page(all, |it| format!("{}/{}", it.project, it.place)),
    ))
}

/// Put checks to the proof with packets on the real hosts
///
/// From ports of one side to ports of the other, as their VMs would send them. Answers when it is done,
/// which takes some seconds for each check.
#[utoipa::path(
    post, path = "/v1/checks", tag = "checks", request_body = CheckRequest,
    responses((status = 200, body = Vec<CheckResult>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn probe_checks(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    bytes: Payload,
) -> Result<Json<Vec<CheckResult>>, Failure> {
    let request: CheckRequest = body(&bytes)?;
    let project: Name = name("project", &request.project)?;
    if caller.project.as_ref().is_some_and(|own| *own != project) {
        return Err(outside(&caller));
    }
    let handle = app.handle.clone();
    let tasks = spawn_blocking(move || {
        let intent = handle.read().intent().clone();
        let proofs = prove(&project, &intent);
        probing::tasks(&handle.read(), &project, request.place, &proofs)
    });
    let mut results = Vec::new();
    for task in tasks.await.map_err(|_| Failure::stopping())? {
        results.push(probing::run(task, &app).await);
    }
    Ok(Json(results))
}
