//! Errors as problem details.

use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use coax_api::Problem;
use coax_api::problem::CONTENT_TYPE;

/// An answer that is a problem.
#[derive(Debug)]
pub struct Failure(pub Box<Problem>);

impl Failure {
    /// The core does not answer: the controller is stopping.
    pub fn stopping() -> Self {
        Problem::new(
            503,
            "stopping",
            "The controller is stopping",
            "the controller is stopping and takes no more requests",
            "try again when it is back",
        )
        .into()
    }

    /// A request that cannot be understood.
    pub fn bad_request(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Problem::new(400, code, "The request is not understood", message, hint).into()
    }

    /// A name that nothing has.
    pub fn no_such(kind: &str, name: &str) -> Self {
        crate::core::no_such(kind, name).into()
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<Box<Problem>> for Failure {
    fn from(problem: Box<Problem>) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response()
    }
}

/// For paths that do not exist.
pub async fn no_such_path(uri: Uri) -> Failure {
    Problem::new(
        404,
        "no-such-path",
        "There is no such path",
        format!("{} does not exist", uri.path()),
        "GET /openapi.json lists all paths",
    )
    .into()
}

/// For paths that exist, with another method.
pub async fn no_such_method(method: Method, uri: Uri) -> Failure {
    Problem::new(
        405,
        "no-such-method",
        "The path does not take this method",
        format!("{} does not take {method}", uri.path()),
        "GET /openapi.json lists all paths and their methods",
    )
    .into()
}
