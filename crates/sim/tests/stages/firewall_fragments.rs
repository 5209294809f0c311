//! Stage `firewall`: datagrams in fragments.

use crate::firewall::ends;
use crate::firewall_fixture::*;
use crate::fixture::*;
use coax_pipeline::Verdict;
use coax_sim::Enters;
use coax_sim::craft::{self, Ipv4, Ipv6};
use coax_sim::noise::{ipv4, ipv6};
use coax_tables::DropReason;
use std::time::Duration;

const PASSED: Result<Verdict, DropReason> = Ok(Verdict::Deliver);
const STOPPED: Result<Verdict, DropReason> = Err(DropReason::Fragment);

/// Bytes `from..to` of the datagram as a fragment; `more` come behind it.
fn part(over_ipv6: bool, datagram: &[u8], (from, to): (usize, usize), more: bool) -> Enters {
    let payload = &datagram[from..to];
    let packet = if over_ipv6 {
        let offset = (from as u16) | u16::from(more);
        let header = [
            &[17, 0][..],
            &offset.to_be_bytes(),
            &0x0102_0304u32.to_be_bytes(),
            payload,
        ]
        .concat();
        Ipv6::new(ipv6(1), ipv6(2), 44).packet(&header)
    } else {
        let fragment = (from / 8) as u16 | if more { 0x2000 } else { 0 };
        Ipv4::new(ipv4(1), ipv4(2), 17)
            .with_fragment(fragment)
            .packet(payload)
    };
    frame(1, 2, over_ipv6, &packet)
}

fn datagram_to(over_ipv6: bool, port: u16) -> Vec<u8> {
    let ends = (address(1, over_ipv6), address(2, over_ipv6));
    craft::udp((ends.0, 4000), (ends.1, port), &[b'x'; 112])
}

fn run(name: &str, about: &str, frames: Vec<Enters>) -> Vec<Result<Verdict, DropReason>> {
    ends(&play(
        &format!("firewall/{name}"),
        about,
        guarded(&policy()),
        frames,
    ))
}

#[test]
fn later_fragments_follow_the_first() {
    for (over_ipv6, family) in FAMILIES {
        let all = datagram_to(over_ipv6, 53);
        let denied = datagram_to(over_ipv6, 54);
        let found = run(
            &format!("{family}-fragments"),
            "Three fragments of an allowed datagram; one whose first did not come; one that is denied.",
            vec![
                part(over_ipv6, &all, (40, 80), true),
                part(over_ipv6, &all, (0, 40), true),
                part(over_ipv6, &all, (40, 80), true),
                part(over_ipv6, &all, (80, 120), false),
                part(over_ipv6, &all, (80, 120), false),
                part(over_ipv6, &denied, (0, 40), true),
                part(over_ipv6, &denied, (40, 120), false),
            ],
        );
        let denied = Err(DropReason::Denied);
        assert_eq!(
            found,
            [STOPPED, PASSED, PASSED, PASSED, STOPPED, denied, STOPPED]
        );
    }
}

#[test]
fn reordered_fragments_pass_behind_the_first() {
    let all = datagram_to(false, 53);
    let found = run(
        "ipv4-fragments-reordered",
        "The last one before the middle.",
        vec![
            part(false, &all, (0, 40), true),
            part(false, &all, (80, 120), false),
            part(false, &all, (40, 80), true),
        ],
    );
    assert_eq!(found, [PASSED; 3]);
}

#[test]
fn overlapping_fragments_end_the_datagram() {
    for (over_ipv6, family) in FAMILIES {
        let all = datagram_to(over_ipv6, 53);
        let found = run(
            &format!("{family}-fragments-overlap"),
            "One byte twice, and nothing of the datagram passes any more.",
            vec![
                part(over_ipv6, &all, (0, 40), true),
                part(over_ipv6, &all, (32, 80), true),
                part(over_ipv6, &all, (40, 80), true),
                part(over_ipv6, &all, (80, 120), false),
            ],
        );
        assert_eq!(found, [PASSED, STOPPED, STOPPED, STOPPED]);
    }
}

#[test]
fn tiny_first_fragments_are_refused() {
    let mut talk = Talk::new(false);
    let segment = talk.says(1, SYN, 0).bytes[34..].to_vec();
    let tiny = Ipv4::new(ipv4(1), ipv4(2), 6)
        .with_fragment(0x2000)
        .packet(&segment[..8]);
    let rest = Ipv4::new(ipv4(1), ipv4(2), 6)
        .with_fragment(1)
        .packet(&segment[8..]);
    let found = run(
        "ipv4-fragments-tiny",
        "A first fragment whose TCP header goes on in the next one (RFC 1858 section 3).",
        vec![frame(1, 2, false, &tiny), frame(1, 2, false, &rest)],
    );
    assert_eq!(found, [STOPPED, STOPPED]);
}

#[test]
fn the_rest_is_waited_for_half_a_minute() {
    let all = datagram_to(true, 53);
    let found = run(
        "ipv6-fragments-late",
        "A fragment 29 s after the first one, and one 32 s after it.",
        vec![
            part(true, &all, (0, 40), true),
            part(true, &all, (40, 80), true).after(Duration::from_secs(29)),
            part(true, &all, (80, 120), false).after(Duration::from_secs(3)),
        ],
    );
    assert_eq!(found, [PASSED, PASSED, STOPPED]);
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    let all = datagram_to(false, 53);
    let found = run(
        "ipv4-fragments-lengths",
        "Not a multiple of eight, though more come; and beyond the longest datagram.",
        vec![
            part(false, &all, (0, 40), true),
            part(false, &all, (40, 79), true),
            {
                let packet = Ipv4::new(ipv4(1), ipv4(2), 17)
                    .with_fragment(0x1fff)
                    .packet(&all[..40]);
                frame(1, 2, false, &packet)
            },
        ],
    );
    assert_eq!(found, [PASSED, STOPPED, STOPPED]);
}

#[test]
fn one_sender_cannot_fill_the_table() {
    let all = datagram_to(true, 53);
    let numbered = |number: u32, range, more| {
        let mut enters = part(true, &all, range, more);
        enters.bytes[58..62].copy_from_slice(&number.to_be_bytes());
        enters
    };
    let mut frames: Vec<Enters> = (0..200)
        .map(|number| numbered(number, (0, 40), true))
        .collect();
    frames.push(numbered(199, (40, 120), false));
    let found = run(
        "ipv6-fragments-many",
        "Two hundred first fragments in a table for 32: the sender's own oldest ones make room.",
        frames,
    );
    assert!(found.iter().all(|end| *end == PASSED), "{found:?}");
}
