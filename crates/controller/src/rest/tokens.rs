//! Users' tokens.

use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use coax_api::{IssuedToken, Problem, Role, Token, TokenRequest};
use coax_model::Name;
use tokio::task::spawn_blocking;

use super::App;
use super::authorise::outside;
use super::failure::Failure;
use super::input::{body, name};
use super::invitations::{change_failure, identity_failure, lifetime};
use super::payload::Payload;
use crate::Lifetime;
use crate::audit::Recording;
use crate::identity::{Caller, NewToken};

/// How long a token counts, unless the request says otherwise.
const USUAL: Lifetime = Lifetime::from_secs(90 * 86_400);

/// Tokens, without their secrets
#[utoipa::path(
    get, path = "/v1/tokens", tag = "users",
    responses((status = 200, body = Vec<Token>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn tokens(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<Token>>, Failure> {
    let identities = app.identities.clone();
    let listed =
        spawn_blocking(move || identities.tokens(caller.project.as_ref(), SystemTime::now()));
    let listed = listed.await.map_err(|_| Failure::stopping())?;
    listed.map(Json).map_err(identity_failure)
}

/// Make a token
///
/// The answer holds its secret, which is not kept and cannot be shown again. An admin of one project
/// makes tokens for that project only.
#[utoipa::path(
    post, path = "/v1/tokens", tag = "users", request_body = TokenRequest,
    responses((status = 200, body = IssuedToken), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn create_token(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(recording): Extension<Recording>,
    bytes: Payload,
) -> Result<Json<IssuedToken>, Failure> {
    let request: TokenRequest = body(&bytes)?;
    let token_name: Name = name("name", &request.name)?;
    let project: Option<Name> = match &request.project {
        Some(project) => Some(name("project", project)?),
        None => None,
    };
    if caller.project.is_some() && caller.project != project {
        return Err(outside(&caller));
    }
    if request.role == Role::NetworkTeam && project.is_some() {
        return Err(Failure::bad_request(
            "bad-scope",
            "the network team owns hosts and rails, which belong to no project",
            "leave `project` out",
        ));
    }
    let now = SystemTime::now();
    let lifetime = lifetime(request.expires_in.as_deref(), USUAL)?;
    let new = NewToken {
        name: token_name.clone(),
        role: request.role,
        project,
        expires: now + lifetime.get(),
    };
    let identities = app.identities.clone();
    let made = spawn_blocking(move || identities.make_token(new, &caller, now, &recording))
        .await
        .map_err(|_| Failure::stopping())?
        .map_err(change_failure)?;
    let (token, about) = made.ok_or_else(|| name_taken(&token_name))?;
    Ok(Json(IssuedToken {
        token: token.to_string(),
        about,
    }))
}

/// Delete a token: its bearer is nobody from then on
#[utoipa::path(
    delete, path = "/v1/tokens/{name}", tag = "users",
    params(("name" = String, Path, description = "The token's name")),
    responses((status = 200, body = Token), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn delete_token(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(recording): Extension<Recording>,
    Path(token): Path<String>,
) -> Result<Json<Token>, Failure> {
    let identities = app.identities.clone();
    let (asked, now) = (token.clone(), SystemTime::now());
    let deleted = spawn_blocking(move || {
        identities.delete_token(&asked, caller.project.as_ref(), now, &recording)
    });
    let deleted = deleted
        .await
        .map_err(|_| Failure::stopping())?
        .map_err(change_failure)?;
    deleted
        .map(Json)
        .ok_or_else(|| Failure::no_such("token", &token))
}

fn name_taken(name: &Name) -> Failure {
    Problem::new(
        409,
        "token-exists",
        "There is a token of this name",
        format!("a token is called `{name}` already"),
        format!("`coax token delete {name}` ends it, or choose another name"),
    )
    .into()
}
