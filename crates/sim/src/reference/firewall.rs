//! The firewall of one host.

use super::datagrams::Datagrams;
use super::packet::{Content, Packet, Segment, flag};
use super::policy::{Action, Decision, Policy, Question};
use super::tcp::{Effect, State, Tcp, UNKNOWN_LENGTH};
use coax_tables::DropReason;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// What becomes of a packet.
pub type Fate = Result<(), DropReason>;

/// The policy that a packet meets, and when.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The policy of the network's project.
    pub policy: &'a Policy,
    /// Grows with each of its changes.
    pub version: u32,
    /// The network.
    pub network: u32,
    /// The time.
    pub now: Duration,
}

/// Who talks with whom: originator and the other end, with ports or the identifier of echoes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ends {
    protocol: u8,
    originator: (IpAddr, u16),
    other: (IpAddr, u16),
}

impl Ends {
    const fn reversed(self) -> Self {
        Self {
            protocol: self.protocol,
            originator: self.other,
            other: self.originator,
        }
    }
}

/// What has been exchanged so far.
#[derive(Clone, Debug)]
enum Talk {
    Tcp(Box<Tcp>),
    Asked,
    Answered,
}

#[derive(Clone, Debug)]
struct Connection {
    network: u32,
    ends: Ends,
    /// Port of the other end, or type and code of an echo request.
    service: u16,
    talk: Talk,
    version: u32,
    until: Duration,
}

impl Connection {
    const fn patience(&self) -> Duration {
        let icmp = matches!(self.ends.protocol, 1 | 58);
        Duration::from_secs(match &self.talk {
            Talk::Tcp(tcp) => match tcp.state {
                State::SynSent | State::Simultaneous | State::SynReceived => 30,
                State::Established(false, false) => 7440,
                State::Established(..) => 300,
                State::TimeWait => 60,
                State::Closed => 10,
            },
            Talk::Answered if !icmp => 120,
            Talk::Asked | Talk::Answered => 30,
        })
    }

    const fn question(&self) -> Question {
        Question {
            source: self.ends.originator.0,
            destination: self.ends.other.0,
            protocol: self.ends.protocol,
            service: self.service,
        }
    }
}

/// What one host remembers.
#[derive(Clone, Debug, Default)]
pub struct Firewall {
    connections: Vec<Connection>,
    datagrams: Datagrams,
    /// What each rule has decided.
    pub hits: BTreeMap<u32, u64>,
}

impl Firewall {
    /// Moments at which something is forgotten.
    pub fn deadlines(&self) -> impl Iterator<Item = Duration> {
        let connections = self.connections.iter().map(|one| one.until);
        connections.chain(self.datagrams.deadlines())
    }

    /// Judges a packet.
    ///
    /// # Errors
    /// Why it is dropped.
    pub fn judge(&mut self, packet: &Packet, at: Moment<'_>) -> Fate {
        self.connections
            .retain(|connection| connection.until > at.now);
        let Some(part) = packet.part else {
            return self.judge_content(packet, at);
        };
        let whole = part.offset == 0 && !part.more;
        if part.offset == 0 {
            if part.length < least(&packet.content) {
                return Err(if whole {
                    DropReason::Truncated
                } else {
                    DropReason::Fragment
                });
            }
            self.judge_content(packet, at)?;
        }
        if whole || self.datagrams.take(packet, part, at.network, at.now) {
            Ok(())
        } else {
            Err(DropReason::Fragment)
        }
    }

    fn judge_content(&mut self, packet: &Packet, at: Moment<'_>) -> Fate {
        let alone = |service| Question {
            source: packet.source,
            destination: packet.destination,
            protocol: packet.protocol(),
            service,
        };
        match &packet.content {
            Content::Icmp(kind, code) => self.ask(&alone(u16::from_be_bytes([*kind, *code])), at),
            Content::Error { kind, .. } if packet.is_to_group() => {
                self.ask(&alone(u16::from_be_bytes([kind.0, kind.1])), at)
            }
            _ if packet.is_to_group() => self.ask(&alone(service_of(packet)), at),
            Content::Error { kind, mtu, about } => self.error(packet, (*kind, *mtu), about, at),
            Content::Tcp(segment) => self.segment(packet, segment, at),
            _ => self.exchange(packet, at),
        }
    }

