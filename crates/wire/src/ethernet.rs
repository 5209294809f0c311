//! Ethernet II header and IEEE 802.1Q tags.

use crate::{MacAddress, words};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What follows an Ethernet header or a tag.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Default,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct EtherType(pub [u8; 2]);

impl EtherType {
    /// RFC 894.
    pub const IPV4: Self = Self([0x08, 0x00]);
    /// RFC 826.
    pub const ARP: Self = Self([0x08, 0x06]);
    /// RFC 2464.
    pub const IPV6: Self = Self([0x86, 0xdd]);
    /// IEEE 802.1Q customer tag.
    pub const VLAN: Self = Self([0x81, 0x00]);
    /// IEEE 802.1ad service tag.
    pub const SERVICE_VLAN: Self = Self([0x88, 0xa8]);

    /// True for the two tag protocols that carry another ethertype behind them.
    #[inline(always)]
    pub const fn is_tag(self) -> bool {
        matches!(self.0, [0x81, 0x00] | [0x88, 0xa8])
    }

    /// True for what is no type but the length of an LLC frame, possibly a wrong one (IEEE 802.3
    /// clause 3.2.6; hosts take everything below 1536 for it).
    #[inline(always)]
    pub const fn is_length(self) -> bool {
        self.0[0] < 6
    }

    /// The number as it is written in standards.
    pub const fn get(self) -> u16 {
        u16::from_be_bytes(self.0)
    }
}

/// The 14 bytes in front of every frame.
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
pub struct Ethernet {
    /// Where the frame goes.
    pub destination: MacAddress,
    /// Who says that it sent the frame.
    pub source: MacAddress,
    /// What follows.
    pub ethertype: EtherType,
}

impl Ethernet {
    /// Bytes of the header.
    pub const LENGTH: u32 = 14;

    /// Copies the header to `to`, in words.
    #[inline(always)]
    pub fn put(&self, to: &mut Self) {
        let (from, to): (&[u8; 14], &mut [u8; 14]) =
            (zerocopy::transmute_ref!(self), zerocopy::transmute_mut!(to));
        words::copy(from, to);
    }
}

/// One 802.1Q or 802.1ad tag: its protocol and its control information
/// (priority 3 bits, drop eligible 1 bit, VLAN 12 bits).
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
pub struct VlanTag {
    /// 0x8100 or 0x88a8.
    pub protocol: EtherType,
    /// Priority, drop eligibility and VLAN identifier.
    pub control: [u8; 2],
}

impl VlanTag {
    /// Bytes that a tag adds to a frame.
    pub const LENGTH: u32 = 4;

    /// A customer tag of this VLAN, without priority.
    #[inline(always)]
    pub const fn of_vlan(vlan: u16) -> Self {
        Self {
            protocol: EtherType::VLAN,
            control: vlan.to_be_bytes(),
        }
    }

    /// The VLAN identifier; 0 for a priority tag.
    pub const fn vlan(self) -> u16 {
        u16::from_be_bytes(self.control) & 0x0fff
    }
}
