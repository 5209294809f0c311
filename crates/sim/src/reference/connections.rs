//! The connections that one host remembers: a list, with room for some. Where room is little, each may be in two rows only
//! ([`placement`](super::placement)).
//!
//! A project may have as many as its quota. One that has them, or that finds all places taken, may still begin another one
//! in place of its own oldest attempt that nobody has answered, in the first of its two rows that has one. Nothing else makes
//! room but time.

use super::packet::{Content, Packet};
use super::placement::{ROW, Rows};
use super::policy::Question;
use super::tcp::{State, Tcp};
use coax_tables::DropReason;
use std::net::IpAddr;
use std::time::Duration;

/// Who talks with whom: originator and the other end, with ports or the identifier of echoes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// IP protocol.
    pub protocol: u8,
    /// Who has begun.
    pub originator: (IpAddr, u16),
    /// The other one.
    pub other: (IpAddr, u16),
}

impl Ends {
    /// The ends of a packet, whose sender is the first.
    pub const fn of(packet: &Packet) -> Self {
        let ports = ports_of(packet);
        Self {
            protocol: packet.protocol(),
            originator: (packet.source, ports.0),
            other: (packet.destination, ports.1),
        }
    }

    /// The same from the other end.
    pub const fn reversed(self) -> Self {
        Self {
            protocol: self.protocol,
            originator: self.other,
            other: self.originator,
        }
    }
}

/// Ports of a packet, or the identifier of an echo for both.
pub const fn ports_of(packet: &Packet) -> (u16, u16) {
    match &packet.content {
        Content::Tcp(segment) => segment.ports,
        Content::Udp(ports, _) | Content::Sctp(ports) => *ports,
        Content::Echo { identifier, .. } => (*identifier, *identifier),
        _ => (0, 0),
    }
}

/// What has been exchanged so far.
#[derive(Clone, Debug)]
pub enum Talk {
    /// Segments.
    Tcp(Box<Tcp>),
    /// One end has sent.
    Asked,
    /// Both have.
    Answered,
}

/// A connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Whose quota it counts for.
    pub project: usize,
    /// The network in which it was seen.
    pub network: u32,
    /// Its ends.
    pub ends: Ends,
    /// Port of the other end, or type and code of an echo request.
    pub service: u16,
    /// What has been exchanged.
    pub talk: Talk,
    /// The policy that admitted it.
    pub version: u32,
    /// When it is forgotten.
    pub until: Duration,
    /// The row that it is in.
    pub row: usize,
}

impl Connection {
    /// How long it is remembered without a packet.
    pub const fn patience(&self) -> Duration {
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

    /// What policy is asked about it.
    pub const fn question(&self) -> Question {
        Question {
            source: self.ends.originator.0,
            destination: self.ends.other.0,
            protocol: self.ends.protocol,
            service: self.service,
        }
    }

    /// Nobody has answered yet.
    const fn is_attempt(&self) -> bool {
        match &self.talk {
            Talk::Tcp(tcp) => matches!(tcp.state, State::SynSent),
            Talk::Asked => true,
            Talk::Answered => false,
        }
    }
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    list: Vec<Connection>,
    /// Where there is little room.
    rows: Option<Rows>,
    /// How many attempts had to go.
    pub replaced: u64,
    /// How many found no place in their rows, when there were some in others.
    pub crowded_out: u64,
}

impl Connections {
    /// None, with places in these rows only.
    pub fn new(rows: Rows) -> Self {
        Self {
            rows: Some(rows),
            ..Self::default()
        }
    }

    /// When each is forgotten.
    pub fn deadlines(&self) -> impl Iterator<Item = Duration> {
        self.list.iter().map(|one| one.until)
    }

    /// Those whose time is over are no more.
    pub fn forget(&mut self, now: Duration) {
        self.list.retain(|one| one.until > now);
    }

    /// How many a project has.
    pub fn count(&self, project: usize) -> usize {
        let own = self.list.iter().filter(|one| one.project == project);
        own.count()
    }

    /// Where the connection is, and whether a packet with these ends goes from its originator to the other end.
    pub fn find(&self, ends: Ends, network: u32) -> Option<(usize, bool)> {
        let places = self.list.iter().enumerate();
        let mut own = places.filter(|(_, one)| one.network == network);
        own.find_map(|(place, one)| match one.ends {
            found if found == ends => Some((place, true)),
            found if found == ends.reversed() => Some((place, false)),
            _ => None,
        })
    }

    /// Where the echoes are that the first of the ends has asked for.
    pub fn find_asked(&self, ends: Ends, network: u32) -> Option<usize> {
        let mut all = self.list.iter();
        all.position(|one| one.network == network && one.ends == ends)
    }

    /// The connection at a place.
    pub fn at(&mut self, place: usize) -> &mut Connection {
        &mut self.list[place]
    }

    /// Ends the one at a place.
    pub fn remove(&mut self, place: usize) {
        self.list.remove(place);
    }

    /// Remembers another one.
    ///
    /// # Errors
    /// Why there is no room.
    pub fn remember(&mut self, mut connection: Connection, quota: u32) -> Result<(), DropReason> {
        let project = connection.project;
        let Some(rows) = self.rows else {
            self.list.push(connection);
            return Ok(());
        };
        let own = rows.of(connection.ends, connection.network);
        let may_have_more = self.count(project) < quota as usize;
        if may_have_more && let Some(row) = own.into_iter().find(|row| self.in_row(*row) < ROW) {
            connection.row = row;
            self.list.push(connection);
            return Ok(());
        }
        let elsewhere = (0..rows.count).any(|row| self.in_row(row) < ROW);
        self.crowded_out += u64::from(may_have_more && elsewhere);
        let oldest = |row: usize| {
            let places = self.list.iter().enumerate();
            let attempts = places
                .filter(|(_, one)| one.row == row && one.project == project && one.is_attempt());
            let oldest = attempts.min_by_key(|(_, one)| one.until)?;
            Some((oldest.0, row))
        };
        match own.into_iter().find_map(oldest) {
            Some((place, row)) => {
                connection.row = row;
                self.list[place] = connection;
                self.replaced += 1;
                Ok(())
            }
            None if may_have_more => Err(DropReason::ConnectionsFull),
            None => Err(DropReason::ConnectionQuota),
        }
    }

    fn in_row(&self, row: usize) -> usize {
        self.list.iter().filter(|one| one.row == row).count()
    }
}
