//! The deployment's authorities: which count, and renewing them.

use std::time::SystemTime;

use axum::extract::State;
use axum::{Extension, Json};
use coax_api::{AuthorityStatus, FinishAuthorityRequest, Problem, RenewAuthorityRequest};
use tokio::task::spawn_blocking;

use super::App;
use super::failure::Failure;
use super::input::body;
use super::invitations::{change_failure, identity_failure};
use super::payload::Payload;
use crate::audit::Recording;
use crate::identity::{NotRenewed, RenewalError};

/// Which authorities count, and who has moved to the newest
#[utoipa::path(
    get, path = "/v1/authorities", tag = "system",
    responses((status = 200, body = AuthorityStatus), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn authorities(State(app): State<App>) -> Result<Json<AuthorityStatus>, Failure> {
    let registered = app.handle.read().registered();
    let identities = app.identities.clone();
    let status = spawn_blocking(move || identities.authorities(&registered)).await;
    let status = status.map_err(|_| Failure::stopping())?;
    status.map(Json).map_err(identity_failure)
}

/// Renew the authority: make another one, which counts beside the present one
///
/// Its key stays on this controller's disk until other controllers join again. Hosts that are attached are given certificates of it
/// at once. Nothing is refused that was not before, until the renewal is finished.
#[utoipa::path(
    post, path = "/v1/authorities/renew", tag = "system", request_body = RenewAuthorityRequest,
    responses((status = 200, body = AuthorityStatus), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn renew(
    State(app): State<App>,
    Extension(recording): Extension<Recording>,
    bytes: Payload,
) -> Result<Json<AuthorityStatus>, Failure> {
    let request: RenewAuthorityRequest = body(&bytes)?;
    let identities = app.identities.clone();
    let renewed = spawn_blocking(move || {
        identities.renew_authority(request.force, SystemTime::now(), &recording)
    });
    let renewed = renewed.await.map_err(|_| Failure::stopping())?;
    renewed.map_err(refusal)?;
    authorities(State(app)).await
}

/// Finish the renewal of the authority: only the newest counts from then on
///
/// Refused as long as that cuts off a host or a controller that is not named in `without`, unless by force. Whoever is cut off joins
/// again with a token.
#[utoipa::path(
    post, path = "/v1/authorities/finish", tag = "system", request_body = FinishAuthorityRequest,
    responses((status = 200, body = AuthorityStatus), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn finish(
    State(app): State<App>,
    Extension(recording): Extension<Recording>,
    bytes: Payload,
) -> Result<Json<AuthorityStatus>, Failure> {
    let request: FinishAuthorityRequest = body(&bytes)?;
    let registered = app.handle.read().registered();
    let identities = app.identities.clone();
    let finished = spawn_blocking(move || {
        let without = |name: &str| request.force || request.without.iter().any(|it| it == name);
        identities.finish_renewal(&registered, without, SystemTime::now(), &recording)
    });
    let finished = finished.await.map_err(|_| Failure::stopping())?;
    finished.map_err(refusal)?;
    authorities(State(app)).await
}

fn refusal(error: RenewalError) -> Failure {
    let refused = match error {
        RenewalError::Refused(refused) => refused,
        RenewalError::Failed(error) => return change_failure(error),
    };
    let detail = refused.to_string();
    let (code, title, hint) = match refused {
        NotRenewed::UnderWay { has_key: true } | NotRenewed::Full(_) => (
            "renewal-under-way",
            "The authority is being renewed",
            "`coax authority show` says who has not moved yet, `coax authority finish` ends it".to_owned(),
        ),
        NotRenewed::UnderWay { has_key: false } => (
            "renewal-under-way",
            "The authority is being renewed",
            "`coax authority show` says which controllers have the key; if none of them is left, `coax authority renew --force` \
             makes another"
                .to_owned(),
        ),
        NotRenewed::NotUnderWay => (
            "no-renewal",
            "The authority is not being renewed",
            "`coax authority renew` begins".to_owned(),
        ),
        NotRenewed::KeyElsewhere { holders } => (
            "authority-key-elsewhere",
            "This controller does not have the new key",
            match holders.is_empty() {
                true => "ask the controller that made it".to_owned(),
                false => format!("ask one that has it: {}", holders.join(", ")),
            },
        ),
        NotRenewed::CutsOff { .. } => (
            "renewal-cuts-off",
            "Hosts or controllers have not moved to the new authority",
            "attach the hosts, and let the controllers join again; name those that are to stay out with `--without`, or use `--force`"
                .to_owned(),
        ),
    };
    Problem::new(409, code, title, detail, hint).into()
}
