//! VXLAN header (RFC 7348 section 5).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// VXLAN header: eight flag bits of which only I has a meaning, 24 reserved bits, the VNI and
/// eight more reserved bits. Reserved bits are sent as zero and ignored on receipt.
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
pub struct Vxlan {
    /// The I flag and seven reserved bits.
    pub flags: u8,
    /// Reserved.
    pub reserved: [u8; 3],
    /// The network identifier.
    pub vni: [u8; 3],
    /// Reserved.
    pub reserved_low: u8,
}

impl Vxlan {
    /// Bytes of the header.
    pub const LENGTH: u32 = 8;
    /// The port that IANA assigned.
    pub const PORT: u16 = 4789;
    /// The I flag: the VNI is valid.
    pub const VNI_VALID: u8 = 0x08;

    /// A header to send. Bits of `vni` above 24 do not reach the wire.
    #[inline(always)]
    pub const fn new(vni: u32) -> Self {
        let [_, high, middle, low] = vni.to_be_bytes();
        Self {
            flags: Self::VNI_VALID,
            reserved: [0; 3],
            vni: [high, middle, low],
            reserved_low: 0,
        }
    }

    /// The VNI as a number.
    #[inline(always)]
    pub const fn vni(&self) -> u32 {
        u32::from_be_bytes([0, self.vni[0], self.vni[1], self.vni[2]])
    }

    /// True when the I flag is set; a frame without it is to be discarded.
    #[inline(always)]
    pub const fn has_vni(&self) -> bool {
        self.flags & Self::VNI_VALID != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_the_flag_and_the_vni_are_sent(vni in 0u32..0x100_0000) {
            let header = Vxlan::new(vni);
            prop_assert_eq!(header.vni(), vni);
            let [_, a, b, c] = vni.to_be_bytes();
            prop_assert_eq!(header.as_bytes(), &[8, 0, 0, 0, a, b, c, 0]);
        }

        #[test]
        fn reserved_bits_are_ignored(bytes: [u8; 8]) {
            let header = Vxlan::read_from_bytes(&bytes).unwrap_or_default();
            prop_assert_eq!(header.has_vni(), bytes[0] & 8 == 8);
        }
    }
}
