//! Stage `encapsulate`.

use crate::fixture::*;
use crate::parse::{TAGS, with_tags};
use coax_pipeline::{Stage, Verdict};
use coax_sim::Device;
use coax_sim::craft::{EXPERIMENT, IPV4, IPV6, Ipv4, Ipv6, ethernet};
use coax_sim::noise::{ipv4, ipv6, mac};
use coax_sim::stand::Vtep;
use coax_tables::{DropReason, FABRIC_SLOT, HostRow};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};

/// What goes into tunnels in different ways.
fn kinds(to: u8) -> Vec<(&'static str, Vec<u8>)> {
    let empty = Ipv4::new(ipv4(1), ipv4(to), 254).packet(&[]);
    vec![
        ("ipv4", udp4(1, to, 20)),
        ("ipv6", udp6(1, to, 20)),
        ("bare-ipv4-header", ethernet(mac(to), mac(1), IPV4, &empty)),
        ("other", ethernet(mac(to), mac(1), EXPERIMENT, b"anything")),
        ("empty", ethernet(mac(to), mac(1), EXPERIMENT, &[])),
    ]
}

#[test]
fn every_kind_of_frame_over_both_families() {
    for (family, to) in [("ipv4", 4), ("ipv6", 5)] {
        for (kind, frame) in kinds(to) {
            let played = from_vm1(
                &format!("encapsulate/{kind}-over-{family}"),
                "RFC 7348 section 5: I flag, VNI, reserved bits zero, UDP checksum zero.",
                rows(),
                frame.clone(),
            );
            let packet = played.sent(Device::Up1);
            assert_eq!(inside(packet), frame);
            assert_eq!(packet[..6], Device::Up1.next_hop().0);
            assert_eq!(packet[6..12], Device::Up1.mac().0);
            outer_is_right(packet, to == 5);
            let fabric = played.tallies[&FABRIC_SLOT].counters;
            assert_eq!(fabric.sent_bytes, frame.len() as u64);
        }
    }
}

#[track_caller]
fn outer_is_right(packet: &[u8], over_ipv6: bool) {
    let parsed = SlicedPacket::from_ethernet(packet).unwrap();
    match parsed.net.unwrap() {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            assert!(!over_ipv6 && header.dont_fragment() && !header.more_fragments());
            assert_eq!(header.ttl(), 64);
            assert_eq!(header.source_addr(), Vtep::OWN.ipv4());
            assert_eq!(header.destination_addr(), Vtep::PEER.ipv4());
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            assert!(over_ipv6);
            assert_eq!(header.hop_limit(), 64);
            assert_eq!(header.source_addr(), Vtep::OWN.ipv6());
            assert_eq!(header.destination_addr(), Vtep::PEER.ipv6());
        }
        other => panic!("{other:?}"),
    }
    let Some(TransportSlice::Udp(udp)) = parsed.transport else {
        panic!("{packet:02x?}");
    };
    assert_eq!(udp.payload()[..8], [8, 0, 0, 0, 0, 0, NETWORK.0 as u8, 0]);
}

#[test]
fn tags_travel_inside() {
    for (family, to) in [("ipv4", 4), ("ipv6", 5)] {
        for count in 1..=3 {
            for (kind, frame) in kinds(to) {
                let frame = with_tags(&frame, &TAGS[..count]);
                let played = from_vm1(
                    &format!("encapsulate/{kind}-{count}-tags-over-{family}"),
                    "Tags of a transparent network stay with the inner frame.",
                    transparent_rows(),
                    frame.clone(),
                );
                assert_eq!(inside(played.sent(Device::Up1)), frame);
            }
        }
    }
}

/// DSCP and ECN of an outer header.
pub fn class(packet: &[u8]) -> u8 {
    match packet[12..14] {
        [0x08, 0x00] => packet[15],
        _ => packet[14] << 4 | packet[15] >> 4,
    }
}

#[test]
fn class_of_service_is_copied_or_piped() {
    for (family, to) in [("ipv4", 4), ("ipv6", 5)] {
        for (model, flags) in [("uniform", 0), ("pipe", HostRow::PIPE_DSCP)] {
            for ecn in 0..4u8 {
                let inner = 46 << 2 | ecn;
                let packet4 = Ipv4::new(ipv4(1), ipv4(to), 17).with_class(inner);
                let packet6 = Ipv6::new(ipv6(1), ipv6(to), 17).with_class(inner);
                for (kind, frame) in [
                    (
                        "ipv4",
                        ethernet(mac(to), mac(1), IPV4, &in_ipv4(&packet4, b"expedite")),
                    ),
                    (
                        "ipv6",
                        ethernet(mac(to), mac(1), IPV6, &in_ipv6(&packet6, b"expedite")),
                    ),
                ] {
                    let mut rows = rows();
                    rows.host.flags = flags;
                    let played = from_vm1(
                        &format!("encapsulate/{kind}-{model}-ecn-{ecn}-over-{family}"),
                        "RFC 6040 section 4.1: ECN is copied. RFC 2983: DSCP by the model.",
                        rows,
                        frame,
                    );
                    let expected = if flags == 0 { inner } else { ecn };
                    assert_eq!(class(played.sent(Device::Up1)), expected);
                }
            }
        }
    }
}

#[test]
fn other_frames_have_no_class() {
    let frame = ethernet(mac(4), mac(1), EXPERIMENT, b"anything");
    let played = from_vm1(
        "encapsulate/no-class",
        "Not IP: best effort.",
        rows(),
        frame,
    );
    assert_eq!(class(played.sent(Device::Up1)), 0);
}

#[test]
fn a_host_without_an_address_of_the_family_says_so() {
    for (name, to) in [("ipv4", 4), ("ipv6", 5)] {
        let mut rows = rows();
        rows.host.vtep_ipv4 = [0; 4];
        rows.host.vtep_ipv6 = [0; 16];
        from_vm1(
            &format!("encapsulate/no-own-{name}"),
            "The peer is reached over a family that this host has no address of.",
            rows,
            udp4(1, to, 20),
        )
        .dropped(Stage::Encapsulate, DropReason::NoTunnelAddress, 1);
    }
}

#[test]
fn another_udp_port() {
    let mut rows = rows();
    rows.host.udp_port = 8472u16.to_be_bytes();
    let case = coax_sim::Scenario {
        rows,
        frames: vec![coax_sim::Enters::new(Device::Vm1, udp4(1, 4, 20))],
        exhausted: Vec::new(),
    };
    let (_, outcomes) = case.play(&coax_sim::Stand::default()).unwrap();
    assert_eq!(outcomes[0].verdict, Verdict::Send);
    assert_eq!(
        outcomes[0].frame.as_ref().unwrap()[36..38],
        8472u16.to_be_bytes()
    );
}
