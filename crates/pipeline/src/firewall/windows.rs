//! What a TCP segment does to its connection: states by flags (RFC 9293 section 3.3.2), and sequence
//! numbers and windows in the way that G. van Rooij described in "Real stateful TCP packet filtering in
//! IP Filter" (2001), which netfilter uses too.
//!
//! A segment is out of the window when it begins behind what the receiver lets the sender send, ends
//! before what the receiver may still lack, or acknowledges what was never sent, or what was acknowledged
//! long ago. Such a segment changes nothing and does not pass. A reset ends a connection only when it is
//! where the receiver expects the next byte (RFC 5961 section 3.2); others in the window pass without
//! ending anything, so that the receiver can challenge them. The same goes for a SYN in the midst of a
//! connection (RFC 5961 section 4.2), whose sender may have lost its memory.
//!
//! Scales of windows are learnt from both SYNs (RFC 7323). A connection that was found in its midst is
//! taken liberally: its scales count as the largest that there are.

mod handshake;

use super::tcp::{Segment, flags};
use coax_tables::{ConnectionState as State, ConnectionTraits as Traits};

/// The largest window scale (RFC 7323 section 2.3).
pub const LARGEST_SCALE: u32 = 14;

/// Segments that stand for many are longer than any window in their edges must allow for.
const SLACK: u32 = 0xffff;

/// Acknowledgements may be this old at least, whatever the window.
const LEAST_ACKNOWLEDGED: u32 = 66_000;

/// What is known of the sequence numbers of a connection: for the sender of a segment first, then for
/// its receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Windows {
    /// As `ConnectionWords::reach`.
    pub reach: [u64; 2],
    /// As `ConnectionWords::heard`.
    pub heard: [u64; 2],
    /// As `ConnectionTraits`.
    pub traits: u32,
    /// Sequence number behind a SYN in the midst of the connection.
    pub pending: u32,
}

/// What a segment does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Effect {
    /// It does not belong here.
    Invalid = 0,
    /// It belongs to the connection.
    Belongs = 1,
    /// The connection was over, and it begins another one.
    Begins = 2,
    /// It passes, but says nothing about the connection.
    Ignored = 3,
}

/// `a` comes before `b`.
#[inline(always)]
const fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

#[inline(always)]
const fn later(a: u32, b: u32) -> u32 {
    if before(a, b) { b } else { a }
}

