//! The part of the client that reads what firewalls decided.

use super::{Answer, Client, ClientError};
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
        mut take: impl FnMut(FlowEvent) -> bool,
    ) -> Answer<()> {
        let params = FlowParams {
            follow: true,
            ..params.clone()
        };
        let path = path(&params);
        let mut events = Events::default();
        let mut wrong = None;
        let stream = self.stream(&path, |piece| {
            events.take(piece, |event| match event {
                Ok(event) => take(event),
                Err(error) => {
                    wrong = Some(error);
                    false
                }
            })
        });
        stream.await?;
        match wrong {
            Some(source) => Err(ClientError::Unexpected {
                endpoint: self.endpoint().clone(),
                path,
                source,
            }),
            None => Ok(()),
        }
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

/// A value in a query, RFC 3986 section 3.4.
fn encoded(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:!,".contains(&byte);
    let bytes = value.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    bytes.collect()
}

/// Server-sent events, as far as the controller sends them: a name and one line of data each.
#[derive(Default)]
struct Events {
    /// A line whose end has not come yet.
    line: Vec<u8>,
    name: String,
}

impl Events {
    /// Takes a piece of the stream; false when `take` wants no more.
    fn take(
        &mut self,
        piece: &[u8],
        mut take: impl FnMut(Result<FlowEvent, serde_json::Error>) -> bool,
    ) -> bool {
        for byte in piece {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if let Some(name) = line.strip_prefix(b"event: ") {
                self.name = String::from_utf8_lossy(name).into_owned();
            } else if let Some(data) = line.strip_prefix(b"data: ")
                && let Some(event) = event(&self.name, data)
                && !take(event)
            {
                return false;
            }
        }
        true
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::flows::LostFlows;

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

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text = b": keep\n\nevent: lost\ndata: {\"host\":\"hv1\",\"lost\":3}\n\n\
                     event: news\ndata: {}\n\nevent: missing\r\ndata: {\"host\":\"hv2\",\"reason\":\"gone\"}\r\n\r\n";
        for size in 1..text.len() {
            let mut events = Events::default();
            let mut seen = Vec::new();
            for piece in text.chunks(size) {
                assert!(events.take(piece, |event| {
                    seen.push(event.unwrap());
                    true
                }));
            }
            let lost = LostFlows {
                host: "hv1".into(),
                lost: 3,
            };
            assert_eq!(seen.len(), 2, "{size}");
            assert_eq!(seen[0], FlowEvent::Lost(lost));
            assert!(matches!(&seen[1], FlowEvent::Missing(host) if host.host == "hv2"));
        }
    }
}
