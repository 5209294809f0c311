//! What firewalls decided: flows, and which of them are wanted.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::report::MissingHost;

/// What became of the packets of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FlowVerdict {
    /// Connections were admitted.
    Allow,
    /// Policy refused them, and said nothing to the sender.
    Deny,
    /// Policy refused them, and told the sender.
    Reject,
    /// Policy would have refused them, but only audits.
    Audit,
    /// They were dropped for another reason than policy.
    Drop,
}

impl FlowVerdict {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Allow,
        Self::Deny,
        Self::Reject,
        Self::Audit,
        Self::Drop,
    ];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Reject => "reject",
            Self::Audit => "audit",
            Self::Drop => "drop",
        }
    }
}

/// One end of a flow.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
pub struct FlowEnd {
    /// Its address; nothing: the packets were not IP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// Full name of the port that has the address, or sent the packets; empty: it is not known.
    pub port: String,
    /// Full name of its network; empty: it is not known.
    pub network: String,
}

/// What a firewall decided about packets from one end to a service of the other. One line stands for all connections
/// from any source port: how many there were, and the last of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Flow {
    /// The host that decided. A connection between two hosts is judged on both.
    pub host: String,
    /// The project whose firewall decided, or whose port it was.
    pub project: String,
    /// Full name of the network of the port whose firewall decided.
    pub network: String,
    /// What became of it.
    pub verdict: FlowVerdict,
    /// Why packets were dropped; empty when they passed.
    pub reason: String,
    /// Full name of the rule that decided; empty: none matched, or it was not for a rule.
    pub rule: String,
    /// Who opened the connections.
    pub from: FlowEnd,
    /// To whom.
    pub to: FlowEnd,
    /// `tcp`, `udp`, `icmp`, or the number of the protocol.
    pub protocol: String,
    /// Port of the service; ICMP: 256 times the type, plus the code; 0 for protocols without ports.
    pub port: u16,
    /// Source port of the last one.
    pub source_port: u16,
    /// Connections that were admitted, or packets that were refused.
    pub times: u64,
    /// Bytes of the packets that were decided about; those of an admitted connection that followed are not in it.
    pub bytes: u64,
    /// The first of them, in milliseconds since 1970.
    pub first: u64,
    /// The last of them, in milliseconds since 1970.
    pub last: u64,
}

/// Flows of all hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Flows {
    /// The longest ago first.
    pub flows: Vec<Flow>,
    /// How many more there are than are told.
    pub left_out: u64,
    /// Decisions that hosts could not note since their agents started, because there were too many at once.
    pub lost: u64,
    /// Hosts that did not tell.
    pub missing: Vec<MissingHost>,
}

/// Which flows a request is about. Values are separated by commas; one with `!` in front is not wanted. What is not
/// given is any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FlowParams {
    /// Names of hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Names of projects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Who opens connections: full names of ports, `network/PROJECT/NAME`, `group/PROJECT/NAME`, addresses, prefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// To whom, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `allow`, `deny`, `reject`, `audit`, `drop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Names of drop reasons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Full names of rules; `default` where none matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Ports of services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// `tcp`, `udp`, `icmp`, or numbers of protocols.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Only what happened in the last `30s`, `5m`, `2h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Only the last so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<usize>,
    /// Go on with what happens from now on, as server-sent events `flow`, `lost` and `missing`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
}

/// Decisions that a host could not note while somebody followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LostFlows {
    /// The host.
    pub host: String,
    /// How many, at least.
    pub lost: u64,
}

/// What somebody who follows is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlowEvent {
    /// A flow began, or went on.
    Flow(Box<Flow>),
    /// A host could not note everything.
    Lost(LostFlows),
    /// A host tells nothing at present.
    Missing(MissingHost),
}

/// Values that are wanted, and values that are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice<T> {
    /// One of these; any, if there are none.
    pub only: Vec<T>,
    /// None of these.
    pub not: Vec<T>,
}

impl<T> Default for Choice<T> {
    fn default() -> Self {
        Self {
            only: Vec::new(),
            not: Vec::new(),
        }
    }
}

impl<T> Choice<T> {
    /// Whether what `is` says of values is wanted.
    pub fn takes(&self, is: impl Fn(&T) -> bool) -> bool {
        (self.only.is_empty() || self.only.iter().any(&is)) && !self.not.iter().any(is)
    }
}

/// Which ends of flows are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub enum FlowPlace {
    /// The port with this full name.
    Port(String),
    /// Ports of the network with this full name.
    Network(String),
    /// Addresses of this prefix.
    Prefix(String),
}

/// Which flows are meant, as agents are asked: [`FlowParams`] with every name looked up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowFilter {
    /// Names of projects.
    pub project: Choice<String>,
    /// Who opens connections.
    pub from: Choice<FlowPlace>,
    /// To whom.
    pub to: Choice<FlowPlace>,
    /// What became of them.
    pub verdict: Choice<FlowVerdict>,
    /// Names of drop reasons.
    pub reason: Choice<String>,
    /// Full names of rules; empty: none matched.
    pub rule: Choice<String>,
    /// Ports of services.
    pub port: Choice<u16>,
    /// Names of protocols.
    pub protocol: Choice<String>,
    /// Nothing that was over before this moment, in milliseconds since 1970.
    pub since: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_wanted_counts_more_than_what_is() {
        let takes = |only: &[u16], not: &[u16], value: u16| {
            let choice = Choice {
                only: only.to_vec(),
                not: not.to_vec(),
            };
            choice.takes(|one| *one == value)
        };
        assert!(takes(&[], &[], 443));
        assert!(takes(&[80, 443], &[], 443));
        assert!(!takes(&[80], &[], 443));
        assert!(!takes(&[], &[443], 443));
        assert!(takes(&[], &[443], 80));
        assert!(!takes(&[443], &[443], 443));
    }
}
