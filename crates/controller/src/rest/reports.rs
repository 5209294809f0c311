//! Counters and drops of all hosts. Each request asks every attached agent; who does not answer is
//! in `missing`.

use axum::extract::State;
use axum::{Extension, Json};
use coax_api::{
    Counters, Drops, HostDrop, HostPortCounters, HostReport, HostRule, HostTable, MissingHost,
    PortReport, Problem,
};
use coax_tables::DropReason;

use super::App;
use super::failure::Failure;
use super::stacks::mismatch;
use crate::core::message::{Answer, Request};
use crate::identity::Caller;

impl App {
    pub(super) async fn reports(&self) -> Result<(Vec<HostReport>, Vec<MissingHost>), Failure> {
        match self.ask(Request::Report).await? {
            Answer::Reports { reports, missing } => Ok((reports, missing)),
            _ => Err(mismatch()),
        }
    }
}

/// What a host reports, port by port; its fabric side is the last.
fn sides(report: HostReport) -> impl Iterator<Item = PortReport> {
    let mut underlay = report.underlay;
    "fabric".clone_into(&mut underlay.port);
    report.ports.into_iter().chain([underlay])
}

/// What a drop reason hints at; nothing for reasons of an agent that is newer.
fn hint(reason: &str) -> &'static str {
    let known = DropReason::ALL.iter().find(|known| known.name() == reason);
    known.map_or("", |known| known.hint())
}

/// Frames that were dropped, by host, port and reason
#[utoipa::path(
    get, path = "/v1/drops", tag = "system",
    responses((status = 200, body = Drops), (status = "4XX", body = Problem, content_type = "application/problem+json"), (status = "5XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn drops(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Drops>, Failure> {
    let (reports, missing) = app.reports().await?;
    let mut drops = Vec::new();
    for report in reports {
        let host = report.host.clone();
        for side in sides(report) {
            let happened = side.drops.into_iter().filter(|drop| drop.count > 0);
            drops.extend(happened.map(|drop| HostDrop {
                host: host.clone(),
                port: side.port.clone(),
                hint: hint(&drop.reason).to_owned(),
                reason: drop.reason,
                count: drop.count,
            }));
        }
    }
    Ok(Json(caller.own_drops(Drops { drops, missing })))
}

/// Counters by host and port, and how full the tables are
#[utoipa::path(
    get, path = "/v1/counters", tag = "system",
    responses((status = 200, body = Counters), (status = "4XX", body = Problem, content_type = "application/problem+json"), (status = "5XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn counters(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Counters>, Failure> {
    let (reports, missing) = app.reports().await?;
    let mut counters = Counters {
        missing,
        ..Counters::default()
    };
    for report in reports {
        let host = report.host.clone();
        counters
            .tables
            .extend(report.tables.iter().cloned().map(|usage| HostTable {
                host: host.clone(),
                usage,
            }));
        let rules = report.rules.iter().cloned();
        counters.rules.extend(rules.map(|hits| HostRule {
            host: host.clone(),
            hits,
        }));
        counters
            .ports
            .extend(sides(report).map(|side| HostPortCounters {
                host: host.clone(),
                counters: side,
            }));
    }
    Ok(Json(caller.own_counters(counters)))
}
