//! Copies of short byte strings, eight bytes at a time.
//!
//! Headers are byte arrays without alignment. What a compiler does with copies of such arrays differs:
//! for the kernel's target it moves byte by byte, unless every move is one of a whole word.

/// Copies `from` to `to`.
#[inline(always)]
pub fn copy<const N: usize>(from: &[u8; N], to: &mut [u8; N]) {
    let mut at = 0;
    while at + 8 <= N {
        let mut word = [0; 8];
        word.copy_from_slice(&from[at..at + 8]);
        to[at..at + 8].copy_from_slice(&word);
        at += 8;
    }
    if at + 4 <= N {
        let mut word = [0; 4];
        word.copy_from_slice(&from[at..at + 4]);
        to[at..at + 4].copy_from_slice(&word);
        at += 4;
    }
    if at + 2 <= N {
        to[at] = from[at];
        to[at + 1] = from[at + 1];
        at += 2;
    }
    if at < N {
        to[at] = from[at];
    }
}

#[cfg(test)]
mod tests {
    use super::copy;
    use proptest::prelude::*;

    fn copies<const N: usize>(bytes: &[u8]) -> bool {
        let mut from = [0; N];
        from.copy_from_slice(&bytes[..N]);
        let mut to = [0xaa; N];
        copy(&from, &mut to);
        from == to
    }

    proptest! {
        #[test]
        fn every_byte_arrives(bytes in prop::collection::vec(any::<u8>(), 40)) {
            prop_assert!(copies::<0>(&bytes) && copies::<1>(&bytes) && copies::<2>(&bytes));
            prop_assert!(copies::<3>(&bytes) && copies::<6>(&bytes) && copies::<7>(&bytes));
            prop_assert!(copies::<14>(&bytes) && copies::<16>(&bytes) && copies::<40>(&bytes));
        }
    }
}
