//! The part of the client that reads what firewalls decided.

use super::{Answer, Client, query};
use crate::firewall_report::{FirewallAudit, SuggestionParams, Suggestions};
use crate::flows::{FlowEvent, FlowParams, Flows};

/// Where they are.
const FLOWS: &str = "/v1/flows";

impl Client {
    /// `GET /v1/flows`: asks every host, or those that the parameters name.
    pub async fn flows(&self, params: &FlowParams) -> Answer<Flows> {
        let params = FlowParams {
            follow: false,
            ..params.clone()
        };
        self.get(&query::path(FLOWS, &params)).await
    }

    /// `GET /v1/flows?follow=true`: what is decided from now on, until `take` wants no more or the controller ends it.
    pub async fn follow_flows(
        &self,
        params: &FlowParams,
        take: impl FnMut(FlowEvent) -> bool,
    ) -> Answer<()> {
        let params = FlowParams {
            follow: true,
            ..params.clone()
        };
        self.follow(query::path(FLOWS, &params), event, take).await
    }
}

impl Client {
    /// `GET /v1/firewalls/{project}/audit`: what the firewall does in vain, and what it would refuse.
    pub async fn firewall_audit(&self, project: &str) -> Answer<FirewallAudit> {
        self.get(&format!("/v1/firewalls/{project}/audit")).await
    }

    /// `GET /v1/firewalls/{project}/suggestions`: rules that would admit what the default refuses.
    pub async fn suggested_rules(
        &self,
        project: &str,
        params: &SuggestionParams,
    ) -> Answer<Suggestions> {
        let path = format!("/v1/firewalls/{project}/suggestions");
        self.get(&query::path(&path, params)).await
    }
}

/// Nothing: an event that a newer controller sends.
fn event(name: &str, data: &[u8]) -> Option<Result<FlowEvent, serde_json::Error>> {
    Some(match name {
        "flow" => serde_json::from_slice(data).map(|flow| FlowEvent::Flow(Box::new(flow))),
        "lost" => serde_json::from_slice(data).map(FlowEvent::Lost),
        "missing" => serde_json::from_slice(data).map(FlowEvent::Missing),
        _ => return None,
    })
}
