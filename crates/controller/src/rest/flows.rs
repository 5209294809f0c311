//! What firewalls decided. A request asks the agents that it is about; whoever follows is told what each of them notes, as
//! long as it reads.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use coax_api::Problem;
use coax_api::flows::{Flow, FlowFilter, FlowParams, Flows, LostFlows};
use coax_api::question::{HostAnswer, HostQuestion};
use serde::Serialize;

use super::App;
use super::connections::{ask, missing};
use super::failure::Failure;
use super::flow_filter;
use super::input::Params;
use super::sse::{Events, Reader};
use crate::core::Listing;
use crate::trace::Hosts;

/// Flows of one host that are told if the request does not say.
const MOST: usize = 1000;
/// Events that wait for a slow reader; then the agents keep what they can, and count the rest.
const EVENTS: usize = 256;
/// A host that does not answer is asked again after this time, and new hosts are looked for.
const AGAIN: Duration = Duration::from_secs(2);

/// What firewalls decided lately, or decide from now on
#[utoipa::path(
    get, path = "/v1/flows", tag = "firewall", params(FlowParams),
    responses(
        (status = 200, content((Flows = "application/json"), (String = "text/event-stream"))),
        (status = "4XX", body = Problem, content_type = "application/problem+json")
    )
)]
pub async fn flows(
    State(app): State<App>,
    reader: Reader,
    Params(params): Params<FlowParams>,
) -> Result<Response, Failure> {
    let (hosts, filter) = {
        let core = app.handle.read();
        let filter = flow_filter::filter(&Listing::single(&core), &params)?;
        (flow_filter::hosts(&core, &params)?, filter)
    };
    if params.follow {
        let (events, response) = reader.answer(EVENTS);
        tokio::spawn(follow(app, params, hosts, filter, events));
        return Ok(response);
    }
    let most = params.last.unwrap_or(MOST);
    Ok(Json(collect(&app, hosts, filter, most).await).into_response())
}

/// The newest flows of hosts.
pub(super) async fn collect(
    app: &App,
    hosts: Vec<String>,
    filter: FlowFilter,
    most: usize,
) -> Flows {
    let question = HostQuestion::Flows {
        reader: 0,
        filter: Box::new(filter),
        most,
    };
    let mut all = Flows::default();
    for (host, answer) in ask(app, hosts, &question).await {
        match answer {
            Ok(HostAnswer::Flows {
                flows,
                left_out,
                lost,
            }) => {
                all.flows.extend(at(&host, flows));
                all.left_out += left_out;
                all.lost += lost;
            }
            other => all.missing.push(missing(host, other)),
        }
    }
    all.flows.sort_by_key(|flow| flow.last);
    let too_many = all.flows.len().saturating_sub(most);
    all.flows.drain(..too_many);
    all.left_out += too_many as u64;
    all
}

fn at(host: &str, flows: Vec<Flow>) -> impl Iterator<Item = Flow> {
    flows.into_iter().map(move |flow| Flow {
        host: host.to_owned(),
        ..flow
    })
}

/// Tells what each of the hosts notes, until the reader goes.
async fn follow(
    app: App,
    params: FlowParams,
    mut hosts: Vec<String>,
    filter: FlowFilter,
    events: Events,
) {
    let mut followed = BTreeSet::new();
    let mut last = params.last.unwrap_or_default();
    if params.since.is_some() && params.last.is_none() {
        last = MOST;
    }
    loop {
        for host in hosts {
            if followed.insert(host.clone()) {
                let host = Followed {
                    app: app.clone(),
                    host,
                    filter: filter.clone(),
                    last,
                };
                tokio::spawn(host.tell(events.clone()));
            }
        }
        tokio::select! {
            () = events.closed() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
        hosts = flow_filter::hosts(&app.handle.read(), &params).unwrap_or_default();
    }
}

/// One host whose flows are followed.
struct Followed {
    app: App,
    host: String,
    filter: FlowFilter,
    /// Flows from before that are told first.
    last: usize,
}

impl Followed {
    async fn tell(mut self, events: Events) {
        let reader = u64::from_be_bytes(self.app.marker()) | 1;
        let mut silent = false;
        while !events.is_closed() {
            let question = HostQuestion::Flows {
                reader,
                filter: Box::new(self.filter.clone()),
                most: std::mem::take(&mut self.last),
            };
            let told = match Hosts::ask(&self.app, &self.host, question).await {
                Ok(HostAnswer::Flows { flows, lost, .. }) => {
                    silent = false;
                    self.hand_on(flows, lost, &events).await
                }
                other => {
                    let told = match std::mem::replace(&mut silent, true) {
                        true => Some(()),
                        false => send(&events, "missing", &missing(self.host.clone(), other)).await,
                    };
                    tokio::time::sleep(AGAIN).await;
                    told
                }
            };
            if told.is_none() {
                return;
            }
        }
    }

    /// Nothing: the reader is gone.
    async fn hand_on(&self, flows: Vec<Flow>, lost: u64, events: &Events) -> Option<()> {
        if lost > 0 {
            let host = self.host.clone();
            send(events, "lost", &LostFlows { host, lost }).await?;
        }
        for flow in at(&self.host, flows) {
            send(events, "flow", &flow).await?;
        }
        Some(())
    }
}

async fn send(events: &Events, name: &str, value: &impl Serialize) -> Option<()> {
    events.tell(Event::default().event(name), value).await
}
