//! The typed client of the REST interface: one async method for each endpoint.
//!
//! It opens one connection per request: a Unix or loopback connection costs some ten microseconds,
//! and a client that keeps nothing cannot be left with a dead connection.

mod events;
mod flows;
mod identity;
mod objects;
mod query;
mod recording;
mod server_sent;
mod stacks;
mod transport;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use coax_identity::UserToken;
use hyper::header::HeaderName;
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::blast_radius::BlastRadius;
use crate::change::{MoveRequest, Realisation};
use crate::check::{Check, CheckRequest, CheckResult};
use crate::endpoint::Endpoint;
use crate::finding::Findings;
use crate::object::{Host, Network, Port, Status, Subnet};
use crate::problem::Problem;
use crate::project::{Project, Quota};
use crate::report::{Counters, Drops};
use crate::trace::{Trace, TraceRequest};

pub use recording::Recording;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("cannot reach the controller at {endpoint}: {source}")]
    Unreachable {
        /// Where it should be.
        endpoint: Endpoint,
        /// What the connection said.
        source: io::Error,
    },
    /// Whoever answers is of another deployment than the token, or of a newer authority.
    #[error("{endpoint} does not prove itself with the authority that the token is of")]
    OtherAuthority {
        /// Where.
        endpoint: Endpoint,
    },
    /// There is no token, and without one nobody knows which controller is the right one.
    #[error("{endpoint} is on another machine, and no token says who asks and whom to trust")]
    NoToken {
        /// Where it is.
        endpoint: Endpoint,
    },
    /// The connection broke, or what came over it was not HTTP.
    #[error("the connection to the controller at {endpoint} failed: {source}")]
    Transport {
        /// Where it is.
        endpoint: Endpoint,
        /// What went wrong.
        source: hyper::Error,
    },
    /// The request could not be put together: a name that does not fit into a path.
    #[error("`{path}` is not a path that can be asked for")]
    BadPath {
        /// The path.
        path: String,
    },
    /// The controller says no, and why.
    #[error(transparent)]
    Refused(Box<Problem>),
    /// The answer is not what this version of the client understands.
    #[error(
        "the controller at {endpoint} answered {path} with something else than expected: {source}"
    )]
    Unexpected {
        /// Where it is.
        endpoint: Endpoint,
        /// What was asked for.
        path: String,
        /// What could not be read.
        source: serde_json::Error,
    },
}

impl ClientError {
    /// The controller's problem details, if it is its error.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            _ => None,
        }
    }
}

/// A client of one controller.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Endpoint,
    token: Option<UserToken>,
    recording: Option<Arc<Recording>>,
}

type Answer<T> = Result<T, ClientError>;

