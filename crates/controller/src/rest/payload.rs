//! The body of a request, whole: small, but for files of projects.

use std::error::Error;
use std::ops::Deref;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, MatchedPath, Request};
use axum::http::header;
use coax_api::Problem;
use http_body_util::LengthLimitError;

use super::App;
use super::failure::Failure;
use crate::metrics::OutcomeLabels;

/// A stack file of 50,000 ports is some 10 MiB.
const LARGEST_FILE: usize = 64 << 20;
/// Everything else is a few words.
const LARGEST: usize = 1 << 20;

/// The body of a request.
pub struct Payload(Bytes);

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl FromRequest<App> for Payload {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let path = request.extensions().get::<MatchedPath>();
        let largest = match path.map(MatchedPath::as_str) {
            Some("/v1/stacks/{project}") => LARGEST_FILE,
            _ => LARGEST,
        };
        let refused = |outcome, failure| {
            let labels = OutcomeLabels { outcome };
            app.metrics.api_refused.get_or_create(&labels).inc();
            failure
        };
        let announced = request.headers().get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > largest) {
            return Err(refused("large-body", too_large(largest)));
        }
        match to_bytes(request.into_body(), largest).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(error) if error.source().is_some_and(|it| it.is::<LengthLimitError>()) => {
                Err(refused("large-body", too_large(largest)))
            }
            Err(_) => Err(refused("slow-body", incomplete())),
        }
    }
}

fn too_large(largest: usize) -> Failure {
    let problem = Problem::new(
        413,
        "body-too-large",
        "The request is too large",
        format!(
            "the body has more than the {} MiB that are taken here",
            largest >> 20
        ),
        "split what the file says into several projects",
    );
    problem.into()
}

fn incomplete() -> Failure {
    let problem = Problem::new(
        408,
        "body-incomplete",
        "The request did not come whole",
        "the body ended before its length, or took too long",
        "send it again",
    );
    problem.into()
}
