//! Connections that the firewall follows.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::report::MissingHost;

/// Which connections are meant; what is not given is any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ConnectionFilter {
    /// Those that are followed on this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Those of ports of this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Those with this address at either end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// Those with this port at either end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct ConnectionEnd {
    /// Its address.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Its port; the identifier of ICMP echoes; 0 for protocols without ports.
    pub port: u16,
}

/// A connection, as the host of one of its ends follows it. One between two hosts is followed on both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Connection {
    /// The host.
    pub host: String,
    /// Full name of the network of the end that is there.
    pub network: String,
    /// `tcp`, `udp`, `icmp`, or the number of the protocol.
    pub protocol: String,
    /// Who opened it.
    pub from: ConnectionEnd,
    /// The other end.
    pub to: ConnectionEnd,
    /// Where it stands.
    pub state: String,
    /// The rule that admitted it; empty: the default did.
    pub rule: String,
    /// Seconds until it is forgotten if no packet comes.
    pub expires_seconds: u64,
}

/// Which connections a trace means: those that stand between two addresses, whoever opened them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingFilter {
    /// The addresses.
    pub ends: [IpAddr; 2],
    /// Name of the protocol, as in [`Connection`].
    pub protocol: String,
    /// Only the one of these ports, in the order of the addresses.
    #[serde(default)]
    pub ports: Option<[u16; 2]>,
    /// Only those of ports of these networks, by full name; empty: of any. Other projects may use the same addresses.
    #[serde(default)]
    pub networks: Vec<String>,
}

/// A connection that stands, as one host tells the controller for a trace. Not for users: whoever knows its sequence
/// numbers can meddle with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingConnection {
    /// What users see of it.
    #[serde(flatten)]
    pub connection: Connection,
    /// Policy has not changed since it admitted the connection.
    pub current: bool,
    /// The rule that admitted it is not there any more.
    pub rule_is_gone: bool,
    /// It has come from another host with its port, and policy has not judged it on this one yet.
    #[serde(default)]
    pub adopted: bool,
    /// Seconds since its last packet.
    pub idle_seconds: u64,
    /// TCP: the sequence numbers behind the last byte that `from` and `to` have sent, or that the other one has acknowledged.
    pub sent: [u32; 2],
}

/// Connections of all hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Connections {
    /// By host and network.
    pub connections: Vec<Connection>,
    /// How many more there are than are told.
    pub left_out: u64,
    /// Hosts that did not tell.
    pub missing: Vec<MissingHost>,
}

/// Connections that were ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Flushed {
    /// How many, counted on each host that followed them.
    pub ended: u64,
    /// Hosts that did not answer: there, connections go on.
    pub missing: Vec<MissingHost>,
}
