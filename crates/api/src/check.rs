//! Checks: who must and who must not reach whom; proved on a plan, probed on the real hosts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What to do about checks that fail after a change.
pub const IGNORE_CHECKS: &str =
    "correct the file, or apply it all the same with `coax apply --ignore-checks`";

/// What a proof found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProofState {
    /// It is as the check wants it.
    Holds,
    /// It is not.
    Fails,
    /// The check is about nobody: nothing is proved.
    Idle,
    /// There are too many different ports to look at them all; those that were looked at are as it wants them.
    Unproved,
}

/// A check, and whether rules, routers and members keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// The project.
    pub project: String,
    /// Its place among the project's checks, from 0.
    pub place: usize,
    /// What reports call it: its name, or what it says.
    pub title: String,
    /// Who opens the connection: `any`, `group/NAME`, `network/NAME`, `port/NAME`.
    pub from: Vec<String>,
    /// Who is connected to.
    pub to: Vec<String>,
    /// By which services.
    pub port: Vec<String>,
    /// `allow` or `deny`.
    pub expect: String,
    /// What was found.
    pub state: ProofState,
    /// The check, and why it fails, in one sentence.
    pub sentence: String,
    /// The rule that decides otherwise, if it is one: its full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// Which checks to probe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// The project.
    pub project: String,
    /// The check's place, from 0; all checks of the project by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<usize>,
}

/// What probes found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProbeState {
    /// It is as the check wants it.
    Passed,
    /// Nothing could be probed: the check is about nobody, or by nothing that has a probe.
    Skipped,
    /// It cannot be told: a host does not answer, or packets are lost for another reason than the one
    /// that the check is about.
    Unknown,
    /// It is not as the check wants it.
    Failed,
}

/// One packet that was sent for real.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProbeResult {
    /// Full name of the sending port.
    pub from: String,
    /// Full name of the receiving port.
    pub to: String,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// Kind of packet: `tcp/443`, `udp/53` or `icmp`.
    pub traffic: String,
    /// What was found.
    pub state: ProbeState,
    /// What became of the packet, in one sentence.
    pub summary: String,
    /// Stable name of the cause, known to `coax explain`; empty if the packet is delivered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cause: String,
}

/// What became of one check on the real hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckResult {
    /// The project.
    pub project: String,
    /// Its place among the project's checks, from 0.
    pub place: usize,
    /// What reports call it.
    pub title: String,
    /// What was found: the worst of its probes.
    pub state: ProbeState,
    /// The check, and what is not as it wants it, in one sentence.
    pub sentence: String,
    /// What was not probed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The packets.
    pub probes: Vec<ProbeResult>,
    /// How long it took.
    pub milliseconds: u64,
}
