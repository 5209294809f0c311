//! Which MAC address owns an IP address: what ARP and neighbour discovery are answered from.

use crate::NetworkId;
use coax_wire::MacAddress;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An IP address inside a network.
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
pub struct AddressKey {
    /// The address, IPv4 in mapped form.
    pub address: [u8; 16],
    /// The network.
    pub network: NetworkId,
}

/// The owner of an address.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct AddressRow {
    /// The owner's MAC address.
    pub mac: MacAddress,
    /// Bits of the `AddressRow::…` constants.
    pub flags: u16,
}

impl AddressRow {
    /// The address is the router's own.
    pub const ROUTER: u16 = 1;
    /// Several ports share the address. The row's owner is the last one that announced it, which the
    /// data plane notes by itself; a zero MAC address: none has yet, and everybody is asked.
    pub const SHARED: u16 = 2;

    /// True when `flag` is set.
    #[inline(always)]
    pub const fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// The row of an address that `mac` owns.
    pub const fn new(mac: MacAddress) -> Self {
        Self { mac, flags: 0 }
    }
}
