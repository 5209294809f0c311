//! Datagrams in fragments that the firewall let pass: later fragments carry no ports, so they follow
//! what was decided about the first one.
//!
//! The table is built like that of connections: buckets with tags in front, places that are taken when
//! their time is over. An entry also remembers which parts of the datagram have passed, so that no part
//! passes twice: overlapping fragments are how a packet is made to say one thing to a firewall and
//! another to its receiver (RFC 5722, RFC 1858).

use core::sync::atomic::AtomicU64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Places in a bucket.
pub const WAYS: usize = 8;

/// A bucket: the tags of its places, then the places.
#[derive(Debug, Default)]
#[repr(C)]
pub struct FragmentBucket {
    /// What is in each place, and until when (`connection::Tag` with the states below).
    pub tags: [AtomicU64; WAYS],
    /// The datagrams.
    pub places: [FragmentWords; WAYS],
}

impl FragmentBucket {
    /// All words, tags first.
    pub fn words(&self) -> impl Iterator<Item = &AtomicU64> {
        let places = self.places.iter();
        self.tags
            .iter()
            .chain(places.flat_map(|place| place.key.iter().chain(&place.passed)))
    }
}

/// A datagram as it is stored.
#[derive(Debug, Default)]
#[repr(C)]
pub struct FragmentWords {
    /// The words of [`FragmentKey`].
    pub key: [AtomicU64; 6],
    /// Parts that have passed, two in each word ([`Extent`]).
    pub passed: [AtomicU64; 2],
}

/// Names a datagram (RFC 791 section 3.2, RFC 8200 section 4.5) in a network.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct FragmentKey {
    /// Sender, IPv4 in mapped form, as it stands in memory.
    pub source: [u64; 2],
    /// Receiver.
    pub destination: [u64; 2],
    /// The identification that the sender gave the datagram, as it stands in memory.
    pub identification: u32,
    /// IPv4: the protocol. IPv6: zero, because fragments of one datagram may name different ones.
    pub protocol: u32,
    /// The network of the local port.
    pub network: u32,
    /// Always zero.
    pub zero: u32,
}

impl FragmentKey {
    /// The key as words.
    #[inline(always)]
    pub const fn words(&self) -> [u64; 6] {
        let ([a, b], [c, d]) = (self.source, self.destination);
        let named = self.identification as u64 | (self.protocol as u64) << 32;
        [a, b, c, d, named, self.network as u64]
    }

    /// A keyed hash, by that of connections.
    #[inline(always)]
    pub const fn hash(&self, seed: u64) -> u64 {
        crate::ConnectionKey {
            low: self.source,
            high: self.destination,
            low_port: self.identification as u16,
            high_port: (self.identification >> 16) as u16,
            network: self.network,
            protocol: self.protocol,
            zero: 0,
        }
        .hash(seed)
    }
}

/// States of a datagram in its tag.
#[derive(Clone, Copy, Debug)]
pub struct FragmentState;

impl FragmentState {
    /// The first fragment has passed; others may follow.
    pub const OPEN: u8 = 1;
    /// Fragments overlapped: nothing of the datagram passes any more.
    pub const REFUSED: u8 = 2;
    /// Somebody is just noting a fragment.
    pub const BUSY: u8 = 15;
}

/// A part of a datagram in units of eight bytes, from `start` up to `end`. None: both are zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extent {
    /// First unit.
    pub start: u16,
    /// Behind the last unit.
    pub end: u16,
}

impl Extent {
    /// Two extents as a word.
    #[inline(always)]
    pub const fn pack(first: Self, second: Self) -> u64 {
        first.start as u64
            | (first.end as u64) << 16
            | (second.start as u64) << 32
            | (second.end as u64) << 48
    }

    /// The two extents of a word.
    #[inline(always)]
    pub const fn unpack(word: u64) -> [Self; 2] {
        [
            Self {
                start: word as u16,
                end: (word >> 16) as u16,
            },
            Self {
                start: (word >> 32) as u16,
                end: (word >> 48) as u16,
            },
        ]
    }

    /// Nothing has been noted here.
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.end == 0
    }

    /// Both have a unit in common.
    #[inline(always)]
    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_those_of_the_kernels_map() {
        assert_eq!(size_of::<FragmentBucket>(), 8 * 8 + 8 * 64);
    }

    proptest! {
        #[test]
        fn extents_come_back(a: u16, b: u16, c: u16, d: u16) {
            let [one, two] = [Extent { start: a, end: b }, Extent { start: c, end: d }];
            prop_assert_eq!(Extent::unpack(Extent::pack(one, two)), [one, two]);
        }

        #[test]
        fn overlap_is_a_common_unit(a in 0u16..40, b in 1u16..9, c in 0u16..40, d in 1u16..9) {
            let (b, d) = (a + b, c + d);
            let (one, two) = (Extent { start: a, end: b }, Extent { start: c, end: d });
            prop_assert_eq!(one.overlaps(two), (a..b).any(|unit| (c..d).contains(&unit)));
        }
    }
}
