//! What a traced packet belongs to: a connection that the hosts follow, or one that it begins, or neither.
//!
//! The hosts are asked which connections stand between the two ends. That decides what the packet looks like (a segment
//! of a connection has its sequence numbers) and how the result is told; what becomes of it, the hosts' own
//! pipelines decide, with the same entries.

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

impl Subject {
    /// What packet and answer look like.
    pub(super) fn talk(&self, facts: &Facts) -> Talk {
        let (from_port, packet, answer) = match self {
            Self::New { from_port } => (*from_port, Numbers::SYN, Some(Numbers::SYN_ACK)),
            Self::Stray { from_port, flags } => {
                let packet = Numbers {
                    flags: *flags,
                    ..Numbers::SYN
                };
                (*from_port, packet, None)
            }
            Self::Standing(standing) => {
                let (packet, answer) = standing.numbers();
                let from_port = standing.ends()[0].port;
                match facts.flags {
                    Some(flags) => (from_port, Numbers { flags, ..packet }, None),
                    None => (from_port, packet, Some(answer)),
                }
            }
        };
        Talk {
            traffic: facts.traffic,
            size: facts.size,
            from_port,
            packet,
            answer,
        }
    }

    /// What the trace is about, in words.
    pub(super) fn about(&self, facts: &Facts) -> String {
        match (self, facts.traffic) {
            (Self::New { .. }, Traffic::Icmp) => "a new exchange of echoes".to_owned(),
            (Self::New { from_port }, Traffic::Tcp(_)) => {
                format!("a new connection, from port {from_port}")
            }
            (Self::New { from_port }, Traffic::Udp(_)) => {
                format!("a new exchange, from port {from_port}")
            }
            (Self::Stray { from_port, flags }, _) => format!(
                "a segment with {} from port {from_port}, of a connection that no host follows",
                frame::flag_names(*flags)
            ),
            (Self::Standing(standing), _) => {
                format!("the connection {}, {}", standing.name(), standing.history())
            }
        }
    }

    /// The first line, once more with what it means for a connection that stands. `ending`: why the packet does not
    /// arrive.
    pub(super) fn tell<H: Hosts>(
        &self,
        facts: &Facts,
        walk: &Walk<'_, H>,
        summary: &str,
        ending: Option<&mut Ending>,
    ) -> String {
        let cause = ending.as_ref().map(|ending| ending.cause);
        if cause.is_some_and(|cause| cause.is_dropped_as("no-connection")) {
            return self.fits_nothing(facts, walk, summary);
        }
        let Self::Standing(standing) = self else {
            return summary.to_owned();
        };
        let history = standing.history();
        let refused = ["denied", "rejected"];
        let is_refused = |cause: Cause| refused.iter().any(|name| cause.is_dropped_as(name));
        match (ending, cause.is_some_and(is_refused)) {
            (Some(ending), true) => {
                if ending.allow.is_some() && !standing.by_originator {
                    let service = format!("{}/{}", protocol(facts), facts.from_port.unwrap_or(0));
                    let (from, to) = (&facts.destination, &facts.source);
                    ending.allow = Some(smallest_rule(from, to, &service));
                }
                format!(
                    "{summary}; the connection ({history}) ends, because the rules have changed since"
                )
            }
            (Some(_), false) => format!("{summary}; the packet belongs to a connection: {history}"),
            (None, _) => format!(
                "{summary}; {history}{}",
                judged_anew(standing, &walk.judged)
            ),
        }
    }

