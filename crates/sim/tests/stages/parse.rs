//! Stage `parse`.

use crate::fixture::*;
use coax_pipeline::Stage;
use coax_sim::craft::{C_TAG, EXPERIMENT, S_TAG, ethernet, tagged};
use coax_sim::noise::mac;
use coax_sim::{Device, Enters};
use coax_tables::DropReason;

/// A frame with the given tags, the outermost first.
pub fn with_tags(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    tags.iter()
        .rev()
        .fold(frame.to_vec(), |frame, (protocol, control)| {
            tagged(&frame, *protocol, *control)
        })
}

pub const TAGS: [(u16, u16); 4] = [
    (S_TAG, 0x6123),
    (C_TAG, 0x0005),
    (C_TAG, 0xf000),
    (C_TAG, 1),
];

#[test]
fn tags_are_refused_where_the_network_takes_none() {
    from_vm1(
        "parse/tagged-on-a-plain-port",
        "A tag on a port of a network that is not vlan_transparent.",
        rows(),
        with_tags(&udp4(1, 2, 20), &TAGS[1..2]),
    )
    .dropped(Stage::Parse, DropReason::TaggedFrame, 1);
}

#[test]
fn a_priority_tag_is_a_tag() {
    from_vm1(
        "parse/priority-tag-on-a-plain-port",
        "VLAN 0 is a tag too.",
        rows(),
        with_tags(&udp4(1, 2, 20), &[(C_TAG, 0xe000)]),
    )
    .dropped(Stage::Parse, DropReason::TaggedFrame, 1);
}

#[test]
fn up_to_three_tags_arrive_as_they_were() {
    for count in 1..=3 {
        let frame = with_tags(&udp4(1, 2, 20), &TAGS[..count]);
        from_vm1(
            &format!("parse/{count}-tags-to-a-local-port"),
            "Tags of a transparent network reach a local port byte by byte.",
            transparent_rows(),
            frame.clone(),
        )
        .delivered(Device::Vm2, &frame);
    }
}

#[test]
fn four_tags_are_too_many() {
    from_vm1(
        "parse/4-tags",
        "One tag more than the vSwitch reads.",
        transparent_rows(),
        with_tags(&udp4(1, 2, 20), &TAGS),
    )
    .dropped(Stage::Parse, DropReason::TooManyTags, 1);
}

#[test]
fn half_a_tag_is_truncated() {
    let frame = with_tags(&ethernet(mac(2), mac(1), EXPERIMENT, &[]), &TAGS[..2]);
    for length in [14, 16, 17, 18, 20, 21] {
        from_vm1(
            &format!("parse/tag-cut-at-{length}"),
            "The frame ends inside its tags.",
            transparent_rows(),
            frame[..length].to_vec(),
        )
        .dropped(Stage::Parse, DropReason::Truncated, 1);
    }
    from_vm1(
        "parse/tags-and-nothing-else",
        "The frame ends right behind its tags.",
        transparent_rows(),
        frame.clone(),
    )
    .delivered(Device::Vm2, &frame);
}

#[test]
fn what_only_says_that_it_is_ip_is_carried_like_anything_else() {
    let mut frames = Vec::new();
    for (ethertype, payload) in [
        (0x0800, &[0x65; 30][..]),
        (0x0800, &[0x44; 30]),
        (0x0800, &[0x45; 19]),
        (0x86dd, &[0x45; 60]),
        (0x86dd, &[0x60; 39]),
    ] {
        for vm in [2, 4, 5] {
            let frame = ethernet(mac(vm), mac(1), ethertype, payload);
            frames.push(Enters::new(Device::Vm1, frame));
        }
    }
    let played = play(
        "parse/not-really-ip",
        "Payloads whose ethertype says IP and whose bytes do not: the receiver's business.",
        rows(),
        frames.clone(),
    );
    for (frame, outcome) in frames.iter().zip(&played.outcomes) {
        let sent = outcome.sent();
        let arrives = match sent[0].0 {
            device if device == index(Device::Up1) => inside(sent[0].1),
            _ => sent[0].1,
        };
        assert_eq!(arrives, frame.bytes);
    }
}
