//! The part of the client that is told what happens.

use super::server_sent::encoded;
use super::{Answer, Client};
use crate::event::{EventNews, EventParams, Events};

impl Client {
    /// `GET /v1/events`: what happened lately.
    pub async fn events(&self, params: &EventParams) -> Answer<Events> {
        let params = EventParams {
            follow: false,
            ..params.clone()
        };
        self.get(&path(&params)).await
    }

    /// `GET /v1/events?follow=true`: what happens from now on, until `take` wants no more or the controller ends it.
    pub async fn follow_events(
        &self,
        params: &EventParams,
        take: impl FnMut(EventNews) -> bool,
    ) -> Answer<()> {
        let params = EventParams {
            follow: true,
            ..params.clone()
        };
        self.follow(path(&params), news, take).await
    }
}

fn path(params: &EventParams) -> String {
    let EventParams {
        kind,
        host,
        project,
        after,
        last,
        follow,
    } = params;
    let last = last.map(|last| last.to_string());
    let follow = follow.then(|| "true".to_owned());
    let fields = [
        ("kind", kind),
        ("host", host),
        ("project", project),
        ("after", after),
        ("last", &last),
        ("follow", &follow),
    ];
    let given = fields
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", encoded(value.as_ref()?))));
    format!("/v1/events?{}", given.collect::<Vec<_>>().join("&"))
}

fn news(name: &str, data: &[u8]) -> Option<Result<EventNews, serde_json::Error>> {
    Some(match name {
        "message" => serde_json::from_slice(data).map(|event| EventNews::Event(Box::new(event))),
        "lost" => serde_json::from_slice(data).map(EventNews::Lost),
        _ => return None,
    })
}