    /// Why a segment belongs to no connection.
    fn fits_nothing<H: Hosts>(&self, facts: &Facts, walk: &Walk<'_, H>, summary: &str) -> String {
        let hop = walk.hops.last();
        let host = hop.map_or("", |hop| hop.host.as_str());
        let packet = self.talk(facts).packet;
        let is_answer = hop.is_some_and(|hop| hop.leg == TraceLeg::Answer);
        let flags = match is_answer {
            true => self.talk(facts).answer.map_or(packet.flags, |it| it.flags),
            false => packet.flags,
        };
        let flags = frame::flag_names(flags);
        if let Self::Standing(standing) = self
            && standing.current.contains_key(host)
        {
            let state = &standing.seen.connection.state;
            return format!(
                "dropped on {host} as no-connection: it follows the connection, which is {state}, but a segment with \
                 {flags} does not belong there"
            );
        }
        let none =
            format!("dropped on {host} as no-connection: it follows no connection of these ends");
        match walk.judged.last() {
            Some((judge, rule)) if judge == host => format!(
                "{none}, and its rules let the sender open none{}, so it may not go on with one either",
                by_rule(&rule.name)
            ),
            _ if self.may_begin(facts) => summary.to_owned(),
            _ => format!("{none}, and a segment with {flags} cannot begin one"),
        }
    }

    fn may_begin(&self, facts: &Facts) -> bool {
        let flags = self.talk(facts).packet.flags & !flag::PSH;
        flags == flag::SYN || flags == flag::ACK
    }
}

/// Which hosts judge the connection once more, and what they say.
fn judged_anew(standing: &Standing, judged: &[(String, DecidingRule)]) -> String {
    let anew = judged.iter().map(|(host, rule)| {
        let why = match standing.current.get(host) {
            Some(_) => "judges it anew, because the rules have changed since",
            None => "does not know it and judges it as if it began",
        };
        let allows = match rule.name.as_str() {
            "" => "no rule forbids it".to_owned(),
            name => format!("rule `{name}` allows it"),
        };
        format!("; {host} {why}, and {allows}")
    });
    anew.collect::<Vec<_>>().concat()
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
mod tests {
    use super::*;
    use coax_api::connections::Connection;

    fn standing(state: &str, by_originator: bool) -> Standing {
        Standing {
            seen: StandingConnection {
                connection: Connection {
                    host: String::new(),
                    network: "shop/web".into(),
                    protocol: "tcp".into(),
                    from: end(IpAddr::from([10, 0, 0, 1]), 40_000),
                    to: end(IpAddr::from([10, 0, 0, 2]), 443),
                    state: state.into(),
                    rule: String::new(),
                    expires_seconds: 7,
                },
                current: true,
                rule_is_gone: false,
                idle_seconds: 3,
                sent: [1000, 5000],
            },
            current: BTreeMap::new(),
            by_originator,
            since: None,
        }
    }

    #[test]
    fn segments_fit_where_the_connection_stands() {
        let numbers = |state, by_originator| {
            let (packet, answer) = standing(state, by_originator).numbers();
            [packet, answer].map(|it| (it.flags, it.sequence, it.acknowledgement))
        };
        let (ack, syn_ack) = (flag::ACK, flag::SYN | flag::ACK);
        assert_eq!(
            numbers("established", true),
            [(ack, 1000, 5000), (ack, 5000, 1000)]
        );
        assert_eq!(
            numbers("established", false),
            [(ack, 5000, 1000), (ack, 1000, 5000)]
        );
        assert_eq!(
            numbers("syn-sent", true),
            [(flag::SYN, 999, 0), (syn_ack, 1, 1000)]
        );
        assert_eq!(
            numbers("syn-sent", false),
            [(syn_ack, 1, 1000), (ack, 1000, 2)]
        );
    }

    #[test]
    fn a_connection_is_told_with_its_history() {
        let mut one = standing("established", true);
        assert_eq!(
            one.history(),
            "established, last packet 3 s ago, allowed because no rule forbade it"
        );
        one.since = Some(0);
        one.seen.connection.rule = "shop/web".into();
        assert_eq!(
            one.history(),
            "established since 1970-01-01T00:00:00Z, last packet 3 s ago, allowed by rule `shop/web`"
        );
        one.seen.rule_is_gone = true;
        assert!(one.history().ends_with("allowed by a rule that is gone"));
        assert_eq!(one.name(), "from 10.0.0.1:40000 to 10.0.0.2:443");
    }
}
