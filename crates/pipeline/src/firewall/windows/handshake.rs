//! What a SYN does to its connection.

use super::{Effect, Windows, halves, offered_scale};
use crate::firewall::tcp::{Segment, flags};
use coax_tables::{ConnectionState as State, ConnectionTraits as Traits};

/// Data that may come with a SYN: less than any packet holds.
const MOST_WITH_SYN: u32 = 0x3fff;

impl Windows {
    #[inline(always)]
    pub(super) const fn synchronize(
        &mut self,
        state: &mut u8,
        segment: &Segment,
        from: u32,
        by_originator: bool,
    ) -> Effect {
        let kind = *state & State::KIND;
        let agrees = segment.has(flags::ACK);
        if kind >= State::TIME_WAIT && !agrees {
            return Effect::Begins;
        }
        match (kind, agrees) {
            // Sent again, perhaps with other numbers by somebody who gave up in between.
            (State::SYN_SENT, false) if by_originator => {
                self.restart(segment, from);
                self.note(segment, from);
                Effect::Belongs
            }
            (State::SYN_SENT, false) => {
                self.restart(segment, from);
                self.note(segment, from);
                *state = State::SIMULTANEOUS;
                Effect::Belongs
            }
            (State::SYN_SENT, true) if !by_originator => {
                if !self.acknowledges_syn(segment, from) {
                    return Effect::Invalid;
                }
                self.restart(segment, from);
                self.note(segment, from);
                *state = State::SYN_RECEIVED;
                Effect::Belongs
            }
            (State::SIMULTANEOUS, true) => {
                if !self.acknowledges_syn(segment, from) {
                    return Effect::Invalid;
                }
                self.note(segment, from);
                *state = State::SYN_RECEIVED;
                Effect::Belongs
            }
            (State::SIMULTANEOUS, false) => {
                if self.admit(segment, from) {
                    Effect::Belongs
                } else {
                    Effect::Invalid
                }
            }
            (State::SYN_RECEIVED, true) => {
                if !self.admit(segment, from) {
                    return Effect::Invalid;
                }
                self.note(segment, from);
                Effect::Belongs
            }
            (State::SYN_RECEIVED | State::ESTABLISHED, false) if by_originator => {
                self.pend(segment);
                Effect::Ignored
            }
            (State::ESTABLISHED, true) if !by_originator => self.agree(state, segment, from),
            _ => Effect::Invalid,
        }
    }

    /// The segment acknowledges a SYN: all that the other end has sent, or some of what came with it
    /// (RFC 7413 section 4.2).
    #[inline(always)]
    const fn acknowledges_syn(&self, segment: &Segment, from: u32) -> bool {
        let (sent, _) = halves(self.reach[1 - from as usize]);
        sent.wrapping_sub(segment.acknowledgement) <= MOST_WITH_SYN
    }

    /// Remembers a SYN in the midst of the connection.
    #[inline(always)]
    const fn pend(&mut self, segment: &Segment) {
        self.pending = segment.end;
        self.traits &= !(15 << Traits::PENDING_SHIFT | Traits::PENDING_SCALES);
        self.traits |= Traits::PENDING;
        if segment.scale != Segment::NO_SCALE {
            let scale = offered_scale(segment);
            self.traits |= Traits::PENDING_SCALES | scale << Traits::PENDING_SHIFT;
        }
    }

    /// The other end agrees to a SYN in the midst of the connection: both have begun anew, without the
    /// firewall. Or it sends its first agreement again.
    #[inline(always)]
    const fn agree(&mut self, state: &mut u8, segment: &Segment, from: u32) -> Effect {
        let anew = self.traits & Traits::PENDING != 0 && segment.acknowledgement == self.pending;
        if !anew {
            return if self.admit(segment, from) {
                Effect::Ignored
            } else {
                Effect::Invalid
            };
        }
        let to = 1 - from;
        let scale = if self.traits & Traits::PENDING_SCALES != 0 {
            (self.traits >> Traits::PENDING_SHIFT & 15) as u8
        } else {
            Segment::NO_SCALE
        };
        let first = Segment {
            flags: flags::SYN,
            scale,
            window: 0xffff,
            sequence: self.pending.wrapping_sub(1),
            acknowledgement: 0,
            end: self.pending,
        };
        self.traits &= !(Traits::PENDING | Traits::PICKED_UP);
        self.restart(&first, to);
        self.note(&first, to);
        self.restart(segment, from);
        self.note(segment, from);
        *state = State::SYN_RECEIVED;
        Effect::Belongs
    }
}
