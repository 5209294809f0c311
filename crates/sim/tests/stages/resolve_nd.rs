//! Stage `resolve`, the neighbour discovery half.

use crate::fixture::*;
use crate::parse::{TAGS, with_tags};
use crate::resolve_arp::rows_with_foreign;
use coax_pipeline::Stage;
use coax_sim::craft::{self, Discovery, IPV6, Ipv6, ethernet, group_mac, link_address};
use coax_sim::noise::{ipv4, ipv6, link_local, mac};
use coax_sim::{Device, Scenario, Stand};
use coax_tables::{DropReason, FlowRecord};
use coax_wire::MacAddress;
use coax_wire::ip::mapped;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use std::net::Ipv6Addr;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

fn frame(message: &Discovery) -> Vec<u8> {
    let to = group_mac(message.destination);
    ethernet(to, mac(1), IPV6, &message.packet())
}

fn solicitation(target: Ipv6Addr) -> Discovery {
    Discovery::solicitation((mac(1), ipv6(1)), target)
}

fn probe(target: Ipv6Addr) -> Discovery {
    Discovery::solicitation((mac(1), Ipv6Addr::UNSPECIFIED), target)
}

/// Checks an advertisement as RFC 4861 section 7.1.2 asks receivers to.
#[track_caller]
fn advertises(answer: &[u8], owner: u8, target: Ipv6Addr, to: Ipv6Addr, flags: u8) {
    let packet = SlicedPacket::from_ethernet(answer).unwrap();
    let Some(NetSlice::Ipv6(ip)) = &packet.net else {
        panic!("{answer:02x?}");
    };
    assert_eq!(ip.header().hop_limit(), 255);
    assert_eq!(ip.header().source_addr(), target);
    assert_eq!(ip.header().destination_addr(), to);
    let Some(TransportSlice::Icmpv6(icmp)) = packet.transport else {
        panic!("{answer:02x?}");
    };
    assert!(icmp.is_checksum_valid(target.octets(), to.octets()));
    assert_eq!((icmp.type_u8(), icmp.code_u8()), (136, 0));
    assert_eq!(icmp.bytes5to8(), [flags, 0, 0, 0]);
    let expected = [&target.octets()[..], &link_address(2, mac(owner))].concat();
    assert_eq!(icmp.payload(), expected);
    assert_eq!(answer[6..12], mac(owner).0);
}

#[test]
fn known_addresses_are_answered_here_wherever_they_are() {
    for vm in [2, 4, 5] {
        for (name, target) in [("global", ipv6(vm)), ("link-local", link_local(vm))] {
            let played = from_vm1(
                &format!("resolve/nd-for-vm-{vm}-{name}"),
                "A neighbour solicitation is answered on the sender's own host.",
                rows(),
                frame(&solicitation(target)),
            );
            advertises(played.answered(), vm, target, ipv6(1), 0x60);
            assert_eq!(played.answered()[..6], mac(1).0);
        }
    }
}

#[test]
fn without_the_option_it_is_answered_as_well() {
    let mut message = solicitation(ipv6(2));
    message.options = Vec::new();
    let about = "The answer is longer than the question: it has the owner's MAC address.";
    let played = from_vm1("resolve/nd-without-option", about, rows(), frame(&message));
    advertises(played.answered(), 2, ipv6(2), ipv6(1), 0x60);
    assert_eq!(played.answered().len(), 86);
}

#[test]
fn more_options_are_the_receivers_business() {
    let mut message = solicitation(ipv6(2));
    // RFC 3971's nonce, as RFC 7527 sends it.
    message.options.extend([14, 1, 1, 2, 3, 4, 5, 6]);
    let about = "A solicitation with a nonce behind its address option.";
    let played = from_vm1("resolve/nd-with-nonce", about, rows(), frame(&message));
    advertises(played.answered(), 2, ipv6(2), ipv6(1), 0x60);
    assert_eq!(played.answered().len(), 86);
}

