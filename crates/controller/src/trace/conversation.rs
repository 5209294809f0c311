//! What a traced packet belongs to: a connection that the hosts follow, or one that it begins, or neither.
//!
//! The hosts are asked which connections stand between the two ends. That decides what the packet looks like (a segment
//! of a connection has its sequence numbers) and how the result is told; what becomes of it, the hosts' own
//! pipelines decide, with the same entries.

mod survey;
mod words;

use std::collections::BTreeMap;
use std::net::IpAddr;

use coax_api::connections::{ConnectionEnd, StandingConnection};
use coax_api::flows::{Choice, Flow, FlowFilter, FlowPlace, FlowVerdict};
use coax_api::question::{DecidingRule, HostAnswer, HostQuestion, by_rule};
use coax_api::time::rfc3339;
use coax_api::{TraceLeg, TraceVerdict, Traffic};

use super::facts::Facts;
use super::frame::{self, Numbers, Talk, flag};
use super::rules;
use super::rules::smallest_rule;
use super::walk::Walk;
use super::{Cause, Ending, Hosts};

pub(super) use survey::Survey;

/// Flows that are looked through for the beginning of a connection.
const MOST_FLOWS: usize = 1000;

/// States of TCP connections to which no segment but a new SYN belongs.
const OVER: [&str; 2] = ["time-wait", "closed"];

/// By whom a connection was judged that a host follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Judgement {
    /// By the host, with the policy that it has.
    Current,
    /// By the host, before it loaded its policy last.
    Earlier,
    /// By another host, from which it has come.
    Elsewhere,
    /// The host did not tell whether it follows it.
    Untold,
}

/// A connection between the two ends, as their hosts follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// As the sender's host has it; as the receiver's, where the sender's does not.
    pub(super) seen: StandingConnection,
    /// By whom it was judged, by host that follows it or may do so.
    pub(super) judged: BTreeMap<String, Judgement>,
    /// The traced packet is one of the end that opened it.
    pub(super) by_originator: bool,
    /// When it was opened, in milliseconds since 1970, if a host remembers.
    pub(super) since: Option<u64>,
}

/// What the packet belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// A connection that it begins.
    New { from_port: u16 },
    /// One that stands.
    Standing(Box<Standing>),
    /// A TCP segment that begins none, of a connection that no host follows, as far as hosts told.
    Stray {
        from_port: u16,
        flags: u8,
        all_told: bool,
    },
}

fn end(address: IpAddr, port: u16) -> ConnectionEnd {
    ConnectionEnd { address, port }
}

/// The networks of both ends.
fn networks(facts: &Facts) -> [Option<String>; 2] {
    let ends = [&facts.source, &facts.destination];
    ends.map(|end| end.port.as_ref().map(|port| port.network.to_string()))
}

fn service(traffic: Traffic) -> u16 {
    match traffic {
        Traffic::Tcp(port) | Traffic::Udp(port) => port,
        Traffic::Icmp => 0,
    }
}

fn protocol(facts: &Facts) -> String {
    match (facts.traffic, facts.source.address.is_ipv6()) {
        (Traffic::Tcp(_), _) => "tcp",
        (Traffic::Udp(_), _) => "udp",
        (Traffic::Icmp, true) => "icmpv6",
        (Traffic::Icmp, false) => "icmp",
    }
    .to_owned()
}

impl Standing {
    /// The sender's end of the traced packet, then the receiver's.
    fn ends(&self) -> [&ConnectionEnd; 2] {
        let (from, to) = (&self.seen.connection.from, &self.seen.connection.to);
        match self.by_originator {
            true => [from, to],
            false => [to, from],
        }
    }

    fn is_over(&self) -> bool {
        OVER.contains(&self.seen.connection.state.as_str())
    }

    /// Asks the hosts that follow it when it began: they remember the last connection of each flow.
    pub(super) async fn find_beginning(&mut self, facts: &Facts, hosts: &impl Hosts) {
        let connection = &self.seen.connection;
        let place = |address: IpAddr| Choice {
            only: vec![FlowPlace::Prefix(match address {
                IpAddr::V4(address) => format!("{address}/32"),
                IpAddr::V6(address) => format!("{address}/128"),
            })],
            not: Vec::new(),
        };
        let filter = FlowFilter {
            from: place(connection.from.address),
            to: place(connection.to.address),
            verdict: Choice {
                only: vec![FlowVerdict::Allow, FlowVerdict::Audit],
                not: Vec::new(),
            },
            port: Choice {
                only: vec![connection.to.port],
                not: Vec::new(),
            },
            protocol: Choice {
                only: vec![connection.protocol.clone()],
                not: Vec::new(),
            },
            ..FlowFilter::default()
        };
        // Other projects may use the same addresses.
        let networks = networks(facts);
        let is_of_it = |flow: &Flow| {
            flow.source_port == connection.from.port
                && networks.contains(&Some(flow.network.clone()))
        };
        // A host that saw only a later part of it remembers less.
        let mut since = Vec::new();
        let began_here = |judged: &Judgement| *judged <= Judgement::Earlier;
        for (host, _) in self.judged.iter().filter(|(_, it)| began_here(it)) {
            let question = HostQuestion::Flows {
                reader: 0,
                filter: Box::new(filter.clone()),
                most: MOST_FLOWS,
            };
            if let Ok(HostAnswer::Flows { flows, .. }) = hosts.ask(host, question).await {
                since.extend(flows.iter().rfind(|flow| is_of_it(flow)).map(|it| it.last));
            }
        }
        self.since = since.into_iter().min();
    }

