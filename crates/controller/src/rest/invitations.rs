//! Tokens by which machines become hosts or controllers: making, listing and withdrawing them.

use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use coax_api::{
    ControllerInvitation, ControllerInvitationRequest, Invitation, InvitationKind,
    InvitationRequest, ListedInvitation, Problem,
};
use coax_identity::{ControllerToken, JoinToken};
use coax_model::HostName;
use tokio::task::spawn_blocking;

use super::App;
use super::failure::Failure;
use super::input::{body, name};
use super::payload::Payload;
use crate::Lifetime;
use crate::audit::Recording;
use crate::identity::{IdentityError, Invited, Invitee, Withdrawn};

/// How long a token of a host may be used, unless the request says otherwise.
const USUAL: Lifetime = Lifetime::from_secs(86_400);
/// How long one of a controller may be used, unless the request says otherwise: as long as it takes to go to the other machine.
const USUAL_OF_CONTROLLERS: Lifetime = Lifetime::from_secs(30 * 60);
/// The longest that one may be used.
const LONGEST_OF_CONTROLLERS: Lifetime = Lifetime::from_secs(86_400);

/// Make a token with which one machine may become a host, once.
///
/// The token pins the deployment's authority and carries the controllers' addresses. Whoever has it may
/// join, so it is a secret until it is used or expires.
#[utoipa::path(
    post, path = "/v1/invitations", tag = "hosts",
    request_body = InvitationRequest,
    responses((status = 200, body = Invitation), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn invite(
    State(app): State<App>,
    Extension(recording): Extension<Recording>,
    bytes: Payload,
) -> Result<Json<Invitation>, Failure> {
    let request: InvitationRequest = body(&bytes)?;
    let host: Option<HostName> = match &request.host {
        Some(host) => Some(name("host", host)?),
        None => None,
    };
    let lifetime = lifetime(request.expires_in.as_deref(), USUAL)?;
    let invitee = Invitee::Host(host.clone());
    let Invited { secret, pin } = made(&app, invitee, lifetime, recording).await?;
    let token = JoinToken {
        secret,
        pin,
        host,
        controllers: app.for_hosts.to_vec(),
    };
    Ok(Json(Invitation {
        token: token.to_string(),
        host: token.host.map(|host| host.to_string()),
        expires_in: lifetime.to_string(),
        controllers: token.controllers,
    }))
}

/// Make a token with which one machine may become a controller, once.
///
/// The machine that brings it is given the authority's key, by which it may speak for every host: the token is worth the whole
/// deployment until it is used or expires. Only controllers that share a store can be joined.
#[utoipa::path(
    post, path = "/v1/controller-invitations", tag = "system",
    request_body = ControllerInvitationRequest,
    responses((status = 200, body = ControllerInvitation), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn invite_controller(
    State(app): State<App>,
    Extension(recording): Extension<Recording>,
    bytes: Payload,
) -> Result<Json<ControllerInvitation>, Failure> {
    let request: ControllerInvitationRequest = body(&bytes)?;
    let lifetime = lifetime(request.expires_in.as_deref(), USUAL_OF_CONTROLLERS)?;
    if lifetime.get() > LONGEST_OF_CONTROLLERS.get() {
        return Err(too_long(lifetime));
    }
    if app.identities.common().is_none() {
        return Err(embedded_store());
    }
    if !app.identities.custody().has_newest() {
        return Err(key_elsewhere());
    }
    let Invited { secret, pin } = made(&app, Invitee::Controller, lifetime, recording).await?;
    let token = ControllerToken {
        secret,
        pin,
        controllers: app.for_hosts.to_vec(),
    };
    Ok(Json(ControllerInvitation {
        token: token.to_string(),
        expires_in: lifetime.to_string(),
        controllers: token.controllers,
    }))
}

/// Makes an invitation of either kind. A token without an address of a controller would be none.
async fn made(
    app: &App,
    invitee: Invitee,
    lifetime: Lifetime,
    recording: Recording,
) -> Result<Invited, Failure> {
    if app.for_hosts.is_empty() {
        return Err(no_address());
    }
    let (identities, now) = (app.identities.clone(), SystemTime::now());
    let expires = now + lifetime.get();
    spawn_blocking(move || identities.invite(&invitee, expires, now, &recording))
        .await
        .map_err(|_| Failure::stopping())?
        .map_err(change_failure)
}

/// Invitations of hosts, without their secrets
///
/// Those that are used or have expired stay until a week after they expire.
#[utoipa::path(
    get, path = "/v1/invitations", tag = "hosts",
    responses((status = 200, body = Vec<ListedInvitation>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn invitations(State(app): State<App>) -> Result<Json<Vec<ListedInvitation>>, Failure> {
    listed(&app, InvitationKind::Host).await
}

/// Invitations of controllers, without their secrets
///
/// Those that are used or have expired stay until a week after they expire.
#[utoipa::path(
    get, path = "/v1/controller-invitations", tag = "system",
    responses((status = 200, body = Vec<ListedInvitation>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn controller_invitations(
    State(app): State<App>,
) -> Result<Json<Vec<ListedInvitation>>, Failure> {
    listed(&app, InvitationKind::Controller).await
}

async fn listed(app: &App, kind: InvitationKind) -> Result<Json<Vec<ListedInvitation>>, Failure> {
    let identities = app.identities.clone();
    let listed = spawn_blocking(move || identities.invitations(kind, SystemTime::now()));
    let listed = listed.await.map_err(|_| Failure::stopping())?;
    listed.map(Json).map_err(identity_failure)
}

/// Withdraw an invitation of a host: its token counts no more
///
/// One that was used is refused: the host that joined with it is removed by itself.
#[utoipa::path(
    delete, path = "/v1/invitations/{name}", tag = "hosts",
    params(("name" = String, Path, description = "The invitation's name")),
    responses((status = 200, body = ListedInvitation), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn withdraw(
    State(app): State<App>,
    Extension(recording): Extension<Recording>,
    Path(invitation): Path<String>,
) -> Result<Json<ListedInvitation>, Failure> {
    withdrawn(&app, InvitationKind::Host, invitation, recording).await
}

/// Withdraw an invitation of a controller: its token counts no more
///
/// One that was used is refused: the controller has the authority's key.
#[utoipa::path(
    delete, path = "/v1/controller-invitations/{name}", tag = "system",
    params(("name" = String, Path, description = "The invitation's name")),
    responses((status = 200, body = ListedInvitation), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn withdraw_controller(
    State(app): State<App>,
    Extension(recording): Extension<Recording>,
    Path(invitation): Path<String>,
) -> Result<Json<ListedInvitation>, Failure> {
    withdrawn(&app, InvitationKind::Controller, invitation, recording).await
}

async fn withdrawn(
    app: &App,
    kind: InvitationKind,
    invitation: String,
    recording: Recording,
) -> Result<Json<ListedInvitation>, Failure> {
    let (identities, asked) = (app.identities.clone(), invitation.clone());
    let withdrawn =
        spawn_blocking(move || identities.withdraw(kind, &asked, SystemTime::now(), &recording))
            .await
            .map_err(|_| Failure::stopping())?
            .map_err(change_failure)?;
    match withdrawn {
        Withdrawn::Done(invitation) => Ok(Json(invitation)),
        Withdrawn::Used { by } => Err(used(kind, &by)),
        Withdrawn::Unknown => Err(Failure::no_such("invitation", &invitation)),
    }
}

fn used(kind: InvitationKind, by: &str) -> Failure {
    let (who, hint) = match kind {
        InvitationKind::Host => (
            format!("host {by}"),
            format!("`coax host remove {by}` takes back what it was given"),
        ),
        InvitationKind::Controller => (
            by.to_owned(),
            "that controller has the authority's key: `coax explain invitation-used` says what takes it back"
                .to_owned(),
        ),
    };
    Problem::new(
        409,
        "invitation-used",
        "The invitation was used",
        format!("{who} joined with it, so there is nothing to withdraw"),
        hint,
    )
    .into()
}

fn too_long(lifetime: Lifetime) -> Failure {
    Failure::bad_request(
        "bad-timeout",
        format!(
            "a token that makes a controller counts for {LONGEST_OF_CONTROLLERS} at most, not for {lifetime}: whoever finds it \
             has the deployment"
        ),
        "make it when the other machine is at hand",
    )
}

/// Such a token would bring the machine to who has the old key: perhaps the one that is to be kept out.
fn key_elsewhere() -> Failure {
    Problem::new(
        409,
        "authority-key-elsewhere",
        "This controller does not have the new key",
        "the authority is being renewed, and a token of this controller would be of the old one",
        "`coax authority show` says which controllers have the new key; invite there",
    )
    .into()
}

fn embedded_store() -> Failure {
    Problem::new(
        409,
        "embedded-store",
        "This controller does not share its store",
        "several controllers share one etcd, and this one keeps its store in a file of its own machine",
        "begin with etcd: `coax init --store https://ADDRESS:PORT` makes a deployment that controllers can join",
    )
    .into()
}

/// How long something is to count.
pub(super) fn lifetime(text: Option<&str>, usual: Lifetime) -> Result<Lifetime, Failure> {
    let read = text.map_or(Ok(usual), str::parse);
    read.map_err(|error: crate::LifetimeError| {
        Failure::bad_request("bad-timeout", error.to_string(), "write it like 24h or 30m")
    })
}

fn no_address() -> Failure {
    Problem::new(
        409,
        "no-address",
        "The controller does not know its address",
        "the controller listens on all addresses and was not told which of them hosts reach",
        "start it with `--address ADDRESS:PORT`, or write `address` into its configuration file",
    )
    .into()
}

/// What users are told when a change of identities fails.
pub(super) fn change_failure(error: IdentityError) -> Failure {
    if !error.leaves_open() {
        return identity_failure(error);
    }
    Problem::new(
        503,
        "outcome-unknown",
        "It is not known whether the change was stored",
        error.to_string(),
        "`coax audit list` shows it if it was stored, and `coax token list` the tokens that there are",
    )
    .into()
}

/// What users are told when identities cannot be read or written.
pub(super) fn identity_failure(error: IdentityError) -> Failure {
    Problem::new(
        503,
        "store-failed",
        "The change could not be stored",
        error.to_string(),
        "see whether the controller's disk is full, or etcd away, and try again",
    )
    .into()
}

#[cfg(test)]
mod tests {
    use coax_store::StoreError;

    use super::*;

    #[test]
    fn only_what_is_known_not_to_be_stored_has_failed() {
        let reason = || "no answer".to_owned();
        for (error, code) in [
            (
                StoreError::Unreachable { reason: reason() },
                "outcome-unknown",
            ),
            (
                StoreError::Unsettled { reason: reason() },
                "outcome-unknown",
            ),
            (StoreError::Refused { reason: reason() }, "store-failed"),
        ] {
            let Failure(problem) = change_failure(error.into());
            assert_eq!(problem.code, code, "{problem:?}");
        }
    }
}