#[test]
fn duplicate_address_detection_hears_of_the_owner() {
    let played = from_vm1(
        "resolve/nd-probe-for-a-taken-address",
        "RFC 4862 section 5.4: all nodes hear that the address is taken; not a solicited answer.",
        rows(),
        frame(&probe(ipv6(2))),
    );
    advertises(played.answered(), 2, ipv6(2), ALL_NODES, 0x20);
    assert_eq!(played.answered()[..6], [0x33, 0x33, 0, 0, 0, 1]);
}

#[test]
fn a_vms_own_probes_and_announcements_are_absorbed() {
    let announcement = Discovery::advertisement((mac(1), ipv6(1)), ALL_NODES, 0x20);
    for (name, message) in [
        ("probe", probe(ipv6(1))),
        ("link-local-probe", probe(link_local(1))),
        ("solicitation", solicitation(ipv6(1))),
        ("announcement", announcement),
    ] {
        from_vm1(
            &format!("resolve/nd-own-{name}"),
            "Everybody knows the address already: it ends at the edge.",
            rows(),
            frame(&message),
        )
        .dropped(Stage::Forward, DropReason::OwnAddress, 1);
    }
}

#[test]
fn unknown_addresses_end_here_and_unknown_link_local_ones_are_asked_of_everybody() {
    from_vm1(
        "resolve/nd-for-nobody",
        "Nobody in the network has the address.",
        rows(),
        frame(&solicitation(ipv6(77))),
    )
    .dropped(Stage::Forward, DropReason::UnknownAddress, 1);
    for (name, message) in [
        ("solicitation", solicitation(link_local(77))),
        ("probe", probe(link_local(77))),
    ] {
        let played = from_vm1(
            &format!("resolve/nd-unknown-link-local-{name}"),
            "Nobody assigns link-local addresses, so the manager may not know one.",
            rows(),
            frame(&message),
        );
        assert_eq!(played.flooded(), [Device::Vm2, Device::Vm3, Device::Up1]);
    }
}

#[test]
fn what_cannot_be_answered_goes_to_foreign_vteps_only() {
    let announcement = Discovery::advertisement((mac(1), ipv6(1)), ALL_NODES, 0x20);
    for (name, message) in [
        ("unknown", solicitation(ipv6(77))),
        ("own", probe(ipv6(1))),
        ("announcement", announcement),
    ] {
        let played = from_vm1(
            &format!("resolve/nd-{name}-to-foreign"),
            "What lives behind foreign VTEPs is not known, so they are asked, and nobody else.",
            rows_with_foreign(),
            frame(&message),
        );
        assert_eq!(played.flooded(), [Device::Up1, Device::Up2]);
    }
}

#[test]
fn is_the_neighbour_still_there() {
    let mut message = solicitation(ipv6(2));
    message.destination = ipv6(2);
    let frame = ethernet(mac(2), mac(1), IPV6, &message.packet());
    let about = "Neighbour unreachability detection asks by unicast (RFC 4861 section 7.3).";
    let played = from_vm1("resolve/nd-unicast-question", about, rows(), frame);
    advertises(played.answered(), 2, ipv6(2), ipv6(1), 0x60);
}

#[test]
fn an_answer_to_one_is_forwarded_like_any_frame() {
    let message = Discovery::advertisement((mac(1), ipv6(1)), ipv6(2), 0x60);
    let frame = ethernet(mac(2), mac(1), IPV6, &message.packet());
    from_vm1(
        "resolve/nd-unicast-answer",
        "An advertisement.",
        rows(),
        frame.clone(),
    )
    .delivered(Device::Vm2, &frame);
}

#[test]
fn forged_messages_are_malformed() {
    let mut routed = solicitation(ipv6(2));
    routed.hop_limit = 254;
    let mut bad_sum = frame(&solicitation(ipv6(2)));
    bad_sum[57] ^= 1;
    let mut bad_code = frame(&solicitation(ipv6(2)));
    bad_code[55] = 1;
    let mut bad_option = solicitation(ipv6(2));
    bad_option.options.truncate(4);
    for (name, frame) in [
        ("routed", frame(&routed)),
        ("checksum", bad_sum),
        ("code", bad_code),
        ("half-an-option", frame(&bad_option)),
    ] {
        from_vm1(
            &format!("resolve/nd-forged-{name}"),
            "RFC 4861 section 7.1: hop limit 255, code 0, a right checksum.",
            rows(),
            frame,
        )
        .dropped(Stage::Resolve, DropReason::Malformed, 1);
    }
}