    /// A host is known to follow it.
    fn is_followed_on(&self, host: &str) -> bool {
        let judged = self.judged.get(host);
        judged.is_some_and(|judged| *judged != Judgement::Untold)
    }

    /// "established since …, last packet 3 s ago, let pass by rule `x`".
    fn history(&self) -> String {
        let connection = &self.seen.connection;
        let mut text = connection.state.clone();
        if let Some(since) = self.since {
            text += &format!(" since {}", rfc3339(since));
        }
        text += &format!(", last packet {} s ago", self.seen.idle_seconds);
        if self.seen.adopted {
            let host = &connection.host;
            return text + &format!(", come to {host} from another host and not judged there yet");
        }
        match (connection.rule.as_str(), self.seen.rule_is_gone) {
            (_, true) => text + ", let pass by a rule that is gone",
            ("", false) => text + ", let pass by the default",
            (rule, false) => text + &format!(", let pass by rule `{rule}`"),
        }
    }

    /// Both ends, as they are written.
    fn name(&self) -> String {
        let name = |end: &ConnectionEnd| match end.address {
            IpAddr::V4(address) => format!("{address}:{}", end.port),
            IpAddr::V6(address) => format!("[{address}]:{}", end.port),
        };
        let connection = &self.seen.connection;
        format!(
            "from {} to {}",
            name(&connection.from),
            name(&connection.to)
        )
    }

    /// A segment that fits where the connection stands, and the answer to it.
    fn numbers(&self) -> (Numbers, Numbers) {
        let [originator, responder] = self.seen.sent;
        let (own, other) = match self.by_originator {
            true => (originator, responder),
            false => (responder, originator),
        };
        let numbers = |flags, sequence, acknowledgement| Numbers {
            flags,
            sequence,
            acknowledgement,
        };
        let is_asked_for = self.seen.connection.state == "syn-sent";
        let granted = numbers(flag::SYN | flag::ACK, 1, originator);
        match (is_asked_for, self.by_originator) {
            (true, true) => (numbers(flag::SYN, originator.wrapping_sub(1), 0), granted),
            (true, false) => (granted, numbers(flag::ACK, originator, 2)),
            (false, _) => (
                numbers(flag::ACK, own, other),
                numbers(flag::ACK, other, own),
            ),
        }
    }
}

/// Whether connections to the service of a new connection go on, one line for each kind, and who did
/// not tell all connections.
pub(super) async fn others(
    facts: &Facts,
    hosts: &impl Hosts,
    survey: &Survey,
    most: usize,
) -> Vec<String> {
    let mut notes = Vec::new();
    for (mut standing, number) in survey.to_service(facts).into_iter().take(most) {
        standing.find_beginning(facts, hosts).await;
        let from_port = standing.ends()[0].port;
        let history = standing.history();
        let stand = match number {
            1 => format!("a connection from port {from_port} stands"),
            _ => format!("{number} connections stand, such as the one from port {from_port}"),
        };
        let mut walk = Walk::new(facts, hosts, standing.talk(facts.traffic));
        walk.asks_the_fabric = false;
        let goes_on = match walk.whole().await {
            Ok(()) => "its hosts let it go on".to_owned(),
            Err(ending) => match ending.verdict {
                TraceVerdict::Delivered => "its hosts let it go on".to_owned(),
                TraceVerdict::Lost => format!("it does not go on: {}", ending.summary),
                TraceVerdict::Unknown => {
                    format!("whether it goes on is not known: {}", ending.summary)
                }
            },
        };
        notes.push(format!("{stand} ({history}); {goes_on}"));
    }
    if facts.traffic != Traffic::Icmp && survey.is_partial() {
        let missing = survey.missing();
        notes.push(format!(
            "{missing}, so there may be more connections that stand"
        ));
    }
    notes
}

#[cfg(test)]
mod tests;
