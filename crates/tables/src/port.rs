//! Which port a frame entered by: the device, and the VLAN for trunks.

use crate::NetworkId;
use coax_wire::MacAddress;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A device of the host, and the VLAN of a trunk (0: untagged frames).
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct PortKey {
    /// Kernel index of the device.
    pub ifindex: u32,
    /// VLAN identifier, 0 for untagged frames.
    pub vlan: u32,
}

/// What the vSwitch knows of a local port.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PortRow {
    /// The network that the port belongs to.
    pub network: NetworkId,
    /// Index of the port's counters, from 1.
    pub slot: u32,
    /// Largest layer-3 packet of the network, in bytes.
    pub mtu: u32,
    /// The port's own MAC address.
    pub mac: MacAddress,
    /// Bits of the `PortRow::…` constants.
    pub flags: u16,
}

impl PortRow {
    /// Frames with VLAN tags are carried as they are, not dropped.
    pub const VLAN_TRANSPARENT: u16 = 1;
    /// Frames may carry another source MAC address than the port's.
    pub const ANY_SOURCE: u16 = 2;

    /// True when `flag` is set.
    #[inline(always)]
    pub const fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}
