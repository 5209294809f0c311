//! Connections that firewalls follow. Each request asks the agents that it is about; who does not answer is in `missing`.

use axum::Json;
use axum::extract::State;
use coax_api::connections::{ConnectionFilter, Connections, Flushed};
use coax_api::question::{HostAnswer, HostQuestion};
use coax_api::{MissingHost, Problem};
use tokio::task::JoinSet;

use super::App;
use super::failure::Failure;
use super::input::Params;
use crate::trace::Hosts;

/// Connections of one host that are told; a filter finds the others.
const MOST: usize = 10_000;

/// Connections that the firewalls of hosts follow
#[utoipa::path(
    get, path = "/v1/connections", tag = "firewall", params(ConnectionFilter),
    responses(
        (status = 200, body = Connections),
        (status = "4XX", body = Problem, content_type = "application/problem+json")
    )
)]
pub async fn connections(
    State(app): State<App>,
    Params(filter): Params<ConnectionFilter>,
) -> Result<Json<Connections>, Failure> {
    let most = MOST;
    let hosts = hosts(&app, &filter)?;
    let question = HostQuestion::Connections { filter, most };
    let mut all = Connections::default();
    for (host, answer) in ask(&app, hosts, &question).await {
        match answer {
            Ok(HostAnswer::Connections {
                connections,
                left_out,
            }) => {
                all.left_out += left_out;
                let named = connections.into_iter().map(|mut connection| {
                    connection.host.clone_from(&host);
                    connection
                });
                all.connections.extend(named);
            }
            other => all.missing.push(missing(host, other)),
        }
    }
    all.connections.sort();
    Ok(Json(all))
}

/// End connections: the next packet of each is judged as if it were the first one
#[utoipa::path(
    delete, path = "/v1/connections", tag = "firewall", params(ConnectionFilter),
    responses(
        (status = 200, body = Flushed),
        (status = "4XX", body = Problem, content_type = "application/problem+json")
    )
)]
pub async fn flush(
    State(app): State<App>,
    Params(filter): Params<ConnectionFilter>,
) -> Result<Json<Flushed>, Failure> {
    let hosts = hosts(&app, &filter)?;
    let question = HostQuestion::EndConnections { filter };
    let mut flushed = Flushed::default();
    for (host, answer) in ask(&app, hosts, &question).await {
        match answer {
            Ok(HostAnswer::Ended { count }) => flushed.ended += count,
            other => flushed.missing.push(missing(host, other)),
        }
    }
    Ok(Json(flushed))
}

/// The hosts that a filter is about.
fn hosts(app: &App, filter: &ConnectionFilter) -> Result<Vec<String>, Failure> {
    let known = app.handle.read().host_views().into_iter();
    let known: Vec<String> = known.map(|host| host.name).collect();
    match &filter.host {
        None => Ok(known),
        Some(host) if known.contains(host) => Ok(vec![host.clone()]),
        Some(host) => Err(Failure::no_such("host", host)),
    }
}

/// Asks all hosts at once.
pub(super) async fn ask(
    app: &App,
    hosts: Vec<String>,
    question: &HostQuestion,
) -> Vec<(String, Result<HostAnswer, String>)> {
    let mut asking = JoinSet::new();
    for host in hosts {
        let (app, question) = (app.clone(), question.clone());
        asking.spawn(async move {
            let answer = Hosts::ask(&app, &host, question).await;
            (host, answer)
        });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by(|(one, _), (other, _)| one.cmp(other));
    answers
}

pub(super) fn missing(host: String, answer: Result<HostAnswer, String>) -> MissingHost {
    let reason = match answer {
        Err(reason) | Ok(HostAnswer::Failed { reason }) => reason,
        Ok(_) => "it answers another question".to_owned(),
    };
    MissingHost { host, reason }
}
