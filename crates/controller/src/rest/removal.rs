//! Removing hosts: from the intent, and from those who may speak to the controller.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use coax_api::{Host, ObjectStatus, Problem};
use coax_model::HostName;
use serde::Deserialize;
use tokio::task::spawn_blocking;
use utoipa::IntoParams;

use super::App;
use super::failure::Failure;
use super::input::{Params, name};
use super::invitations::change_failure;
use super::stacks::mismatch;
use super::submission::{SubmissionHeaders, Submitted};
use crate::audit::Recording;
use crate::core::message::{Answer, Request, Write};

/// How to remove a host.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RemoveParams {
    /// Also while its agent is attached.
    #[serde(default)]
    pub force: bool,
}

/// Remove a host that does not come back, or that must not
///
/// Its certificates count no more, its ports are nowhere, and moves to and from it end. A host that is
/// attached is refused, unless by force: then its stream ends at once. What it forwards, it goes on
/// forwarding until its machine is switched off or `coax agent detach` is run there.
#[utoipa::path(
    delete, path = "/v1/hosts/{name}", tag = "hosts",
    params(("name" = String, Path, description = "The host"), RemoveParams, SubmissionHeaders),
    responses((status = 200, body = Host, description = "What was known of it"), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn remove_host(
    State(app): State<App>,
    Path(host): Path<String>,
    Params(params): Params<RemoveParams>,
    Extension(recording): Extension<Recording>,
    submitted: Submitted,
) -> Result<Json<Host>, Failure> {
    let host: HostName = name("name", &host)?;
    if !params.force && app.handle.read().is_attached(&host) {
        return Err(crate::core::host_attached(&host).into());
    }
    // First the certificate: an agent whose stream ends must not get in again before it is forgotten.
    let (identities, revoked) = (app.identities.clone(), host.clone());
    let was_host = spawn_blocking(move || identities.revoke(&revoked, &recording))
        .await
        .map_err(|_| Failure::stopping())?
        .map_err(change_failure)?;
    let force = true;
    let request = Request::Write {
        write: Write::RemoveHost {
            host: host.clone(),
            force,
        },
        submission: submitted.with(&[]),
    };
    match app.ask(request).await {
        Ok(Answer::Host(host)) => Ok(Json(*host)),
        Ok(_) => Err(mismatch()),
        Err(Failure(problem)) if was_host && problem.status == 404 => {
            Ok(Json(never_attached(&host)))
        }
        Err(failure) => Err(failure),
    }
}

/// A host that joined and never attached.
fn never_attached(host: &HostName) -> Host {
    Host {
        id: host.to_string(),
        name: host.to_string(),
        revision: 0,
        vtep_ipv4: None,
        vtep_ipv6: None,
        underlay_mtu: 0,
        connected: false,
        ready: false,
        version: String::new(),
        ports: 0,
        networks: 0,
        lag: 0,
        status: ObjectStatus::default(),
    }
}
