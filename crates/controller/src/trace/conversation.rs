//! What a traced packet belongs to: a connection that the hosts follow, or one that it begins, or neither.
//!
//! The hosts are asked which connections stand between the two ends. That decides what the packet looks like (a segment
//! of a connection has its sequence numbers) and how the result is told; what becomes of it, the hosts' own
//! pipelines decide, with the same entries.

mod words;

use std::collections::BTreeMap;
use std::net::IpAddr;

use coax_api::connections::{ConnectionEnd, StandingConnection};
use coax_api::flows::{Choice, FlowFilter, FlowPlace, FlowVerdict};
use coax_api::question::{DecidingRule, HostAnswer, HostQuestion, by_rule};
use coax_api::time::rfc3339;
use coax_api::{TraceLeg, Traffic};

use super::diagnosis::smallest_rule;
use super::facts::Facts;
use super::frame::{self, EPHEMERAL, Numbers, Talk, flag};
use super::walk::Walk;
use super::{Cause, Ending, Hosts};

/// Flows that are looked through for the beginning of a connection.
const MOST_FLOWS: usize = 1000;

/// States of TCP connections to which no segment but a new SYN belongs.
const OVER: [&str; 2] = ["time-wait", "closed"];

/// A connection between the two ends, as their hosts follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// As the sender's host has it; as the receiver's, where the sender's does not.
    pub(super) seen: StandingConnection,
    /// By host: policy has not changed since it admitted the connection.
    pub(super) current: BTreeMap<String, bool>,
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
    /// A TCP segment that begins none, of a connection that no host follows.
    Stray { from_port: u16, flags: u8 },
}

/// The connections between the two ends.
#[derive(Debug, Default)]
pub(super) struct Survey(Vec<Standing>);

impl Survey {
    /// Asks the hosts of both ends. One that says nothing is found out by the packet.
    pub(super) async fn of(facts: &Facts, hosts: &impl Hosts) -> Self {
        let (source, destination) = (&facts.source, &facts.destination);
        let question = HostQuestion::Standing {
            ends: [source.address, destination.address],
            protocol: protocol(facts),
        };
        let connected = |host: &&str| facts.hosts.get(*host).is_some_and(|host| host.connected);
        let first = source.host().filter(connected);
        let second = destination.host().filter(connected);
        let second = second.filter(|host| Some(*host) != first);
        let ask = async |host: Option<&str>| -> Vec<StandingConnection> {
            let Some(host) = host else {
                return Vec::new();
            };
            match hosts.ask(host, question.clone()).await {
                Ok(HostAnswer::Standing { connections }) => connections,
                _ => Vec::new(),
            }
        };
        let (here, there) = tokio::join!(ask(first), ask(second));
        let mut survey = Self::default();
        survey.add(facts, first, here);
        survey.add(facts, second, there);
        survey
    }

    fn add(&mut self, facts: &Facts, host: Option<&str>, connections: Vec<StandingConnection>) {
        let ends = [&facts.source, &facts.destination];
        let networks = ends.map(|end| end.port.as_ref().map(|port| port.network.to_string()));
        let host = host.unwrap_or_default();
        for seen in connections {
            // Other projects may use the same addresses.
            if !networks.contains(&Some(seen.connection.network.clone())) {
                continue;
            }
            let mut known = self.0.iter_mut();
            let known = known.find(|known| {
                known.seen.connection.from == seen.connection.from
                    && known.seen.connection.to == seen.connection.to
            });
            match known {
                Some(known) => {
                    // A router's host follows it for both of its networks.
                    let current = known.current.entry(host.to_owned()).or_insert(true);
                    *current &= seen.current;
                }
                None => self.0.push(Standing {
                    current: BTreeMap::from([(host.to_owned(), seen.current)]),
                    by_originator: seen.connection.from.address == facts.source.address,
                    seen,
                    since: None,
                }),
            }
        }
    }

