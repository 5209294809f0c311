//! Answers that were recorded, for a client that has no controller: lists as they were, single objects out of their
//! lists. Nothing can be changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::{Method, StatusCode};
use serde_json::Value;

use super::{Answer, Client};
use crate::problem::Problem;

impl Client {
    /// The same client, which answers from a recording and talks to nobody.
    #[must_use]
    pub fn recorded(self, recording: Arc<Recording>) -> Self {
        Self {
            recording: Some(recording),
            ..self
        }
    }

    /// `GET` of any path: the answer as it comes.
    pub async fn raw(&self, path: &str) -> Answer<Vec<u8>> {
        let (status, body) = self.exchange(Method::GET, path, &[], None).await?;
        if !status.is_success() {
            return Err(self.refusal(path, status, &body));
        }
        Ok(body.into())
    }
}

/// Answers by the path that was asked for, without its query.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    answers: BTreeMap<String, Vec<u8>>,
}

impl Recording {
    /// Of these answers.
    pub fn new(answers: BTreeMap<String, Vec<u8>>) -> Self {
        Self { answers }
    }

    /// What would have been answered.
    pub(super) fn answer(&self, method: &Method, path: &str) -> (StatusCode, Vec<u8>) {
        if *method != Method::GET {
            return refused(Problem::new(
                409,
                "bundle-changes-nothing",
                "A bug report changes nothing",
                "a bug report answers what was recorded in it, and changes nothing",
                "leave `--from-bundle` out to talk to a controller",
            ));
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let found = match self.answers.get(path) {
            Some(answer) => chosen(answer, path, query),
            None => self.single(path),
        };
        match found {
            Some(answer) => (StatusCode::OK, answer),
            // What is not in a list did not exist.
            None if self.list_of(path).is_some() => refused(no_such(path)),
            None => refused(Problem::new(
                404,
                "not-in-bundle",
                "It is not in the bug report",
                format!("{path} was not recorded"),
                "look at the controller itself, or let a new report be made",
            )),
        }
    }

    /// The list that an object would be in; nothing, if the path is about something else than one object that is whole in
    /// its list.
    fn list_of(&self, path: &str) -> Option<Vec<Value>> {
        let (kind, id) = kind_and_id(path)?;
        // A list of revisions is cut, and says of none what it changed.
        if kind == "revisions" {
            return None;
        }
        let list = self.answers.get(&format!("/v1/{kind}"))?;
        let list: Vec<Value> = serde_json::from_slice(list).ok()?;
        let about_part = |object: &Value| {
            let own = object["id"].as_str();
            let rest = own.and_then(|own| id.strip_prefix(own));
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        (!list.iter().any(about_part)).then_some(list)
    }

    /// One object, out of the list that it is in.
    fn single(&self, path: &str) -> Option<Vec<u8>> {
        let (_, id) = kind_and_id(path)?;
        let list = self.list_of(path)?;
        let named = |object: &Value| {
            let texts = ["id", "name"].map(|key| object[key].as_str());
            texts.contains(&Some(id))
        };
        let object = list.into_iter().find(named)?;
        serde_json::to_vec(&object).ok()
    }
}

/// `ports` and `shop/web-1` of `/v1/ports/shop/web-1`.
fn kind_and_id(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("/v1/")?.split_once('/')
}

fn no_such(path: &str) -> Problem {
    let (kind, id) = kind_and_id(path).unwrap_or_default();
    let kind = kind.trim_end_matches('s');
    let code = format!("no-such-{kind}");
    let message = format!("there was no {kind} `{id}` when the report was made");
    Problem::new(404, &code, "Not found", message, "look at the list")
}

fn refused(problem: Problem) -> (StatusCode, Vec<u8>) {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::NOT_FOUND);
    // A problem of plain texts always has a JSON form.
    (status, serde_json::to_vec(&problem).unwrap_or_default())
}

/// The part of a list that the query is about; nothing, if a part is wanted of what is no list.
fn chosen(answer: &[u8], path: &str, query: &str) -> Option<Vec<u8>> {
    let mut list = match serde_json::from_slice(answer) {
        Ok(Value::Array(list)) => list,
        Ok(events) if path == "/v1/events" => return events_of(events, query),
        _ => return query.is_empty().then(|| answer.to_vec()),
    };
    for (key, value) in query.split('&').filter_map(|part| part.split_once('=')) {
        let number = || value.parse::<u64>().unwrap_or(u64::MAX);
        match key {
            // Rails come before the rules of every project.
            "project" => list.retain(|it| {
                let rails = path == "/v1/firewall-rules" && it["project"] == "rails";
                it["project"] == value || rails
            }),
            "marker" if path == "/v1/revisions" => {
                list.retain(|it| it["revision"].as_u64().is_some_and(|it| it < number()));
            }
            "limit" => list.truncate(usize::try_from(number()).unwrap_or(usize::MAX)),
            "last" => {
                let last = usize::try_from(number()).unwrap_or(usize::MAX);
                list.drain(..list.len().saturating_sub(last));
            }
            _ => {}
        }
    }
    // What was read as JSON has a JSON form.
    Some(serde_json::to_vec(&list).unwrap_or_default())
}

/// The events that the query is about; nothing, if it is about those to come.
fn events_of(mut answer: Value, query: &str) -> Option<Vec<u8>> {
    let events = answer["events"].as_array_mut()?;
    for (key, value) in query.split('&').filter_map(|part| part.split_once('=')) {
        match key {
            "kind" | "host" | "project" => events.retain(|event| {
                let is = event[key].as_str();
                value.split(',').any(|wanted| is == Some(wanted))
            }),
            "last" => {
                let last = value.parse().unwrap_or(usize::MAX);
                events.drain(..events.len().saturating_sub(last));
            }
            _ => return None,
        }
    }
    serde_json::to_vec(&answer).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn recording() -> Recording {
        let ports = r#"[{"id":"shop/web-1","name":"web-1","project":"shop"},{"id":"bank/a","name":"a","project":"bank"}]"#;
        let revisions = r#"[{"revision":9,"project":"shop"},{"revision":7,"project":"bank"}]"#;
        let events = r#"{"events":[{"id":"1","kind":"host-away","host":"hv1"},{"id":"2","kind":"port-moved","host":"hv2"}]}"#;
        Recording::new(BTreeMap::from([
            ("/v1/ports".to_owned(), ports.into()),
            ("/v1/revisions".to_owned(), revisions.into()),
            ("/v1/events".to_owned(), events.into()),
            ("/v1/findings".to_owned(), r#"{"paths":0}"#.into()),
        ]))
    }

    fn asked(path: &str) -> (u16, String) {
        let (status, body) = recording().answer(&Method::GET, path);
        (status.as_u16(), String::from_utf8(body).unwrap())
    }

    #[test]
    fn lists_are_filtered_and_objects_found_in_them() {
        assert_eq!(asked("/v1/ports?project=bank").1.matches("id").count(), 1);
        assert!(asked("/v1/ports/shop/web-1").1.contains("shop/web-1"));
        assert!(asked("/v1/ports/shop/web-9").1.contains("no-such-port"));
        assert!(
            asked("/v1/ports/shop/web-1/moves")
                .1
                .contains("not-in-bundle")
        );
        assert!(asked("/v1/revisions/7").1.contains("not-in-bundle"));
        assert!(asked("/v1/findings?host=hv1").1.contains("not-in-bundle"));
        assert!(asked("/v1/findings").1.contains("paths"));
        assert_eq!(
            asked("/v1/revisions?limit=1").1,
            r#"[{"project":"shop","revision":9}]"#
        );
        assert_eq!(
            asked("/v1/revisions?marker=9").1,
            r#"[{"project":"bank","revision":7}]"#
        );
        assert!(asked("/v1/flows").1.contains("not-in-bundle"));
    }

    #[test]
    fn nothing_is_changed() {
        let (status, _) = recording().answer(&Method::DELETE, "/v1/ports/shop/web-1");
        assert_eq!(status.as_u16(), 409);
    }

    #[test]
    fn events_are_chosen_as_the_controller_chooses_them() {
        for (query, wanted) in [
            ("", &["1", "2"][..]),
            ("?last=1", &["2"]),
            ("?host=hv1,hv3&last=5", &["1"]),
            ("?kind=port-moved,host-away&host=hv2", &["2"]),
            ("?project=shop", &[]),
        ] {
            let (status, body) = asked(&format!("/v1/events{query}"));
            let answer: Value = serde_json::from_str(&body).unwrap();
            let events = answer["events"].as_array().unwrap().iter();
            let ids: Vec<_> = events.map(|it| it["id"].as_str().unwrap()).collect();
            assert_eq!((status, ids.as_slice()), (200, wanted), "{query}");
        }
        assert_eq!(asked("/v1/events?follow=true").0, 404);
    }
}
