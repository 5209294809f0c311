//! What is known of a TCP connection: all segments that it let pass, in order.
//!
//! Sequence numbers are unwound to numbers that never wrap, so that before and behind are less and more.

use super::packet::{Segment, flag};

/// How far behind the window a segment may end, and still be one that is late.
const LATE: i64 = 0xffff;
/// How old an acknowledgement may be at least.
const OLD: i64 = 66_000;
/// Data that may come with a SYN.
const WITH_SYN: i64 = 0x3fff;
/// The largest window scale.
const LARGEST: u32 = 14;
/// As long a first fragment counts: how long the datagram is, only its last one says.
pub const UNKNOWN_LENGTH: i64 = 0xffff;

/// Where a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// One end has sent a SYN.
    SynSent,
    /// Both ends have.
    Simultaneous,
    /// A SYN was acknowledged.
    SynReceived,
    /// Both talk, or one end has said that it is done: the originator, the other one.
    Established(bool, bool),
    /// Both are done.
    TimeWait,
    /// It was reset.
    Closed,
}

/// What becomes of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It does not belong to the connection.
    Strange,
    /// It passes.
    Belongs,
    /// It begins another connection of the same ends.
    Begins,
}

/// A segment that an end has sent, in unwound numbers.
#[derive(Clone, Copy, Debug)]
struct Sent {
    end: i64,
    /// What it acknowledges, and the window that it offers.
    acknowledged: Option<i64>,
    window: i64,
}

/// One end: what it has sent since its last SYN, and the window scale that it offered then.
#[derive(Clone, Debug, Default)]
struct Side {
    sent: Vec<Sent>,
    scale: Option<u32>,
}

impl Side {
    /// Behind the last byte that it has sent.
    fn end(&self) -> Option<i64> {
        self.sent.iter().map(|sent| sent.end).max()
    }

    /// Up to where it has acknowledged what the other end has sent.
    fn acknowledged(&self) -> Option<i64> {
        self.sent.iter().filter_map(|sent| sent.acknowledged).max()
    }

    /// Up to where it has ever allowed the other end to send.
    fn allows(&self) -> Option<i64> {
        let edges = self.sent.iter();
        edges
            .filter_map(|sent| Some(sent.acknowledged? + sent.window))
            .max()
    }

    /// The largest window that it has ever offered.
    fn largest(&self) -> Option<i64> {
        self.sent.iter().map(|sent| sent.window).max()
    }
}

/// A connection. The first end is the originator.
#[derive(Clone, Debug)]
pub struct Tcp {
    /// Where it is.
    pub state: State,
    ends: [Side; 2],
    /// Its beginning was not seen.
    found: bool,
    /// The number behind a SYN in its midst, and the scale that this offered.
    pending: Option<(i64, Option<u32>)>,
}

/// The number near `near` that `sequence` stands for.
fn unwind(sequence: u32, near: i64) -> i64 {
    let distance = sequence.wrapping_sub(near as u32) as i32;
    near + i64::from(distance)
}

/// Where a segment is: its first number, the one behind it, and what it acknowledges.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: i64,
    end: i64,
    acknowledges: Option<i64>,
}

impl Tcp {
    /// The connection that the originator's segment begins, which is `length` bytes long.
    pub fn begin(segment: &Segment, length: i64) -> Self {
        let syn = segment.has(flag::SYN);
        let mut tcp = Self {
            state: if syn {
                State::SynSent
            } else {
                State::Established(false, false)
            },
            ends: [Side::default(), Side::default()],
            found: !syn,
            pending: None,
        };
        let place = tcp.place(segment, length, 0);
        tcp.ends[0].scale = scale_of(segment);
        tcp.note(segment, place, 0);
        tcp
    }

    /// What an end is known to have sent, or where the other one thinks it is.
    fn near(&self, end: usize) -> i64 {
        let known = self.ends[end].end();
        known.or(self.ends[1 - end].acknowledged()).unwrap_or(0)
    }