#[test]
fn cut_messages_are_malformed_or_not_discovery() {
    let whole = frame(&solicitation(ipv6(2)));
    for length in [55, 60, 77, 80] {
        from_vm1(
            &format!("resolve/nd-cut-at-{length}"),
            "The frame ends inside the solicitation.",
            rows(),
            whole[..length].to_vec(),
        )
        .dropped(Stage::Resolve, DropReason::Malformed, 1);
    }
}

#[test]
fn routers_and_listeners_are_not_answered_for() {
    for (name, kind) in [("router-solicitation", 133), ("group-report", 143)] {
        let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
        let message = craft::icmpv6(link_local(1), all, kind, 0, &[0; 4]);
        let packet = Ipv6::new(link_local(1), all, 58)
            .with_hop_limit(255)
            .packet(&message);
        let frame = ethernet(group_mac(all), mac(1), IPV6, &packet);
        let about = "Other ICMPv6 messages to groups reach the members of the network.";
        let played = from_vm1(&format!("resolve/nd-{name}"), about, rows(), frame);
        assert_eq!(played.flooded(), [Device::Vm2, Device::Vm3, Device::Up1]);
    }
}

#[test]
fn an_answer_wears_the_tags_of_its_question() {
    let tagged = with_tags(&frame(&solicitation(ipv6(2))), &TAGS[..3]);
    let about = "The answer goes back into the VLAN of the question.";
    let played = from_vm1(
        "resolve/nd-tagged",
        about,
        transparent_rows(),
        tagged.clone(),
    );
    let answer = played.answered();
    assert_eq!(answer[12..24], tagged[12..24]);
    let bare = [&answer[..12], &answer[24..]].concat();
    advertises(&bare, 2, ipv6(2), ipv6(1), 0x60);
}

#[test]
fn the_agent_hears_of_questions_that_it_can_answer_late() {
    let announcement = Discovery::advertisement((mac(1), ipv6(77)), ALL_NODES, 0x20);
    let question = frame(&solicitation(ipv6(77)));
    let nobody = MacAddress::default();
    let packet = craft::arp(1, (mac(1), ipv4(1)), (nobody, ipv4(77)));
    let arp = ethernet(MacAddress::BROADCAST, mac(1), craft::ARP, &packet);
    let packet = craft::arp(1, (mac(1), ipv4(77)), (nobody, ipv4(77)));
    let gratuitous = ethernet(MacAddress::BROADCAST, mac(1), craft::ARP, &packet);
    let scenario = Scenario {
        rows: transparent_rows(),
        ..Scenario::default()
    };
    for (bytes, asks) in [
        (
            question.clone(),
            Some((ipv6(1).octets(), ipv6(77).octets())),
        ),
        (
            arp.clone(),
            Some((mapped(ipv4(1).octets()), mapped(ipv4(77).octets()))),
        ),
        // Nobody answers an announcement, and the agent does not know in which VLAN of the VM's own an answer belongs.
        (frame(&announcement), None),
        (gratuitous, None),
        (with_tags(&question, &TAGS[..1]), None),
        (with_tags(&arp, &TAGS[..1]), None),
    ] {
        let mut host = scenario.host(&Stand::default());
        let outcome = host.port(index(Device::Vm1), &bytes);
        assert_eq!(outcome.reason, Some(DropReason::UnknownAddress));
        let [record] = host.sink.take_flows()[..] else {
            panic!("{outcome:?}");
        };
        assert_eq!(record.reason, DropReason::UnknownAddress as u32);
        let told = record.has(FlowRecord::ASKS);
        let told = told.then_some((record.source, record.destination));
        assert_eq!(told, asks);
    }
}
