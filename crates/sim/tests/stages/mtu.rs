//! Stage `mtu`.

use crate::fixture::*;
use crate::parse::{TAGS, with_tags};
use coax_pipeline::Stage;
use coax_sim::craft::{self, Ipv4, Ipv6, ethernet};
use coax_sim::noise::{ipv4, ipv6, mac};
use coax_sim::{Device, Enters, Scenario};
use coax_tables::{DropReason, Limit};
use coax_wire::MacAddress;
use etherparse::{Icmpv4Slice, Icmpv6Slice, NetSlice, SlicedPacket, TransportSlice};

/// Payload of the largest datagram over IPv4 and over IPv6.
const MOST4: usize = MTU as usize - 28;
const MOST6: usize = MTU as usize - 48;

/// Checks an answer's addresses and that it names the MTU; gives the quoted packet.
#[track_caller]
fn says_too_big(answer: &[u8]) -> Vec<u8> {
    let packet = SlicedPacket::from_ethernet(answer).unwrap();
    match (packet.net.as_ref().unwrap(), packet.transport.unwrap()) {
        (NetSlice::Ipv4(ip), TransportSlice::Icmpv4(icmp)) => {
            assert_eq!(ip.header().source_addr(), ipv4(2));
            assert_eq!(ip.header().destination_addr(), ipv4(1));
            says_too_big_v4(&icmp)
        }
        (NetSlice::Ipv6(ip), TransportSlice::Icmpv6(icmp)) => {
            assert_eq!(ip.header().source_addr(), ipv6(2));
            assert_eq!(ip.header().destination_addr(), ipv6(1));
            says_too_big_v6(&icmp)
        }
        other => panic!("{other:?}"),
    }
}

fn says_too_big_v4(icmp: &Icmpv4Slice<'_>) -> Vec<u8> {
    assert_eq!((icmp.type_u8(), icmp.code_u8()), (3, 4));
    assert_eq!(icmp.bytes5to8(), [0, 0, (MTU >> 8) as u8, MTU as u8]);
    icmp.payload().to_vec()
}

fn says_too_big_v6(icmp: &Icmpv6Slice<'_>) -> Vec<u8> {
    assert_eq!((icmp.type_u8(), icmp.code_u8()), (2, 0));
    assert_eq!(icmp.bytes5to8(), MTU.to_be_bytes());
    icmp.payload().to_vec()
}

#[test]
fn what_just_fits_passes() {
    for (name, frame) in [("ipv4", udp4(1, 2, MOST4)), ("ipv6", udp6(1, 2, MOST6))] {
        from_vm1(
            &format!("mtu/{name}-fits"),
            "A packet of exactly the network's MTU.",
            rows(),
            frame.clone(),
        )
        .delivered(Device::Vm2, &frame);
    }
}

#[test]
fn one_byte_more_is_answered_from_inside_the_network() {
    for (name, frame) in [
        ("ipv4", udp4(1, 2, MOST4 + 1)),
        ("ipv6", udp6(1, 2, MOST6 + 1)),
    ] {
        let played = from_vm1(
            &format!("mtu/{name}-too-big"),
            "One byte more than the MTU: the sender hears it from the packet's destination.",
            rows(),
            frame.clone(),
        );
        let answer = played.answered();
        assert_eq!(answer[..6], mac(1).0);
        assert_eq!(answer[6..12], mac(2).0);
        let quoted = says_too_big(answer);
        let most = if name == "ipv6" { 1232 } else { 548 };
        assert_eq!(quoted, frame[14..14 + most]);
        assert_eq!(played.tallies[&1].counters.answered, 1);
    }
}

#[test]
fn also_where_the_destination_is_on_another_host() {
    let played = from_vm1(
        "mtu/ipv4-too-big-for-a-remote-vm",
        "The answer does not depend on where the destination lives.",
        rows(),
        udp4(1, 4, MOST4 + 1),
    );
    assert_eq!(played.answered()[6..12], mac(4).0);
}

#[test]
fn packets_that_may_be_cut_are_answered_too() {
    let packet = Ipv4::new(ipv4(1), ipv4(2), 17).with_fragment(0);
    let frame = ethernet(mac(2), mac(1), craft::IPV4, &in_ipv4(&packet, &[0; 1473]));
    let played = from_vm1(
        "mtu/ipv4-without-dont-fragment",
        "A switch cannot cut packets, and silence would be a black hole.",
        rows(),
        frame,
    );
    says_too_big(played.answered());
}

#[test]
fn options_are_quoted_with_the_packet() {
    let packet = Ipv4::new(ipv4(1), ipv4(2), 17).with_options(&[1; 40]);
    let frame = ethernet(mac(2), mac(1), craft::IPV4, &packet.packet(&[7; 1500]));
    let played = from_vm1(
        "mtu/ipv4-with-options",
        "A header of 60 bytes.",
        rows(),
        frame.clone(),
    );
    assert_eq!(says_too_big(played.answered()), frame[14..14 + 548]);
}

#[test]
fn an_answer_wears_the_tags_of_its_question() {
    for count in 1..=3 {
        let frame = with_tags(&udp4(1, 2, MOST4 + 1), &TAGS[..count]);
        let played = from_vm1(
            &format!("mtu/too-big-with-{count}-tags"),
            "The answer goes back into the VLAN that the packet came from.",
            transparent_rows(),
            frame.clone(),
        );
        let answer = played.answered();
        let tags = 4 * count;
        assert_eq!(answer[12..12 + tags], frame[12..12 + tags]);
        says_too_big(answer);
    }
}

