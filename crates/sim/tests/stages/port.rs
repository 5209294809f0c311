//! Stage `port`.

use crate::fixture::*;
use coax_pipeline::Stage;
use coax_sim::noise::mac;
use coax_sim::{Device, Enters, craft};
use coax_tables::{DropReason, FABRIC_SLOT, PortRow};

#[test]
fn a_device_without_a_port_is_named() {
    let mut rows = rows();
    rows.ports.clear();
    from_vm1(
        "port/unknown",
        "A device that is attached but has no port row: counted against the fabric's slot.",
        rows,
        udp4(1, 2, 20),
    )
    .dropped(Stage::Port, DropReason::UnknownPort, FABRIC_SLOT);
}

#[test]
fn a_frame_without_a_whole_ethernet_header_is_truncated() {
    for length in [0, 1, 13] {
        from_vm1(
            &format!("port/truncated-{length}"),
            "Less than an Ethernet header.",
            rows(),
            udp4(1, 2, 20)[..length].to_vec(),
        )
        .dropped(Stage::Port, DropReason::Truncated, 1);
    }
}

#[test]
fn a_bare_ethernet_header_is_a_frame() {
    let frame = craft::ethernet(mac(2), mac(1), craft::EXPERIMENT, &[]);
    from_vm1(
        "port/nothing-but-a-header",
        "An Ethernet header without payload is forwarded like any frame.",
        rows(),
        frame.clone(),
    )
    .delivered(Device::Vm2, &frame);
}

#[test]
fn a_forged_source_ends_here() {
    from_vm1(
        "port/forged-source",
        "The source MAC address is another VM's.",
        rows(),
        udp4(3, 2, 20),
    )
    .dropped(Stage::Port, DropReason::ForgedSource, 1);
}

#[test]
fn a_port_for_any_source_takes_it() {
    let mut rows = rows();
    for row in rows.ports.values_mut() {
        row.flags |= PortRow::ANY_SOURCE;
    }
    let frame = udp4(9, 2, 20);
    from_vm1(
        "port/any-source",
        "A port that may send with any source MAC address.",
        rows,
        frame.clone(),
    )
    .delivered(Device::Vm2, &frame);
}

#[test]
fn counters_are_the_ports_own() {
    let played = play(
        "port/counters",
        "Frames and bytes are counted where they enter and where they leave.",
        rows(),
        vec![
            Enters::new(Device::Vm1, udp4(1, 2, 20)),
            Enters::new(Device::Vm2, udp4(2, 1, 100)),
            Enters::new(Device::Vm2, udp4(2, 3, 50)),
        ],
    );
    let counters = |slot| played.tallies[&slot].counters;
    let header = 14 + 20 + 8;
    assert_eq!(counters(1).received_bytes, header + 20);
    assert_eq!(counters(1).sent_bytes, header + 100);
    assert_eq!(
        (counters(2).received_frames, counters(2).sent_frames),
        (2, 1)
    );
    assert_eq!(counters(3).sent_bytes, header + 50);
}
