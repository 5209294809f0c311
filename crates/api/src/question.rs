//! What the controller asks one agent while it follows a packet, and the answers. They travel as JSON
//! inside of [`Question`](crate::agent::Question) and [`Reply`](crate::agent::Reply).

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::connections::{Connection, ConnectionFilter, StandingConnection, StandingFilter};
use crate::finding::{Ends, Examination, PathProbe};
use crate::flows::{Flow, FlowFilter};
use crate::trace::{TracePath, TraceStage};

/// A packet as it travels in a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hexadecimal(#[serde(with = "crate::hex")] pub Vec<u8>);

/// A frame that enters a vSwitch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entering {
    /// Full name of the port whose VM sends it; nothing: it comes by an uplink.
    pub port: Option<String>,
    /// The frame.
    #[serde(with = "crate::hex")]
    pub frame: Vec<u8>,
}

/// What an agent is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum HostQuestion {
    /// Play frames on the rows of the kernel's tables and the host's routes, and tell of the last one.
    /// Those before it leave what they leave behind (connections).
    Run {
        /// The frames.
        frames: Vec<Entering>,
    },
    /// Watch the uplinks for packets that hold these bytes.
    Watch {
        /// What they hold.
        markers: Vec<[u8; 8]>,
        /// For at most so long.
        milliseconds: u64,
    },
    /// Send packets by an uplink as they are, three times.
    Send {
        /// Name of the uplink.
        device: String,
        /// The packets.
        packets: Vec<Hexadecimal>,
        /// After so long, when others watch.
        milliseconds: u64,
    },
    /// Make the kernel find out the MAC address of the next hop towards a tunnel endpoint.
    Resolve {
        /// The own tunnel endpoint.
        from: IpAddr,
        /// The other one.
        to: IpAddr,
    },
    /// Read the counters of the fabric side and of these ports.
    Count {
        /// Full names.
        ports: Vec<String>,
    },
    /// What passed by a port's device since this reader asked last; waits a moment for something to pass.
    Capture {
        /// Tells readers apart.
        reader: u64,
        /// The port.
        port: String,
    },
    /// Which connections the firewall follows.
    Connections {
        /// Those.
        filter: ConnectionFilter,
        /// Not more than so many.
        most: usize,
    },
    /// Which connections stand between two addresses.
    Standing(StandingFilter),
    /// End connections: the next packet of each is judged as if it were the first one.
    EndConnections {
        /// Those.
        filter: ConnectionFilter,
    },
    /// What the firewall decided: the newest flows, or, when the same reader asks again, those that were new or went on
    /// since; then the answer waits a moment for one.
    Flows {
        /// Tells readers apart; 0: one that will not ask again.
        reader: u64,
        /// Those.
        filter: Box<FlowFilter>,
        /// Not more than so many.
        most: usize,
    },
    /// Look for what is wrong with the host.
    Examine {
        /// Ways to other hosts.
        ways: Vec<Ends>,
        /// Bytes of the largest tunnel packet, from its IP header on.
        needed: u32,
    },
    /// Send packets to other hosts as the vSwitch would send them, three times.
    Probe {
        /// The packets.
        probes: Vec<PathProbe>,
        /// After so long, when others watch.
        milliseconds: u64,
    },
    /// Let a frame enter the vSwitch as if a port's VM had sent it.
    Inject {
        /// The port.
        port: String,
        /// The frame.
        #[serde(with = "crate::hex")]
        frame: Vec<u8>,
        /// How often.
        times: u32,
    },
}

/// What an agent answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum HostAnswer {
    /// To `Run`.
    Ran(Box<HostRun>),
    /// To `Watch`: for each marker whether a packet with it came.
    Watched {
        /// In the order of the markers.
        seen: Vec<bool>,
    },
    /// To `Count`: the fabric side, then the ports that are here.
    Counted {
        /// One for each side.
        sides: Vec<SideCounters>,
    },
    /// To `Capture`.
    Captured {
        /// Frames, in the order in which they passed.
        frames: Vec<CapturedFrame>,
        /// Frames that passed and are not told: nobody read them in time.
        lost: u64,
    },
    /// To `Connections`.
    Connections {
        /// Connections.
        connections: Vec<Connection>,
        /// How many more there are.
        left_out: u64,
    },
    /// To `Standing`: those with the latest packets first, and not all if there are very many.
    Standing {
        /// Connections.
        connections: Vec<StandingConnection>,
        /// How many more there are.
        #[serde(default)]
        left_out: u64,
    },
    /// To `EndConnections`.
    Ended {
        /// How many there were.
        count: u64,
    },
    /// To `Flows`.
    Flows {
        /// The longest ago first.
        flows: Vec<Flow>,
        /// How many more there are.
        left_out: u64,
        /// Decisions that could not be noted since the reader asked last; for one that will not ask again,
        /// since the agent started.
        lost: u64,
    },
    /// To `Examine`.
    Examined(Box<Examination>),
    /// To `Send`, `Probe`, `Resolve` and `Inject`.
    Sent,
    /// It cannot be done.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A frame that passed by a port's device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedFrame {
    /// When, since 1970.
    pub nanoseconds: u64,
    /// It went to the VM; otherwise it came from it.
    pub to_vm: bool,
    /// The frame.
    #[serde(with = "crate::hex")]
    pub bytes: Vec<u8>,
    /// What the vSwitch does with it, in words.
    pub comment: String,
}

