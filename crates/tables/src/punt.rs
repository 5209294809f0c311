//! What the vSwitch hands to the agent of its host, because only programs can answer it: DHCP,
//! router solicitations, DNS. And the limit on it.

use crate::NetworkId;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Why a frame was handed to the agent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u32)]
pub enum PuntKind {
    /// A message of a DHCPv4 client (RFC 2131).
    DhcpIpv4 = 1,
    /// A message of a DHCPv6 client (RFC 8415).
    DhcpIpv6 = 2,
    /// A router solicitation (RFC 4861 section 4.1).
    RouterSolicitation = 3,
    /// A DNS query over UDP to the gateway's address.
    Dns = 4,
}

impl PuntKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [
        Self::DhcpIpv4,
        Self::DhcpIpv6,
        Self::RouterSolicitation,
        Self::Dns,
    ];

    /// The name in traces and golden files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DhcpIpv4 => "dhcp-ipv4",
            Self::DhcpIpv6 => "dhcp-ipv6",
            Self::RouterSolicitation => "router-solicitation",
            Self::Dns => "dns",
        }
    }

    /// The kind with this number.
    pub fn numbered(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == number)
    }
}

/// What goes in front of the frame's bytes in the ring buffer.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PuntHeader {
    /// Device by which the frame entered, and by which an answer goes back.
    pub ifindex: u32,
    /// Counters of the port.
    pub slot: u32,
    /// The port's network.
    pub network: NetworkId,
    /// A `PuntKind`.
    pub kind: u32,
    /// Bytes of the frame that follow.
    pub length: u32,
    /// VLAN of the trunk that the frame came in and its answer goes back in; 0: untagged.
    pub vlan: u32,
}

/// Most bytes of a frame that are handed on: more than any request that is answered.
pub const PUNT_BYTES: usize = 2000;

/// One record of the ring buffer. The frame stands there without VLAN tags, and as the VM's driver
/// left it: the checksum of UDP may be one that the device was to complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PuntRecord {
    /// What is known of the frame.
    pub header: PuntHeader,
    /// The frame in the first `header.length` bytes; the rest is left over from other records.
    pub frame: [u8; PUNT_BYTES],
}
