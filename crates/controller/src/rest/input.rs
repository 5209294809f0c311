//! What requests carry: names in paths, parameters, bodies. Everything that is wrong with them
//! becomes a problem that names the field.

use std::str::FromStr;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use coax_api::Problem;
use coax_model::{Name, NameError, ObjectName};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::failure::Failure;
use crate::core::submission::Confirm;

/// The longest that a request may wait.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// The longest that a change may wait for its confirmation.
const LONGEST_COUNTDOWN: Duration = Duration::from_secs(24 * 3600);
/// How long a request waits if it does not say.
const USUAL_WAIT: Duration = Duration::from_secs(30);

/// Parameters of a request, with problems instead of plain text for what is wrong.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(value)| Self(value))
            .map_err(|rejection: QueryRejection| {
                Failure::bad_request(
                    "bad-parameter",
                    rejection.body_text(),
                    "GET /openapi.json lists the parameters of each path",
                )
            })
    }
}

/// Narrows a list down.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Only objects of this project.
    pub project: Option<String>,
    /// At most so many.
    pub limit: Option<usize>,
    /// Only those that come after this one, the `id` of the last one of the page before.
    pub marker: Option<String>,
}

impl ListParams {
    /// The page that is asked for.
    pub fn page<T>(&self, items: Vec<T>, id: impl Fn(&T) -> String) -> Vec<T> {
        let after = match &self.marker {
            None => 0,
            Some(marker) => {
                let found = items.iter().position(|item| id(item) == *marker);
                // What was last may be gone: go on with what comes after its name.
                let next = || items.iter().position(|item| id(item) > *marker);
                found.map(|at| at + 1).or_else(next).unwrap_or(items.len())
            }
        };
        let limit = self.limit.unwrap_or(usize::MAX);
        items.into_iter().skip(after).take(limit).collect()
    }

    /// The project, checked.
    pub fn project(&self) -> Result<Option<Name>, Failure> {
        self.project
            .as_deref()
            .map(|text| name("project", text))
            .transpose()
    }
}

/// How to change a project.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StackParams {
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
    /// `hosts`: answer when the hosts have it. `stored` (the default): when it is stored.
    pub wait: Option<String>,
    /// With `wait=hosts`, the longest wait: `30s`, `500ms`, `2m`.
    pub timeout: Option<String>,
    /// Why, for the history.
    pub reason: Option<String>,
    /// A time like `5m`: the change is reverted unless it is confirmed by then. `now`: this change
    /// holds, and so does what is still to be confirmed.
    pub confirm: Option<String>,
    /// Change it although checks of the project fail afterwards.
    #[serde(default)]
    pub ignore_checks: bool,
}

impl StackParams {
    /// Whether the change is to be confirmed.
    pub fn confirm(&self) -> Result<Confirm, Failure> {
        match self.confirm.as_deref() {
            None => Ok(Confirm::No),
            Some("now") => Ok(Confirm::Now),
            Some(time) => long_time(time).map(Confirm::Within),
        }
    }

    /// How long to wait for hosts, if at all.
    pub fn wait(&self) -> Result<Option<Duration>, Failure> {
        match self.wait.as_deref() {
            None | Some("stored" | "none") => Ok(None),
            Some("hosts") => timeout(self.timeout.as_deref()).map(Some),
            Some(other) => Err(Failure::bad_request(
                "bad-parameter",
                format!("`wait={other}` is not known"),
                "write wait=hosts or wait=stored",
            )),
        }
    }
}

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WaitParams {
    /// The longest wait: `30s`, `500ms`, `2m`.
    pub timeout: Option<String>,
}

/// How to go back.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RollbackParams {
    /// The project, if it is not the one that the revision is about.
    pub project: Option<String>,
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
    /// Why, for the history.
    pub reason: Option<String>,
}

/// How long to wait, as users write it.
pub fn timeout(text: Option<&str>) -> Result<Duration, Failure> {
    text.map_or(Ok(USUAL_WAIT), |text| {
        time(text, LONGEST_WAIT, "10 minutes")
    })
}

/// How long a change may wait for its confirmation, as users write it.
fn long_time(text: &str) -> Result<Duration, Failure> {
    time(text, LONGEST_COUNTDOWN, "24 hours")
}

fn time(text: &str, longest: Duration, in_words: &str) -> Result<Duration, Failure> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number = digits.parse::<u64>().ok();
    let unit = match text.get(digits.len()..) {
        Some("ms") => Some(1),
        Some("" | "s") => Some(1000),
        Some("m") => Some(60_000),
        Some("h") => Some(3_600_000),
        _ => None,
    };
    let milliseconds = number
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit));
    match milliseconds.map(Duration::from_millis) {
        Some(time) if time <= longest => Ok(time),
        _ => Err(Failure::bad_request(
            "bad-timeout",
            format!("`{text}` is not a time up to {in_words}"),
            "write it like 30s, 500ms or 2m",
        )),
    }
}

/// Values in a parameter that are separated by commas.
pub fn list(text: Option<&str>) -> impl Iterator<Item = &str> {
    let values = text.into_iter().flat_map(|text| text.split(','));
    values.map(str::trim).filter(|value| !value.is_empty())
}

/// A revision in a path.
pub fn revision_number(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| {
        Failure::bad_request(
            "bad-revision",
            format!("`{text}` is not a revision"),
            "revisions are numbers; `coax status` shows the newest",
        )
    })
}

/// A name in a path or parameter.
pub fn name<T: FromStr<Err = NameError>>(field: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error: NameError| {
        let hint = match error.suggestion() {
            Some(suggestion) => format!("did you mean `{suggestion}`?"),
            None => "names are a-z, 0-9 and `-`".to_owned(),
        };
        Failure(Box::new(bad_name(&error, hint).at(field)))
    })
}

fn bad_name(error: &NameError, hint: String) -> Problem {
    Problem::new(
        400,
        "bad-name",
        "This cannot be a name",
        error.to_string(),
        hint,
    )
}

/// The full name in a path.
pub fn full_name(project: &str, object: &str) -> Result<ObjectName, Failure> {
    Ok(ObjectName::new(
        name("project", project)?,
        name("name", object)?,
    ))
}

/// A body in JSON.
pub fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        let mut failure = Failure::bad_request(
            "bad-body",
            error.to_string(),
            "GET /openapi.json has the schema of each body",
        );
        failure.0.line = u32::try_from(error.line()).ok();
        failure.0.column = u32::try_from(error.column()).ok();
        failure
    })
}
