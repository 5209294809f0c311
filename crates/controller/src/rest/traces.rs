//! Following a packet from host to host.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use coax_api::question::{HostAnswer, HostQuestion};
use coax_api::{Problem, Trace, TraceRequest};

use super::App;
use super::failure::Failure;
use super::input::body;
use crate::core::message::{Answer, Request};
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
pub async fn trace_packet(State(app): State<App>, bytes: Bytes) -> Result<Json<Trace>, Failure> {
    let request: TraceRequest = body(&bytes)?;
    let facts = Facts::gather(&app.handle.read(), &request)?;
    Ok(Json(trace::trace(&facts, &app).await))
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
