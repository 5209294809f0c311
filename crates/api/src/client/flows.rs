//! The part of the client that reads what firewalls decided.

use super::server_sent::encoded;
use super::{Answer, Client};
use crate::firewall_report::{FirewallAudit, SuggestionParams, Suggestions};
use crate::flows::{FlowEvent, FlowParams, Flows};

impl Client {
    /// `GET /v1/flows`: asks every host, or those that the parameters name.
    pub async fn flows(&self, params: &FlowParams) -> Answer<Flows> {
        let params = FlowParams {
            follow: false,
            ..params.clone()
        };
        self.get(&path(&params)).await
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
        let path = path(&params);
        self.follow(path, event, take).await
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
        let since = params.since.as_deref().map(encoded);
        let since = since.map(|since| format!("?since={since}"));
        let path = format!(
            "/v1/firewalls/{project}/suggestions{}",
            since.unwrap_or_default()
        );
        self.get(&path).await
    }
}

fn path(params: &FlowParams) -> String {
    let FlowParams {
        host,
        project,
        from,
        to,
        verdict,
        reason,
        rule,
        port,
        protocol,
        since,
        last,
        follow,
    } = params;
    let last = last.map(|last| last.to_string());
    let follow = follow.then(|| "true".to_owned());
    let fields = [
        ("host", host),
        ("project", project),
        ("from", from),
        ("to", to),
        ("verdict", verdict),
        ("reason", reason),
        ("rule", rule),
        ("port", port),
        ("protocol", protocol),
        ("since", since),
        ("last", &last),
        ("follow", &follow),
    ];
    let given = fields
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", encoded(value.as_ref()?))));
    format!("/v1/flows?{}", given.collect::<Vec<_>>().join("&"))
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_query_holds_what_is_given_and_hides_what_would_end_it() {
        let params = FlowParams {
            from: Some("!network/shop/web,fd00::/64".into()),
            rule: Some("a&b".into()),
            last: Some(5),
            ..FlowParams::default()
        };
        assert_eq!(
            path(&params),
            "/v1/flows?from=!network/shop/web,fd00::/64&rule=a%26b&last=5"
        );
    }
}
