//! Logical link control (IEEE 802.2) and SNAP: what stands behind an Ethernet header whose type is a
//! length. Spanning tree speaks it, and some hosts take IP in it.

use crate::EtherType;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The three bytes of LLC for unnumbered information, and the five of SNAP where there is any.
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
pub struct Llc {
    /// Destination service access point.
    pub destination: u8,
    /// Source service access point.
    pub source: u8,
    /// What kind of frame: 3 for unnumbered information.
    pub control: u8,
}

impl Llc {
    /// Bytes of the header.
    pub const LENGTH: u32 = 3;

    const SPANNING_TREE: u8 = 0x42;
    const SNAP: u8 = 0xaa;
    const IP: u8 = 0x06;
    const ARP: u8 = 0x98;

    /// A spanning tree frame of IEEE 802.1D, 802.1w or 802.1s.
    #[inline(always)]
    pub const fn is_spanning_tree(&self) -> bool {
        self.destination == Self::SPANNING_TREE && self.source == Self::SPANNING_TREE
    }

    /// A SNAP header follows. The lowest bit tells groups and commands apart, which not every reader
    /// looks at.
    #[inline(always)]
    pub const fn is_snap(&self) -> bool {
        self.destination | 1 == Self::SNAP | 1
    }

    /// IP or ARP follows without SNAP.
    #[inline(always)]
    pub const fn carries_ip(&self) -> bool {
        matches!(self.destination & 0xfe, Self::IP | Self::ARP)
    }
}

/// The SNAP header behind LLC.
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
pub struct Snap {
    /// Whose protocol numbers follow.
    pub organization: [u8; 3],
    /// The protocol.
    pub protocol: [u8; 2],
}

impl Snap {
    /// Cisco's per-VLAN spanning tree.
    #[inline(always)]
    pub const fn is_per_vlan_spanning_tree(&self) -> bool {
        matches!(self.organization, [0, 0, 0x0c]) && matches!(self.protocol, [0x01, 0x0b])
    }

    /// The protocol is an ethertype (RFC 1042, and the bridge tunnel of IEEE 802.1H).
    #[inline(always)]
    pub const fn ethertype(&self) -> Option<EtherType> {
        if matches!(self.organization, [0, 0, 0] | [0, 0, 0xf8]) {
            Some(EtherType(self.protocol))
        } else {
            None
        }
    }
}
