//! Numbers that mean something, made only by checked constructors.

use core::fmt;

/// A number lies outside the range that its meaning allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// What the number was to be.
    pub what: &'static str,
    /// The number that was offered.
    pub value: u64,
    /// The smallest legal value.
    pub least: u64,
    /// The largest legal value.
    pub most: u64,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            value,
            least,
            most,
        } = self;
        write!(
            f,
            "{value} is no {what}: it lies between {least} and {most}"
        )
    }
}

impl core::error::Error for OutOfRange {}

macro_rules! checked_number {
    ($(#[$doc:meta])* $name:ident($inner:ty), $what:literal, $least:literal..=$most:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(try_from = "u64", into = "u64"))]
        pub struct $name($inner);

        impl $name {
            /// The smallest legal value.
            pub const LEAST: Self = Self($least);
            /// The largest legal value.
            pub const MOST: Self = Self($most);

            /// The plain number.
            #[inline(always)]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl TryFrom<u64> for $name {
            type Error = OutOfRange;

            fn try_from(value: u64) -> Result<Self, OutOfRange> {
                if ($least..=$most).contains(&value) {
                    Ok(Self(value as $inner))
                } else {
                    Err(OutOfRange { what: $what, value, least: $least, most: $most })
                }
            }
        }

        impl TryFrom<u32> for $name {
            type Error = OutOfRange;

            fn try_from(value: u32) -> Result<Self, OutOfRange> {
                Self::try_from(u64::from(value))
            }
        }

        impl From<$name> for u64 {
            fn from(value: $name) -> u64 {
                u64::from(value.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

checked_number! {
    /// VXLAN network identifier (RFC 7348 section 5): 24 bits. Zero is legal on the wire, but many
    /// switches keep it for themselves, so Coax does not hand it out.
    Vni(u32), "VNI", 1..=0xff_ffff
}

checked_number! {
    /// IEEE 802.1Q VLAN identifier; 0 means "priority tag only" and 4095 is reserved.
    VlanId(u16), "VLAN identifier", 1..=4094
}

checked_number! {
    /// Largest layer-3 packet of a virtual network, in bytes without the Ethernet header.
    /// IPv6 wants 1280 (RFC 8200 section 5); 9216 is what fabrics carry.
    Mtu(u16), "network MTU", 1280..=9216
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn accepts_exactly_the_range(value: u64) {
            prop_assert_eq!(Vni::try_from(value).is_ok(), (1..=0xff_ffff).contains(&value));
            prop_assert_eq!(VlanId::try_from(value).is_ok(), (1..=4094).contains(&value));
            prop_assert_eq!(Mtu::try_from(value).is_ok(), (1280..=9216).contains(&value));
        }
    }

    #[test]
    fn edges() {
        assert_eq!(Vni::try_from(1u32).unwrap().get(), 1);
        assert_eq!(Vni::try_from(0xff_ffffu32).unwrap(), Vni::MOST);
        assert_eq!(VlanId::try_from(4095u32).unwrap_err().most, 4094);
        assert_eq!(
            Mtu::try_from(1279u32).unwrap_err().to_string(),
            "1279 is no network MTU: it lies between 1280 and 9216"
        );
    }
}