#[test]
fn tags_do_not_count_as_packet() {
    let frame = with_tags(&udp4(1, 2, MOST4), &TAGS[..3]);
    from_vm1(
        "mtu/fits-with-tags",
        "The MTU is the packet's, without Ethernet header and tags.",
        transparent_rows(),
        frame.clone(),
    )
    .delivered(Device::Vm2, &frame);
}

#[test]
fn questions_about_pings_are_answered_and_errors_never() {
    let icmp = |kind: u8| {
        let message = craft::icmp(kind, 0, [0; 4], &[0; 1500]);
        let packet = Ipv4::new(ipv4(1), ipv4(2), 1).packet(&message);
        ethernet(mac(2), mac(1), craft::IPV4, &packet)
    };
    let icmpv6 = |kind: u8| {
        let message = craft::icmpv6(ipv6(1), ipv6(2), kind, 0, &[0; 1500]);
        let packet = Ipv6::new(ipv6(1), ipv6(2), 58).packet(&message);
        ethernet(mac(2), mac(1), craft::IPV6, &packet)
    };
    for (name, frame) in [("ping", icmp(8)), ("pong", icmp(0)), ("ping6", icmpv6(128))] {
        let about = "An echo that is too big is told so.";
        let played = from_vm1(&format!("mtu/{name}-too-big"), about, rows(), frame);
        says_too_big(played.answered());
    }
    for (name, frame) in [
        ("unreachable", icmp(3)),
        ("redirect", icmp(5)),
        ("time-exceeded", icmp(11)),
        ("unreachable6", icmpv6(1)),
        ("too-big6", icmpv6(2)),
        ("private-error6", icmpv6(127)),
    ] {
        from_vm1(
            &format!("mtu/{name}-too-big"),
            "No error about an error (RFC 1122 section 3.2.2, RFC 4443 section 2.4).",
            rows(),
            frame,
        )
        .dropped(Stage::Mtu, DropReason::TooBig, 1);
    }
}

#[test]
fn nothing_is_said_about_later_fragments_and_groups() {
    let packet = |ip: Ipv4| ip.packet(&[0; 1500]);
    let to = Ipv4::new(ipv4(1), ipv4(2), 17);
    let group = Ipv4::new(ipv4(1), [224, 0, 0, 251].into(), 17);
    let from_group = Ipv4::new([239, 1, 1, 1].into(), ipv4(2), 17);
    let group6 = Ipv6::new(ipv6(1), "ff02::1".parse().unwrap(), 17).packet(&[0; 1500]);
    let from_group6 = Ipv6::new("ff02::1".parse().unwrap(), ipv6(2), 17).packet(&[0; 1500]);
    let unicast = |ethertype, packet: &[u8]| ethernet(mac(2), mac(1), ethertype, packet);
    for (name, frame) in [
        (
            "later-fragment",
            unicast(0x0800, &packet(to.clone().with_fragment(0x2010))),
        ),
        ("group", unicast(0x0800, &packet(group))),
        ("from-group", unicast(0x0800, &packet(from_group))),
        ("group6", unicast(0x86dd, &group6)),
        ("from-group6", unicast(0x86dd, &from_group6)),
        (
            "broadcast",
            ethernet(MacAddress::BROADCAST, mac(1), 0x0800, &packet(to)),
        ),
    ] {
        from_vm1(
            &format!("mtu/{name}-too-big"),
            "RFC 1122 section 3.2.2 and RFC 4443 section 2.4 want silence.",
            rows(),
            frame,
        )
        .dropped(Stage::Mtu, DropReason::TooBig, 1);
    }
}

#[test]
fn frames_that_are_not_ip_cannot_be_answered() {
    let frame = ethernet(mac(2), mac(1), craft::EXPERIMENT, &[0; 1501]);
    from_vm1("mtu/not-ip-too-big", "Nobody to tell.", rows(), frame).dropped(
        Stage::Mtu,
        DropReason::TooBig,
        1,
    );
}

#[test]
fn a_short_packet_is_quoted_to_its_end() {
    for (name, frame) in [("ipv4", udp4(1, 2, 61)), ("ipv6", udp6(1, 2, 61))] {
        let mut rows = rows();
        for row in rows.ports.values_mut() {
            row.mtu = 68;
        }
        let mut padded = frame.clone();
        padded.extend([0; 9]);
        let played = from_vm1(
            &format!("mtu/{name}-short-too-big"),
            "A network with an MTU that no IPv6 could use: the quote ends with the packet, not with the padding.",
            rows,
            padded,
        );
        let headers = if name == "ipv6" { 14 + 48 } else { 14 + 28 };
        assert_eq!(played.answered()[headers..], frame[14..]);
    }
}

#[test]
fn a_port_hears_so_many_errors_a_second() {
    let scenario = Scenario {
        rows: rows(),
        frames: vec![Enters::new(Device::Vm1, udp4(1, 2, MOST4 + 1))],
        exhausted: vec![(1, Limit::IcmpError)],
    };
    play_scenario(
        "mtu/limit",
        "After a burst of errors the rest is dropped in silence.",
        scenario,
    )
    .dropped(Stage::Mtu, DropReason::TooBig, 1);
}

#[test]
fn jumbo_networks_carry_jumbo_frames() {
    let mut rows = rows();
    for row in rows.ports.values_mut() {
        row.mtu = 9000;
    }
    let frame = udp4(1, 2, 9000 - 28);
    play(
        "mtu/jumbo",
        "9000 bytes where the network takes them, one more where it does not.",
        rows,
        vec![
            Enters::new(Device::Vm1, frame),
            Enters::new(Device::Vm1, udp4(1, 2, 9000 - 27)),
        ],
    );
}
