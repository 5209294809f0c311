//! `coax trace`: what a user asks, and the answer.
//!
//! Invariant: `summary` is one sentence that names the cause by itself; everything below it is proof.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of packet is traced: `tcp/443`, `udp/53` or `icmp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// The first segment of a connection to this TCP port.
    Tcp(u16),
    /// A datagram to this UDP port.
    Udp(u16),
    /// An echo request, of the ICMP of the packet's family.
    Icmp,
}

/// A text that names no kind of packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no kind of packet")]
pub struct TrafficError {
    /// What was written.
    pub text: String,
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(port) => write!(f, "tcp/{port}"),
            Self::Udp(port) => write!(f, "udp/{port}"),
            Self::Icmp => f.write_str("icmp"),
        }
    }
}

impl FromStr for Traffic {
    type Err = TrafficError;

    fn from_str(text: &str) -> Result<Self, TrafficError> {
        let wrong = || TrafficError {
            text: text.to_owned(),
        };
        if text == "icmp" {
            return Ok(Self::Icmp);
        }
        let (protocol, port) = text.split_once('/').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        match protocol {
            "tcp" => Ok(Self::Tcp(port)),
            "udp" => Ok(Self::Udp(port)),
            _ => Err(wrong()),
        }
    }
}

/// Body of `POST /v1/traces`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceRequest {
    /// The port that sends: its name, `project/name`, or one of its IP addresses.
    pub from: String,
    /// Who is to get it: a port like `from`, or any IP address.
    pub to: String,
    /// Kind of packet: `tcp/443`, `udp/53` or `icmp` (the default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<String>,
    /// The project of names that stand alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// `ipv4` or `ipv6`, for ends that have addresses of both; IPv4 by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Source port: with it, the trace is about the connection of these ends that stands, if there is one, and `from` may be
    /// either of them; without it, about a new connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_port: Option<u16>,
    /// Flags of the TCP segment, such as `syn` or `rst,ack`; those that fit by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<String>,
    /// Bytes of the IP packet; as small as it can be by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    /// Also send the packet for real and compare what the hosts' counters say.
    #[serde(default)]
    pub inject: bool,
}

/// How a traced packet ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TraceVerdict {
    /// It reaches whom it is meant for, and the answer comes back.
    Delivered,
    /// It, or its answer, does not arrive.
    Lost,
    /// It cannot be followed to its end.
    #[default]
    Unknown,
}

/// The answer to a trace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trace {
    /// What happens and why, in one sentence.
    pub summary: String,
    /// How it ends.
    pub verdict: TraceVerdict,
    /// Stable name of the cause, known to `coax explain`; empty if the packet is delivered.
    pub cause: String,
    /// Full name of the sending port.
    pub from: String,
    /// Full name of the receiving port, or the address if it is no port's.
    pub to: String,
    /// Kind of packet.
    pub traffic: String,
    /// What the packet belongs to: a new connection, or one that stands, since when, and which rule admitted it.
    pub about: String,
    /// Sender's and receiver's IP address.
    pub addresses: Vec<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// The smallest firewall rule that would let the packet pass, as a line of the stack file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
    /// What else is worth knowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The vSwitches that the packet passes, in order, then those of the answer.
    pub hops: Vec<TraceHop>,
    /// What became of the packet that was really sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub injected: Option<Injected>,
}

/// What a hop is part of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TraceLeg {
    /// The sender asks for the next hop's MAC address.
    Resolution,
    /// The packet itself.
    #[default]
    Packet,
    /// The receiver asks for the MAC address that its answer goes to.
    AnswerResolution,
    /// The answer to the packet.
    Answer,
}

/// One vSwitch on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TraceHop {
    /// What it is part of.
    pub leg: TraceLeg,
    /// The host.
    pub host: String,
    /// Device by which the frame enters.
    pub device: String,
    /// The port that it enters by; empty when it comes out of the fabric.
    pub port: String,
    /// What becomes of it here, in words.
    pub outcome: String,
    /// The stages that it enters.
    pub stages: Vec<TraceStage>,
    /// The way to the next host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub underlay: Option<TracePath>,
}

/// One stage of a vSwitch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TraceStage {
    /// Its name.
    pub stage: String,
    /// What was looked up there.
    pub rows: Vec<TraceRow>,
}

/// One look into a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TraceRow {
    /// The table; `routes` is the host's own.
    pub table: String,
    /// Whether something was there.
    pub found: bool,
    /// What it says, with names.
    pub text: String,
}

/// A way through the fabric.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TracePath {
    /// The own tunnel endpoint.
    pub from: String,
    /// The other one.
    pub to: String,
    /// The next host, if a host has that endpoint.
    pub host: String,
    /// The uplink.
    pub device: String,
    /// The next hop.
    pub next_hop: String,
    /// Largest packet that the uplink takes, in bytes.
    pub mtu: u32,
    /// Bytes of the tunnel packet.
    pub length: u32,
    /// UDP source port, which chooses among equal-cost paths.
    pub source_port: u16,
    /// Whether a packet sent on this very path arrived at the next host; nothing if none was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probed: Option<bool>,
}

/// What became of a packet that was really sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Injected {
    /// How many were sent.
    pub packets: u32,
    /// Whether counters and trace say the same.
    pub agrees: bool,
    /// What the counters of the hosts say, one line each.
    pub observed: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_read_as_it_is_written() {
        for text in ["tcp/443", "udp/53", "icmp"] {
            assert_eq!(
                text.parse::<Traffic>().map(|it| it.to_string()),
                Ok(text.into())
            );
        }
        for text in ["", "tcp", "tcp/", "tcp/65536", "udp/-1", "sctp/5", "TCP/1"] {
            assert!(text.parse::<Traffic>().is_err(), "{text}");
        }
    }
}
