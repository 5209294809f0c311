//! The firewall of one host.

use super::connections::{Connection, Connections, Ends, Talk, ports_of};
use super::datagrams::Datagrams;
use super::packet::{Content, Packet, Segment, flag};
use super::placement::Rows;
use super::policy::{Action, Decision, Policy, Question};
use super::tcp::{Effect, Tcp, UNKNOWN_LENGTH};
use coax_tables::DropReason;
use std::collections::BTreeMap;
use std::time::Duration;

/// What becomes of a packet.
pub type Fate = Result<(), DropReason>;

/// The policy that a packet meets, and when.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The policy of the network's project.
    pub policy: &'a Policy,
    /// The project.
    pub project: usize,
    /// Grows with each of its changes.
    pub version: u32,
    /// The network.
    pub network: u32,
    /// The time.
    pub now: Duration,
}

/// What one host remembers.
#[derive(Clone, Debug, Default)]
pub struct Firewall {
    connections: Connections,
    datagrams: Datagrams,
    /// What each rule has decided.
    pub hits: BTreeMap<u32, u64>,
}

impl Firewall {
    /// A host with places for connections in these rows only.
    pub fn with_rows(rows: Rows) -> Self {
        Self {
            connections: Connections::new(rows),
            ..Self::default()
        }
    }

    /// Moments at which something is forgotten.
    pub fn deadlines(&self) -> impl Iterator<Item = Duration> {
        let connections = self.connections.deadlines();
        connections.chain(self.datagrams.deadlines())
    }

    /// How many attempts had to make room for others.
    pub const fn replaced(&self) -> u64 {
        self.connections.replaced
    }

    /// How many found their rows full, when others had room.
    pub const fn crowded_out(&self) -> u64 {
        self.connections.crowded_out
    }

    /// How many connections a project has at a moment.
    pub fn count(&mut self, project: usize, now: Duration) -> usize {
        self.connections.forget(now);
        self.connections.count(project)
    }

    /// Judges a packet.
    ///
    /// # Errors
    /// Why it is dropped.
    pub fn judge(&mut self, packet: &Packet, at: Moment<'_>) -> Fate {
        self.connections.forget(at.now);
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

    /// Asks policy once more about a connection that an older one admitted.
    fn ask_again(&mut self, place: usize, at: Moment<'_>) -> Fate {
        let connection = self.connections.at(place);
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

    /// What begins, if policy admits it.
    fn begin(
        &mut self,
        ends: Ends,
        talk: Talk,
        at: Moment<'_>,
        service: u16,
    ) -> Result<Connection, DropReason> {
        let mut connection = Connection {
            project: at.project,
            network: at.network,
            ends,
            service,
            talk,
            version: at.version,
            until: at.now,
            row: 0,
        };
        self.ask(&connection.question(), at)?;
        connection.until += connection.patience();
        Ok(connection)
    }

    fn open(&mut self, ends: Ends, talk: Talk, at: Moment<'_>, service: u16) -> Fate {
        let connection = self.begin(ends, talk, at, service)?;
        self.connections.remember(connection, at.policy.quota)
    }

    fn refresh(&mut self, place: usize, now: Duration) {
        let connection = self.connections.at(place);
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
        let ends = Ends::of(packet);
        let Some((place, forward)) = self.connections.find(ends, at.network) else {
            if named != SYN && named != ACK {
                return Err(DropReason::NoConnection);
            }
            let talk = Talk::Tcp(Box::new(Tcp::begin(segment, length)));
            let begun = self.begin(ends, talk, at, segment.ports.1);
            // Data without a beginning that policy would not admit are no attempt to open anything.
            let begun = begun.map_err(|reason| match named {
                ACK => DropReason::NoConnection,
                _ => reason,
            });
            return self.connections.remember(begun?, at.policy.quota);
        };
        let mut after = match &self.connections.at(place).talk {
            Talk::Tcp(tcp) => tcp.clone(),
            Talk::Asked | Talk::Answered => return Err(DropReason::NoConnection),
        };
        match after.take(segment, length, usize::from(!forward)) {
            Effect::Strange => return Err(DropReason::NoConnection),
            Effect::Begins => {
                let talk = Talk::Tcp(Box::new(Tcp::begin(segment, length)));
                let row = self.connections.at(place).row;
                let begun = self.begin(ends, talk, at, segment.ports.1)?;
                *self.connections.at(place) = Connection { row, ..begun };
                return Ok(());
            }
            Effect::Belongs => {}
        }
        self.ask_again(place, at)?;
        self.connections.at(place).talk = Talk::Tcp(after);
        self.refresh(place, at.now);
        Ok(())
    }

    fn exchange(&mut self, packet: &Packet, at: Moment<'_>) -> Fate {
        let reply = matches!(packet.content, Content::Echo { request: false, .. });
        let ends = Ends::of(packet);
        // Who asks is part of an echo's name.
        let named = if reply { ends.reversed() } else { ends };
        let found = match packet.content {
            Content::Echo { .. } => self
                .connections
                .find_asked(named, at.network)
                .map(|place| (place, !reply)),
            _ => self.connections.find(ends, at.network),
        };
        let Some((place, forward)) = found else {
            if reply {
                return Err(DropReason::NoConnection);
            }
            return self.open(ends, Talk::Asked, at, service_of(packet));
        };
        self.ask_again(place, at)?;
        if !forward {
            self.connections.at(place).talk = Talk::Answered;
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
        let ends = Ends::of(about);
        let found = match about.content {
            Content::Echo { request, .. } => {
                let asks = if request { ends } else { ends.reversed() };
                self.connections
                    .find_asked(asks, at.network)
                    .map(|place| (place, request))
            }
            _ => self.connections.find(ends, at.network),
        };
        let related = found.is_some_and(|(place, forward)| {
            let connection = self.connections.at(place);
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
