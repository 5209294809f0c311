//! Routes of the distributed routers.

use crate::NetworkId;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A prefix in a router's table. Longest match.
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
pub struct RouteKey {
    /// Bits that count, of what follows: 32 for `router`, then those of the address.
    pub prefix_length: u32,
    /// The router (`NetworkRow::router`), in network byte order.
    pub router: [u8; 4],
    /// The address, IPv4 in mapped form.
    pub address: [u8; 16],
}

impl RouteKey {
    /// Bits in front of the address.
    pub const ROUTER_BITS: u32 = 32;

    /// The key of the prefix of `bits` bits of `address` (an IPv4 prefix has 96 more).
    #[inline(always)]
    pub const fn new(router: u32, address: [u8; 16], bits: u32) -> Self {
        Self {
            prefix_length: Self::ROUTER_BITS + bits,
            router: router.to_be_bytes(),
            address,
        }
    }
}

/// Where packets of a prefix go.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RouteRow {
    /// Next hop inside `network`, IPv4 in mapped form; zero: the destination itself.
    pub gateway: [u8; 16],
    /// The network that they leave into.
    pub network: NetworkId,
    /// Bits of the `RouteRow::…` constants.
    pub flags: u32,
}

impl RouteRow {
    /// Packets are answered with "unreachable" instead of forwarded.
    pub const UNREACHABLE: u32 = 1;

    /// True when `flag` is set.
    #[inline(always)]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}
