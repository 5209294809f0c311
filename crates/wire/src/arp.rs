//! ARP for IPv4 over Ethernet (RFC 826), the only form that virtual networks use.

use crate::MacAddress;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// An ARP packet for IPv4 over Ethernet.
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
pub struct Arp {
    hardware: [u8; 2],
    protocol: [u8; 2],
    lengths: [u8; 2],
    /// Request or reply.
    pub operation: [u8; 2],
    /// MAC address of who speaks.
    pub sender_mac: MacAddress,
    /// IPv4 address of who speaks; all zero in a probe (RFC 5227).
    pub sender: [u8; 4],
    /// MAC address that is asked for; zero in a request.
    pub target_mac: MacAddress,
    /// IPv4 address that is asked for.
    pub target: [u8; 4],
}

impl Arp {
    /// "Who has?"
    pub const REQUEST: [u8; 2] = [0, 1];
    /// "It is at."
    pub const REPLY: [u8; 2] = [0, 2];

    /// True when the fixed fields say IPv4 over Ethernet.
    #[inline(always)]
    pub fn is_ipv4_over_ethernet(&self) -> bool {
        self.hardware == [0, 1] && self.protocol == [8, 0] && self.lengths == [6, 4]
    }

    /// True when the addresses are as long as those of IPv4 over Ethernet and stand where they do,
    /// whatever hardware and protocol are named: some hosts do not look at those.
    #[inline(always)]
    pub fn has_ethernet_lengths(&self) -> bool {
        self.lengths == [6, 4]
    }

    /// A packet with the fixed fields filled in.
    pub const fn new(
        operation: [u8; 2],
        sender_mac: MacAddress,
        sender: [u8; 4],
        target_mac: MacAddress,
        target: [u8; 4],
    ) -> Self {
        Self {
            hardware: [0, 1],
            protocol: [8, 0],
            lengths: [6, 4],
            operation,
            sender_mac,
            sender,
            target_mac,
            target,
        }
    }
}