    fn place(&self, segment: &Segment, length: i64, from: usize) -> Place {
        let start = unwind(segment.sequence, self.near(from));
        let numbers = i64::from(segment.has(flag::SYN)) + i64::from(segment.has(flag::FIN));
        let acknowledges = segment
            .has(flag::ACK)
            .then(|| unwind(segment.acknowledgement, self.near(1 - from)));
        Place {
            start,
            end: start + numbers + length,
            acknowledges,
        }
    }

    fn scale(&self, from: usize) -> u32 {
        match (self.found, self.ends[from].scale, self.ends[1 - from].scale) {
            (true, ..) => LARGEST,
            (false, Some(own), Some(_)) => own,
            _ => 0,
        }
    }

    /// Whether the segment fits to what is known.
    fn fits(&self, place: Place, from: usize) -> bool {
        let (own, other) = (&self.ends[from], &self.ends[1 - from]);
        // Ahead of the edge is what is nearer to it from there than from behind.
        let in_window = other
            .allows()
            .is_none_or(|edge| (place.start - edge) as i32 <= 0);
        let not_too_late = match (own.end(), other.largest()) {
            (Some(end), Some(window)) => place.end >= end - window - LATE,
            _ => true,
        };
        let acknowledges = match (place.acknowledges, other.end()) {
            (Some(number), Some(sent)) => {
                number <= sent && number >= sent - own.largest().unwrap_or(0).max(OLD)
            }
            _ => true,
        };
        in_window && not_too_late && acknowledges
    }

    fn note(&mut self, segment: &Segment, place: Place, from: usize) {
        let scale = if segment.has(flag::SYN) {
            0
        } else {
            self.scale(from)
        };
        // A closed window takes one byte, to be probed.
        let window = (i64::from(segment.window) << scale).max(1);
        self.ends[from].sent.push(Sent {
            end: place.end,
            acknowledged: place.acknowledges,
            window,
        });
    }

    /// Forgets what the end has sent: it begins with this SYN.
    fn restart(&mut self, segment: &Segment, length: i64, from: usize) {
        let place = self.place(segment, length, from);
        self.ends[from] = Side {
            sent: Vec::new(),
            scale: scale_of(segment),
        };
        self.note(segment, place, from);
    }

    /// Takes a segment of the end `from`, 0 for the originator, `length` bytes long.
    pub fn take(&mut self, segment: &Segment, length: i64, from: usize) -> Effect {
        if segment.has(flag::RST) {
            return self.reset(segment, length, from);
        }
        match (segment.has(flag::SYN), segment.has(flag::ACK)) {
            (true, false) => self.syn(segment, length, from),
            (true, true) => self.syn_ack(segment, length, from),
            _ => self.other(segment, length, from),
        }
    }

    fn syn(&mut self, segment: &Segment, length: i64, from: usize) -> Effect {
        match self.state {
            State::TimeWait | State::Closed => return Effect::Begins,
            State::SynSent => {
                self.restart(segment, length, from);
                if from == 1 {
                    self.state = State::Simultaneous;
                }
            }
            State::Simultaneous => {
                if !self.fits(self.place(segment, length, from), from) {
                    return Effect::Strange;
                }
            }
            State::SynReceived | State::Established(..) => {
                if from == 1 {
                    return Effect::Strange;
                }
                // For the other end to challenge or to agree to.
                let end = self.place(segment, length, from).end;
                self.pending = Some((end, scale_of(segment)));
            }
        }
        Effect::Belongs
    }

    fn syn_ack(&mut self, segment: &Segment, length: i64, from: usize) -> Effect {
        let place = self.place(segment, length, from);
        match self.state {
            State::SynSent if from == 1 => {
                if !self.acknowledges_syn(segment, from) {
                    return Effect::Strange;
                }
                self.restart(segment, length, from);
                self.state = State::SynReceived;
                Effect::Belongs
            }
            State::Simultaneous => {
                if !self.acknowledges_syn(segment, from) {
                    return Effect::Strange;
                }
                self.note(segment, place, from);
                self.state = State::SynReceived;
                Effect::Belongs
            }
            State::SynReceived if self.fits(place, from) => {
                self.note(segment, place, from);
                Effect::Belongs
            }
            State::Established(..) if from == 1 => self.agree(segment, length),
            _ => Effect::Strange,
        }
    }

