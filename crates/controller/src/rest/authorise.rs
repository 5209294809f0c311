//! Who may do what is asked before anything else happens to a request.
//!
//! A route that is not in the [table](super::rights) is nobody's. A caller who is limited to a project is answered the same
//! whether another project's object exists or not; lists show him his own project, because the request
//! that reaches the handler asks for no other.

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use coax_api::{Problem, Role};
use coax_identity::UserToken;
use coax_model::Name;
use tokio::task::spawn_blocking;

use super::failure::{Failure, no_such_method};
use super::invitations::identity_failure;
use super::listen::Origin;
use super::rights::{
    Right::{self, Administer, Edit, Operate, See},
    Rule,
    Scope::{Deployment, Network, Own, Project, Public},
    TABLE,
};
use super::shares::{self, Share};
use super::{App, audit};
use crate::identity::Caller;
use crate::metrics::OutcomeLabels;

/// The highest right of a role in the projects that it is good for.
fn highest(role: Role) -> Right {
    match role {
        Role::Viewer | Role::NetworkTeam => See,
        Role::Operator => Operate,
        Role::Editor => Edit,
        Role::Admin => Administer,
    }
}

impl Caller {
    /// Whether he may do this to the objects of a project.
    pub fn may(&self, right: Right, project: &Name) -> bool {
        let everywhere = self.project.is_none();
        if project.is_rails() {
            return everywhere && self.may_with_network(right);
        }
        let here = everywhere || self.project.as_ref() == Some(project);
        here && highest(self.role) >= right
    }

    /// Whether he may do this to hosts and rails. A network team does everything there; others only
    /// look, unless they are admins of the whole deployment.
    fn may_with_network(&self, right: Right) -> bool {
        self.project.is_none()
            && match self.role {
                Role::NetworkTeam | Role::Admin => true,
                _ => right == See,
            }
    }

    /// Whether he may do what a line of the table is about; `project` is the one in the path.
    pub fn is_allowed(&self, rule: &Rule, project: Option<&Name>) -> bool {
        match rule.scope {
            Public => true,
            Own => highest(self.role) >= rule.right,
            Project => project.is_some_and(|project| self.may(rule.right, project)),
            Network => self.may_with_network(rule.right),
            Deployment => self.project.is_none() && highest(self.role) >= rule.right,
        }
    }
}

/// Lets through what the table allows.
pub async fn authorise(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(path) = request.extensions().get::<MatchedPath>().cloned() else {
        // There is no such path, and saying so tells nothing.
        return next.run(request).await;
    };
    let found = match rule_of(request.method(), path.as_str()) {
        Ok(found) => found,
        Err(method) => {
            return no_such_method(method, request.uri().clone())
                .await
                .into_response();
        }
    };
    if found.scope == Public {
        return next.run(request).await;
    }
    // A body cannot be looked at by two at once, so it waits beside.
    let (mut parts, body) = request.into_parts();
    match admit(&app, found, path.as_str(), &mut parts).await {
        Ok((caller, share)) => {
            parts.extensions.insert(caller.clone());
            let request = Request::from_parts(parts, body);
            let answer = audit::recorded(app, &caller, found, request, next).await;
            match share {
                Some(share) => share.held_by(answer),
                None => answer,
            }
        }
        Err(Refusal {
            failure,
            outcome,
            caller,
        }) => {
            let labels = OutcomeLabels { outcome };
            app.metrics.api_refused.get_or_create(&labels).inc();
            if let Some(caller) = caller {
                audit::refused(app, &caller, found, &parts).await;
            }
            failure.into_response()
        }
    }
}

/// What a refusal is called where the store does not say who asks.
const STORE_FAILED: &str = "store-failed";

/// A request that does not reach its handler.
struct Refusal {
    failure: Failure,
    /// In one word, for counters.
    outcome: &'static str,
    /// Who asked, if that is known.
    caller: Option<Caller>,
}

impl Refusal {
    fn of_nobody(failure: Failure, outcome: &'static str) -> Self {
        Self {
            failure,
            outcome,
            caller: None,
        }
    }

    fn of(caller: Caller, rule: &Rule) -> Self {
        Self {
            failure: denied(&caller, rule),
            outcome: "denied",
            caller: Some(caller),
        }
    }
}

