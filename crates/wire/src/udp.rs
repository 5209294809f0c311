//! UDP header (RFC 768).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// UDP header.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Udp {
    /// Sender's port.
    pub source: [u8; 2],
    /// Receiver's port.
    pub destination: [u8; 2],
    /// Bytes of header and payload.
    pub length: [u8; 2],
    /// Zero: not computed.
    pub checksum: [u8; 2],
}

impl Udp {
    /// Bytes of the header.
    pub const LENGTH: u32 = 8;
}
