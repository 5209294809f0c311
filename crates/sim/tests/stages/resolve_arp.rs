//! Stage `resolve`, the ARP half.

use crate::fixture::*;
use crate::parse::{TAGS, with_tags};
use coax_pipeline::Stage;
use coax_sim::craft::{ARP, arp, ethernet};
use coax_sim::noise::{ipv4, mac};
use coax_sim::rows::Receiver;
use coax_sim::stand::Vtep;
use coax_sim::{Device, SimRows};
use coax_tables::DropReason;
use coax_wire::MacAddress;
use etherparse::{NetSlice, SlicedPacket};
use std::net::Ipv4Addr;

const NOBODY: MacAddress = MacAddress([0; 6]);

fn question(sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let packet = arp(1, (mac(1), sender), (NOBODY, target));
    ethernet(MacAddress::BROADCAST, mac(1), ARP, &packet)
}

/// The network with a foreign VTEP of each family.
pub fn rows_with_foreign() -> SimRows {
    let mut rows = rows();
    let receivers = [
        receiver(1, Device::Vm1),
        receiver(2, Device::Vm2),
        Receiver::Host(Vtep::PEER.row(false)),
        Receiver::Host(Vtep::PEER.row(true)),
        Receiver::Foreign(Vtep::FOREIGN.row(false)),
        Receiver::Foreign(Vtep::JUMBO.row(true)),
    ];
    rows.network(NETWORK, MTU, 0, &receivers);
    rows
}

#[track_caller]
fn says(answer: &[u8], owner: u8) {
    let packet = SlicedPacket::from_ethernet(answer).unwrap();
    let Some(NetSlice::Arp(arp)) = packet.net else {
        panic!("{answer:02x?}");
    };
    let arp = arp.to_packet();
    assert_eq!(arp.operation.0, 2);
    assert_eq!(arp.sender_hw_addr(), mac(owner).0);
    assert_eq!(arp.sender_protocol_addr(), ipv4(owner).octets());
    assert_eq!(arp.target_hw_addr(), mac(1).0);
    assert_eq!(answer[..6], mac(1).0);
    assert_eq!(answer[6..12], mac(owner).0);
}

#[test]
fn known_addresses_are_answered_here_wherever_they_are() {
    for vm in [2, 4, 5] {
        let played = from_vm1(
            &format!("resolve/arp-for-vm-{vm}"),
            "An ARP question is answered on the sender's own host.",
            rows(),
            question(ipv4(1), ipv4(vm)),
        );
        says(played.answered(), vm);
        assert_eq!(played.tallies[&1].counters.answered, 1);
    }
}

#[test]
fn an_answer_keeps_padding_and_tags() {
    let mut frame = question(ipv4(1), ipv4(2));
    frame.resize(60, 0);
    let played = from_vm1("resolve/arp-padded", "As a NIC sends it.", rows(), frame);
    assert_eq!(played.answered().len(), 60);
    says(played.answered(), 2);

    let frame = with_tags(&question(ipv4(1), ipv4(2)), &TAGS[..2]);
    let about = "The answer goes back into the VLAN of the question.";
    let played = from_vm1(
        "resolve/arp-tagged",
        about,
        transparent_rows(),
        frame.clone(),
    );
    assert_eq!(played.answered()[12..20], frame[12..20]);
    says(
        &[
            &frame[..0],
            &played.answered()[..12],
            &played.answered()[20..],
        ]
        .concat(),
        2,
    );
}

#[test]
fn a_probe_for_a_taken_address_is_defended() {
    let played = from_vm1(
        "resolve/arp-probe-for-a-taken-address",
        "RFC 5227: a probe has no sender address; who has the address says so.",
        rows(),
        question(Ipv4Addr::UNSPECIFIED, ipv4(2)),
    );
    says(played.answered(), 2);
}

