//! The frame by which a host finds out that a VM bridges two of its ports: it is sent out of one port
//! and must never come back.

use crate::{EtherType, Ethernet, MacAddress};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A canary, without padding: 60 bytes, the least that a card sends.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Canary {
    /// From an address of no port, to a group that bridges flood.
    pub ethernet: Ethernet,
    /// Says which host sent it.
    pub secret: [u8; 8],
    /// Counters of the port that it left by, in network byte order.
    pub slot: [u8; 4],
    /// Always zero.
    pub zero: [u8; 34],
}

impl Canary {
    /// The second of the two types that IEEE 802 leaves to local experiments.
    pub const ETHERTYPE: EtherType = EtherType([0x88, 0xb6]);
    /// A group that nobody listens to, so that bridges flood it.
    pub const DESTINATION: MacAddress = MacAddress([0x03, 0xc0, 0xa0, 0, 0, 2]);
    /// Nobody's address.
    pub const SOURCE: MacAddress = MacAddress([0x02, 0xc0, 0xa0, 0, 0, 2]);

    /// The canary of a host for the port with the counters `slot`.
    pub const fn new(secret: u64, slot: u32) -> Self {
        Self {
            ethernet: Ethernet {
                destination: Self::DESTINATION,
                source: Self::SOURCE,
                ethertype: Self::ETHERTYPE,
            },
            secret: secret.to_be_bytes(),
            slot: slot.to_be_bytes(),
            zero: [0; 34],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_a_frame_of_the_least_length() {
        let canary = Canary::new(0x0102_0304_0506_0708, 9);
        assert_eq!(canary.as_bytes().len(), 60);
        assert_eq!(
            canary.as_bytes()[14..26],
            [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9]
        );
        assert!(canary.ethernet.destination.is_group() && !canary.ethernet.source.is_group());
    }
}
