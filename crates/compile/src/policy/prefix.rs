//! Prefixes of points: addresses of one plan and family, or ports of one protocol. One form for both,
//! so that classes of addresses and classes of services are the same code.

use coax_tables::{ClassKey, ServiceKey};

use super::rule::{AddressFamily, AddressPrefix, ServiceRange};

/// All points of one space whose first `length` bits are those of `bits`. Ordered so that a prefix
/// comes right before what it encloses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Prefix {
    /// Points of different spaces have nothing to do with each other.
    pub(super) space: u64,
    /// The point, left-aligned, without bits after `length`.
    pub(super) bits: u128,
    pub(super) length: u8,
}

impl Prefix {
    /// Addresses of one address plan.
    pub(super) fn of_addresses(scope: u32, prefix: AddressPrefix) -> Self {
        let family = match prefix.family() {
            AddressFamily::Ipv4 => 0,
            AddressFamily::Ipv6 => 1,
        };
        Self {
            space: u64::from(scope) << 1 | family,
            bits: prefix.bits(),
            length: prefix.length(),
        }
    }

    /// All IPv4 addresses of an address plan.
    pub(super) const fn all_ipv4(scope: u32) -> Self {
        Self {
            space: (scope as u64) << 1,
            bits: 0,
            length: 0,
        }
    }

    /// All IPv6 addresses of an address plan.
    pub(super) const fn all_ipv6(scope: u32) -> Self {
        Self {
            space: (scope as u64) << 1 | 1,
            bits: 0,
            length: 0,
        }
    }

    /// The address plan of a prefix of addresses.
    pub(super) fn scope(self) -> u32 {
        u32::try_from(self.space >> 1).unwrap_or(u32::MAX)
    }

    /// Whether it holds exactly one address.
    pub(super) const fn is_host_address(self) -> bool {
        self.length == if self.space & 1 == 0 { 32 } else { 128 }
    }

    /// The row key of a prefix of addresses.
    pub(super) fn class_key(self, table: u32) -> ClassKey {
        let (address, bits) = if self.space & 1 == 0 {
            let [a, b, c, d, ..] = self.bits.to_be_bytes();
            let address = coax_wire::ip::mapped([a, b, c, d]);
            (address, u32::from(self.length) + 96)
        } else {
            (self.bits.to_be_bytes(), self.length.into())
        };
        ClassKey::new(table, self.scope(), address, bits)
    }

    /// The row key of a prefix of ports.
    pub(super) fn service_key(self, table: u32) -> ServiceKey {
        let protocol = u8::try_from(self.space).unwrap_or(u8::MAX);
        let [high, low, ..] = self.bits.to_be_bytes();
        let port = u16::from_be_bytes([high, low]);
        ServiceKey::new(table, protocol, port, self.length.into())
    }

    /// The fewest prefixes that together are the range.
    pub(super) fn of_services(range: ServiceRange) -> Vec<Self> {
        let mut prefixes = Vec::new();
        let (mut first, end) = (u32::from(range.first), u32::from(range.last) + 1);
        while first < end {
            // The largest aligned block that starts here and does not pass the end.
            let aligned = if first == 0 {
                16
            } else {
                first.trailing_zeros()
            };
            let fitting = (end - first).ilog2();
            let free = aligned.min(fitting);
            prefixes.push(Self {
                space: range.protocol.into(),
                bits: u128::from(first) << 112,
                length: 16 - free as u8,
            });
            first += 1 << free;
        }
        prefixes
    }

    /// The prefix of the first `length` bits.
    pub(super) fn shortened(self, length: u8) -> Self {
        let kept = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        Self {
            bits: self.bits & kept,
            length,
            ..self
        }
    }

    /// Whether every point of `other` is one of this.
    pub(super) fn encloses(self, other: Self) -> bool {
        self.space == other.space
            && self.length <= other.length
            && other.shortened(self.length).bits == self.bits
    }

    /// Comes after everything that it encloses, in the order of prefixes.
    pub(super) fn last_enclosed(self) -> Self {
        let free = u128::MAX.checked_shr(self.length.into()).unwrap_or(0);
        Self {
            bits: self.bits | free,
            length: u8::MAX,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_are_cut_into_prefixes_without_gap_or_overlap(protocol: u8, a: u16, b: u16) {
            let (first, last) = (a.min(b), a.max(b));
            let prefixes = Prefix::of_services(ServiceRange { protocol, first, last });
            prop_assert!(prefixes.len() <= 30);
            let mut next = u32::from(first);
            for prefix in prefixes {
                prop_assert_eq!(prefix.bits >> 112, u128::from(next));
                prop_assert_eq!(prefix, prefix.shortened(prefix.length));
                next += 1 << (16 - prefix.length);
            }
            prop_assert_eq!(next, u32::from(last) + 1);
        }

        #[test]
        fn what_is_enclosed_lies_between_a_prefix_and_its_last(bits: u128, other: u128, length in 0u8..=128, longer in 0u8..=128) {
            let whole = Prefix { space: 3, bits, length: 128 };
            let outer = whole.shortened(length);
            let inner = Prefix { bits: other, ..whole }.shortened(longer);
            let between = outer <= inner && inner <= outer.last_enclosed();
            prop_assert_eq!(outer.encloses(inner), between);
            let inner = whole.shortened(length.max(longer));
            prop_assert!(outer.encloses(inner) && outer <= inner && inner <= outer.last_enclosed());
        }
    }
}
