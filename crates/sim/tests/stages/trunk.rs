//! Trunk ports: each VLAN of one device is a port of another network.

use crate::fixture::*;
use coax_pipeline::{Stage, Verdict};
use coax_sim::craft::{self, ethernet};
use coax_sim::noise::{ipv4, mac};
use coax_sim::rows::Receiver;
use coax_sim::{Device, Enters, SimRows};
use coax_tables::{DropReason, MacRow, NetworkId, PortKey, PortRow, ReplicaRow};
use coax_wire::ip;

const OTHER: NetworkId = NetworkId(8);
const VLAN: u16 = 10;

/// VM 1's device carries network 7 without a tag and network 8 in VLAN 10, where VM 3 is.
fn trunk_rows() -> SimRows {
    let mut rows = rows();
    let untagged = PortRow {
        flags: PortRow::TRUNK | port_row(1).flags,
        ..port_row(1)
    };
    rows.port(index(Device::Vm1), untagged);
    let key = PortKey {
        ifindex: index(Device::Vm1),
        vlan: VLAN.into(),
    };
    let tagged = PortRow {
        network: OTHER,
        slot: 4,
        ..port_row(1)
    };
    rows.ports.insert(key, tagged);
    let there = PortRow {
        network: OTHER,
        ..port_row(3)
    };
    rows.port(index(Device::Vm3), there);
    let trunk = MacRow {
        slot: 4,
        vlan: VLAN.into(),
        ..local(1, Device::Vm1)
    };
    rows.mac(OTHER, mac(1), trunk);
    rows.mac(OTHER, mac(3), local(3, Device::Vm3));
    rows.address(OTHER, ip::mapped(ipv4(3).octets()), mac(3));
    let on_trunk = Receiver::Local(ReplicaRow {
        ifindex: index(Device::Vm1),
        slot: 4,
        vlan: VLAN,
        ..ReplicaRow::default()
    });
    rows.network(OTHER, MTU, 0, &[on_trunk, receiver(3, Device::Vm3)]);
    rows
}

fn in_vlan(frame: &[u8], vlan: u16) -> Vec<u8> {
    craft::tagged(frame, craft::C_TAG, vlan)
}

#[test]
fn the_tag_picks_the_network_and_is_gone_inside() {
    let frame = udp4(1, 3, 20);
    let about = "A frame in a VLAN of the trunk reaches that VLAN's network, without the tag.";
    let played = from_vm1("port/trunk", about, trunk_rows(), in_vlan(&frame, VLAN));
    played.delivered(Device::Vm3, &frame);
    assert_eq!(
        played.tallies[&4].counters.received_bytes,
        frame.len() as u64 + 4
    );
    assert_eq!(played.tallies[&3].counters.sent_bytes, frame.len() as u64);
}

#[test]
fn what_goes_to_a_trunk_gets_its_tag_again() {
    let frame = udp4(3, 1, 20);
    let about = "A frame for a port of a trunk gets the tag of its network there.";
    let frames = vec![Enters::new(Device::Vm3, frame.clone())];
    let played = play("deliver/to-a-trunk", about, trunk_rows(), frames);
    played.delivered(Device::Vm1, &in_vlan(&frame, VLAN));
    assert_eq!(
        played.tallies[&4].counters.sent_bytes,
        frame.len() as u64 + 4
    );
}

#[test]
fn answers_go_back_in_the_vlan() {
    let question = craft::arp(1, (mac(1), ipv4(1)), (Default::default(), ipv4(3)));
    let frame = ethernet(
        coax_wire::MacAddress::BROADCAST,
        mac(1),
        craft::ARP,
        &question,
    );
    let about = "ARP on a trunk is answered in the VLAN that it came in.";
    let played = from_vm1(
        "resolve/on-a-trunk",
        about,
        trunk_rows(),
        in_vlan(&frame, VLAN),
    );
    assert_eq!(played.answered()[12..16], [0x81, 0, 0, 10]);
}

#[test]
fn copies_to_a_trunk_have_the_tag_and_others_not() {
    let mut frame = broadcast(3);
    let about = "A broadcast reaches the trunk with its tag.";
    let frames = vec![Enters::new(Device::Vm3, frame.clone())];
    let played = play("replicate/to-a-trunk", about, trunk_rows(), frames);
    assert_eq!(
        played.only().sent(),
        [(index(Device::Vm1), &in_vlan(&frame, VLAN)[..])]
    );
    frame[6..12].copy_from_slice(&mac(1).0);
    let about = "A broadcast from the trunk reaches the others without a tag.";
    let played = from_vm1(
        "replicate/from-a-trunk",
        about,
        trunk_rows(),
        in_vlan(&frame, VLAN),
    );
    assert_eq!(played.only().sent(), [(index(Device::Vm3), &frame[..])]);
}

#[test]
fn other_vlans_are_not_carried() {
    let frame = udp4(1, 3, 20);
    let double = in_vlan(&in_vlan(&frame, VLAN), 20);
    for (name, frame) in [
        ("unlisted", in_vlan(&frame, 20)),
        ("priority-tag", in_vlan(&frame, 0)),
        ("service-tag", craft::tagged(&frame, craft::S_TAG, VLAN)),
        ("double", double),
    ] {
        let about = "A VLAN that is not in the trunk's list, or a tag of another kind.";
        let name = format!("port/vlan-not-allowed-{name}");
        from_vm1(&name, about, trunk_rows(), frame).dropped(
            Stage::Port,
            DropReason::VlanNotAllowed,
            1,
        );
    }
    let hop = in_vlan(&in_vlan(&frame, 20), VLAN);
    let about = "A second tag behind an allowed one: VLAN hopping.";
    from_vm1("port/vlan-hop", about, trunk_rows(), hop).dropped(
        Stage::Parse,
        DropReason::TaggedFrame,
        4,
    );
}

#[test]
fn untagged_frames_stay_in_their_network() {
    let about = "Without a tag the device is in its own network, where VM 2 is and VM 3 is not.";
    let frame = udp4(1, 2, 20);
    from_vm1("port/trunk-untagged", about, trunk_rows(), frame.clone())
        .delivered(Device::Vm2, &frame);
}

#[test]
fn half_a_tag_is_truncated() {
    let frame = in_vlan(&udp4(1, 3, 20), VLAN)[..17].to_vec();
    let about = "A frame that ends in its tag.";
    let played = from_vm1("port/trunk-truncated", about, trunk_rows(), frame);
    assert_eq!(played.only().verdict, Verdict::Drop);
    assert_eq!(played.only().reason, Some(DropReason::Truncated));
}
