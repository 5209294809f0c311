//! Who submits a change and on which conditions, read from the connection and the headers; and the
//! entity tags that conditions are about. The tag of an object is its revision, that of a project's
//! file the revision of the project's last change: `"42"`.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use coax_store::Revision;
use serde::Serialize;
use utoipa::IntoParams;

use super::failure::Failure;
use crate::audit::Recording;
use crate::core::submission::{Condition, Submission};
use crate::history::RepeatKey;
use crate::identity::Caller;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The longest name of a request.
const LONGEST_KEY: usize = 128;

/// Headers of requests that change something.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)]
pub struct SubmissionHeaders {
    /// Only if the object still has this entity tag, as it was read: `"42"`. `*`: only if it exists.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
    /// `*`: only if there is no such object.
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
    /// A name for the request: sent again under the same name it is not done again, but answered as
    /// the first time.
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
}

/// What connection and headers say about a change.
#[derive(Debug)]
pub struct Submitted {
    submission: Submission,
    key: Option<String>,
    /// Method and path.
    request: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Submitted {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let caller = parts.extensions.get::<Caller>();
        let author = caller.map_or("local".to_owned(), |caller| caller.name.clone());
        let recording = parts.extensions.get::<Recording>().cloned();
        Ok(Self {
            submission: Submission {
                author,
                recording,
                condition: condition(&parts.headers)?,
                ..Submission::default()
            },
            key: key(&parts.headers)?,
            request: format!("{} {}", parts.method, parts.uri),
        })
    }
}

impl Submitted {
    /// The submission of a request with this body.
    pub fn with(self, body: &[u8]) -> Submission {
        let digest = digest(self.request.as_bytes(), body);
        Submission {
            repeat: self.key.map(|key| RepeatKey { key, digest }),
            ..self.submission
        }
    }
}

/// FNV-1a: tells a repetition from another request. Nobody gains anything by a collision but the
/// answer to his own earlier request.
fn digest(request: &[u8], body: &[u8]) -> u64 {
    let bytes = request.iter().chain(&[0]).chain(body);
    bytes.fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
        (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let text = value.to_str().ok();
    let text = text.filter(|text| (1..=LONGEST_KEY).contains(&text.len()));
    let key = text.ok_or_else(|| {
        Failure::bad_request(
            "bad-header",
            format!("an Idempotency-Key is 1 to {LONGEST_KEY} visible characters"),
            "take a random UUID for each request",
        )
    })?;
    Ok(Some(key.to_owned()))
}

fn condition(headers: &HeaderMap) -> Result<Condition, Failure> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (None, None) => Ok(Condition::Any),
        (Some("*"), None) => Ok(Condition::Exists),
        (None, Some("*")) => Ok(Condition::Absent),
        (Some(tags), None) => {
            let revisions: Option<Vec<Revision>> = tags.split(',').map(revision_of).collect();
            revisions.map(Condition::Match).ok_or_else(bad_condition)
        }
        (_, Some(_)) => Err(bad_condition()),
    }
}

fn bad_condition() -> Failure {
    Failure::bad_request(
        "bad-header",
        "the conditions are not understood",
        "send `If-Match: \"REVISION\"` with the ETag that was read, or `If-None-Match: *`",
    )
}

fn revision_of(tag: &str) -> Option<Revision> {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let bare = tag
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    bare.unwrap_or(tag).parse().ok()
}

/// Something in JSON with its entity tag.
pub struct Tagged<T>(pub Revision, pub T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let tag = [(header::ETAG, format!("\"{}\"", self.0))];
        (tag, Json(self.1)).into_response()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn conditions_are_those_of_http() {
        let read = |pairs: &[_]| condition(&headers(pairs)).ok();
        assert_eq!(read(&[]), Some(Condition::Any));
        assert_eq!(read(&[("if-match", "*")]), Some(Condition::Exists));
        assert_eq!(read(&[("if-none-match", "*")]), Some(Condition::Absent));
        assert_eq!(
            read(&[("if-match", "\"4\", W/\"7\"")]),
            Some(Condition::Match(vec![4, 7]))
        );
        assert_eq!(read(&[("if-match", "\"new\"")]), None);
        assert_eq!(read(&[("if-none-match", "\"4\"")]), None);
        assert_eq!(read(&[("if-match", "*"), ("if-none-match", "*")]), None);
    }

    #[test]
    fn a_repetition_is_told_from_another_request() {
        assert_eq!(digest(b"PUT /a", b"x"), digest(b"PUT /a", b"x"));
        assert_ne!(digest(b"PUT /a", b"x"), digest(b"PUT /a", b"y"));
        assert_ne!(digest(b"PUT /a", b"x"), digest(b"PUT /ax", b""));
        assert!(key(&headers(&[("idempotency-key", "")])).is_err());
        assert_eq!(key(&headers(&[])).unwrap(), None);
    }
}
