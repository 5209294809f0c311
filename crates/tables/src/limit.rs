//! What is limited per port, and how a limit is kept: one number per port and kind.
//!
//! The number is the moment up to which everything that was let through is paid for, at the price
//! of one `interval` each (the generic cell rate algorithm of ITU-T I.371). A moment in the past is
//! a full bucket; one `burst` intervals in the future is an empty one. One word that is compared and
//! swapped needs no lock, and a word that is lost (a new map, a reboot) only fills the bucket.

/// What a port may do only so often.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u32)]
pub enum Limit {
    /// Frames handed to the agent.
    Punt = 0,
    /// ICMP errors caused by the port's frames.
    IcmpError = 1,
    /// Answers to ARP requests and neighbour solicitations.
    Answer = 2,
    /// Frames to everybody.
    Broadcast = 3,
    /// Frames to groups.
    Multicast = 4,
    /// Frames to MAC addresses that nobody has, where they are flooded.
    Unknown = 5,
    /// Resets of connections that a rule rejects.
    Reset = 6,
}

impl Limit {
    /// Room for the words of each slot; numbers stay below it.
    pub const COUNT: u32 = 8;

    /// All kinds, by their numbers.
    pub const ALL: [Self; 7] = [
        Self::Punt,
        Self::IcmpError,
        Self::Answer,
        Self::Broadcast,
        Self::Multicast,
        Self::Unknown,
        Self::Reset,
    ];

    /// The name in golden files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Punt => "punt",
            Self::IcmpError => "icmp-error",
            Self::Answer => "answer",
            Self::Broadcast => "broadcast",
            Self::Multicast => "multicast",
            Self::Unknown => "unknown",
            Self::Reset => "reset",
        }
    }

    /// Index of the word of `slot`.
    #[inline(always)]
    pub const fn index(self, slot: u32) -> u32 {
        slot * Self::COUNT + self as u32
    }
}

/// How often something is let through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Nanoseconds between two of many.
    pub interval: u64,
    /// How many are let through at once after a pause.
    pub burst: u64,
}

impl Rate {
    /// So many in a second, so many at once.
    pub const fn per_second(number: u64, burst: u64) -> Self {
        Self {
            interval: 1_000_000_000 / number,
            burst,
        }
    }

    /// The word after one more at the moment `now`; nothing when it is too much.
    #[inline(always)]
    pub const fn spend(&self, word: u64, now: u64) -> Option<u64> {
        let start = if word > now { word } else { now };
        let after = start + self.interval;
        if after - now > self.interval * self.burst {
            None
        } else {
            Some(after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The simpler model: a bucket of tokens, filled once per interval.
        #[test]
        fn as_a_bucket_of_tokens(burst in 1u64..20, waits in proptest::collection::vec(0u64..30, 1..200)) {
            let rate = Rate { interval: 10, burst };
            let (mut now, mut word) = (1_000, 0);
            // Tokens in units of a tenth, as time goes in tenths of an interval.
            let mut tenths = burst * 10;
            for wait in waits {
                now += wait;
                tenths = (tenths + wait).min(burst * 10);
                let expected = tenths >= 10;
                match rate.spend(word, now) {
                    Some(after) => {
                        prop_assert!(expected);
                        word = after;
                        tenths -= 10;
                    }
                    None => prop_assert!(!expected),
                }
            }
        }
    }

    #[test]
    fn numbers_fit_and_names_differ() {
        for (number, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, number);
            assert!((limit as u32) < Limit::COUNT);
            assert_eq!(limit.index(2), 2 * Limit::COUNT + number as u32);
        }
    }
}
