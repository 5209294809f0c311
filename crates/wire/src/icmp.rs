//! The ICMP and ICMPv6 messages that the vSwitch reads or writes itself.

use crate::MacAddress;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// First eight bytes of every ICMP and ICMPv6 error; `rest` differs by type.
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
pub struct IcmpError {
    /// Message type.
    pub kind: u8,
    /// Message code.
    pub code: u8,
    /// Ones' complement sum (ICMPv6: with the pseudo header).
    pub checksum: [u8; 2],
    /// For "too big" messages the MTU is in here.
    pub rest: [u8; 4],
}

impl IcmpError {
    /// ICMP "destination unreachable" (RFC 792).
    pub const UNREACHABLE: u8 = 3;
    /// ICMP "time exceeded" (RFC 792).
    pub const TIME_EXCEEDED: u8 = 11;
    /// ICMPv6 "destination unreachable" (RFC 4443 section 3.1).
    pub const UNREACHABLE_V6: u8 = 1;
    /// ICMPv6 "time exceeded" (RFC 4443 section 3.3).
    pub const TIME_EXCEEDED_V6: u8 = 3;
    /// ICMPv6 "parameter problem" (RFC 4443 section 3.4).
    pub const PARAMETER_V6: u8 = 4;
    /// ICMPv6 "packet too big" (RFC 4443 section 3.2).
    pub const PACKET_TOO_BIG: u8 = 2;
}

/// The part of an echo request or reply that differs between them.
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
pub struct Echo {
    /// Message type.
    pub kind: u8,
    /// Zero.
    pub code: u8,
    /// Ones' complement sum (ICMPv6: with the pseudo header).
    pub checksum: [u8; 2],
}

impl Echo {
    /// ICMP echo request (RFC 792).
    pub const REQUEST: u8 = 8;
    /// ICMP echo reply.
    pub const REPLY: u8 = 0;
    /// ICMPv6 echo request (RFC 4443 section 4.1).
    pub const REQUEST_V6: u8 = 128;
    /// ICMPv6 echo reply.
    pub const REPLY_V6: u8 = 129;
}

/// Neighbour solicitation or advertisement (RFC 4861 sections 4.3 and 4.4) without options.
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
pub struct Neighbour {
    /// 135 or 136.
    pub kind: u8,
    /// Zero.
    pub code: u8,
    /// With the IPv6 pseudo header.
    pub checksum: [u8; 2],
    /// Advertisement: router, solicited and override flags in the first byte.
    pub flags: [u8; 4],
    /// The address that is asked for.
    pub target: [u8; 16],
}

impl Neighbour {
    /// Bytes without options.
    pub const LENGTH: u32 = 24;
    /// Neighbour solicitation.
    pub const SOLICITATION: u8 = 135;
    /// Neighbour advertisement.
    pub const ADVERTISEMENT: u8 = 136;
    /// "I am a router."
    pub const ROUTER: u8 = 0x80;
    /// "This answers your solicitation."
    pub const SOLICITED: u8 = 0x40;
    /// "Replace the address that you had."
    pub const OVERRIDE: u8 = 0x20;
}

/// Source or target link-layer address option (RFC 4861 section 4.6.1) for Ethernet.
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
pub struct LinkAddressOption {
    /// 1: source, 2: target.
    pub kind: u8,
    /// Length in units of eight bytes: 1.
    pub length: u8,
    /// The address.
    pub mac: MacAddress,
}

impl LinkAddressOption {
    /// The option of a solicitation.
    pub const SOURCE: u8 = 1;
    /// The option of an advertisement.
    pub const TARGET: u8 = 2;
}