    fn acknowledges_syn(&self, segment: &Segment, from: usize) -> bool {
        let sent = self.ends[1 - from].end();
        sent.is_some_and(|sent| {
            let missing = sent - unwind(segment.acknowledgement, sent);
            (0..=WITH_SYN).contains(&missing)
        })
    }

    /// A SYN-ACK of the other end in an open connection.
    fn agree(&mut self, segment: &Segment, length: i64) -> Effect {
        let pending = self.pending;
        let Some((end, scale)) = pending.filter(|(end, _)| *end as u32 == segment.acknowledgement)
        else {
            return if self.fits(self.place(segment, length, 1), 1) {
                Effect::Belongs
            } else {
                Effect::Strange
            };
        };
        self.found = false;
        self.pending = None;
        self.ends[0] = Side {
            sent: vec![Sent {
                end,
                acknowledged: None,
                window: 0xffff,
            }],
            scale,
        };
        self.restart(segment, length, 1);
        self.state = State::SynReceived;
        Effect::Belongs
    }

    fn other(&mut self, segment: &Segment, length: i64, from: usize) -> Effect {
        let place = self.place(segment, length, from);
        let fin = segment.has(flag::FIN);
        match self.state {
            // The other end remembers an older connection, which the originator will reset.
            State::SynSent if from == 1 && !fin => return Effect::Belongs,
            State::SynSent | State::Simultaneous => return Effect::Strange,
            _ if !self.fits(place, from) => return Effect::Strange,
            _ => {}
        }
        self.note(segment, place, from);
        let both = self.ends.iter().all(|end| end.acknowledged().is_some());
        if self.state == State::SynReceived && (from == 0 || both) {
            self.state = State::Established(false, false);
        }
        if fin {
            let done = match self.state {
                State::Established(first, second) => [first || from == 0, second || from == 1],
                State::SynReceived => [from == 0, from == 1],
                _ => return Effect::Belongs,
            };
            self.state = match done {
                [true, true] => State::TimeWait,
                [first, second] => State::Established(first, second),
            };
        }
        Effect::Belongs
    }

    fn reset(&mut self, segment: &Segment, length: i64, from: usize) -> Effect {
        let place = self.place(segment, length, from);
        let (own, other) = (&self.ends[from], &self.ends[1 - from]);
        let next = own.end() == Some(place.start);
        if matches!(self.state, State::SynSent | State::Simultaneous) {
            let answers = place.acknowledges.is_some() && place.acknowledges == other.end();
            if !next && !answers {
                // The originator's may be about a connection of the past, which the other end has told of.
                let past = self.state == State::SynSent && from == 0;
                return if past {
                    Effect::Belongs
                } else {
                    Effect::Strange
                };
            }
            self.state = State::Closed;
            return Effect::Belongs;
        }
        let blind = Place {
            acknowledges: None,
            ..place
        };
        let expected = other.acknowledged();
        if !self.fits(blind, from) || expected.is_some_and(|number| place.start < number) {
            return Effect::Strange;
        }
        if next || expected == Some(place.start) || !matches!(self.state, State::Established(..)) {
            self.state = State::Closed;
        }
        Effect::Belongs
    }

    /// The end `from` has sent the byte `sequence`, and it may still be on its way.
    pub fn is_on_its_way(&self, sequence: u32, from: usize) -> bool {
        let Some(end) = self.ends[from].end() else {
            return false;
        };
        let age = end - unwind(sequence, end);
        (0..=self.ends[1 - from].largest().unwrap_or(0) + LATE).contains(&age)
    }
}

fn scale_of(segment: &Segment) -> Option<u32> {
    let offered = segment.scale.filter(|_| segment.has(flag::SYN));
    offered.map(|scale| u32::from(scale).min(LARGEST))
}