    /// What policy says of something that begins.
    fn ask(&mut self, question: &Question, at: Moment<'_>) -> Fate {
        let decision = at.policy.decide(question);
        self.hit(&decision);
        if decision.passes() {
            Ok(())
        } else {
            Err(refusal(&decision))
        }
    }

    fn hit(&mut self, decision: &Decision) {
        if let Some(rule) = decision.rule {
            *self.hits.entry(rule).or_default() += 1;
        }
    }

    /// Where the connection is, and whether the packet goes from its originator to the other end.
    fn find(&self, ends: Ends, network: u32) -> Option<(usize, bool)> {
        let places = self.connections.iter().enumerate();
        let mut own = places.filter(|(_, one)| one.network == network);
        own.find_map(|(place, one)| match one.ends {
            found if found == ends => Some((place, true)),
            found if found == ends.reversed() => Some((place, false)),
            _ => None,
        })
    }

    /// Where the echoes are that the first of the ends has asked for.
    fn find_asked(&self, ends: Ends, network: u32) -> Option<usize> {
        let mut all = self.connections.iter();
        all.position(|one| one.network == network && one.ends == ends)
    }

    /// Asks policy once more about a connection that an older one admitted.
    fn ask_again(&mut self, place: usize, at: Moment<'_>) -> Fate {
        let connection = &mut self.connections[place];
        if connection.version == at.version {
            return Ok(());
        }
        let decision = at.policy.decide(&connection.question());
        if decision.passes() {
            connection.version = at.version;
            return Ok(());
        }
        self.connections.remove(place);
        self.hit(&decision);
        Err(refusal(&decision))
    }

    fn open(&mut self, ends: Ends, talk: Talk, at: Moment<'_>, service: u16) -> Fate {
        let mut connection = Connection {
            network: at.network,
            ends,
            service,
            talk,
            version: at.version,
            until: at.now,
        };
        self.ask(&connection.question(), at)?;
        connection.until += connection.patience();
        self.connections.push(connection);
        Ok(())
    }

    fn refresh(&mut self, place: usize, now: Duration) {
        let connection = &mut self.connections[place];
        connection.until = now + connection.patience();
    }

    fn segment(&mut self, packet: &Packet, segment: &Segment, at: Moment<'_>) -> Fate {
        use flag::{ACK, FIN, RST, SYN};
        const SENSIBLE: [u8; 6] = [SYN, SYN | ACK, ACK, ACK | FIN, RST, RST | ACK];
        let named = segment.flags & (SYN | ACK | FIN | RST);
        if !SENSIBLE.contains(&named) {
            return Err(DropReason::Malformed);
        }
        let length = match packet.part {
            Some(part) if part.more => UNKNOWN_LENGTH,
            Some(part) => part.length as i64 - segment.header() as i64,
            None => segment.data as i64,
        };
        let ends = ends_of(packet);
        let Some((place, forward)) = self.find(ends, at.network) else {
            if named != SYN && named != ACK {
                return Err(DropReason::NoConnection);
            }
            let talk = Talk::Tcp(Box::new(Tcp::begin(segment, length)));
            let opened = self.open(ends, talk, at, segment.ports.1);
            // Data without a beginning that policy would not admit are no attempt to open anything.
            return if named == ACK {
                opened.map_err(|_| DropReason::NoConnection)
            } else {
                opened
            };
        };
        let mut after = match &self.connections[place].talk {
            Talk::Tcp(tcp) => tcp.clone(),
            Talk::Asked | Talk::Answered => return Err(DropReason::NoConnection),
        };
        match after.take(segment, length, usize::from(!forward)) {
            Effect::Strange => return Err(DropReason::NoConnection),
            Effect::Begins => {
                let talk = Talk::Tcp(Box::new(Tcp::begin(segment, length)));
                self.open(ends, talk, at, segment.ports.1)?;
                self.connections.remove(place);
                return Ok(());
            }
            Effect::Belongs => {}
        }
        self.ask_again(place, at)?;
        self.connections[place].talk = Talk::Tcp(after);
        self.refresh(place, at.now);
        Ok(())
    }

