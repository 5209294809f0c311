//! The part of the client that changes whole projects, and goes back.

use hyper::Method;
use hyper::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use serde::Serialize;

use super::query::{self, encoded};
use super::{Answer, Client, in_query};
use crate::change::{Confirmation, Plan, StackOptions};
use crate::revision::{HistoryOptions, Revision, RollbackOptions};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

impl Client {
    /// `PUT /v1/stacks/{project}`: makes the project's objects (for `rails` the operator's) what `file` says. `file` is whatever
    /// serialises to the stack file's JSON.
    pub async fn put_stack(
        &self,
        project: &str,
        file: &impl Serialize,
        options: &StackOptions,
    ) -> Answer<Plan> {
        self.send_with(
            Method::PUT,
            &stack_path(project, options),
            &headers(options),
            Some(file),
        )
        .await
    }

    /// `GET /v1/stacks/{project}`: the project as a canonical stack file.
    pub async fn stack(&self, project: &str) -> Answer<serde_json::Value> {
        self.get(&format!("/v1/stacks/{project}")).await
    }

    /// The same with its revision, for [`StackOptions::if_match`].
    pub async fn stack_at(&self, project: &str) -> Answer<(serde_json::Value, Option<u64>)> {
        let path = format!("/v1/stacks/{project}");
        let mut body = Vec::new();
        let take = |_, piece: &[u8]| {
            body.extend_from_slice(piece);
            true
        };
        let head = self.receive(Method::GET, &path, &[], None, take).await?;
        Ok((self.understand(&path, head.status, &body)?, head.revision))
    }

    /// `DELETE /v1/stacks/{project}`: deletes all objects of the project.
    pub async fn delete_stack(&self, project: &str, options: &StackOptions) -> Answer<Plan> {
        self.send_with(
            Method::DELETE,
            &stack_path(project, options),
            &headers(options),
            None::<&()>,
        )
        .await
    }

    /// `GET /v1/revisions`: the history, the newest first.
    pub async fn revisions(&self, options: &HistoryOptions) -> Answer<Vec<Revision>> {
        self.get(&query::path("/v1/revisions", options)).await
    }

    /// `GET /v1/revisions/{revision}`: one change with all that it did.
    pub async fn revision(&self, revision: u64) -> Answer<Revision> {
        self.get(&format!("/v1/revisions/{revision}")).await
    }

    /// `POST /v1/revisions/{revision}/rollback`: makes a project what it was at that revision.
    pub async fn rollback(&self, revision: u64, options: &RollbackOptions) -> Answer<Plan> {
        let mut path = format!(
            "/v1/revisions/{revision}/rollback?dry_run={}",
            options.dry_run
        );
        for (key, value) in [("project", &options.project), ("reason", &options.reason)] {
            if let Some(value) = value {
                path.push_str(&format!("&{key}={}", encoded(value)));
            }
        }
        self.send(Method::POST, &path, None::<&()>).await
    }

    /// `POST /v1/revisions/{revision}/confirm`: the change holds.
    pub async fn confirm(&self, revision: u64) -> Answer<Revision> {
        let path = format!("/v1/revisions/{revision}/confirm");
        self.send(Method::POST, &path, None::<&()>).await
    }
}

fn stack_path(project: &str, options: &StackOptions) -> String {
    let mut path = format!("/v1/stacks/{project}?dry_run={}", options.dry_run);
    if let Some(timeout) = options.wait {
        path.push_str(&format!("&wait=hosts&timeout={}", in_query(timeout)));
    }
    if let Some(reason) = &options.reason {
        path.push_str(&format!("&reason={}", encoded(reason)));
    }
    if options.ignore_checks {
        path.push_str("&ignore_checks=true");
    }
    match options.confirm {
        Confirmation::None => {}
        Confirmation::Within(time) => path.push_str(&format!("&confirm={}", in_query(time))),
        Confirmation::Now => path.push_str("&confirm=now"),
    }
    path
}

fn headers(options: &StackOptions) -> Vec<(HeaderName, String)> {
    let revision = options.if_match.map(|it| (IF_MATCH, format!("\"{it}\"")));
    let key = options.idempotency_key.clone();
    let absent = options.if_absent.then(|| (IF_NONE_MATCH, "*".to_owned()));
    revision
        .into_iter()
        .chain(absent)
        .chain(key.map(|key| (IDEMPOTENCY_KEY, key)))
        .collect()
}
