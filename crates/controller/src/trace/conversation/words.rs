//! What packets of a conversation look like, and how what becomes of them is told.

use super::*;

impl Subject {
    /// What packet and answer look like.
    pub(in crate::trace) fn talk(&self, facts: &Facts) -> Talk {
        let (from_port, packet, answer) = match self {
            Self::New { from_port } => (*from_port, Numbers::SYN, Some(Numbers::SYN_ACK)),
            Self::Stray {
                from_port, flags, ..
            } => {
                let packet = Numbers {
                    flags: *flags,
                    ..Numbers::SYN
                };
                (*from_port, packet, None)
            }
            Self::Standing(standing) => {
                let talk = standing.talk(facts.traffic);
                match facts.flags {
                    Some(flags) => {
                        let packet = Numbers {
                            flags,
                            ..talk.packet
                        };
                        (talk.from_port, packet, None)
                    }
                    None => (talk.from_port, talk.packet, talk.answer),
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
            (
                Self::Stray {
                    from_port,
                    flags,
                    all_told,
                },
                _,
            ) => {
                let followed = match all_told {
                    true => ", of a connection that no host follows",
                    false => "",
                };
                let flags = frame::flag_names(*flags);
                format!("a segment with {flags} from port {from_port}{followed}")
            }
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
        let refused = ["denied", "rejected"];
        let is_refused = |cause: Cause| refused.iter().any(|name| cause.is_dropped_as(name));
        let is_refused = cause.is_some_and(is_refused);
        let host = walk.hops.last().map_or("", |hop| hop.host.as_str());
        let Self::Standing(standing) = self else {
            return match (self, ending) {
                (Self::New { .. }, Some(ending)) if is_refused && !walk.reached => {
                    rules::beside_the_rules(facts, host, summary, ending)
                }
                _ => summary.to_owned(),
            };
        };
        let history = standing.history();
        match (ending, is_refused) {
            (Some(ending), true) => {
                let meaning = standing.refused(facts, host, ending);
                format!("{summary}; {meaning}")
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
            && standing.is_followed_on(host)
        {
            let state = &standing.seen.connection.state;
            return format!(
                "dropped on {host} as no-connection: it follows the connection, which is {state}, but a segment with \
                 {flags} does not belong there"
            );
        }
        let none =
            format!("dropped on {host} as no-connection: it follows no connection of these ends");
        let may_be_followed = match self {
            Self::Stray { all_told, .. } => !all_told,
            Self::Standing(standing) => standing.judged.contains_key(host),
            Self::New { .. } => false,
        };
        // Policy is asked about such a segment only where no connection is followed.
        match walk.judged.last() {
            Some((judge, rule)) if judge == host => format!(
                "{none}, and its rules let the sender open none{}, so it may not go on with one either",
                by_rule(&rule.name)
            ),
            _ if self.may_begin(facts) || may_be_followed => summary.to_owned(),
            _ => format!("{none}, and a segment with {flags} cannot begin one"),
        }
    }

    fn may_begin(&self, facts: &Facts) -> bool {
        let flags = self.talk(facts).packet.flags & !flag::PSH;
        flags == flag::SYN || flags == flag::ACK
    }
}

impl Standing {
    /// A packet that fits where the connection stands, and its answer.
    pub(super) fn talk(&self, traffic: Traffic) -> Talk {
        let (packet, answer) = self.numbers();
        Talk {
            traffic,
            size: None,
            from_port: self.ends()[0].port,
            packet,
            answer: Some(answer),
        }
    }

    /// What it means for the connection that the policy of a host refuses a packet of it.
    pub(super) fn refused(&self, facts: &Facts, host: &str, ending: &mut Ending) -> String {
        let history = self.history();
        let why = match self.judged.get(host) {
            Some(Judgement::Current) => {
                format!("the policy of {host} refuses this packet of it")
            }
            Some(Judgement::Earlier) => "the rules have changed since".to_owned(),
            Some(Judgement::Elsewhere) => {
                format!("{host}, to which it has come, judges it for the first time")
            }
            Some(Judgement::Untold) => {
                return format!(
                    "{host} did not tell whether it knows the connection ({history}), and its policy \
                     refuses the packet"
                );
            }
            None => {
                // To such a host the answering end begins one. A rule for that would let it open others, too.
                if !self.by_originator {
                    ending.allow = None;
                    "let the end that opened it open another one".clone_into(&mut ending.hint);
                }
                return format!(
                    "{host} does not know the connection ({history}) and judges the packet as if it \
                     began one"
                );
            }
        };
        if ending.allow.is_some() && !self.by_originator {
            let service = format!("{}/{}", protocol(facts), facts.from_port.unwrap_or(0));
            let (from, to) = (&facts.destination, &facts.source);
            ending.allow = Some(smallest_rule(from, to, &service));
        }
        format!("the connection ({history}) ends, because {why}")
    }
}

/// Which hosts judge the connection once more, and what they say.
fn judged_anew(standing: &Standing, judged: &[(String, DecidingRule)]) -> String {
    let anew = judged.iter().map(|(host, rule)| {
        let why = match standing.judged.get(host) {
            Some(Judgement::Current | Judgement::Earlier) => {
                "judges it anew, because it has loaded its policy since"
            }
            Some(Judgement::Elsewhere) => "judges it for the first time",
            Some(Judgement::Untold) => "did not tell whether it knows it and judges it",
            None => "does not know it and judges it as if it began",
        };
        let allows = match (rule.name.as_str(), rule.audited) {
            ("", false) => "no rule forbids it".to_owned(),
            ("", true) => "the default would refuse it, but is only audited".to_owned(),
            (name, false) => format!("rule `{name}` allows it"),
            (name, true) => format!("rule `{name}` would refuse it, but is only audited"),
        };
        format!("; {host} {why}, and {allows}")
    });
    anew.collect::<Vec<_>>().concat()
}
