//! One flow: what it is, and what is counted of it.

use std::net::{IpAddr, Ipv6Addr};

use coax_api::flows::{Flow, FlowEnd, FlowVerdict};
use coax_tables::{DropReason, FlowRecord};
use coax_wire::ip::protocol;

/// What makes two records one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) source: [u8; 16],
    pub(super) destination: [u8; 16],
    destination_port: [u8; 2],
    pub(super) protocol: u8,
    audit: bool,
    network: u32,
    domain: u32,
    slot: u32,
    rule: u32,
    reason: u32,
}

impl Key {
    pub(super) const fn of(record: &FlowRecord) -> Self {
        Self {
            source: record.source,
            destination: record.destination,
            destination_port: record.destination_port,
            protocol: record.protocol,
            audit: record.has(FlowRecord::AUDIT),
            network: record.network,
            domain: record.domain,
            slot: record.slot,
            rule: record.rule,
            reason: record.reason,
        }
    }

    /// Who pays for the place: the domain, or the port that is in none.
    pub(super) fn account(&self) -> u64 {
        match self.domain {
            0 => 1 << 32 | u64::from(self.slot),
            domain => domain.into(),
        }
    }

    pub(super) const fn port(&self) -> u16 {
        u16::from_be_bytes(self.destination_port)
    }

    pub(super) fn verdict(&self) -> FlowVerdict {
        let is = |reason: DropReason| self.reason == reason as u32;
        if self.reason == FlowRecord::PASSED {
            match self.audit {
                true => FlowVerdict::Audit,
                false => FlowVerdict::Allow,
            }
        } else if is(DropReason::Denied) {
            FlowVerdict::Deny
        } else if is(DropReason::Rejected) {
            FlowVerdict::Reject
        } else {
            FlowVerdict::Drop
        }
    }

    /// The name of the reason for which packets were dropped; empty when they passed.
    pub(super) fn reason(&self) -> &'static str {
        let mut known = DropReason::ALL.iter();
        let known = known.find(|reason| **reason as u32 == self.reason);
        known.map_or("", |reason| reason.name())
    }
}

/// What an end of a flow is called; empty where nobody knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// Full name of the port.
    pub(crate) port: String,
    /// Full name of its network.
    pub(crate) network: String,
}

/// What a flow's numbers and addresses were called when it began: numbers of rules and addresses of ports are given
/// to others later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FlowNames {
    pub(crate) project: String,
    pub(crate) network: String,
    pub(crate) rule: String,
    pub(crate) from: Named,
    pub(crate) to: Named,
}

/// One flow.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(super) key: Key,
    pub(super) names: FlowNames,
    source_port: u16,
    times: u64,
    bytes: u64,
    first: u64,
    pub(super) last: u64,
}

impl Entry {
    pub(super) const fn new(key: Key, time: u64, names: FlowNames) -> Self {
        Self {
            key,
            names,
            source_port: 0,
            times: 0,
            bytes: 0,
            first: time,
            last: time,
        }
    }

    pub(super) fn count(&mut self, record: &FlowRecord, time: u64) {
        self.source_port = u16::from_be_bytes(record.source_port);
        self.times += 1;
        self.bytes += u64::from(record.bytes);
        // Records of several processors come in any order.
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }

    pub(super) fn flow(&self) -> Flow {
        let names = &self.names;
        let end = |bytes: &[u8; 16], named: &Named| FlowEnd {
            address: address(bytes),
            port: named.port.clone(),
            network: named.network.clone(),
        };
        Flow {
            host: String::new(),
            project: names.project.clone(),
            network: names.network.clone(),
            verdict: self.key.verdict(),
            reason: self.key.reason().to_owned(),
            rule: names.rule.clone(),
            from: end(&self.key.source, &names.from),
            to: end(&self.key.destination, &names.to),
            protocol: protocol_name(self.key.protocol),
            port: self.key.port(),
            source_port: self.source_port,
            times: self.times,
            bytes: self.bytes,
            first: self.first,
            last: self.last,
        }
    }
}

/// An address of a record; none where packets were not IP.
pub(crate) fn address(bytes: &[u8; 16]) -> Option<IpAddr> {
    let address = Ipv6Addr::from(*bytes).to_canonical();
    (*bytes != [0; 16]).then_some(address)
}

pub(super) fn protocol_name(number: u8) -> String {
    match number {
        protocol::TCP => "tcp".to_owned(),
        protocol::UDP => "udp".to_owned(),
        protocol::SCTP => "sctp".to_owned(),
        protocol::ICMP => "icmp".to_owned(),
        protocol::ICMPV6 => "icmpv6".to_owned(),
        other => other.to_string(),
    }
}
