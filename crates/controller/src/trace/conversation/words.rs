//! What packets of a conversation look like, and how what becomes of them is told.

use super::*;

impl Subject {
    /// What packet and answer look like.
    pub(in crate::trace) fn talk(&self, facts: &Facts) -> Talk {
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
    pub(in crate::trace) fn about(&self, facts: &Facts) -> String {
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
    pub(in crate::trace) fn tell<H: Hosts>(
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
