//! The part of the client that is told what happens.

use super::{Answer, Client, query};
use crate::event::{EventNews, EventParams, Events};

/// Where they are.
const EVENTS: &str = "/v1/events";

impl Client {
    /// `GET /v1/events`: what happened lately.
    pub async fn events(&self, params: &EventParams) -> Answer<Events> {
        let params = EventParams {
            follow: false,
            ..params.clone()
        };
        self.get(&query::path(EVENTS, &params)).await
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
        self.follow(query::path(EVENTS, &params), news, take).await
    }
}

fn news(name: &str, data: &[u8]) -> Option<Result<EventNews, serde_json::Error>> {
    Some(match name {
        "message" => serde_json::from_slice(data).map(|event| EventNews::Event(Box::new(event))),
        "lost" => serde_json::from_slice(data).map(EventNews::Lost),
        _ => return None,
    })
}
