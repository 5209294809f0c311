//! Following a packet from host to host.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use coax_api::question::{HostAnswer, HostQuestion};
use coax_api::{Problem, Trace, TraceRequest};
use coax_model::Name;

use super::App;
use super::authorise::outside;
use super::failure::Failure;
use super::input::body;
use super::payload::Payload;
use crate::core::message::{Answer, Request};
use crate::identity::Caller;
use crate::trace::{self, Facts, Hosts};

/// Packets on their way have arrived after this time.
const ARRIVAL: Duration = Duration::from_millis(300);

/// What becomes of a packet, and why
#[utoipa::path(
    post, path = "/v1/traces", tag = "traces", request_body = TraceRequest,
    responses(
        (status = 200, body = Trace),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")
    )
)]
pub async fn trace_packet(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    bytes: Payload,
) -> Result<Json<Trace>, Failure> {
    let mut request: TraceRequest = body(&bytes)?;
    if let Some(project) = &caller.project {
        if !is_named(&request.from, project) || !is_named(&request.to, project) {
            return Err(outside(&caller));
        }
        request.project = Some(project.to_string());
    }
    let facts = Facts::gather(&app.handle.read(), &request)?;
    Ok(Json(trace::trace(&facts, &app).await))
}

/// Whether a text can only mean a port of this project: an address may be anybody's.
fn is_named(text: &str, project: &Name) -> bool {
    let name = match text.split_once('/') {
        Some((owner, name)) if owner == project.as_str() => name,
        Some(_) => return false,
        None => text,
    };
    name.parse::<Name>().is_ok()
}

impl Hosts for App {
    async fn ask(&self, host: &str, question: HostQuestion) -> Result<HostAnswer, String> {
        let host = host
            .parse()
            .map_err(|_| format!("`{host}` is no name of a host"))?;
        match self.handle.ask(Request::Ask { host, question }).await {
            Some(Ok(Answer::Told(answer))) => answer,
            Some(Err(problem)) => Err(problem.message),
            Some(Ok(_)) => Err("the controller contradicts itself".to_owned()),
            None => Err("the controller is stopping".to_owned()),
        }
    }

    fn marker(&self) -> [u8; 8] {
        RandomState::new().build_hasher().finish().to_be_bytes()
    }

    async fn pause(&self) {
        tokio::time::sleep(ARRIVAL).await;
    }
}
