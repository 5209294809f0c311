//! Which connections stand between the two ends, as far as their hosts tell.

use super::super::frame::EPHEMERAL;
use super::*;
use coax_api::connections::StandingFilter;

/// The connections between the two ends.
#[derive(Debug, Default)]
pub(in crate::trace) struct Survey {
    connections: Vec<Standing>,
    /// Hosts were asked at all.
    asked: bool,
    /// Hosts of the ends that did not tell all that they follow.
    untold: Vec<String>,
    /// A source port that is free, though not every host told all.
    free: Option<u16>,
}

/// Source ports that are tried where hosts follow more than they tell.
const TRIES: usize = 8;
/// How far they are apart.
const APART: usize = 1009;

impl Survey {
    /// Asks the hosts of both ends.
    pub(in crate::trace) async fn of(facts: &Facts, hosts: &impl Hosts) -> Self {
        let mut survey = Self::told(facts, facts.from_port, hosts).await;
        if facts.inject && facts.from_port.is_none() && survey.is_partial() {
            survey.free = survey.asked_free(facts, hosts).await;
        }
        survey
    }

    /// A source port of which every host says that it follows no connection.
    async fn asked_free(&self, facts: &Facts, hosts: &impl Hosts) -> Option<u16> {
        let unknown = (EPHEMERAL..=u16::MAX).filter(|port| !self.knows(*port));
        for port in unknown.step_by(APART).take(TRIES) {
            let about = Self::told(facts, Some(port), hosts).await;
            if !about.is_complete() {
                return None;
            }
            if about.connections.is_empty() {
                return Some(port);
            }
        }
        None
    }

    /// What the hosts of both ends say, of one source port or of all.
    async fn told(facts: &Facts, from_port: Option<u16>, hosts: &impl Hosts) -> Self {
        let question = HostQuestion::Standing(StandingFilter {
            ends: [facts.source.address, facts.destination.address],
            protocol: protocol(facts),
            ports: from_port.map(|port| [port, service(facts.traffic)]),
            networks: networks(facts).into_iter().flatten().collect(),
        });
        let first = facts.source.host();
        let second = facts.destination.host().filter(|it| Some(*it) != first);
        let ask = async |host: Option<&str>| {
            let known = facts.hosts.get(host?);
            if !known.is_some_and(|host| host.connected) {
                return None;
            }
            match hosts.ask(host?, question.clone()).await {
                Ok(HostAnswer::Standing {
                    connections,
                    left_out,
                }) => Some((connections, left_out)),
                _ => None,
            }
        };
        let (here, there) = tokio::join!(ask(first), ask(second));
        let mut survey = Self {
            asked: true,
            ..Self::default()
        };
        for (host, answer) in [(first, here), (second, there)] {
            let Some(host) = host else { continue };
            if !matches!(answer, Some((_, 0))) {
                survey.untold.push(host.to_owned());
            }
            let connections = answer.map(|(connections, _)| connections);
            survey.add(facts, host, connections.unwrap_or_default());
        }
        for host in &survey.untold {
            for standing in &mut survey.connections {
                let judged = standing.judged.entry(host.clone());
                judged.or_insert(Judgement::Untold);
            }
        }
        survey
    }

    fn add(&mut self, facts: &Facts, host: &str, connections: Vec<StandingConnection>) {
        let networks = networks(facts);
        for mut seen in connections {
            // Other projects may use the same addresses, and not every agent knows that it is asked for networks.
            if !networks.contains(&Some(seen.connection.network.clone())) {
                continue;
            }
            let judgement = match (seen.adopted, seen.current) {
                (true, _) => Judgement::Elsewhere,
                (false, true) => Judgement::Current,
                (false, false) => Judgement::Earlier,
            };
            let (from, to) = (&seen.connection.from, &seen.connection.to);
            let mut known = self.connections.iter_mut();
            // Hosts that saw other parts of it may not agree on who opened it.
            let known = known.find(|known| {
                let other = &known.seen.connection;
                (&other.from, &other.to) == (from, to) || (&other.to, &other.from) == (from, to)
            });
            match known {
                Some(known) => {
                    // A router's host follows it for both of its networks.
                    let judged = known.judged.entry(host.to_owned());
                    let judged = judged.or_insert(judgement);
                    *judged = judgement.max(*judged);
                }
                None => {
                    host.clone_into(&mut seen.connection.host);
                    self.connections.push(Standing {
                        judged: BTreeMap::from([(host.to_owned(), judgement)]),
                        by_originator: seen.connection.from.address == facts.source.address,
                        seen,
                        since: None,
                    });
                }
            }
        }
    }