#[inline(always)]
const fn halves(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[inline(always)]
const fn word(high: u32, low: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

/// The scale that a SYN offers. Larger ones count as the largest (RFC 7323 section 2.3).
#[inline(always)]
const fn offered_scale(segment: &Segment) -> u32 {
    if segment.scale as u32 > LARGEST_SCALE {
        LARGEST_SCALE
    } else {
        segment.scale as u32
    }
}

impl Windows {
    /// Nothing is known.
    pub const NONE: Self = Self {
        reach: [0; 2],
        heard: [0; 2],
        traits: 0,
        pending: 0,
    };

    #[inline(always)]
    const fn has(&self, bit: u32, end: u32) -> bool {
        self.traits & bit << end != 0
    }

    /// By how much the windows of an end are to be shifted.
    #[inline(always)]
    const fn scale(&self, end: u32) -> u32 {
        if self.traits & Traits::PICKED_UP != 0 {
            return LARGEST_SCALE;
        }
        if self.has(Traits::SCALES, 0) && self.has(Traits::SCALES, 1) {
            self.traits >> (Traits::SCALE_SHIFT + 4 * end) & 15
        } else {
            0
        }
    }

    /// Where the segment of the end `from` is, compared with what is known.
    #[inline(always)]
    const fn admit(&self, segment: &Segment, from: u32) -> bool {
        let to = 1 - from;
        if self.has(Traits::ACKNOWLEDGED, to) {
            let (_, allowed) = halves(self.reach[to as usize]);
            if before(allowed, segment.sequence) {
                return false;
            }
        }
        if self.has(Traits::SENT, from) && self.has(Traits::SENT, to) {
            let (end, _) = halves(self.reach[from as usize]);
            let (_, window) = halves(self.heard[to as usize]);
            // Compared as distances: the largest windows on both sides of a number are more than half of all numbers.
            if before(segment.end, end)
                && end.wrapping_sub(segment.end) > window.wrapping_add(SLACK)
            {
                return false;
            }
        }
        if segment.has(flags::ACK) && self.has(Traits::SENT, to) {
            let (sent, _) = halves(self.reach[to as usize]);
            let (_, window) = halves(self.heard[from as usize]);
            let oldest = if window > LEAST_ACKNOWLEDGED {
                window
            } else {
                LEAST_ACKNOWLEDGED
            };
            return !before(sent, segment.acknowledgement)
                && !before(segment.acknowledgement, sent.wrapping_sub(oldest));
        }
        true
    }

    /// Notes a segment of the end `from` that belongs to the connection.
    #[inline(always)]
    const fn note(&mut self, segment: &Segment, from: u32) {
        let shift = if segment.has(flags::SYN) {
            0
        } else {
            self.scale(from)
        };
        let offered = (segment.window as u32) << shift;
        // A closed window takes one byte, to be probed (RFC 9293 section 3.8.6.1).
        let window = if offered == 0 { 1 } else { offered };
        let (end, allowed) = halves(self.reach[from as usize]);
        let (heard, largest) = halves(self.heard[from as usize]);
        let known = self.has(Traits::SENT, from);
        let end = if known {
            later(end, segment.end)
        } else {
            segment.end
        };
        let largest = if known && largest > window {
            largest
        } else {
            window
        };
        self.traits |= Traits::SENT << from;
        let (mut allowed, mut heard) = (allowed, heard);
        if segment.has(flags::ACK) {
            let edge = segment.acknowledgement.wrapping_add(window);
            if self.has(Traits::ACKNOWLEDGED, from) {
                allowed = later(allowed, edge);
                heard = later(heard, segment.acknowledgement);
            } else {
                allowed = edge;
                heard = segment.acknowledgement;
                self.traits |= Traits::ACKNOWLEDGED << from;
            }
        }
        self.reach[from as usize] = word(end, allowed);
        self.heard[from as usize] = word(heard, largest);
    }

    /// Forgets what was known of the end `from`, whose SYN says all of it anew.
    #[inline(always)]
    const fn restart(&mut self, segment: &Segment, from: u32) {
        self.traits &= !((Traits::SENT | Traits::ACKNOWLEDGED | Traits::SCALES) << from
            | 15 << (Traits::SCALE_SHIFT + 4 * from));
        if segment.scale != Segment::NO_SCALE {
            let scale = offered_scale(segment);
            self.traits |= Traits::SCALES << from | scale << (Traits::SCALE_SHIFT + 4 * from);
        }
    }

    /// Makes this what is known when the segment of the end `from` begins a connection; gives the state
    /// that it is in. What stood here is of another connection.
    #[inline(always)]
    pub const fn begin(&mut self, segment: &Segment, from: u32) -> u8 {
        let to = 1 - from as usize;
        self.reach[to] = 0;
        self.heard[to] = 0;
        self.traits = from * Traits::HIGH_ORIGINATES;
        self.pending = 0;
        if segment.has(flags::SYN) {
            self.restart(segment, from);
            self.note(segment, from);
            return State::SYN_SENT;
        }
        self.traits |= Traits::PICKED_UP;
        self.note(segment, from);
        State::ESTABLISHED
    }

    /// What the segment of the end `from` does to a connection in `state`, which becomes the new one.
    #[inline(always)]
    pub const fn step(&mut self, state: &mut u8, segment: &Segment, from: u32) -> Effect {
        let originator = self.traits & Traits::HIGH_ORIGINATES;
        let by_originator = from == originator;
        if segment.has(flags::SYN) {
            return self.synchronize(state, segment, from, by_originator);
        }
        if segment.has(flags::RST) {
            return self.reset(state, segment, from);
        }
        let kind = *state & State::KIND;
        if kind == State::SYN_SENT {
            // An acknowledgement from an end that remembers an older connection: the originator will
            // reset that one (RFC 9293 section 3.5.2).
            return if by_originator || segment.has(flags::FIN) {
                Effect::Invalid
            } else {
                Effect::Ignored
            };
        }
        if !self.admit(segment, from) {
            return Effect::Invalid;
        }
        if kind == State::SIMULTANEOUS {
            return Effect::Invalid;
        }
        self.note(segment, from);
        if kind == State::SYN_RECEIVED && (by_originator || self.both_began()) {
            *state = State::ESTABLISHED;
        }
        if segment.has(flags::FIN) && kind < State::TIME_WAIT {
            *state = finished(*state, by_originator);
        }
        Effect::Belongs
    }

    /// Both ends have acknowledged something.
    #[inline(always)]
    const fn both_began(&self) -> bool {
        self.has(Traits::ACKNOWLEDGED, 0) && self.has(Traits::ACKNOWLEDGED, 1)
    }

    /// The segment acknowledges all that the other end has sent.
    #[inline(always)]
    const fn acknowledges_exactly(&self, segment: &Segment, from: u32) -> bool {
        let (sent, _) = halves(self.reach[1 - from as usize]);
        segment.acknowledgement == sent
    }

    #[inline(always)]
    const fn reset(&mut self, state: &mut u8, segment: &Segment, from: u32) -> Effect {
        let to = 1 - from;
        let kind = *state & State::KIND;
        if kind == State::SYN_SENT || kind == State::SIMULTANEOUS {
            // The answer to a SYN acknowledges it (RFC 9293 section 3.10.7.3).
            let by_itself = self.has(Traits::SENT, from) && {
                let (end, _) = halves(self.reach[from as usize]);
                segment.sequence == end
            };
            let answers = segment.has(flags::ACK)
                && self.has(Traits::SENT, to)
                && self.acknowledges_exactly(segment, from);
            if !by_itself && !answers {
                // The originator resets a connection of the past, which the other end has told of
                // (RFC 9293 section 3.5.2).
                let by_originator = from == self.traits & Traits::HIGH_ORIGINATES;
                return if kind == State::SYN_SENT && by_originator {
                    Effect::Ignored
                } else {
                    Effect::Invalid
                };
            }
            *state = State::CLOSED;
            return Effect::Belongs;
        }
        let place = Segment {
            flags: 0,
            ..*segment
        };
        if !self.admit(&place, from) {
            return Effect::Invalid;
        }
        let (end, _) = halves(self.reach[from as usize]);
        let (heard, _) = halves(self.heard[to as usize]);
        let expected = self.has(Traits::ACKNOWLEDGED, to) && segment.sequence == heard;
        let next = self.has(Traits::SENT, from) && segment.sequence == end;
        if self.has(Traits::ACKNOWLEDGED, to) && before(segment.sequence, heard) {
            return Effect::Invalid;
        }
        if expected || next || kind != State::ESTABLISHED {
            *state = State::CLOSED;
        }
        Effect::Belongs
    }
}

/// The state when an end has sent a FIN.
#[inline(always)]
const fn finished(state: u8, by_originator: bool) -> u8 {
    let fin = if by_originator {
        State::FIN_ORIGINATOR
    } else {
        State::FIN_RESPONDER
    };
    let both = State::FIN_ORIGINATOR | State::FIN_RESPONDER;
    let ended = (state | fin) & both;
    if ended == both {
        State::TIME_WAIT
    } else {
        State::ESTABLISHED | ended
    }
}