    fn exchange(&mut self, packet: &Packet, at: Moment<'_>) -> Fate {
        let reply = matches!(packet.content, Content::Echo { request: false, .. });
        let ends = ends_of(packet);
        // Who asks is part of an echo's name.
        let named = if reply { ends.reversed() } else { ends };
        let found = match packet.content {
            Content::Echo { .. } => self
                .find_asked(named, at.network)
                .map(|place| (place, !reply)),
            _ => self.find(ends, at.network),
        };
        let Some((place, forward)) = found else {
            if reply {
                return Err(DropReason::NoConnection);
            }
            return self.open(ends, Talk::Asked, at, service_of(packet));
        };
        self.ask_again(place, at)?;
        if !forward {
            self.connections[place].talk = Talk::Answered;
        }
        self.refresh(place, at.now);
        Ok(())
    }

    /// An error passes when it quotes a packet of a connection, to the sender of that packet.
    fn error(
        &mut self,
        packet: &Packet,
        (kind, mtu): ((u8, u8), u32),
        about: &Packet,
        at: Moment<'_>,
    ) -> Fate {
        let greedy = match (packet.is_ipv6(), kind) {
            (false, (3, 4)) => mtu & 0xffff != 0 && mtu & 0xffff < 576,
            (true, (2, _)) => mtu < 1280,
            _ => false,
        };
        let readable = about.part.is_none_or(|part| part.offset == 0)
            && !(about.is_ipv6() && about.headers > 0)
            && !matches!(about.content, Content::Icmp(..) | Content::Error { .. });
        if greedy || !readable || about.source != packet.destination {
            return Err(DropReason::NoConnection);
        }
        let ends = ends_of(about);
        let found = match about.content {
            Content::Echo { request, .. } => {
                let asks = if request { ends } else { ends.reversed() };
                self.find_asked(asks, at.network)
                    .map(|place| (place, request))
            }
            _ => self.find(ends, at.network),
        };
        let related = found.is_some_and(|(place, forward)| {
            let connection = &self.connections[place];
            let known = match (&connection.talk, &about.content) {
                (Talk::Tcp(tcp), Content::Tcp(segment)) => {
                    tcp.is_on_its_way(segment.sequence, usize::from(!forward))
                }
                _ => true,
            };
            known && connection.version == at.version
        });
        if related {
            Ok(())
        } else {
            Err(DropReason::NoConnection)
        }
    }
}

const fn refusal(decision: &Decision) -> DropReason {
    match decision.action {
        Action::Reject => DropReason::Rejected,
        Action::Allow | Action::Deny => DropReason::Denied,
    }
}

/// Bytes that a first fragment must have.
const fn least(content: &Content) -> usize {
    match content {
        Content::Tcp(segment) => segment.header(),
        Content::Other(_) => 0,
        _ => 8,
    }
}

const fn ports_of(packet: &Packet) -> (u16, u16) {
    match &packet.content {
        Content::Tcp(segment) => segment.ports,
        Content::Udp(ports, _) | Content::Sctp(ports) => *ports,
        Content::Echo { identifier, .. } => (*identifier, *identifier),
        _ => (0, 0),
    }
}

const fn ends_of(packet: &Packet) -> Ends {
    let ports = ports_of(packet);
    Ends {
        protocol: packet.protocol(),
        originator: (packet.source, ports.0),
        other: (packet.destination, ports.1),
    }
}

/// What policy is told of a packet's service.
const fn service_of(packet: &Packet) -> u16 {
    match packet.content {
        Content::Echo { request, .. } => {
            let kind: u16 = match (packet.is_ipv6(), request) {
                (false, true) => 8,
                (false, false) => 0,
                (true, true) => 128,
                (true, false) => 129,
            };
            kind << 8
        }
        _ => ports_of(packet).1,
    }
}
