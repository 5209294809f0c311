//! What passes by a port, as a pcapng file that grows.

use std::convert::Infallible;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use coax_api::Problem;
use coax_api::question::{HostAnswer, HostQuestion};
use coax_model::Name;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::IntoParams;

use super::App;
use super::authorise::outside;
use super::failure::Failure;
use super::input::{Params, name, timeout};
use crate::core::Listing;
use crate::identity::Caller;
use crate::pcapng;
use crate::trace::Hosts;

/// Pieces of a file that wait for a slow reader; then the agent keeps what it can.
const PIECES: usize = 4;

/// What to capture.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CaptureParams {
    /// Full name of the port.
    pub port: String,
    /// How long: `30s`, `500ms`, `2m`; 30 s by itself.
    pub time: Option<String>,
}

/// Frames of a port in both directions, each with what the vSwitch does with it as comment
#[utoipa::path(
    get, path = "/v1/captures", tag = "traces", params(CaptureParams),
    responses(
        (status = 200, body = String, content_type = "application/x-pcapng"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")
    )
)]
pub async fn capture(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(params): Params<CaptureParams>,
) -> Result<Response, Failure> {
    let own = |project: &Name| {
        let port = params.port.strip_prefix(project.as_str());
        port.is_some_and(|rest| rest.starts_with('/'))
    };
    if !caller.project.as_ref().is_none_or(own) {
        return Err(outside(&caller));
    }
    let port = name("port", &params.port)?;
    let found = Listing::single(&app.handle.read()).port_named(&port);
    let found = found.ok_or_else(|| Failure::no_such("port", &params.port))?;
    let host = found.host.filter(|_| found.device.is_some());
    let host = host.ok_or_else(|| {
        Failure::bad_request(
            "port-down",
            format!("{port} has no device on any host"),
            format!("plug in a device with the alias `coax:{port}`"),
        )
    })?;
    let end = Instant::now() + timeout(params.time.as_deref())?;
    // The first question begins the capture; what fails is told before anything is sent.
    let reader = u64::from_be_bytes(app.marker());
    let first = read(&app, &host, reader, &params.port).await;
    let first = first.map_err(|reason| {
        Failure::from(Problem::new(
            503,
            "host-silent",
            "The host cannot capture",
            format!("{host} cannot capture frames of {port}: {reason}"),
            format!("`coax host show {host}`"),
        ))
    })?;
    let (pieces, body) = mpsc::channel::<Result<Bytes, Infallible>>(PIECES);
    tokio::spawn(async move {
        let mut piece = [pcapng::start(&params.port, &host), first].concat();
        loop {
            if !piece.is_empty() && pieces.send(Ok(piece.into())).await.is_err() {
                return;
            }
            if Instant::now() >= end || pieces.is_closed() {
                return;
            }
            match read(&app, &host, reader, &params.port).await {
                Ok(next) => piece = next,
                Err(_) => return,
            }
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-pcapng")];
    Ok((kind, Body::from_stream(ReceiverStream::new(body))).into_response())
}

/// The next frames, as blocks of the file.
async fn read(app: &App, host: &str, reader: u64, port: &str) -> Result<Vec<u8>, String> {
    let port = port.to_owned();
    let question = HostQuestion::Capture { reader, port };
    match Hosts::ask(app, host, question).await? {
        HostAnswer::Captured { mut frames, lost } => {
            if let Some(first) = frames.first_mut().filter(|_| lost > 0) {
                first.comment += &format!(" ({lost} frames before this one were not captured)");
            }
            Ok(frames.iter().flat_map(pcapng::packet).collect())
        }
        HostAnswer::Failed { reason } => Err(reason),
        _ => Err("it answers another question".to_owned()),
    }
}
