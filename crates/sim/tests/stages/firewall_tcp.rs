//! Stage `firewall`: TCP by flags, sequence numbers and windows.

use crate::firewall::{Ends, ends};
use crate::firewall_fixture::*;
use crate::fixture::*;
use coax_pipeline::Verdict;
use coax_sim::Enters;
use coax_tables::DropReason;
use std::time::Duration;

const PASSED: Result<Verdict, DropReason> = Ok(Verdict::Deliver);
const OUT: Result<Verdict, DropReason> = Err(DropReason::NoConnection);

fn run(name: &str, about: &str, frames: Vec<Enters>) -> Ends {
    ends(&play(
        &format!("firewall/{name}"),
        about,
        guarded(&policy()),
        frames,
    ))
}

#[test]
fn a_connection_opens_talks_and_closes() {
    for (over_ipv6, family) in FAMILIES {
        let mut talk = Talk::new(over_ipv6);
        let mut frames = talk.open();
        for _ in 0..3 {
            frames.push(talk.says(1, ACK | PSH, 100));
            frames.push(talk.says(2, ACK | PSH, 900));
        }
        frames.push(talk.says(1, ACK | FIN, 0));
        frames.push(talk.says(2, ACK, 500));
        frames.push(talk.says(1, ACK, 0));
        frames.push(talk.says(2, ACK | FIN, 0));
        frames.push(talk.says(1, ACK, 0));
        let frames_passed = frames.len();
        // Late, when the connection is forgotten.
        frames.push(talk.says(2, ACK, 0).after(Duration::from_secs(70)));
        let found = run(
            &format!("{family}-tcp"),
            "A connection from its first segment to its last, half closed for a while.",
            frames,
        );
        assert!(
            found[..frames_passed].iter().all(|end| *end == PASSED),
            "{found:?}"
        );
        assert_eq!(found[frames_passed..], [OUT]);
    }
}

#[test]
fn nothing_but_a_syn_or_data_opens_a_connection() {
    let talk = Talk::new(false);
    let found = run(
        "ipv4-tcp-strays",
        "Segments without a connection. Data count as a connection that began elsewhere, if policy allows it.",
        vec![
            talk.segment(1, SYN | ACK, 0).enters(),
            talk.segment(1, RST, 0).enters(),
            talk.segment(1, ACK | FIN, 0).enters(),
            talk.segment(2, ACK, 10).enters(),
            talk.segment(1, ACK, 10).enters(),
            talk.segment(2, ACK, 10).enters(),
        ],
    );
    assert_eq!(found, [OUT, OUT, OUT, OUT, PASSED, PASSED]);
}

#[test]
fn flags_that_make_no_sense_are_malformed() {
    let talk = Talk::new(false);
    let bad = [
        0,
        SYN | FIN,
        SYN | RST,
        FIN,
        RST | FIN,
        SYN | ACK | FIN,
        0x3f,
    ];
    let frames = bad.map(|flags| talk.segment(1, flags, 0).enters()).to_vec();
    let found = run("ipv4-tcp-flags", "Flags that never stand together.", frames);
    assert!(
        found.iter().all(|end| *end == Err(DropReason::Malformed)),
        "{found:?}"
    );
}

#[test]
fn a_blind_reset_neither_closes_nor_passes() {
    for (over_ipv6, family) in FAMILIES {
        let mut talk = Talk::new(over_ipv6);
        let mut frames = talk.open();
        frames.push(talk.says(1, ACK, 10));
        let reset = |from: u8, distance: u32| {
            let mut segment = talk.segment(from, RST, 0);
            segment.sequence = segment.sequence.wrapping_add(distance);
            segment.enters()
        };
        let blind = [
            reset(2, 1_000_000),
            reset(2, 0x8000_0000),
            reset(1, 1_000_000),
            reset(1, 0u32.wrapping_sub(1_000_000)),
        ];
        // In the window, but not where the next byte is expected: for the receiver to challenge.
        let near = reset(2, 100);
        let exact = reset(2, 0);
        frames.extend(blind);
        frames.push(near);
        let still = frames.len();
        frames.push(talk.says(2, ACK, 10));
        frames.push(talk.says(1, ACK, 10));
        frames.push(exact);
        let next = frames.len();
        frames.push(talk.says(1, ACK, 10));
        frames.push(talk.says(1, ACK, 10).after(Duration::from_secs(12)));
        frames.push(talk.says(2, ACK, 0));
        let found = run(
            &format!("{family}-tcp-resets"),
            "Resets outside the window are dropped; one inside that is not exact passes and closes nothing.",
            frames,
        );
        assert_eq!(found[..4], [PASSED; 4]);
        assert_eq!(found[4..8], [OUT; 4]);
        assert_eq!(found[8], PASSED);
        assert_eq!(found[still..still + 2], [PASSED; 2]);
        // The exact one was stale by then: the server had sent ten bytes more.
        assert_eq!(found[next - 1], OUT, "{found:?}");
    }
}