#[test]
fn a_vms_own_probes_and_announcements_are_absorbed() {
    let announcement = arp(2, (mac(1), ipv4(1)), (mac(1), ipv4(1)));
    for (name, frame) in [
        ("probe", question(Ipv4Addr::UNSPECIFIED, ipv4(1))),
        ("announcement", question(ipv4(1), ipv4(1))),
        (
            "gratuitous-reply",
            ethernet(MacAddress::BROADCAST, mac(1), ARP, &announcement),
        ),
    ] {
        from_vm1(
            &format!("resolve/arp-own-{name}"),
            "Everybody knows the address already: it ends at the edge.",
            rows(),
            frame,
        )
        .dropped(Stage::Forward, DropReason::OwnAddress, 1);
    }
}

#[test]
fn unknown_addresses_end_here() {
    from_vm1(
        "resolve/arp-for-nobody",
        "Nobody in the network has the address.",
        rows(),
        question(ipv4(1), ipv4(77)),
    )
    .dropped(Stage::Forward, DropReason::UnknownAddress, 1);
}

#[test]
fn what_cannot_be_answered_goes_to_foreign_vteps_only() {
    let announcement = arp(2, (mac(1), ipv4(1)), (mac(1), ipv4(1)));
    for (name, frame) in [
        ("unknown", question(ipv4(1), ipv4(77))),
        ("own", question(ipv4(1), ipv4(1))),
        (
            "gratuitous-reply",
            ethernet(MacAddress::BROADCAST, mac(1), ARP, &announcement),
        ),
    ] {
        let played = from_vm1(
            &format!("resolve/arp-{name}-to-foreign"),
            "What lives behind foreign VTEPs is not known, so they are asked, and nobody else.",
            rows_with_foreign(),
            frame,
        );
        assert_eq!(played.flooded(), [Device::Up1, Device::Up2]);
        assert!(played.drops(1).is_empty());
    }
    let played = from_vm1(
        "resolve/arp-known-with-foreign",
        "A known address is answered, foreign VTEPs or not.",
        rows_with_foreign(),
        question(ipv4(1), ipv4(2)),
    );
    says(played.answered(), 2);
}

#[test]
fn a_reply_to_one_is_forwarded_like_any_frame() {
    let packet = arp(2, (mac(1), ipv4(1)), (mac(2), ipv4(2)));
    let frame = ethernet(mac(2), mac(1), ARP, &packet);
    from_vm1(
        "resolve/arp-unicast-reply",
        "A reply.",
        rows(),
        frame.clone(),
    )
    .delivered(Device::Vm2, &frame);
}

#[test]
fn a_question_to_one_is_answered_too() {
    let packet = arp(1, (mac(1), ipv4(1)), (mac(2), ipv4(2)));
    let frame = ethernet(mac(2), mac(1), ARP, &packet);
    let about = "Linux asks known neighbours by unicast whether they are still there.";
    says(
        from_vm1("resolve/arp-unicast-question", about, rows(), frame).answered(),
        2,
    );
}

#[test]
fn other_kinds_of_arp_are_carried_as_they_are() {
    let mut packet = arp(1, (mac(1), ipv4(1)), (NOBODY, ipv4(2)));
    packet[1] = 6;
    let frame = ethernet(MacAddress::BROADCAST, mac(1), ARP, &packet);
    let about = "Not for IPv4 over Ethernet: nothing to answer, so it goes to everybody.";
    let played = from_vm1("resolve/arp-of-another-hardware", about, rows(), frame);
    assert_eq!(played.flooded(), [Device::Vm2, Device::Vm3, Device::Up1]);
}

#[test]
fn a_cut_packet_is_truncated() {
    let frame = question(ipv4(1), ipv4(2));
    for length in [14, 20, 41] {
        from_vm1(
            &format!("resolve/arp-cut-at-{length}"),
            "The frame ends inside the ARP packet.",
            rows(),
            frame[..length].to_vec(),
        )
        .dropped(Stage::Resolve, DropReason::Truncated, 1);
    }
}