/// The line for a request; the method, if the path takes others only.
fn rule_of(method: &Method, path: &str) -> Result<&'static Rule, Method> {
    // Whoever may get something may ask how large it is.
    let asked = if method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    let mut lines = TABLE.iter().filter(|line| line.path == path);
    lines
        .find(|line| line.method == asked)
        .ok_or_else(|| method.clone())
}

/// Who asks for what he may have, and the part that his project's requests have.
async fn admit(
    app: &App,
    rule: &Rule,
    path: &str,
    parts: &mut Parts,
) -> Result<(Caller, Option<Share>), Refusal> {
    let caller = identify(app, parts).await?;
    let project = project_in(path, parts.uri.path());
    if !caller.is_allowed(rule, project.as_ref()) {
        return Err(Refusal::of(caller, rule));
    }
    if rule.scope == Own
        && let Some(project) = &caller.project
    {
        match narrowed(&parts.uri, project) {
            Some(uri) => parts.uri = uri,
            None => return Err(Refusal::of(caller, rule)),
        }
    }
    // Whoever administers a project can always end what its others do.
    let Some(project) = caller.project.as_ref().filter(|_| rule.right != Administer) else {
        return Ok((caller, None));
    };
    match app.shares.take(project) {
        Some(share) => Ok((caller, Some(share))),
        None => Err(Refusal::of_nobody(
            shares::exhausted(project),
            "too-many-requests",
        )),
    }
}

/// Who asks: the bearer of a token, or the owner of the local socket.
async fn identify(app: &App, parts: &Parts) -> Result<Caller, Refusal> {
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok();
        let token = token.and_then(|text| text.strip_prefix("Bearer "));
        let token: UserToken = token.and_then(|text| text.parse().ok()).ok_or_else(|| {
            let failure = unknown("the header `Authorization` holds no token of Coax");
            Refusal::of_nobody(failure, "bad-token")
        })?;
        let identities = app.identities.clone();
        let known =
            spawn_blocking(move || identities.caller(&token.secret, std::time::SystemTime::now()));
        return match known.await {
            Err(_) => Err(Refusal::of_nobody(Failure::stopping(), "stopping")),
            Ok(Err(error)) => Err(Refusal::of_nobody(identity_failure(error), STORE_FAILED)),
            Ok(Ok(Err(reason))) => {
                let failure = unknown(&reason.to_string());
                Err(Refusal::of_nobody(failure, reason.outcome()))
            }
            Ok(Ok(Ok(caller))) => Ok(caller),
        };
    }
    match parts.extensions.get::<ConnectInfo<Origin>>() {
        Some(ConnectInfo(Origin::Local { uid })) if app.owners.contains(uid) => {
            Ok(Caller::local(*uid))
        }
        _ => {
            let failure = unknown("the request carries no token");
            Err(Refusal::of_nobody(failure, "no-token"))
        }
    }
}

/// Whether somebody still is who he was when he asked, as far as can be known: for answers that go on. They are wanted most
/// while the store is away.
pub(super) async fn is_still(app: &App, parts: &Parts, caller: &Caller) -> bool {
    match identify(app, parts).await {
        Ok(known) => known == *caller,
        Err(refusal) => refusal.outcome == STORE_FAILED,
    }
}

/// The project in a path of this shape.
fn project_in(shape: &str, path: &str) -> Option<Name> {
    let mut parts = shape.split('/').zip(path.split('/'));
    let (_, project) = parts.find(|(shape, _)| *shape == "{project}")?;
    // What is not written as a name is none: a handler would read `%73hop` as `shop`.
    project.parse().ok()
}

/// The same request for one project only; none, if it asks for another.
fn narrowed(uri: &Uri, project: &Name) -> Option<Uri> {
    let query = uri.query().unwrap_or_default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let asked: Vec<&str> = pairs
        .clone()
        .filter_map(|pair| pair.strip_prefix("project="))
        .collect();
    if asked.iter().any(|asked| *asked != project.as_str()) {
        return None;
    }
    // A parameter that is written in another way makes two of them, which no handler takes.
    let mut kept: Vec<&str> = pairs.filter(|pair| !pair.starts_with("project=")).collect();
    let own = format!("project={project}");
    kept.push(&own);
    format!("{}?{}", uri.path(), kept.join("&")).parse().ok()
}

