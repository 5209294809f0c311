//! What matters of a TCP segment (RFC 9293 section 3.1).

/// Flags of a segment.
pub mod flags {
    /// The sender is done.
    pub const FIN: u8 = 1;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 2;
    /// Reset the connection.
    pub const RST: u8 = 4;
    /// The acknowledgement counts.
    pub const ACK: u8 = 16;
    /// The urgent pointer counts.
    pub const URG: u8 = 32;
}

/// What matters of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Segment {
    /// Its flags.
    pub flags: u8,
    /// Offered scale of windows; SYNs only, `NO_SCALE`: none offered.
    pub scale: u8,
    /// The window as it stands there.
    pub window: u16,
    /// Sequence number of its first byte.
    pub sequence: u32,
    /// What it acknowledges.
    pub acknowledgement: u32,
    /// Sequence number behind it: its bytes, and one each for SYN and FIN.
    pub end: u32,
}

impl Segment {
    /// No segment.
    pub const NONE: Self = Self {
        flags: 0,
        scale: 0,
        window: 0,
        sequence: 0,
        acknowledgement: 0,
        end: 0,
    };

    /// No scale was offered.
    pub const NO_SCALE: u8 = 0xff;

    /// True when any bit of `flag` is set.
    #[inline(always)]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Sequence numbers that its flags take.
    #[inline(always)]
    pub const fn numbers(&self) -> u32 {
        (self.has(flags::SYN) as u32) + (self.has(flags::FIN) as u32)
    }

    /// The flags may stand together.
    #[inline(always)]
    pub const fn is_sensible(&self) -> bool {
        use flags::{ACK, FIN, RST, SYN};
        const SYN_ACK: u8 = SYN | ACK;
        const RST_ACK: u8 = RST | ACK;
        const FIN_ACK: u8 = FIN | ACK;
        matches!(
            self.flags & (SYN | FIN | RST | ACK),
            SYN | ACK | RST | SYN_ACK | RST_ACK | FIN_ACK
        )
    }

    /// It may stand at the beginning of what the firewall sees of a connection: a SYN, or data of a
    /// connection whose beginning was seen elsewhere.
    #[inline(always)]
    pub const fn may_begin(&self) -> bool {
        use flags::{ACK, FIN, RST, SYN};
        matches!(self.flags & (SYN | FIN | RST | ACK), SYN | ACK)
    }
}
