//! What of a DHCPv4 message is given to the parser.
//!
//! dhcproto panics on some options that are too short, takes a hardware address length of 255 at its word, gives up
//! silently at the first option that it cannot read, and knows neither split options (RFC 3396) nor overloaded fields
//! (RFC 2132 section 9.3). So the message is written anew with only the options that the server reads, each
//! put together and of a legal length, and everything else is left out.

/// Bytes before the magic cookie.
const FIXED: usize = 236;
/// RFC 2131 section 3.
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// The fields `sname` and `file`, which may hold options.
const SNAME: std::ops::Range<usize> = 44..108;
const FILE: std::ops::Range<usize> = 108..FIXED;
const PAD: u8 = 0;
const OVERLOAD: u8 = 52;
const END: u8 = 255;

/// Options that the server reads, with their shortest and longest legal lengths.
const READ: [(u8, usize, usize); 7] = [
    (50, 4, 4),   // requested address
    (53, 1, 1),   // message type
    (54, 4, 4),   // server identifier
    (55, 1, 255), // parameters that are asked for
    (57, 2, 2),   // longest message
    (61, 2, 255), // client identifier
    (80, 0, 0),   // rapid commit
];

/// The message without what is not read. Nothing: it is not a message of an Ethernet client, or breaks the format.
pub(super) fn screened(payload: &[u8]) -> Option<Vec<u8>> {
    let fixed = payload.get(..FIXED)?;
    let options = payload.get(FIXED..)?.strip_prefix(&COOKIE)?;
    // Hardware type Ethernet with addresses of six bytes.
    if fixed[1..3] != [1, 6] {
        return None;
    }
    let mut read: [Option<Vec<u8>>; READ.len()] = Default::default();
    let overload = collect(options, &mut read)?;
    if overload & 1 != 0 {
        collect(&fixed[FILE], &mut read)?;
    }
    if overload & 2 != 0 {
        collect(&fixed[SNAME], &mut read)?;
    }
    let mut message = fixed.to_vec();
    message[SNAME].fill(0);
    message[FILE].fill(0);
    message.extend(COOKIE);
    for ((code, least, most), value) in READ.into_iter().zip(read) {
        let Some(value) = value else { continue };
        if !(least..=most).contains(&value.len()) {
            return None;
        }
        message.extend([code, u8::try_from(value.len()).ok()?]);
        message.extend(value);
    }
    message.push(END);
    Some(message)
}

/// Collects the options of one field; several of one code are one value in parts. Returns the value of "overload".
fn collect(mut field: &[u8], read: &mut [Option<Vec<u8>>; READ.len()]) -> Option<u8> {
    let mut overload = 0;
    loop {
        let (&code, rest) = match field.split_first() {
            None => return Some(overload),
            Some((&END, _)) => return Some(overload),
            Some((&PAD, rest)) => {
                field = rest;
                continue;
            }
            Some(other) => other,
        };
        let (&length, rest) = rest.split_first()?;
        let (value, rest) = rest.split_at_checked(length.into())?;
        if let (OVERLOAD, [fields]) = (code, value) {
            overload = *fields;
        }
        let index = READ.iter().position(|(known, ..)| *known == code);
        if let Some(so_far) = index.and_then(|index| read.get_mut(index)) {
            so_far.get_or_insert_default().extend(value);
        }
        field = rest;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(options: &[u8]) -> Vec<u8> {
        let mut message = vec![0; FIXED];
        message[..3].copy_from_slice(&[1, 1, 6]);
        message.extend(COOKIE);
        message.extend(options);
        message
    }

    fn options_of(screened: &[u8]) -> &[u8] {
        &screened[FIXED + COOKIE.len()..]
    }

    #[test]
    fn what_is_not_read_is_left_out() {
        let bytes = message(&[0, 12, 2, b'v', b'm', 53, 1, 1, 81, 1, 0, 255, 53, 1, 3]);
        assert_eq!(options_of(&screened(&bytes).unwrap()), [53, 1, 1, 255]);
    }

    #[test]
    fn split_options_are_put_together() {
        let bytes = message(&[61, 2, 1, 2, 53, 1, 1, 61, 2, 3, 4, 255]);
        assert_eq!(
            options_of(&screened(&bytes).unwrap()),
            [53, 1, 1, 61, 4, 1, 2, 3, 4, 255]
        );
    }

    #[test]
    fn overloaded_fields_are_read() {
        let mut bytes = message(&[52, 1, 3, 255]);
        bytes[FILE][..4].copy_from_slice(&[53, 1, 3, 255]);
        bytes[SNAME][..7].copy_from_slice(&[50, 4, 10, 0, 0, 9, 255]);
        let screened = screened(&bytes).unwrap();
        assert_eq!(options_of(&screened), [50, 4, 10, 0, 0, 9, 53, 1, 3, 255]);
        assert!(
            screened[SNAME]
                .iter()
                .chain(&screened[FILE])
                .all(|byte| *byte == 0)
        );
    }

    #[test]
    fn what_breaks_the_format_is_refused() {
        for options in [
            &[53, 2, 1, 1, 255][..],    // wrong length
            &[53, 1, 1, 53, 1, 1, 255], // given twice
            &[53, 5, 1],                // longer than the message
            &[53],                      // cut
            &[80, 1, 0, 255],           // a value where none belongs
        ] {
            assert_eq!(screened(&message(options)), None, "{options:?}");
        }
        let good = message(&[53, 1, 1, 255]);
        for (at, value) in [(1, 6), (2, 16), (2, 255), (FIXED, 0)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(screened(&bad), None, "byte {at} is {value}");
        }
        assert_eq!(screened(&good[..FIXED + 3]), None);
    }

    proptest! {
        #[test]
        fn whatever_passes_is_read_without_a_panic(options in proptest::collection::vec(any::<u8>(), 0..300)) {
            use dhcproto::Decodable;
            if let Some(screened) = screened(&message(&options)) {
                let read = dhcproto::v4::Message::from_bytes(&screened).unwrap();
                prop_assert_eq!(read.chaddr().len(), 6);
                prop_assert!(read.opts().len() <= READ.len());
            }
        }
    }
}