fn unknown(message: &str) -> Failure {
    Problem::new(
        401,
        "not-identified",
        "Nobody knows who asks",
        message,
        "set COAX_TOKEN to a token of `coax token create`, or use the local socket as root",
    )
    .into()
}

/// The same for what exists and what does not.
pub(super) fn denied(caller: &Caller, rule: &Rule) -> Failure {
    let place = match &caller.project {
        Some(project) => format!("project {project}"),
        None => "all projects".to_owned(),
    };
    Problem::new(
        403,
        "forbidden",
        "This is not allowed",
        format!(
            "{} is {} of {place}, which does not allow {} {}",
            caller.name,
            caller.role.name(),
            rule.method,
            rule.path
        ),
        "an admin gives tokens with other roles: `coax token create`",
    )
    .into()
}

/// For handlers that find in a body or a parameter which project is meant.
pub(super) fn outside(caller: &Caller) -> Failure {
    let place = caller
        .project
        .as_ref()
        .map(Name::as_str)
        .unwrap_or_default();
    Problem::new(
        403,
        "forbidden",
        "This is not allowed",
        format!(
            "{} may name objects of project {place} only, by their names",
            caller.name
        ),
        "write names as PROJECT/NAME, or ask an admin for a token with another scope",
    )
    .into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn caller(role: Role, project: Option<&str>) -> Caller {
        Caller {
            name: "test".into(),
            role,
            project: project.map(|project| project.parse().unwrap()),
        }
    }

    #[test]
    fn every_route_of_the_document_is_in_the_table_once_and_the_other_way_round() {
        let document = serde_json::to_value(super::super::openapi::document()).unwrap();
        let mut served = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            let methods = methods.as_object().unwrap().keys();
            served.extend(methods.map(|method| (path.clone(), method.to_uppercase())));
        }
        let mut listed: Vec<(String, String)> = TABLE
            .iter()
            .map(|line| (line.path.to_owned(), line.method.to_owned()))
            .collect();
        served.sort();
        listed.sort();
        assert_eq!(listed, served);
    }

    #[test]
    fn roles_are_nested_and_the_network_team_owns_hosts_and_rails() {
        let shop: Name = "shop".parse().unwrap();
        let rails: Name = coax_model::RAILS.parse().unwrap();
        for right in [See, Operate, Edit, Administer] {
            let may: Vec<bool> = [Role::Viewer, Role::Operator, Role::Editor, Role::Admin]
                .map(|role| caller(role, Some("shop")).may(right, &shop))
                .to_vec();
            assert!(may.is_sorted(), "{right:?}: {may:?}");
            assert!(!caller(Role::Admin, Some("lab")).may(right, &shop));
            assert!(!caller(Role::Admin, Some("shop")).may(right, &rails));
        }
        let team = caller(Role::NetworkTeam, None);
        assert!(team.may(Edit, &rails) && team.may(See, &shop) && !team.may(Operate, &shop));
        assert!(!caller(Role::Editor, None).may(Edit, &rails));
        assert!(caller(Role::Viewer, None).may(See, &rails));
    }

    #[test]
    fn a_project_is_read_from_a_path_only_as_it_is_written() {
        let shape = "/v1/ports/{project}/{name}";
        let read = |path| project_in(shape, path).map(|name| name.to_string());
        assert_eq!(read("/v1/ports/shop/web-1").as_deref(), Some("shop"));
        for other in [
            "/v1/ports/%73hop/web-1",
            "/v1/ports//web-1",
            "/v1/ports/Shop/x",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_list_is_asked_for_the_own_project_only() {
        let shop: Name = "shop".parse().unwrap();
        let read = |uri: &str| {
            let narrowed = narrowed(&uri.parse().unwrap(), &shop);
            narrowed.map(|uri| uri.to_string())
        };
        for (asked, passed) in [
            ("/v1/ports", Some("/v1/ports?project=shop")),
            ("/v1/ports?project=shop", Some("/v1/ports?project=shop")),
            ("/v1/x?a=b&project=shop&c", Some("/v1/x?a=b&c&project=shop")),
            ("/v1/ports?project=lab", None),
            ("/v1/ports?project=shop&project=lab", None),
            // Twice, after decoding: refused by whoever reads it.
            (
                "/v1/ports?projec%74=lab",
                Some("/v1/ports?projec%74=lab&project=shop"),
            ),
        ] {
            assert_eq!(read(asked).as_deref(), passed, "{asked}");
        }
    }
}
