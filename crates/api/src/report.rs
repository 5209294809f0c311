//! Counters, drops and table usage: what one host reports, and what the controller answers from the
//! reports of all.
//!
//! Invariant: a host that did not answer is listed as missing, so a sum is never silently short.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::measure::Measures;

/// Frames dropped for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DropCount {
    /// Name of the drop reason.
    pub reason: String,
    /// Frames since the port was plugged in.
    pub count: u64,
}

/// Counters of one port, or of a host's whole fabric side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortReport {
    /// Full name of the port; `fabric` for the fabric side.
    pub port: String,
    /// Frames that came in (from the VM; from the fabric).
    pub rx_frames: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Frames that went out (to the VM; to the fabric).
    pub tx_frames: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Requests (ARP, neighbour discovery) that the vSwitch answered itself.
    pub answered: u64,
    /// Frames in that went to several receivers.
    pub flooded: u64,
    /// Copies made of them.
    pub copies: u64,
    /// Frames in that the agent of the host got to answer: DHCP, router solicitations, DNS.
    #[serde(default)]
    pub punted: u64,
    /// Frames in that went nowhere, by reason.
    pub drops: Vec<DropCount>,
}

/// Sums up what a port has in several networks.
impl std::ops::AddAssign for PortReport {
    fn add_assign(&mut self, other: Self) {
        let Self {
            port: _,
            rx_frames,
            rx_bytes,
            tx_frames,
            tx_bytes,
            answered,
            flooded,
            copies,
            punted,
            drops,
        } = other;
        self.rx_frames += rx_frames;
        self.rx_bytes += rx_bytes;
        self.tx_frames += tx_frames;
        self.tx_bytes += tx_bytes;
        self.answered += answered;
        self.flooded += flooded;
        self.copies += copies;
        self.punted += punted;
        for drop in drops {
            let mut same = self.drops.iter_mut();
            match same.find(|known| known.reason == drop.reason) {
                Some(known) => known.count += drop.count,
                None => self.drops.push(drop),
            }
        }
    }
}

/// How full one table of the vSwitch is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TableUsage {
    /// Name of the table.
    pub name: String,
    /// Rows in it.
    pub entries: u64,
    /// Rows that fit.
    pub capacity: u64,
}

/// Requests of VMs that an agent answered itself, or did not, since it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestCount {
    /// What was asked: `dhcpv4-discover`, `dhcpv6-renew`, `router-solicitation`, `dns`.
    pub request: String,
    /// What came of it: `answered`, `refused`, `absent`, `noted`, `ignored`, `malformed`.
    pub outcome: String,
    /// How often.
    pub count: u64,
}

/// What a firewall rule decided on one host. A connection between two hosts is judged at both of its ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleHits {
    /// The project whose connections it judged.
    pub project: String,
    /// Full name of the rule.
    pub rule: String,
    /// Connections, and packets outside connections, that it decided.
    pub hits: u64,
    /// Seconds since it last did.
    pub idle_seconds: u64,
}

/// What a firewall rule decided on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostRule {
    /// The host.
    pub host: String,
    /// The hits.
    #[serde(flatten)]
    pub hits: RuleHits,
}

/// Something that an agent could not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportedProblem {
    /// A port's or network's full name, or a table.
    pub object: String,
    /// What is wrong with it.
    pub reason: String,
    /// Stable name: `host-problem` (something could not be done), `port-shut` (a guard shut the port), or the reason for which a
    /// guard drops what the port sends.
    #[serde(default = "host_problem")]
    pub code: String,
}

fn host_problem() -> String {
    ReportedProblem::HOST_PROBLEM.to_owned()
}

impl ReportedProblem {
    /// The code of a problem that has no other.
    pub const HOST_PROBLEM: &'static str = "host-problem";

    /// What an agent said.
    pub fn said(problem: crate::agent::Problem) -> Self {
        let crate::agent::Problem {
            object,
            reason,
            code,
        } = problem;
        let code = if code.is_empty() {
            host_problem()
        } else {
            code
        };
        Self {
            object,
            reason,
            code,
        }
    }
}

/// Everything that an agent reports when it is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostReport {
    /// Name of the host.
    pub host: String,
    /// Its ports.
    pub ports: Vec<PortReport>,
    /// Its fabric side.
    pub underlay: PortReport,
    /// Its tables.
    pub tables: Vec<TableUsage>,
    /// The revision in its maps.
    pub revision: u64,
    /// What it could not do.
    pub problems: Vec<ReportedProblem>,
    /// What its VMs asked of DHCP and DNS.
    #[serde(default)]
    pub requests: Vec<RequestCount>,
    /// Firewall rules that decided something.
    #[serde(default)]
    pub rules: Vec<RuleHits>,
    /// What it measured, for metrics.
    #[serde(default)]
    pub measures: Measures,
}

/// A host whose numbers are not in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissingHost {
    /// The host.
    pub host: String,
    /// Why.
    pub reason: String,
}

/// Frames dropped for one reason at one port of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostDrop {
    /// The host.
    pub host: String,
    /// Full name of the port; `fabric` for frames that came from the fabric.
    pub port: String,
    /// Name of the drop reason.
    pub reason: String,
    /// Frames.
    pub count: u64,
    /// What usually causes it.
    pub hint: String,
}

/// All drops, of all hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drops {
    /// Drops that happened at least once, by host, port and reason.
    pub drops: Vec<HostDrop>,
    /// Hosts whose drops are not known.
    pub missing: Vec<MissingHost>,
}

/// Counters of one port on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostPortCounters {
    /// The host.
    pub host: String,
    /// The counters.
    #[serde(flatten)]
    pub counters: PortReport,
}

/// Usage of one table on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostTable {
    /// The host.
    pub host: String,
    /// The usage.
    #[serde(flatten)]
    pub usage: TableUsage,
}

/// All counters, of all hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counters {
    /// By host and port; the fabric side is the port `fabric`.
    pub ports: Vec<HostPortCounters>,
    /// Tables by host and name.
    pub tables: Vec<HostTable>,
    /// Firewall rules that decided something, by host.
    #[serde(default)]
    pub rules: Vec<HostRule>,
    /// Hosts whose counters are not known.
    pub missing: Vec<MissingHost>,
}
