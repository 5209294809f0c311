//! What keeps hosts from carrying packets, or carries them badly.

use axum::Json;
use axum::extract::State;
use coax_api::{Findings, Problem};
use coax_model::HostName;
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::failure::Failure;
use super::input::{Params, name};
use crate::doctor::{Patients, examine};

/// Which hosts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FindingParams {
    /// Only this host, with the ways between it and others.
    pub host: Option<String>,
}

/// Let hosts look at themselves, and send packets of the largest size between them
///
/// Asks every attached agent, which takes some seconds. Nothing is changed.
#[utoipa::path(
    get, path = "/v1/findings", tag = "hosts", params(FindingParams),
    responses((status = 200, body = Findings), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn findings(
    State(app): State<App>,
    Params(params): Params<FindingParams>,
) -> Result<Json<Findings>, Failure> {
    let only: Option<HostName> = match &params.host {
        Some(host) => Some(name("host", host)?),
        None => None,
    };
    let patients = {
        let core = app.handle.read();
        if let Some(host) = &only
            && core.host_named(host).is_none()
        {
            return Err(Failure::no_such("host", host.as_str()));
        }
        Patients::gather(&core, only.as_ref())
    };
    Ok(Json(examine(&patients, &app).await))
}