    /// Every host of an end told all that it follows.
    pub(in crate::trace) fn is_complete(&self) -> bool {
        self.asked && self.untold.is_empty()
    }

    /// A packet with the source port of the trace meddles with no connection that was not told.
    pub(in crate::trace) fn may_send(&self) -> bool {
        self.is_complete() || self.free.is_some()
    }

    /// Hosts were asked, and not every one told all that it follows.
    pub(super) fn is_partial(&self) -> bool {
        self.asked && !self.untold.is_empty()
    }

    /// Who did not tell all that it follows.
    pub(in crate::trace) fn missing(&self) -> String {
        if !self.asked {
            return "no host was asked for its connections".to_owned();
        }
        let whose = match self.untold.len() {
            1 => "its",
            _ => "their",
        };
        let hosts = self.untold.join(" and ");
        format!("{hosts} did not tell all {whose} connections")
    }

    /// The connection with the source port that is given, though it may be over.
    fn given(&self, facts: &Facts) -> Option<&Standing> {
        let own = end(facts.source.address, facts.from_port?);
        let other = end(facts.destination.address, service(facts.traffic));
        let mut connections = self.connections.iter();
        connections.find(|it| it.ends() == [&own, &other])
    }

    /// What the packet of a trace belongs to.
    pub(in crate::trace) fn subject(&self, facts: &Facts) -> Subject {
        let begins = facts.flags.is_none_or(|flags| flags == flag::SYN);
        let given = self.given(facts);
        if let Some(standing) = given.filter(|it| !begins || !it.is_over()) {
            return Subject::Standing(Box::new(standing.clone()));
        }
        let from_port = facts.from_port.unwrap_or_else(|| self.free_port());
        match facts.flags {
            Some(flags) if !begins => Subject::Stray {
                from_port,
                flags,
                all_told: self.is_complete(),
            },
            _ => Subject::New { from_port },
        }
    }

    /// What is known of the connection with the source port that is given, where the packet belongs to none.
    pub(in crate::trace) fn about_none(&self, facts: &Facts) -> String {
        match self.given(facts) {
            Some(over) => format!(
                "the last connection of these ends is over ({})",
                over.history()
            ),
            None if self.is_complete() => {
                "no host follows a connection of these ends, so this is none that stands".to_owned()
            }
            None => format!(
                "{}, so whether one of these ends stands is not known",
                self.missing()
            ),
        }
    }

    /// A source port of which no host follows a connection.
    fn free_port(&self) -> u16 {
        self.free.unwrap_or_else(|| {
            (EPHEMERAL..=u16::MAX)
                .find(|port| !self.knows(*port))
                .unwrap_or(EPHEMERAL)
        })
    }

    fn knows(&self, port: u16) -> bool {
        self.connections.iter().any(|it| it.ends()[0].port == port)
    }

    /// Connections of the sender to the service, those that one rule admitted under one policy together: one of them, and
    /// how many there are.
    pub(super) fn to_service(&self, facts: &Facts) -> Vec<(Standing, usize)> {
        let service = service(facts.traffic);
        let mut kinds: Vec<(Standing, usize)> = Vec::new();
        let wanted = self.connections.iter().filter(|it| {
            facts.traffic != Traffic::Icmp
                && it.by_originator
                && it.seen.connection.to.port == service
                && !it.is_over()
        });
        for standing in wanted {
            let alike = |kind: &&mut (Standing, usize)| {
                let (one, other) = (&kind.0.seen.connection, &standing.seen.connection);
                one.rule == other.rule && kind.0.judged == standing.judged
            };
            match kinds.iter_mut().find(alike) {
                Some((_, number)) => *number += 1,
                None => kinds.push((standing.clone(), 1)),
            }
        }
        kinds
    }
}