    /// What the packet of a trace belongs to.
    pub(super) fn subject(&self, facts: &Facts) -> Subject {
        let service = service(facts.traffic);
        let stands = facts.from_port.and_then(|from_port| {
            let own = end(facts.source.address, from_port);
            let other = end(facts.destination.address, service);
            let mut alive = self.0.iter().filter(|it| !it.is_over());
            alive.find(|it| it.ends() == [&own, &other])
        });
        if let Some(standing) = stands {
            return Subject::Standing(Box::new(standing.clone()));
        }
        let from_port = facts.from_port.unwrap_or_else(|| self.free_port());
        match facts.flags {
            Some(flags) if flags != flag::SYN => Subject::Stray { from_port, flags },
            _ => Subject::New { from_port },
        }
    }

    /// A source port of which no host follows a connection.
    fn free_port(&self) -> u16 {
        let used = |port: u16| self.0.iter().any(|it| it.ends()[0].port == port);
        (EPHEMERAL..=u16::MAX)
            .find(|port| !used(*port))
            .unwrap_or(EPHEMERAL)
    }

    /// Connections of the sender to the service, those that one rule admitted under one policy together: one of them, and
    /// how many there are.
    pub(super) fn to_service(&self, facts: &Facts) -> Vec<(Standing, usize)> {
        let service = service(facts.traffic);
        let mut kinds: Vec<(Standing, usize)> = Vec::new();
        let wanted = self.0.iter().filter(|it| {
            facts.traffic != Traffic::Icmp
                && it.by_originator
                && it.seen.connection.to.port == service
                && !it.is_over()
        });
        for standing in wanted {
            let alike = |kind: &&mut (Standing, usize)| {
                let (one, other) = (&kind.0.seen.connection, &standing.seen.connection);
                one.rule == other.rule && kind.0.current == standing.current
            };
            match kinds.iter_mut().find(alike) {
                Some((_, number)) => *number += 1,
                None => kinds.push((standing.clone(), 1)),
            }
        }
        kinds
    }
}

fn end(address: IpAddr, port: u16) -> ConnectionEnd {
    ConnectionEnd { address, port }
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
    pub(super) async fn find_beginning(&mut self, hosts: &impl Hosts) {
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
        for host in self.current.keys() {
            let question = HostQuestion::Flows {
                reader: 0,
                filter: Box::new(filter.clone()),
                most: MOST_FLOWS,
            };
            if let Ok(HostAnswer::Flows { flows, .. }) = hosts.ask(host, question).await {
                let mut flows = flows.into_iter();
                let last = flows.rfind(|flow| flow.source_port == self.seen.connection.from.port);
                self.since = self.since.max(last.map(|flow| flow.last));
            }
        }
    }

    /// "established since …, last packet 3 s ago, allowed by rule `x`".
    fn history(&self) -> String {
        let connection = &self.seen.connection;
        let mut text = connection.state.clone();
        if let Some(since) = self.since {
            text += &format!(" since {}", rfc3339(since));
        }
        text += &format!(", last packet {} s ago", self.seen.idle_seconds);
        match (connection.rule.as_str(), self.seen.rule_is_gone) {
            (_, true) => text + ", allowed by a rule that is gone",
            ("", false) => text + ", allowed because no rule forbade it",
            (rule, false) => text + &format!(", allowed by rule `{rule}`"),
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

/// Whether connections to the service of a new connection go on, one line for each kind.
pub(super) async fn others(
    facts: &Facts,
    hosts: &impl Hosts,
    survey: &Survey,
    most: usize,
) -> Vec<String> {
    let mut notes = Vec::new();
    for (mut standing, number) in survey.to_service(facts).into_iter().take(most) {
        standing.find_beginning(hosts).await;
        let from_port = standing.ends()[0].port;
        let history = standing.history();
        let stand = match number {
            1 => format!("a connection from port {from_port} stands"),
            _ => format!("{number} connections stand, such as the one from port {from_port}"),
        };
        let subject = Subject::Standing(Box::new(standing));
        let mut walk = Walk::new(facts, hosts, subject.talk(facts));
        walk.asks_the_fabric = false;
        let goes_on = match walk.whole().await {
            Ok(()) => "it goes on".to_owned(),
            Err(ending) if ending.verdict == coax_api::TraceVerdict::Delivered => {
                "it goes on".to_owned()
            }
            Err(ending) => format!("it does not go on: {}", ending.summary),
        };
        notes.push(format!("{stand} ({history}); {goes_on}"));
    }
    notes
}

#[cfg(test)]
mod tests;
