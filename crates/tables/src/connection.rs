//! Connections of the stateful firewall: a set-associative table in shared memory.
//!
//! The table is an array of buckets with eight places each. A connection may be in one of two buckets,
//! which a keyed hash of its key names. Every place has a tag, one word that says what is in it and until
//! when: whoever needs room takes a place whose time is over with one compare-and-swap. So there are no
//! locks, nothing has to be removed, and nothing depends on an agent being alive. Tags stand together in
//! front of their bucket, so that a search reads one cache line and then the one entry that it is about.
//!
//! All memory is words of 64 bits, which are read and written whole. Words of one direction are written
//! by packets of that direction only; where two processors work on one direction at once, the later write
//! wins, and the next packet of the connection makes good for what was lost.

use crate::ConnectionState;
use core::sync::atomic::AtomicU64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Places in a bucket.
pub const WAYS: usize = 8;

/// A bucket: the tags of its places, then the places.
#[derive(Debug, Default)]
#[repr(C)]
pub struct ConnectionBucket {
    /// What is in each place, and until when ([`Tag`]).
    pub tags: [AtomicU64; WAYS],
    /// The connections.
    pub places: [ConnectionWords; WAYS],
}

impl ConnectionBucket {
    /// All words, tags first.
    pub fn words(&self) -> impl Iterator<Item = &AtomicU64> {
        self.tags
            .iter()
            .chain(self.places.iter().flat_map(ConnectionWords::words))
    }
}

impl ConnectionWords {
    /// All words.
    pub fn words(&self) -> impl Iterator<Item = &AtomicU64> {
        let Self {
            key,
            protocol,
            reach,
            heard,
            judged,
            rule,
        } = self;
        key.iter()
            .chain([protocol])
            .chain(reach)
            .chain(heard)
            .chain([judged, rule])
    }
}

/// A connection as it is stored. The two ends are `low` and `high`: which is which depends on addresses
/// and ports only, so both directions of a connection find the same entry.
#[derive(Debug, Default)]
#[repr(C)]
pub struct ConnectionWords {
    /// The words of [`ConnectionKey`] but for the last.
    pub key: [AtomicU64; 5],
    /// Upper half: `ConnectionKey::protocol`. Lower half: sequence number behind a SYN that came in the
    /// midst of the connection ([`ConnectionTraits::PENDING`]).
    pub protocol: AtomicU64,
    /// TCP, per end. Upper half: sequence number behind the last byte that it sent. Lower half: up to
    /// where it lets the other end send.
    pub reach: [AtomicU64; 2],
    /// TCP, per end. Upper half: last byte of the other end that it acknowledged. Lower half: the largest
    /// window that it ever offered.
    pub heard: [AtomicU64; 2],
    /// Upper half: generation of the domain when the connection was judged. Lower half: the domain.
    pub judged: AtomicU64,
    /// Upper half: the rule that admitted it. Lower half: bits of [`ConnectionTraits`].
    pub rule: AtomicU64,
}

/// The two ends of a connection, its network and its protocol.
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
pub struct ConnectionKey {
    /// Address of the low end, IPv4 in mapped form, as it stands in memory.
    pub low: [u64; 2],
    /// Address of the high end.
    pub high: [u64; 2],
    /// Port of the low end, or the identifier of ICMP echo messages, as it stands in memory.
    pub low_port: u16,
    /// Port of the high end, or the identifier of ICMP echo messages.
    pub high_port: u16,
    /// The network of the local port, where connections of different networks are kept apart.
    pub network: u32,
    /// IP protocol, and who asks for echoes: [`ConnectionKey::LOW_ASKS`] or [`ConnectionKey::HIGH_ASKS`].
    pub protocol: u32,
    /// Always zero.
    pub zero: u32,
}

impl ConnectionKey {
    /// A key without ends.
    pub const EMPTY: Self = Self {
        low: [0; 2],
        high: [0; 2],
        low_port: 0,
        high_port: 0,
        network: 0,
        protocol: 0,
        zero: 0,
    };

    /// In `protocol`: the low end sends echo requests.
    pub const LOW_ASKS: u32 = 0x100;
    /// In `protocol`: the high end sends echo requests.
    pub const HIGH_ASKS: u32 = 0x200;

    /// The ports and the network as one word.
    #[inline(always)]
    pub const fn ports_word(&self) -> u64 {
        self.low_port as u64 | (self.high_port as u64) << 16 | (self.network as u64) << 32
    }

    /// The words that `ConnectionWords::key` holds.
    #[inline(always)]
    pub const fn words(&self) -> [u64; 5] {
        let ([a, b], [c, d]) = (self.low, self.high);
        [a, b, c, d, self.ports_word()]
    }

    /// A hash that nobody can predict who does not know `seed`: the sum of products of NH (RFC 4418
    /// section 5.2), so that no choice of addresses and ports makes many keys meet, with its key drawn
    /// from the seed by multiplication, then mixed so that all bits are usable.
    #[inline(always)]
    pub const fn hash(&self, seed: u64) -> u64 {
        let [a, b, c, d, e] = self.words();
        let sum = term(a, seed, 0x9e37_79b9_7f4a_7c15)
            .wrapping_add(term(b, seed, 0xc2b2_ae3d_27d4_eb4f))
            .wrapping_add(term(c, seed, 0x1656_67b1_9e37_79f9))
            .wrapping_add(term(d, seed, 0x27d4_eb2f_1656_67c5))
            .wrapping_add(term(e, seed, 0x85eb_ca77_c2b2_ae63))
            .wrapping_add(self.protocol as u64);
        let mixed = (sum ^ sum >> 32).wrapping_mul(0xff51_afd7_ed55_8ccd);
        (mixed ^ mixed >> 29).wrapping_mul(0xc4ce_b9fe_1a85_ec53)
    }
}

