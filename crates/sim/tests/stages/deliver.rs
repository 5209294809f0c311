//! Stage `deliver`.

use crate::fixture::*;
use crate::parse::{TAGS, with_tags};
use coax_sim::craft::{EXPERIMENT, ethernet};
use coax_sim::noise::mac;
use coax_sim::{Device, Enters};
use coax_tables::MacRow;

#[test]
fn jumbo_tagged_and_odd_frames_arrive_as_they_were() {
    let mut rows = transparent_rows();
    for row in rows.ports.values_mut() {
        row.mtu = 9000;
    }
    for (name, frame) in [
        ("empty", ethernet(mac(2), mac(1), EXPERIMENT, &[])),
        ("one-byte", ethernet(mac(2), mac(1), EXPERIMENT, &[1])),
        (
            "length-field",
            ethernet(mac(2), mac(1), 0x0005, b"LLC\x00\x01"),
        ),
        ("jumbo", ethernet(mac(2), mac(1), EXPERIMENT, &[7; 9000])),
        ("mpls", ethernet(mac(2), mac(1), 0x8847, &[0, 1, 1, 64, 9])),
    ] {
        for count in 0..=3 {
            let frame = with_tags(&frame, &TAGS[..count]);
            let name = format!("deliver/{name}-{count}-tags");
            let about = "Frames of any kind arrive byte by byte as they were sent.";
            from_vm1(&name, about, rows.clone(), frame.clone()).delivered(Device::Vm2, &frame);
        }
    }
}

#[test]
fn tagged_frames_take_the_queue_also_where_a_shorter_way_is_open() {
    let mut rows = transparent_rows();
    let to_peer = MacRow {
        flags: MacRow::LOCAL | MacRow::TO_PEER,
        ..local(2, Device::Vm2)
    };
    rows.mac(NETWORK, mac(2), to_peer);
    let frames = (0..=2).map(|count| with_tags(&udp4(1, 2, 20), &TAGS[..count]));
    let frames: Vec<Enters> = frames
        .map(|frame| Enters::new(Device::Vm1, frame))
        .collect();
    let about = "The kernel hands tagged frames over by the device's queue.";
    let played = play(
        "deliver/to-peer-with-tags",
        about,
        rows.clone(),
        frames.clone(),
    );
    for (frame, outcome) in frames.iter().zip(&played.outcomes) {
        assert_eq!(
            outcome.sent(),
            [(index(Device::Vm2), frame.bytes.as_slice())]
        );
    }
    let packet = |count: usize| {
        let frame = with_tags(&udp4(9, 2, 20), &TAGS[..count]);
        Enters::new(Device::Up1, tunnel(false).around(&frame))
    };
    let about = "The same for what comes out of a tunnel.";
    let frames = vec![packet(0), packet(1), packet(3)];
    play("deliver/to-peer-from-fabric", about, rows, frames);
}

#[test]
fn mixed_families_reach_the_peer() {
    let mut rows = rows();
    let to_peer = MacRow {
        flags: MacRow::LOCAL | MacRow::TO_PEER,
        ..local(2, Device::Vm2)
    };
    rows.mac(NETWORK, mac(2), to_peer);
    for (inner, frame) in [("ipv4", udp4(9, 2, 20)), ("ipv6", udp6(9, 2, 20))] {
        for (outer, over_ipv6) in [("ipv4", false), ("ipv6", true)] {
            let name = format!("deliver/to-peer-{inner}-from-{outer}");
            let about = "The kernel must learn that the family changed, or take the queue.";
            let packet = tunnel(over_ipv6).around(&frame);
            from_fabric(&name, about, rows.clone(), packet).delivered(Device::Vm2, &frame);
        }
    }
}
