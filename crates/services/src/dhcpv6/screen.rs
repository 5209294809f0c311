//! What of a DHCPv6 message is given to the parser.
//!
//! dhcproto subtracts before it compares in some options, reads options inside of options to any depth, and gives up silently
//! at the first one that it cannot read. So the message is written anew with only the options that the server reads, checked
//! in length and number, and of what is inside of them only the addresses.

/// Message type and transaction.
const HEADER: usize = 4;
/// Associations in one message. Answers grow with them, and clients have one.
const MOST_ASSOCIATIONS: usize = 8;
/// Addresses in one association.
const MOST_ADDRESSES: usize = 16;

const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const IA_NA: u16 = 3;
const IA_TA: u16 = 4;
const IA_ADDRESS: u16 = 5;
const RAPID_COMMIT: u16 = 14;
const IA_PD: u16 = 25;

/// Bytes of an address option without the options in it.
const ADDRESS_LENGTH: usize = 24;
/// A DUID is a type and 1 to 128 bytes (RFC 8415 section 11.1).
const IDENTIFIER: std::ops::RangeInclusive<usize> = 3..=130;

/// The message without what is not read. Nothing: it breaks the format.
pub(super) fn screened(payload: &[u8]) -> Option<Vec<u8>> {
    let (header, options) = payload.split_at_checked(HEADER)?;
    let mut message = header.to_vec();
    let mut associations = 0;
    let mut identifiers = [false; 2];
    for option in Options(options) {
        let (code, value) = option?;
        match code {
            CLIENT_ID | SERVER_ID => {
                let seen = identifiers.get_mut(usize::from(code == SERVER_ID))?;
                if !IDENTIFIER.contains(&value.len()) || std::mem::replace(seen, true) {
                    return None;
                }
                push(&mut message, code, &[value]);
            }
            RAPID_COMMIT if value.is_empty() => push(&mut message, code, &[]),
            RAPID_COMMIT => return None,
            IA_NA => {
                let (fixed, inside) = value.split_at_checked(12)?;
                push(&mut message, code, &[fixed, &addresses(inside)?]);
                associations += 1;
            }
            IA_PD => {
                push(&mut message, code, &[value.get(..12)?]);
                associations += 1;
            }
            IA_TA => {
                push(&mut message, code, &[value.get(..4)?]);
                associations += 1;
            }
            _ => {}
        }
    }
    (associations <= MOST_ASSOCIATIONS).then_some(message)
}

/// The addresses in an association, each without what is in it.
fn addresses(inside: &[u8]) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    let mut count = 0;
    for option in Options(inside) {
        let (code, value) = option?;
        if code == IA_ADDRESS {
            push(&mut kept, code, &[value.get(..ADDRESS_LENGTH)?]);
            count += 1;
        }
    }
    (count <= MOST_ADDRESSES).then_some(kept)
}

fn push(message: &mut Vec<u8>, code: u16, parts: &[&[u8]]) {
    // Parts are at most as long as the option that they were in, whose length had 16 bits.
    let length = parts.iter().map(|part| part.len()).sum::<usize>() as u16;
    message.extend(code.to_be_bytes());
    message.extend(length.to_be_bytes());
    for part in parts {
        message.extend_from_slice(part);
    }
}

/// Options one after the other; one that is cut is nothing, and the last.
struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = Option<(u16, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.0);
        let read = || {
            let (head, rest) = bytes.split_at_checked(4)?;
            let &[a, b, c, d] = head else { return None };
            let (value, rest) = rest.split_at_checked(u16::from_be_bytes([c, d]).into())?;
            Some((u16::from_be_bytes([a, b]), value, rest))
        };
        Some(read().map(|(code, value, rest)| {
            self.0 = rest;
            (code, value)
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn option(code: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        push(&mut bytes, code, &[value]);
        bytes
    }

    fn message(options: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![1, 9, 9, 9];
        bytes.extend(options.concat());
        bytes
    }

    #[test]
    fn what_is_not_read_is_left_out() {
        // A status code of one byte, and vendor options of two: both would underflow in the parser.
        let good = message(&[option(CLIENT_ID, &[0, 1, 2]), option(IA_NA, &[7; 12])]);
        let with_more = message(&[
            option(13, &[0]),
            option(CLIENT_ID, &[0, 1, 2]),
            option(17, &[0, 0]),
            option(IA_NA, &[&[7; 12][..], &option(13, &[0])].concat()),
            option(9, &[12; 60]),
        ]);
        assert_eq!(screened(&with_more), Some(good));
    }

    #[test]
    fn nothing_is_read_inside_of_an_address() {
        let address = option(
            IA_ADDRESS,
            &[&[1; 24][..], &option(IA_ADDRESS, &[2; 24])].concat(),
        );
        let bare = option(IA_ADDRESS, &[1; 24]);
        let deep = message(&[option(IA_NA, &[&[7; 12][..], &address].concat())]);
        let flat = message(&[option(IA_NA, &[&[7; 12][..], &bare].concat())]);
        assert_eq!(screened(&deep), Some(flat));
    }

    #[test]
    fn what_breaks_the_format_is_refused() {
        for options in [
            vec![option(CLIENT_ID, &[0, 1])],
            vec![option(CLIENT_ID, &[0; 131])],
            vec![option(CLIENT_ID, &[0, 1, 2]), option(CLIENT_ID, &[0, 1, 2])],
            vec![option(IA_NA, &[0; 11])],
            vec![option(IA_TA, &[0; 3])],
            vec![option(IA_PD, &[0; 11])],
            vec![option(RAPID_COMMIT, &[0])],
            vec![option(
                IA_NA,
                &[&[7; 12][..], &option(IA_ADDRESS, &[1; 23])].concat(),
            )],
            vec![option(IA_NA, &[&[7; 12][..], &[0, 5, 0, 99]].concat())],
            vec![option(IA_NA, &[7; 12]); MOST_ASSOCIATIONS + 1],
            vec![vec![0, 1, 0]],
            vec![vec![0, 1, 0, 9, 1]],
        ] {
            assert_eq!(screened(&message(&options)), None, "{options:?}");
        }
        assert_eq!(screened(&[1, 2, 3]), None);
    }

    proptest! {
        #[test]
        fn whatever_passes_is_read_without_a_panic(
            options in proptest::collection::vec((0u16..30, proptest::collection::vec(any::<u8>(), 0..60)), 0..12),
        ) {
            use dhcproto::Decodable;
            let options: Vec<Vec<u8>> = options.iter().map(|(code, value)| option(*code, value)).collect();
            if let Some(screened) = screened(&message(&options)) {
                let read = dhcproto::v6::Message::from_bytes(&screened).unwrap();
                prop_assert!(read.opts().iter().count() <= options.len());
            }
        }

        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = screened(&bytes);
        }
    }
}
