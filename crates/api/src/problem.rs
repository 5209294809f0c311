//! Errors of the REST interface: RFC 9457 problem details.
//!
//! Invariant: every error that leaves the controller has a code, what happened, and what to do next.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Content type of a [`Problem`].
pub const CONTENT_TYPE: &str = "application/problem+json";

/// An error, in the form of RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// URI reference that names the kind of problem: `/problems/CODE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in a few words, the same each time.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// Stable name of the problem, for programs and for `coax explain`.
    pub code: String,
    /// What happened, this time, with names and values.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// Where to read more, relative to the documentation's root; empty if nowhere.
    #[serde(default)]
    pub doc: String,
    /// Path of the offending field in the request: `ports.web-1.mac`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Line in the file, where a file was given and the place is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in that line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Further problems of the same request, each complete in itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub more: Vec<Problem>,
}

impl Problem {
    /// A problem of the kind `code`.
    pub fn new(
        status: u16,
        code: &str,
        title: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            kind: format!("/problems/{code}"),
            title: title.to_owned(),
            status,
            code: code.to_owned(),
            message: message.into(),
            hint: hint.into(),
            doc: String::new(),
            field: None,
            line: None,
            column: None,
            more: Vec::new(),
        }
    }

    /// The same problem, blamed on a field.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}