#[test]
fn an_exact_reset_closes() {
    let mut talk = Talk::new(false);
    let mut frames = talk.open();
    frames.push(talk.segment(2, RST, 0).enters());
    frames.push(talk.says(2, ACK, 10));
    frames.push(talk.says(2, ACK, 10).after(Duration::from_secs(12)));
    let found = run(
        "ipv4-tcp-reset",
        "A reset where the next byte is expected ends the connection; what is on its way still arrives.",
        frames,
    );
    assert_eq!(found, [PASSED, PASSED, PASSED, PASSED, PASSED, OUT]);
}

#[test]
fn a_syn_in_the_midst_changes_nothing() {
    let mut talk = Talk::new(false);
    let mut frames = talk.open();
    let mut syn = talk.segment(1, SYN, 0);
    syn.sequence = 77_000_000;
    let mut foreign = talk.segment(2, SYN, 0);
    foreign.sequence = 99_000_000;
    frames.push(syn.enters());
    frames.push(foreign.enters());
    frames.push(talk.says(2, ACK, 0));
    frames.push(talk.says(1, ACK, 10));
    let found = run(
        "ipv4-tcp-syn-in-the-midst",
        "The originator's SYN passes, for the server to challenge; the other way it does not. The connection goes on.",
        frames,
    );
    assert_eq!(found[3..], [PASSED, OUT, PASSED, PASSED]);
}

#[test]
fn who_lost_his_memory_can_begin_anew() {
    let mut talk = Talk::new(false);
    let mut frames = talk.open();
    // Both have forgotten the connection, the firewall has not.
    talk.next = [77_000_000, 88_000_000];
    frames.extend(talk.open());
    frames.push(talk.says(2, ACK, 500));
    frames.push(talk.says(1, ACK, 500));
    let found = run(
        "ipv4-tcp-anew",
        "When the server agrees to a SYN in the midst, both have begun anew.",
        frames,
    );
    assert!(found.iter().all(|end| *end == PASSED), "{found:?}");
}

#[test]
fn a_scale_that_is_too_large_counts_as_the_largest() {
    let mut talk = Talk::new(false);
    let mut frames = talk.open();
    talk.next = [77_000_000, 88_000_000];
    for mut opening in [
        talk.segment(1, SYN, 0),
        Segment {
            acknowledgement: 77_000_001,
            ..talk.segment(2, SYN | ACK, 0)
        },
    ] {
        opening.scale = Some(16);
        frames.push(opening.enters());
    }
    talk.next = [77_000_001, 88_000_001];
    frames.push(talk.says(1, ACK, 0));
    let mut far = talk.segment(2, ACK, 10);
    // A window of 1000 with scale 14.
    far.sequence += 16_000_000;
    frames.push(far.enters());
    let found = run(
        "ipv4-tcp-anew-scale",
        "Also when both begin anew without the firewall (RFC 7323 section 2.3).",
        frames,
    );
    assert!(found.iter().all(|end| *end == PASSED), "{found:?}");
}

#[test]
fn a_port_pair_is_used_again_after_the_end() {
    let mut talk = Talk::new(false);
    let mut frames = talk.open();
    frames.push(talk.says(1, ACK | FIN, 0));
    frames.push(talk.says(2, ACK | FIN, 0));
    frames.push(talk.says(1, ACK, 0));
    talk.next = [50_000_000, 60_000_000];
    frames.extend(talk.open());
    frames.push(talk.says(2, ACK, 500));
    let mut back = talk.segment(2, SYN, 0);
    back.sequence = 5;
    frames.push(back.enters());
    let found = run(
        "ipv4-tcp-port-reuse",
        "A SYN in TIME-WAIT opens another connection, judged by policy.",
        frames,
    );
    let last = found.len() - 1;
    assert!(found[..last].iter().all(|end| *end == PASSED), "{found:?}");
    assert_eq!(found[last], OUT);
}