/// Counters of a port or of the fabric side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideCounters {
    /// Full name of the port; `fabric` for the fabric side.
    pub name: String,
    /// Frames that came in.
    pub received: u64,
    /// Frames that went out.
    pub sent: u64,
    /// Frames that were dropped, by reason.
    pub drops: BTreeMap<String, u64>,
}

/// Why a frame does not even meet the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum HostFault {
    /// No device on the host claims to be the port.
    NoDevice,
    /// The device is switched off or nothing is plugged in.
    DeviceDown {
        /// The device.
        device: String,
    },
    /// No program of the vSwitch is on the device.
    NoProgram {
        /// The device.
        device: String,
    },
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostVerdict {
    /// Dropped for `HostRun::reason`.
    #[default]
    Drop,
    /// Handed to a port.
    Deliver,
    /// Sent in a tunnel.
    Send,
    /// As `Send`, but the next hop's MAC address is not known.
    SendUnresolved,
    /// Turned into an answer to its sender.
    Answer,
    /// Copies went to all receivers.
    Flood,
    /// Left to the host's own stack.
    Pass,
    /// Handed to the agent.
    Punt,
}

/// A tunnel packet that leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelPacket {
    /// The packet.
    #[serde(with = "crate::hex")]
    pub packet: Vec<u8>,
    /// Its way.
    pub path: TracePath,
}

/// The rule that decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecidingRule {
    /// Its full name; empty: no rule matched.
    pub name: String,
    /// True for an operator's rule, which no project can change.
    pub rail: bool,
    /// It refuses the packet, or the default does where no rule matched, and is only audited: the packet passes.
    #[serde(default)]
    pub audited: bool,
}

/// One frame's way through one vSwitch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRun {
    /// The revision in the host's tables.
    pub revision: u64,
    /// Device by which the frame entered.
    pub device: String,
    /// Why it did not meet the pipeline; then nothing else counts.
    pub fault: Option<HostFault>,
    /// The stages that it entered.
    pub stages: Vec<TraceStage>,
    /// What became of it.
    pub verdict: HostVerdict,
    /// Why it was dropped, when it was.
    pub reason: Option<String>,
    /// The firewall rule that refused it, when one did.
    pub rule: Option<DecidingRule>,
    /// The firewall rule that policy named for it when it was asked, whatever that says; nothing: policy was not asked,
    /// because there is none or the packet belongs to a connection that stands.
    pub judged: Option<DecidingRule>,
    /// The ports that get it or a copy; of a device that is no port's, its name in brackets.
    pub ports: Vec<String>,
    /// The answer to its sender, when it became one.
    pub answer: Option<Answering>,
    /// The tunnel packets that leave.
    pub packets: Vec<TunnelPacket>,
    /// The way on which it was given up, when it ended there.
    pub path: Option<TracePath>,
    /// Rows that the kernel's tables refuse because they are full, or whatever else the agent could not
    /// do: object and reason.
    pub problems: Vec<(String, String)>,
    /// Frames of the entering port (of the fabric side, for an uplink) that were dropped so far, by reason.
    pub drops: Vec<(String, u64)>,
}

impl HostRun {
    /// What became of the frame, in words.
    pub fn outcome(&self) -> String {
        let run = self;
        if run.fault.is_some() {
            return "does not meet the vSwitch".to_owned();
        }
        let ports = run.ports.join(", ");
        let endpoints: Vec<&str> = run
            .packets
            .iter()
            .map(|packet| packet.path.to.as_str())
            .collect();
        let endpoints = endpoints.join(", ");
        match run.verdict {
            HostVerdict::Drop => match &run.rule {
                Some(rule) => format!("dropped as {}{}", reason(run), by_rule(&rule.name)),
                None => format!("dropped as {}", reason(run)),
            },
            _ if run.rule.is_some() => {
                let rule = run.rule.as_ref().map_or("", |rule| rule.name.as_str());
                format!("rejected{}, and its sender is told", by_rule(rule))
            }
            HostVerdict::Deliver => format!("handed to {ports}"),
            HostVerdict::Send => format!("sent to {endpoints}"),
            HostVerdict::SendUnresolved => {
                format!("sent to {endpoints} once the next hop's MAC address is known")
            }
            HostVerdict::Answer => "answered".to_owned(),
            HostVerdict::Flood => {
                let all: Vec<&str> = [ports.as_str(), endpoints.as_str()]
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .collect();
                format!("copied to {}", all.join(", "))
            }
            HostVerdict::Pass => "left to the host's own stack".to_owned(),
            HostVerdict::Punt => "handed to the agent".to_owned(),
        }
    }
}

/// Which rule it was, as the end of a sentence.
pub fn by_rule(name: &str) -> String {
    if name.is_empty() {
        ", because no rule allows it".to_owned()
    } else {
        format!(" by rule `{name}`")
    }
}

fn reason(run: &HostRun) -> &str {
    run.reason.as_deref().unwrap_or("unknown")
}

/// An answer of the vSwitch itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answering {
    /// The frame.
    #[serde(with = "crate::hex")]
    pub frame: Vec<u8>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
