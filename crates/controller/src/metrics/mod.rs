//! `/metrics`: what the controller counts itself, what it knows of hosts, and what hosts report when
//! they are asked. A scrape asks every attached host once, and a host that does not answer is missing by name in
//! `coax_host_report_missing`. So one address is scraped for the whole deployment, and no host listens for anybody.
//!
//! | module | holds |
//! | --- | --- |
//! | `table` | every name with its labels and what it says; docs/reference/metrics.md is made from it |
//! | `facts` | what the core knows at one moment |
//! | `hosts` | what hosts reported |

mod facts;
mod hosts;
pub mod table;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::sync::atomic::AtomicU64;

use coax_api::{HostReport, MissingHost};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge as AnyGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

pub use facts::{Checks, Facts};

/// Labels of [`Metrics::requests`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The path as it is documented, without names.
    pub route: String,
    /// GET, PUT, …; `other` for what no route has.
    pub method: &'static str,
    /// The status of the answer.
    pub code: u16,
}

/// How something ended that may be refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// In one word.
    pub outcome: &'static str,
}

/// A host, where that is all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfHost {
    host: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    state: &'static str,
}

type Gauge = AnyGauge<u64, AtomicU64>;
type MakeHistogram = fn() -> Histogram;

/// What the controller counts while it runs.
pub struct Metrics {
    registry: Registry,
    /// How long commits took, in seconds.
    pub commit: Histogram,
    /// How long requests took, in seconds.
    pub requests: Family<RequestLabels, Histogram, MakeHistogram>,
    /// Machines that wanted to become hosts.
    pub joins: Outcomes,
    /// Machines that wanted to become controllers.
    pub controller_joins: Outcomes,
    /// Authorities that count.
    pub authorities: Gauge,
    /// When the certificate of the newest ends whose key is here.
    pub authority_end: Gauge,
    /// Connections and calls of agents that were refused.
    pub agents_refused: Outcomes,
    /// Requests and connections of users that were refused.
    pub api_refused: Outcomes,
    /// What became of the checks at the last revision for which somebody asked.
    checks: std::sync::Mutex<Option<(u64, Checks)>>,
}

fn durations() -> Histogram {
    // 100 us to 13 s.
    Histogram::new(exponential_buckets(0.0001, 2.0, 18))
}

/// Registers a metric under a name of [`table::TABLE`], with the text that stands there.
fn register(registry: &mut Registry, name: &'static str, metric: impl Metric) {
    registry.register(name, table::help(name), metric);
}

fn registry() -> Registry {
    Registry::with_prefix(table::PREFIX)
}

/// What is counted by its outcome.
pub type Outcomes = Family<OutcomeLabels, Counter>;

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let mut registry = registry();
        let commit = durations();
        register(
            &mut registry,
            "store_commit_duration_seconds",
            commit.clone(),
        );
        let requests = Family::new_with_constructor(durations as MakeHistogram);
        register(
            &mut registry,
            "api_request_duration_seconds",
            requests.clone(),
        );
        let joins = Family::default();
        register(&mut registry, "joins", joins.clone());
        let controller_joins = Family::default();
        register(&mut registry, "controller_joins", controller_joins.clone());
        let authorities = Gauge::default();
        register(&mut registry, "authorities", authorities.clone());
        let authority_end = Gauge::default();
        let name = "authority_end_timestamp_seconds";
        register(&mut registry, name, authority_end.clone());
        let agents_refused = Family::default();
        register(&mut registry, "agents_refused", agents_refused.clone());
        let api_refused = Family::default();
        register(&mut registry, "api_refused", api_refused.clone());
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        register(&mut registry, "build", build);
        Self {
            registry,
            commit,
            requests,
            joins,
            controller_joins,
            authorities,
            authority_end,
            agents_refused,
            api_refused,
            checks: std::sync::Mutex::default(),
        }
    }

    /// The checks as they were counted at a revision, if it was that one. Proving them all takes a while, and without a
    /// change they are what they were.
    pub fn checks_at(&self, revision: u64) -> Option<Checks> {
        let checks = self.checks.lock().ok()?;
        (*checks)
            .filter(|(at, _)| *at == revision)
            .map(|(_, checks)| checks)
    }

    /// Remembers what became of the checks at a revision.
    pub fn remember_checks(&self, revision: u64, counted: Checks) {
        if let Ok(mut checks) = self.checks.lock() {
            *checks = Some((revision, counted));
        }
    }

    /// Everything as OpenMetrics text.
    pub fn text(
        &self,
        facts: &Facts,
        checks: Checks,
        reports: &[HostReport],
        missing: &[MissingHost],
    ) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &facts.registry(checks))?;
        encode_registry(&mut text, &hosts::registry_of(reports, missing, facts))?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}
