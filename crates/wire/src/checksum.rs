//! The Internet checksum (RFC 1071).

/// A running ones' complement sum over big-endian words.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum(u32);

impl Checksum {
    /// Nothing summed yet.
    #[inline(always)]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds one word. Up to 65,535 words may be added before `finish`.
    #[inline(always)]
    pub const fn word(self, word: u16) -> Self {
        Self(self.0 + word as u32)
    }

    /// Adds `bytes`; an odd last byte counts as the high half of a word.
    #[inline(always)]
    pub const fn bytes<const N: usize>(mut self, bytes: &[u8; N]) -> Self {
        let mut at = 0;
        while at + 1 < N {
            self = self.word(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
            at += 2;
        }
        if N % 2 == 1 {
            self = self.word(u16::from_be_bytes([bytes[N - 1], 0]));
        }
        self
    }

    /// Adds `bytes` of any length; an odd last byte counts as the high half of a word.
    pub fn slice(mut self, bytes: &[u8]) -> Self {
        let mut words = bytes.chunks_exact(2);
        for word in &mut words {
            self = self.word(u16::from_be_bytes([word[0], word[1]]));
        }
        match words.remainder() {
            [last] => self.word(u16::from_be_bytes([*last, 0])),
            _ => self,
        }
    }

    /// The value for the checksum field.
    #[inline(always)]
    pub const fn finish(self) -> [u8; 2] {
        let once = (self.0 & 0xffff) + (self.0 >> 16);
        let twice = (once & 0xffff) + (once >> 16);
        (!(twice as u16)).to_be_bytes()
    }
}

/// The IPv4 or ICMP sum after one aligned 16-bit word of the data changed (RFC 1624 equation 3).
#[inline(always)]
pub const fn replaced(checksum: [u8; 2], old: u16, new: u16) -> [u8; 2] {
    Checksum(!u16::from_be_bytes(checksum) as u32)
        .word(!old)
        .word(new)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn example_of_rfc_1071() {
        let sum = Checksum::new().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), (!0xddf2u16).to_be_bytes());
    }

    proptest! {
        #[test]
        fn agrees_with_etherparse(source: [u8; 4], destination: [u8; 4], ttl: u8, payload in 0u16..1400) {
            let judge = etherparse::Ipv4Header::new(payload, ttl, etherparse::IpNumber::UDP, source, destination);
            if let Ok(judge) = judge {
                let mut bytes = judge.to_bytes().as_slice().to_vec();
                bytes[10] = 0;
                bytes[11] = 0;
                let bytes: [u8; 20] = bytes.try_into().unwrap_or([0; 20]);
                prop_assert_eq!(Checksum::new().bytes(&bytes).finish(), judge.calc_header_checksum().to_be_bytes());
            }
        }

        #[test]
        fn slices_and_arrays_sum_alike(bytes: [u8; 33]) {
            prop_assert_eq!(Checksum::new().slice(&bytes).finish(), Checksum::new().bytes(&bytes).finish());
            let (even, _) = bytes.split_at(32);
            let array: [u8; 32] = even.try_into().unwrap_or([0; 32]);
            prop_assert_eq!(Checksum::new().slice(even).finish(), Checksum::new().bytes(&array).finish());
        }

        #[test]
        fn replacing_equals_summing_again(mut bytes: [u8; 20], new: u16) {
            let before = Checksum::new().bytes(&bytes).finish();
            let old = u16::from_be_bytes([bytes[4], bytes[5]]);
            bytes[4..6].copy_from_slice(&new.to_be_bytes());
            let after = Checksum::new().bytes(&bytes).finish();
            let updated = replaced(before, old, new);
            // 0x0000 and 0xffff are the same number in ones' complement.
            prop_assert!(updated == after || bytes.iter().all(|byte| *byte == 0));
        }
    }
}
