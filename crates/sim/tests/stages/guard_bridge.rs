//! Stage `guard`: VMs that act as bridges.

use crate::fixture::*;
use crate::guard_sources::{guarded, guarded_row};
use coax_pipeline::Stage;
use coax_sim::craft::{self, EXPERIMENT, ethernet};
use coax_sim::noise::mac;
use coax_sim::{Device, Enters, SimRows};
use coax_tables::{DropReason, PortRow};
use coax_wire::MacAddress;
use coax_wire::canary::Canary;
use zerocopy::IntoBytes;

const BRIDGES: MacAddress = MacAddress([0x01, 0x80, 0xc2, 0, 0, 0]);
const PROVIDER_BRIDGES: MacAddress = MacAddress([0x01, 0x80, 0xc2, 0, 0, 8]);
const PER_VLAN: MacAddress = MacAddress([0x01, 0, 0x0c, 0xcc, 0xcc, 0xcd]);
const SECRET: u64 = 0x1234_5678_9abc_def0;

fn llc(to: MacAddress, header: &[u8]) -> Vec<u8> {
    let body = [header, &[0; 35][..]].concat();
    ethernet(to, mac(1), body.len() as u16, &body)
}

fn bpdu() -> Vec<u8> {
    llc(BRIDGES, &[0x42, 0x42, 0x03, 0, 0, 2, 2])
}

fn per_vlan() -> Vec<u8> {
    llc(PER_VLAN, &[0xaa, 0xaa, 3, 0, 0, 0x0c, 1, 0x0b, 0, 0])
}

fn with_tags(mut frame: Vec<u8>, controls: &[u16]) -> Vec<u8> {
    for control in controls {
        frame = craft::tagged(&frame, craft::C_TAG, *control);
    }
    frame
}

#[test]
fn spanning_tree_shuts_the_port() {
    for (name, frame) in [
        ("spanning-tree", bpdu()),
        (
            "provider",
            llc(PROVIDER_BRIDGES, &[0x42, 0x42, 0x03, 0, 0, 3, 2]),
        ),
        ("per-vlan", per_vlan()),
        ("with-a-tag", with_tags(bpdu(), &[5])),
        ("with-priority-tags", with_tags(bpdu(), &[0, 0])),
        ("per-vlan-with-a-tag", with_tags(per_vlan(), &[10])),
    ] {
        let about = "A spanning tree frame shuts its port; a neighbour goes on.";
        let frames = vec![
            Enters::new(Device::Vm1, frame),
            Enters::new(Device::Vm1, udp4(1, 2, 20)),
            Enters::new(Device::Vm2, udp4(2, 3, 20)),
        ];
        let played = play(&format!("guard/bpdu-{name}"), about, guarded(), frames);
        let reasons: Vec<_> = played
            .outcomes
            .iter()
            .map(|outcome| outcome.reason)
            .collect();
        assert_eq!(
            reasons,
            [Some(DropReason::Bpdu), Some(DropReason::PortShut), None],
            "{name}"
        );
        assert_eq!(played.outcomes[1].stages, [Stage::Port]);
    }
}

#[test]
fn a_port_that_is_not_watched_stays_open() {
    let mut rows = guarded();
    let row = PortRow {
        shut_seconds: 0,
        ..guarded_row(1)
    };
    rows.port(index(Device::Vm1), row);
    let about =
        "A port whose row gives no time to shut it: the frame is dropped, the port goes on.";
    let frames = vec![
        Enters::new(Device::Vm1, bpdu()),
        Enters::new(Device::Vm1, udp4(1, 2, 20)),
    ];
    let played = play("guard/bpdu-not-watched", about, rows, frames);
    assert_eq!(played.outcomes[0].reason, Some(DropReason::Bpdu));
    assert_eq!(played.outcomes[1].reason, None);
}

