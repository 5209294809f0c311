//! What flows, counters and classes say about the rules of a project.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{Path, State};
use coax_api::flows::{Choice, FlowFilter, FlowVerdict, Flows};
use coax_api::{FirewallAudit, HostReport, IdleRule, Problem, SuggestionParams, Suggestions};
use coax_compile::policy::{Domain, Idle, Label, Limits, Place, Policy};
use coax_model::Name;
use coax_tables::DomainId;

use super::App;
use super::failure::Failure;
use super::flow_filter;
use super::flows::collect;
use super::input::{Params, name};
use crate::core::Listing;
use crate::suggest::suggest;

/// Flows of one host that are looked at.
const MOST: usize = 4096;

impl App {
    /// Flows of a project that ended so, on all hosts.
    async fn flows_of(&self, project: &Name, verdicts: &[FlowVerdict], since: u64) -> Flows {
        let filter = FlowFilter {
            project: Choice {
                only: vec![project.to_string()],
                not: Vec::new(),
            },
            verdict: Choice {
                only: verdicts.to_vec(),
                not: Vec::new(),
            },
            since,
            ..FlowFilter::default()
        };
        let hosts = self.handle.read().host_views().into_iter();
        let hosts = hosts.map(|host| host.name).collect();
        collect(self, hosts, filter, MOST).await
    }
}

/// The project of a path, if anything judges its connections.
fn judged(app: &App, project: &str) -> Result<Name, Failure> {
    let parsed: Name = name("project", project)?;
    let core = app.handle.read();
    let known = Listing::single(&core).firewall_named(&parsed).is_some();
    known
        .then_some(parsed)
        .ok_or_else(|| Failure::no_such("firewall", project))
}

/// What audit mode would refuse, rules that decided nothing, and rules that never can
#[utoipa::path(
    get, path = "/v1/firewalls/{project}/audit", tag = "firewall",
    params(("project" = String, Path, description = "The project")),
    responses(
        (status = 200, body = FirewallAudit),
        (status = "4XX", body = Problem, content_type = "application/problem+json")
    )
)]
pub async fn audit(
    State(app): State<App>,
    Path(project): Path<String>,
) -> Result<Json<FirewallAudit>, Failure> {
    let project = judged(&app, &project)?;
    let flows = app.flows_of(&project, &[FlowVerdict::Audit], 0).await;
    let (reports, missing) = app.reports().await?;
    let (rules, policy) = {
        let core = app.handle.read();
        let listing = Listing::single(&core);
        let rules = listing.firewall_rules(Some(&project)).into_iter();
        let rules: Vec<String> = rules.map(|rule| rule.id).collect();
        (rules, listing.policy(&project))
    };
    let mut why = policy.map_or_else(BTreeMap::new, |(policy, scopes)| idle(&policy, scopes));
    let hit = hits(&reports, &project);
    let never_hit = rules.iter().filter(|rule| !hit.contains(rule.as_str()));
    Ok(Json(FirewallAudit {
        never_hit: never_hit.cloned().collect(),
        idle: rules
            .iter()
            .filter_map(|rule| {
                let why = why.remove(rule.as_str())?;
                let rule = rule.clone();
                Some(IdleRule {
                    rule,
                    shadowed_by: why,
                })
            })
            .collect(),
        project: project.to_string(),
        would_refuse: flows.flows,
        lost: flows.lost,
        missing,
    }))
}

/// Rules that decided something on some host.
fn hits<'a>(reports: &'a [HostReport], project: &Name) -> BTreeSet<&'a str> {
    let rules = reports.iter().flat_map(|report| &report.rules);
    rules
        .filter(|hits| hits.project == project.as_str() && hits.hits > 0)
        .map(|hits| hits.rule.as_str())
        .collect()
}

/// Rules that never can decide, with those that decide in their place.
fn idle(policy: &Policy, scopes: BTreeSet<u32>) -> BTreeMap<Label, Vec<String>> {
    let place = Place {
        domain: DomainId(1),
        table: 1,
        generation: 1,
        scopes,
        limits: Limits::DEFAULT,
    };
    // A policy that no host can take is told as a problem of each; what is in vain in it is not known.
    let Ok((domain, _)) = Domain::compile(place, policy, &mut |_| 0) else {
        return BTreeMap::new();
    };
    let idle = domain.idle_rules().into_iter();
    idle.map(|(rule, why)| match why {
        Idle::Nobody => (rule, Vec::new()),
        Idle::Shadowed(by) => (rule, by.iter().map(ToString::to_string).collect()),
    })
    .collect()
}

/// Rules that would admit what a project's default refuses, made of what hosts have seen
#[utoipa::path(
    get, path = "/v1/firewalls/{project}/suggestions", tag = "firewall",
    params(("project" = String, Path, description = "The project"), SuggestionParams),
    responses(
        (status = 200, body = Suggestions),
        (status = "4XX", body = Problem, content_type = "application/problem+json")
    )
)]
pub async fn suggestions(
    State(app): State<App>,
    Path(project): Path<String>,
    Params(params): Params<SuggestionParams>,
) -> Result<Json<Suggestions>, Failure> {
    let project = judged(&app, &project)?;
    let since = flow_filter::moment(params.since.as_deref())?;
    let refused = [FlowVerdict::Audit, FlowVerdict::Deny, FlowVerdict::Reject];
    let flows = app.flows_of(&project, &refused, since).await;
    let (groups, taken) = {
        let core = app.handle.read();
        let listing = Listing::single(&core);
        let rules = listing.firewall_rules(Some(&project)).into_iter();
        let taken = rules.map(|rule| rule.name).collect();
        (listing.groups(Some(&project)), taken)
    };
    let (rules, count, closed) = suggest(project.as_str(), flows.flows, &groups, &taken);
    Ok(Json(Suggestions {
        project: project.to_string(),
        rules,
        flows: count,
        closed,
        lost: flows.lost,
        missing: flows.missing,
    }))
}