impl Client {
    /// A client of the controller at `endpoint`. Connects when a method is called.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            token: None,
            recording: None,
        }
    }

    /// The same client, for the bearer of a token.
    #[must_use]
    pub fn with_token(self, token: UserToken) -> Self {
        Self {
            token: Some(token),
            ..self
        }
    }

    /// Where the controller is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// `GET /v1/projects`.
    pub async fn projects(&self) -> Answer<Vec<Project>> {
        self.get("/v1/projects").await
    }

    /// `GET /v1/projects/{project}`.
    pub async fn project(&self, project: &str) -> Answer<Project> {
        self.get(&format!("/v1/projects/{project}")).await
    }

    /// `PUT /v1/projects/{project}/quota`: how much it may have.
    pub async fn set_quota(&self, project: &str, quota: &Quota) -> Answer<Project> {
        let path = format!("/v1/projects/{project}/quota");
        self.send(Method::PUT, &path, Some(quota)).await
    }

    /// `DELETE /v1/projects/{project}/quota`: as much as every other.
    pub async fn delete_quota(&self, project: &str) -> Answer<Project> {
        let path = format!("/v1/projects/{project}/quota");
        self.send(Method::DELETE, &path, None::<&()>).await
    }

    /// `GET /v1/default-quota`: how much projects without a quota of their own may have.
    pub async fn default_quota(&self) -> Answer<Quota> {
        self.get("/v1/default-quota").await
    }

    /// `PUT /v1/default-quota`.
    pub async fn set_default_quota(&self, quota: &Quota) -> Answer<Quota> {
        self.send(Method::PUT, "/v1/default-quota", Some(quota))
            .await
    }

    /// `GET /v1/networks`, of one project or of all.
    pub async fn networks(&self, project: Option<&str>) -> Answer<Vec<Network>> {
        self.get(&list("networks", project)).await
    }

    /// `GET /v1/networks/{project}/{name}`.
    pub async fn network(&self, project: &str, name: &str) -> Answer<Network> {
        self.get(&format!("/v1/networks/{project}/{name}")).await
    }

    /// `GET /v1/networks/{project}/{name}/blast-radius`.
    pub async fn blast_radius(&self, project: &str, name: &str) -> Answer<BlastRadius> {
        self.get(&format!("/v1/networks/{project}/{name}/blast-radius"))
            .await
    }

    /// `GET /v1/subnets`, of one project or of all.
    pub async fn subnets(&self, project: Option<&str>) -> Answer<Vec<Subnet>> {
        self.get(&list("subnets", project)).await
    }

    /// `GET /v1/ports`, of one project or of all.
    pub async fn ports(&self, project: Option<&str>) -> Answer<Vec<Port>> {
        self.get(&list("ports", project)).await
    }

    /// `GET /v1/ports/{project}/{name}`.
    pub async fn port(&self, project: &str, name: &str) -> Answer<Port> {
        self.get(&format!("/v1/ports/{project}/{name}")).await
    }

    /// `POST /v1/ports/{project}/{name}/move`: prepares `host` for the port. The port moves when its
    /// device is plugged in there.
    pub async fn move_port(&self, project: &str, name: &str, host: &str) -> Answer<Port> {
        let path = format!("/v1/ports/{project}/{name}/move");
        let body = MoveRequest {
            host: host.to_owned(),
        };
        self.send(Method::POST, &path, Some(&body)).await
    }

    /// `GET /v1/hosts`.
    pub async fn hosts(&self) -> Answer<Vec<Host>> {
        self.get("/v1/hosts").await
    }

    /// `GET /v1/hosts/{name}`.
    pub async fn host(&self, name: &str) -> Answer<Host> {
        self.get(&format!("/v1/hosts/{name}")).await
    }

    /// `GET /v1/findings`: lets all hosts, or one, look at themselves, and sends packets between them.
    pub async fn findings(&self, host: Option<&str>) -> Answer<Findings> {
        self.get(&match host {
            Some(host) => format!("/v1/findings?host={host}"),
            None => "/v1/findings".to_owned(),
        })
        .await
    }

    /// `GET /v1/status`.
    pub async fn status(&self) -> Answer<Status> {
        self.get("/v1/status").await
    }

    /// `GET /v1/drops`: asks every host.
    pub async fn drops(&self) -> Answer<Drops> {
        self.get("/v1/drops").await
    }

    /// `GET /v1/counters`: asks every host.
    pub async fn counters(&self) -> Answer<Counters> {
        self.get("/v1/counters").await
    }

    /// `POST /v1/traces`: follows a packet from host to host.
    pub async fn trace(&self, request: &TraceRequest) -> Answer<Trace> {
        self.send(Method::POST, "/v1/traces", Some(request)).await
    }

    /// `GET /v1/checks`: the checks of one project or of all, proved by rules and members.
    pub async fn checks(&self, project: Option<&str>) -> Answer<Vec<Check>> {
        self.get(&list("checks", project)).await
    }

    /// `POST /v1/checks`: puts checks to the proof with packets on the real hosts.
    pub async fn probe_checks(&self, request: &CheckRequest) -> Answer<Vec<CheckResult>> {
        self.send(Method::POST, "/v1/checks", Some(request)).await
    }

    /// `GET /v1/captures`: frames of a port as a pcapng file, piece by piece until `time` is over or `take` wants no more.
    pub async fn capture(
        &self,
        port: &str,
        time: Duration,
        take: impl FnMut(&[u8]) -> bool,
    ) -> Answer<()> {
        let path = format!("/v1/captures?port={port}&time={}", in_query(time));
        self.stream(&path, take).await
    }

    /// `GET /v1/revisions/{revision}/wait`: returns when every host that needs it has the revision,
    /// or after `timeout` with those that do not.
    pub async fn wait(&self, revision: u64, timeout: Duration) -> Answer<Realisation> {
        self.get(&format!(
            "/v1/revisions/{revision}/wait?timeout={}",
            in_query(timeout)
        ))
        .await
    }

    /// `GET /readyz`: whether the controller serves requests.
    pub async fn ready(&self) -> Answer<()> {
        let (status, body) = self.exchange(Method::GET, "/readyz", &[], None).await?;
        if status.is_success() {
            Ok(())
        } else {
            Err(self.refusal("/readyz", status, &body))
        }
    }

    /// `GET /metrics`: OpenMetrics text.
    pub async fn metrics(&self) -> Answer<String> {
        let (status, body) = self.exchange(Method::GET, "/metrics", &[], None).await?;
        if !status.is_success() {
            return Err(self.refusal("/metrics", status, &body));
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// `GET /openapi.json`.
    pub async fn openapi(&self) -> Answer<serde_json::Value> {
        self.get("/openapi.json").await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        self.send(Method::GET, path, None::<&()>).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Answer<T> {
        self.send_with(method, path, &[], body).await
    }

    async fn send_with<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        body: Option<&impl Serialize>,
    ) -> Answer<T> {
        let encode = |body| serde_json::to_vec(body).map_err(|error| self.unexpected(path, error));
        let body = body.map(encode).transpose()?;
        let (status, bytes) = self.exchange(method, path, headers, body).await?;
        self.understand(path, status, &bytes)
    }

    /// What an answer says, or why it is a refusal.
    fn understand<T: DeserializeOwned>(
        &self,
        path: &str,
        status: StatusCode,
        body: &[u8],
    ) -> Answer<T> {
        if !status.is_success() {
            return Err(self.refusal(path, status, body));
        }
        serde_json::from_slice(body).map_err(|source| self.unexpected(path, source))
    }

    fn unexpected(&self, path: &str, source: serde_json::Error) -> ClientError {
        ClientError::Unexpected {
            endpoint: self.endpoint.clone(),
            path: path.to_owned(),
            source,
        }
    }

    fn refusal(&self, path: &str, status: StatusCode, body: &[u8]) -> ClientError {
        let problem = serde_json::from_slice(body).unwrap_or_else(|_| {
            Problem::new(
                status.as_u16(),
                "unknown-answer",
                "The controller's answer is not understood",
                format!("{path} was answered with status {status}"),
                "check that something like this version of Coax listens there",
            )
        });
        ClientError::Refused(Box::new(problem))
    }
}

fn list(kind: &str, project: Option<&str>) -> String {
    match project {
        Some(project) => format!("/v1/{kind}?project={project}"),
        None => format!("/v1/{kind}"),
    }
}

fn in_query(timeout: Duration) -> String {
    format!("{}ms", timeout.as_millis())
}