#[test]
fn other_control_frames_end_without_harm() {
    let lldp = ethernet(
        MacAddress([0x01, 0x80, 0xc2, 0, 0, 0x0e]),
        mac(1),
        0x88cc,
        &[0; 46],
    );
    let pause = ethernet(
        MacAddress([0x01, 0x80, 0xc2, 0, 0, 1]),
        mac(1),
        0x8808,
        &[0; 46],
    );
    let other = ethernet(BRIDGES, mac(1), EXPERIMENT, &[0; 46]);
    for (name, frame) in [("lldp", lldp), ("pause", pause), ("no-bpdu", other)] {
        let about =
            "Frames to reserved groups that are not spanning tree end, and the port stays open.";
        let frames = vec![
            Enters::new(Device::Vm1, frame),
            Enters::new(Device::Vm1, udp4(1, 2, 20)),
        ];
        let played = play(&format!("guard/{name}"), about, guarded(), frames);
        assert_eq!(
            played.outcomes[0].reason,
            Some(DropReason::ReservedGroup),
            "{name}"
        );
        assert_eq!(played.outcomes[1].reason, None);
    }
    let about =
        "A tag in front of something else to the bridges' group, on a port that takes none.";
    let frame = with_tags(ethernet(BRIDGES, mac(1), EXPERIMENT, &[0; 46]), &[5]);
    from_vm1("guard/tagged-no-bpdu", about, guarded(), frame).dropped(
        Stage::Guard,
        DropReason::TaggedFrame,
        1,
    );
}

#[test]
fn ip_inside_of_llc_is_hidden() {
    let snap = |organization: [u8; 3], kind: u16| {
        let header = [&[0xaa, 0xaa, 3][..], &organization, &kind.to_be_bytes()].concat();
        llc(mac(2), &header)
    };
    for (name, frame) in [
        ("ipv4", snap([0; 3], 0x0800)),
        ("ipv6", snap([0; 3], 0x86dd)),
        ("arp", snap([0; 3], 0x0806)),
        ("tag", snap([0; 3], 0x8100)),
        ("bridge-tunnel", snap([0, 0, 0xf8], 0x0806)),
        ("without-snap", llc(mac(2), &[6, 6, 3])),
    ] {
        let about = "IP, ARP or a tag inside of LLC, which some hosts take as if it came plainly.";
        from_vm1(&format!("guard/llc-{name}"), about, guarded(), frame).dropped(
            Stage::Guard,
            DropReason::HeaderChain,
            1,
        );
    }
    let mut wrong_length = snap([0; 3], 0x0806);
    wrong_length[12..14].copy_from_slice(&[0x05, 0xf0]);
    let about = "The same with a length that no frame has.";
    from_vm1("guard/llc-bad-length", about, guarded(), wrong_length).dropped(
        Stage::Guard,
        DropReason::HeaderChain,
        1,
    );
    let other = snap([0, 0, 0x0c], 0x2000);
    let about = "What is not IP inside of LLC is anybody's business.";
    from_vm1("guard/llc-other", about, guarded(), other.clone()).delivered(Device::Vm2, &other);
}

fn with_secret() -> SimRows {
    let mut rows = guarded();
    rows.host.canary = SECRET;
    rows
}

fn canary(secret: u64, slot: u32) -> Vec<u8> {
    Canary::new(secret, slot).as_bytes().to_vec()
}

#[test]
fn a_canary_shuts_one_of_two_ports() {
    let about =
        "VM 1 and VM 2 are one bridge: each port's canary comes back by the other; one is shut.";
    let frames = vec![
        Enters::new(Device::Vm2, canary(SECRET, 1)),
        Enters::new(Device::Vm1, canary(SECRET, 2)),
        Enters::new(Device::Vm2, udp4(2, 3, 20)),
        Enters::new(Device::Vm1, udp4(1, 3, 20)),
    ];
    let played = play("guard/canary", about, with_secret(), frames);
    let reasons: Vec<_> = played
        .outcomes
        .iter()
        .map(|outcome| outcome.reason)
        .collect();
    let (back, shut) = (Some(DropReason::Loop), Some(DropReason::PortShut));
    assert_eq!(reasons, [back, back, shut, None]);
}

#[test]
fn a_port_with_any_source_finds_its_canary_too() {
    let mut rows = with_secret();
    for row in rows.ports.values_mut() {
        row.flags |= PortRow::ANY_SOURCE;
    }
    let about = "A canary on a port that may send with any MAC address.";
    from_vm1(
        "guard/canary-any-source",
        about,
        rows.clone(),
        canary(SECRET, 2),
    )
    .dropped(Stage::Guard, DropReason::Loop, 1);
    let about = "Another host's canary, or somebody's guess, is a frame like any other.";
    let played = from_vm1("guard/canary-of-another-host", about, rows, canary(5, 2));
    assert!(!played.flooded().is_empty());
    let about = "A guess on an ordinary port is a forged source.";
    from_vm1("guard/canary-guessed", about, with_secret(), canary(5, 2)).dropped(
        Stage::Port,
        DropReason::ForgedSource,
        1,
    );
}
