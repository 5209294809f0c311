//! What the guards of a port look up and remember.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An IP address that a port may send from, beyond those in its port row.
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
pub struct SourceKey {
    /// The address, IPv4 in mapped form.
    pub address: [u8; 16],
    /// The port, by its counters.
    pub slot: u32,
}

impl SourceKey {
    /// Says that the port may use a MAC address beside its own: whoever may use a MAC address may use
    /// the link-local IPv6 address that is made of it.
    #[inline(always)]
    pub const fn of_mac(slot: u32, mac: coax_wire::MacAddress) -> Self {
        Self {
            address: coax_wire::ip::link_local(mac),
            slot,
        }
    }
}

/// By which MAC address the port may use an address.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SourceRow {
    /// The MAC address: the port's own, or a virtual one (VRRP).
    pub mac: coax_wire::MacAddress,
    /// Bits of the `SourceRow::…` constants.
    pub flags: u16,
}

impl SourceRow {
    /// The address is shared by several ports; who announces it last has it.
    pub const SHARED: u16 = 1;
}

/// A port that a guard has shut.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ShutRow {
    /// When the port opens again, in seconds of the monotonic clock; 0: it is open.
    pub until: u32,
    /// The guard's drop reason, by its code.
    pub reason: u32,
}
