//! What `coax doctor` finds: what keeps a host from carrying its networks' packets, or carries them badly.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::report::MissingHost;

/// How bad it is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Packets are lost, or will be. The host is not ready.
    Blocking,
    /// Something is slower, or less redundant, than it could be.
    Warning,
}

/// Everything that can be found: code and severity. `coax explain CODE` says more.
pub const FINDINGS: &[(&str, Severity)] = &[
    ("kernel-too-old", Severity::Blocking),
    ("no-bpffs", Severity::Blocking),
    ("bpf-jit-off", Severity::Warning),
    ("uplinks-down", Severity::Blocking),
    ("uplink-down", Severity::Warning),
    ("uplink-mtu", Severity::Blocking),
    ("vtep-missing", Severity::Blocking),
    ("vtep-duplicate", Severity::Blocking),
    ("mac-duplicate", Severity::Blocking),
    ("vtep-unreachable", Severity::Blocking),
    ("path-elsewhere", Severity::Blocking),
    ("path-blocked", Severity::Blocking),
    ("path-mtu", Severity::Blocking),
    ("uplink-unused", Severity::Warning),
    ("multipath-hash", Severity::Warning),
    ("rp-filter", Severity::Warning),
    ("offload-off", Severity::Warning),
    ("filter-rule", Severity::Warning),
    ("clock-offset", Severity::Warning),
    ("clock-wrong", Severity::Blocking),
    ("authority-ends", Severity::Warning),
];

/// How bad a finding is; nothing if there is no such finding.
pub fn severity_of(code: &str) -> Option<Severity> {
    let found = FINDINGS.iter().find(|(known, _)| *known == code);
    found.map(|(_, severity)| *severity)
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The host to mend.
    pub host: String,
    /// Stable name of what is wrong.
    pub code: String,
    /// What it is about: a device, a path, an address.
    pub about: String,
    /// What is wrong, and what comes of it.
    pub cause: String,
    /// What to type, on the host.
    pub mend: String,
}

impl Finding {
    /// One of [`FINDINGS`], on a host.
    pub fn new(
        host: &str,
        code: &'static str,
        about: impl Into<String>,
        cause: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            severity: severity_of(code).unwrap_or(Severity::Blocking),
            host: host.to_owned(),
            code: code.to_owned(),
            about: about.into(),
            cause: cause.into(),
            mend: mend.into(),
        }
    }
}

/// What was found on hosts and between them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Findings {
    /// The worst first.
    pub findings: Vec<Finding>,
    /// Hosts that were looked at.
    pub hosts: Vec<String>,
    /// Ways from one host to another on which packets were sent.
    pub paths: usize,
    /// Hosts that did not answer.
    pub missing: Vec<MissingHost>,
}

/// Between two tunnel endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ends {
    /// That of the host that is asked.
    pub from: IpAddr,
    /// The other one.
    pub to: IpAddr,
}

/// A packet that is to cross the fabric in one piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathProbe {
    /// From where to where.
    pub ends: Ends,
    /// Chooses among equal-cost paths.
    pub source_port: u16,
    /// What it holds.
    pub marker: [u8; 8],
    /// Bytes, from its IP header on.
    pub length: u16,
}

/// What an agent says of its host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examination {
    /// What it found by itself.
    pub findings: Vec<Finding>,
    /// Its clock, in milliseconds since 1970, when it answered.
    pub clock: u64,
    /// All addresses of its devices, but those of every machine.
    pub addresses: Vec<IpAddr>,
    /// Name and MAC address of its uplinks.
    pub uplinks: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique() {
        let codes: BTreeSet<_> = FINDINGS.iter().map(|(code, _)| code).collect();
        assert_eq!(codes.len(), FINDINGS.len());
        assert_eq!(severity_of("path-mtu"), Some(Severity::Blocking));
        assert_eq!(severity_of("nothing"), None);
    }
}
