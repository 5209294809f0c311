//! What the vSwitch knows of its own host.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The host's own tunnel endpoint. There is one such row.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct HostRow {
    /// Tunnel source over IPv6; zero: none.
    pub vtep_ipv6: [u8; 16],
    /// Tunnel source over IPv4; zero: none.
    pub vtep_ipv4: [u8; 4],
    /// UDP destination port of VXLAN, in network byte order.
    pub udp_port: [u8; 2],
    /// Bits of the `HostRow::…` constants.
    pub flags: u16,
    /// A secret of this host: nobody else can choose what falls into one bucket of its hash tables.
    pub seed: u64,
    /// What marks the host's canaries: frames that must not come back by another port. Zero: none are
    /// sent. Every VM of the host sees it.
    pub canary: u64,
}

impl HostRow {
    /// The outer header gets DSCP 0 instead of the inner frame's (pipe model of RFC 2983).
    pub const PIPE_DSCP: u16 = 1;

    /// True when `flag` is set.
    #[inline(always)]
    pub const fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}