/// One product of NH: both halves of a word, each with a secret added.
#[inline(always)]
const fn term(word: u64, seed: u64, odd: u64) -> u64 {
    let secret = (seed ^ odd).wrapping_mul(odd);
    let left = (word as u32).wrapping_add(secret as u32);
    let right = ((word >> 32) as u32).wrapping_add((secret >> 32) as u32);
    (left as u64).wrapping_mul(right as u64)
}

/// Where a key may be, of `mask + 1` buckets.
#[inline(always)]
pub const fn buckets(hash: u64, mask: u32) -> [u32; 2] {
    [hash as u32 & mask, (hash >> 20) as u32 & mask]
}

/// Time in steps of 2^27 ns, some 0.13 s: a word has room for half of it.
#[inline(always)]
pub const fn ticks(nanoseconds: u64) -> u32 {
    (nanoseconds >> 27) as u32
}

/// Ticks in so many seconds.
pub const fn seconds(seconds: u32) -> u32 {
    ticks(seconds as u64 * 1_000_000_000)
}

/// What is in a place: 24 bits of the key's hash, 8 bits of state, 32 bits of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Tag(pub u64);

impl Tag {
    /// How long a place stays as it is once its time is over. Somebody who found the entry in its last
    /// moment is done with it by then.
    pub const GRACE: u32 = 2;

    /// The tag of a connection in `state` whose time is over at the tick `deadline`.
    #[inline(always)]
    pub const fn new(hash: u64, state: u8, deadline: u32) -> Self {
        Self(hash >> 40 << 40 | (state as u64) << 32 | deadline as u64)
    }

    /// The same place with another state and time.
    #[inline(always)]
    pub const fn with(self, state: u8, deadline: u32) -> Self {
        Self::new(self.0, state, deadline)
    }

    /// The state.
    #[inline(always)]
    pub const fn state(self) -> u8 {
        (self.0 >> 32) as u8
    }

    /// The tick at which the entry's time is over.
    #[inline(always)]
    pub const fn deadline(self) -> u32 {
        self.0 as u32
    }

    /// Ticks that are left at the tick `now`; none or fewer: the time is over.
    #[inline(always)]
    pub const fn left(self, now: u32) -> i32 {
        self.deadline().wrapping_sub(now) as i32
    }

    /// An entry may be found by its key.
    #[inline(always)]
    pub const fn is_alive(self, now: u32) -> bool {
        let kind = self.state() & ConnectionState::KIND;
        kind != ConnectionState::EMPTY && kind != ConnectionState::BUSY && self.left(now) > 0
    }

    /// The place may be taken.
    #[inline(always)]
    pub const fn is_free(self, now: u32) -> bool {
        self.state() == ConnectionState::EMPTY || self.left(now) < -(Self::GRACE as i32)
    }

    /// The entry may be of a key with this hash.
    #[inline(always)]
    pub const fn may_be(self, hash: u64) -> bool {
        (self.0 ^ hash) >> 40 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_those_of_the_kernels_map() {
        assert_eq!(size_of::<ConnectionWords>(), 96);
        assert_eq!(size_of::<ConnectionBucket>(), 8 * 8 + 8 * 96);
        assert_eq!(size_of::<ConnectionKey>(), 48);
    }

    #[test]
    fn memory_of_zeros_is_empty() {
        for now in [0, 1, 1 << 31, u32::MAX] {
            assert!(Tag(0).is_free(now) && !Tag(0).is_alive(now));
        }
    }

    #[test]
    fn a_place_is_kept_for_a_moment_after_its_time() {
        let tag = Tag::new(0, ConnectionState::ESTABLISHED, u32::MAX);
        assert!(tag.is_alive(u32::MAX - 1) && !tag.is_alive(u32::MAX));
        assert!(!tag.is_free(0) && !tag.is_free(1) && tag.is_free(2));
    }

    proptest! {
        #[test]
        fn a_tag_keeps_what_it_is_given(hash: u64, state: u8, deadline: u32, later: u32) {
            let tag = Tag::new(hash, state, deadline);
            prop_assert_eq!((tag.state(), tag.deadline()), (state, deadline));
            prop_assert!(tag.may_be(hash) && !tag.may_be(hash ^ 1 << 40));
            let then = tag.with(ConnectionState::CLOSED, later);
            prop_assert!(then.may_be(hash) && then.deadline() == later);
        }

        /// Keys that differ in one bit meet in a bucket no more often than others, whatever the seed.
        #[test]
        fn neighbours_do_not_meet(seed: u64, bit in 0usize..160) {
            let mut bytes = [0u8; 48];
            let mut met = 0;
            for number in 0u8..=255 {
                bytes[31] = number;
                let one = ConnectionKey::read_from_bytes(&bytes).map_err(|_| TestCaseError::fail("size"))?;
                bytes[bit / 8] ^= 1 << (bit % 8);
                let other = ConnectionKey::read_from_bytes(&bytes).map_err(|_| TestCaseError::fail("size"))?;
                bytes[bit / 8] ^= 1 << (bit % 8);
                let first = |key: ConnectionKey| buckets(key.hash(seed), 0xffff)[0];
                met += u32::from(first(one) == first(other));
            }
            prop_assert!(met <= 3, "{} of 256", met);
        }
    }
}