#[test]
fn both_may_open_at_once() {
    let mut talk = Talk::new(true);
    let frames = vec![
        talk.says(1, SYN, 0),
        talk.says(2, SYN, 0),
        {
            let mut again = talk.segment(1, SYN | ACK, 0);
            again.sequence = again.sequence.wrapping_sub(1);
            again.enters()
        },
        {
            let mut again = talk.segment(2, SYN | ACK, 0);
            again.sequence = again.sequence.wrapping_sub(1);
            again.enters()
        },
        talk.says(1, ACK, 10),
        talk.says(2, ACK, 10),
    ];
    let found = run(
        "ipv6-tcp-simultaneous",
        "Two SYNs that cross (RFC 9293 figure 8).",
        frames,
    );
    assert!(found.iter().all(|end| *end == PASSED), "{found:?}");
}

#[test]
fn a_refused_connection_is_closed() {
    let mut talk = Talk::new(false);
    let syn = talk.says(1, SYN, 0);
    let mut answer = talk.segment(2, RST | ACK, 0);
    answer.sequence = 0;
    let mut blind = answer.clone();
    blind.acknowledgement = 4;
    let found = run(
        "ipv4-tcp-refused",
        "A reset that acknowledges the SYN answers it; another one does not.",
        vec![
            syn,
            blind.enters(),
            answer.enters(),
            answer.enters().after(Duration::from_secs(12)),
        ],
    );
    assert_eq!(found, [PASSED, OUT, PASSED, OUT]);
}

#[test]
fn windows_are_kept_with_their_scale() {
    let mut talk = Talk::new(false);
    let mut frames = talk.open();
    let far = |distance: u32| {
        let mut segment = talk.segment(2, ACK, 10);
        segment.sequence = segment.sequence.wrapping_add(distance);
        segment.enters()
    };
    // 1000 shifted by 2.
    frames.push(far(4000));
    frames.push(far(4001));
    let mut unsent = talk.segment(2, ACK, 0);
    unsent.acknowledgement += 1;
    frames.push(unsent.enters());
    let found = run(
        "ipv4-tcp-windows",
        "A segment may begin at the edge of the window, not behind it, and acknowledges nothing that was not sent.",
        frames,
    );
    assert_eq!(found[3..], [PASSED, OUT, OUT]);
}

#[test]
fn nothing_is_left_over_from_other_connections() {
    // One with large windows, then one that is found in its midst, with small ones.
    let mut large = Talk::new(false);
    large.window = 0xffff;
    let mut frames = large.open();
    frames.push(large.says(1, ACK, 10));
    let mut found_late = Talk::new(false);
    found_late.ports.0 = 4001;
    frames.push(found_late.segment(1, ACK, 0).enters());
    let mut far = found_late.segment(1, ACK, 10);
    far.sequence += 70_000;
    frames.push(far.enters());
    frames.push(found_late.segment(2, ACK, 0).enters());
    let found = run(
        "ipv4-tcp-nothing-left-over",
        "How old an acknowledgement may be is told by its own connection's windows, not by those of another one.",
        frames,
    );
    assert_eq!(found[4..], [PASSED, PASSED, OUT]);
}

#[test]
fn time_ends_connections_by_their_state() {
    for (name, opened, seconds, alive) in [
        ("syn-sent", 1, 29, true),
        ("syn-sent-late", 1, 32, false),
        ("established", 3, 7400, true),
        ("established-late", 3, 7450, false),
    ] {
        let mut talk = Talk::new(false);
        let mut frames = talk.open();
        frames.truncate(opened);
        let answer = if opened == 1 {
            talk = Talk::new(false);
            talk.says(1, SYN, 0);
            talk.says(2, SYN | ACK, 0)
        } else {
            talk.says(2, ACK, 0)
        };
        frames.push(answer.after(Duration::from_secs(seconds)));
        let about = "How long a connection is remembered without a packet.";
        let found = run(&format!("ipv4-tcp-time-{name}"), about, frames);
        assert_eq!(found[opened], if alive { PASSED } else { OUT }, "{name}");
    }
}
