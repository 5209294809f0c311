//! What keeps hosts from carrying packets, or carries them badly.

use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::State;
use coax_api::{Finding, Findings, Problem};
use coax_identity::Authority;
use coax_model::HostName;
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::failure::Failure;
use super::input::{Params, name};
use crate::doctor::{Patients, examine};

/// How long before its certificate ends the authority is to be renewed: machines may be away for long.
const NOTICE: Duration = Duration::from_secs(180 * 86_400);
/// What is found of the deployment as a whole is mended on any controller.
const CONTROLLER: &str = "controller";

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
    let mut found = examine(&patients, &app).await;
    if only.is_none() {
        let authority = app.identities.authority();
        found.findings.extend(ending(&authority, SystemTime::now()));
    }
    Ok(Json(found))
}

/// What is to be done about an authority whose certificate ends soon.
fn ending(authority: &Authority, now: SystemTime) -> Option<Finding> {
    let end = authority.validity().ok()?.not_after;
    let left = end.duration_since(now).unwrap_or_default();
    let days = left.as_secs() / 86_400;
    (left < NOTICE).then(|| {
        Finding::new(
            CONTROLLER,
            "authority-ends",
            authority.pin().to_string(),
            format!("the certificate of the deployment's authority ends in {days} days; programs that look at that trust no controller then"),
            "coax authority renew",
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn it_is_said_half_a_year_before_that_the_authority_ends() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let authority = Authority::create(now).unwrap();
        let end = authority.validity().unwrap().not_after;
        assert_eq!(ending(&authority, end - NOTICE), None);
        let found = ending(&authority, end - NOTICE + Duration::from_secs(1)).unwrap();
        assert!(found.cause.contains("ends in 179 days"), "{found:?}");
        assert!(ending(&authority, end + NOTICE).is_some());
    }
}
