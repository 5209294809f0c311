//! TCP header (RFC 9293 section 3.1).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// TCP header without options, aligned so that its words can be read as such.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C, align(4))]
pub struct Tcp {
    /// Sender's port.
    pub source: [u8; 2],
    /// Receiver's port.
    pub destination: [u8; 2],
    /// Number of the first byte.
    pub sequence: [u8; 4],
    /// Number of the byte that is expected next.
    pub acknowledgement: [u8; 4],
    /// Length of the header in words of four bytes (upper half).
    pub offset: u8,
    /// CWR, ECE, URG, ACK, PSH, RST, SYN, FIN.
    pub flags: u8,
    /// How much may be sent.
    pub window: [u8; 2],
    /// With the pseudo header.
    pub checksum: [u8; 2],
    /// Where urgent data end.
    pub urgent: [u8; 2],
}

impl Tcp {
    /// Bytes of a header without options.
    pub const LENGTH: u32 = 20;

    /// Bytes of the header, options included: at least 20 in a sensible header.
    #[inline(always)]
    pub const fn header_length(&self) -> u32 {
        (self.offset >> 4) as u32 * 4
    }
}
