//! States of connections, and what is remembered with them.

use crate::connection::seconds;

/// States of a connection: a kind, and for TCP which ends have said that they are done.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionState;

impl ConnectionState {
    /// Nothing was ever in the place.
    pub const EMPTY: u8 = 0;
    /// The originator has sent a SYN.
    pub const SYN_SENT: u8 = 1;
    /// Both ends have sent a SYN (RFC 9293 figure 8).
    pub const SIMULTANEOUS: u8 = 2;
    /// A SYN was acknowledged.
    pub const SYN_RECEIVED: u8 = 3;
    /// Both ends have acknowledged each other.
    pub const ESTABLISHED: u8 = 4;
    /// Both ends have sent a FIN.
    pub const TIME_WAIT: u8 = 5;
    /// An end has reset the connection.
    pub const CLOSED: u8 = 6;
    /// Not TCP: only the originator has sent.
    pub const UNREPLIED: u8 = 7;
    /// Not TCP: both ends have sent.
    pub const REPLIED: u8 = 8;
    /// Somebody is just writing the entry.
    pub const BUSY: u8 = 15;
    /// The bits of the kind.
    pub const KIND: u8 = 15;

    /// The originator has sent a FIN.
    pub const FIN_ORIGINATOR: u8 = 16;
    /// The other end has sent a FIN.
    pub const FIN_RESPONDER: u8 = 32;

    /// Ticks for which a connection lives in `state` without a packet. Established connections live longer
    /// than the two hours after which hosts probe idle ones (RFC 5382 section 5).
    #[inline(always)]
    pub const fn lifetime(state: u8, icmp: bool) -> u32 {
        match state & Self::KIND {
            Self::SYN_SENT | Self::SIMULTANEOUS | Self::SYN_RECEIVED => seconds(30),
            Self::ESTABLISHED if state == Self::ESTABLISHED => seconds(7440),
            // One end is done, the other may go on for long (RFC 9293 section 3.6).
            Self::ESTABLISHED => seconds(300),
            Self::TIME_WAIT => seconds(60),
            Self::CLOSED => seconds(10),
            Self::REPLIED if !icmp => seconds(120),
            _ => seconds(30),
        }
    }

    /// What becomes of a connection that two processors changed at once, each from the same state.
    #[inline(always)]
    pub const fn join(one: u8, other: u8) -> u8 {
        let (a, b) = (one & Self::KIND, other & Self::KIND);
        let kind = if a > b { a } else { b };
        if kind != Self::ESTABLISHED {
            return kind;
        }
        let both = Self::FIN_ORIGINATOR | Self::FIN_RESPONDER;
        let ended = (one | other) & both;
        if ended == both {
            Self::TIME_WAIT
        } else {
            kind | ended
        }
    }

    /// The originator has not been answered yet.
    #[inline(always)]
    pub const fn is_embryonic(state: u8) -> bool {
        matches!(state, Self::SYN_SENT | Self::UNREPLIED)
    }

    /// The name that users see.
    pub const fn name(state: u8) -> &'static str {
        match state & Self::KIND {
            Self::EMPTY => "empty",
            Self::SYN_SENT => "syn-sent",
            Self::SIMULTANEOUS => "simultaneous-open",
            Self::SYN_RECEIVED => "syn-received",
            Self::ESTABLISHED if state != Self::ESTABLISHED => "half-closed",
            Self::ESTABLISHED => "established",
            Self::TIME_WAIT => "time-wait",
            Self::CLOSED => "closed",
            Self::UNREPLIED => "unreplied",
            Self::REPLIED => "replied",
            _ => "busy",
        }
    }
}

/// Bits that are remembered with a connection; those of an end are shifted left by its number, 0 for
/// the low end and 1 for the high end.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionTraits;

impl ConnectionTraits {
    /// The high end opened the connection.
    pub const HIGH_ORIGINATES: u32 = 1;
    /// Of an end: it has sent, so its sequence numbers and window are known.
    pub const SENT: u32 = 2;
    /// Of an end: it has acknowledged, so it is known how far the other one may send.
    pub const ACKNOWLEDGED: u32 = 8;
    /// Of an end: its SYN offered window scaling.
    pub const SCALES: u32 = 0x20;
    /// The originator sent a SYN in the midst of the connection. When the other end agrees, they have
    /// begun anew.
    pub const PENDING: u32 = 0x80;
    /// Four bits for each end: by how much its windows are to be shifted.
    pub const SCALE_SHIFT: u32 = 8;
    /// The connection was found in its midst, so scales are not known; the largest is taken.
    pub const PICKED_UP: u32 = 0x1_0000;
    /// Scale of the pending SYN, four bits, and whether it offered one.
    pub const PENDING_SHIFT: u32 = 20;
    /// The pending SYN offered window scaling.
    pub const PENDING_SCALES: u32 = 0x100_0000;
}
