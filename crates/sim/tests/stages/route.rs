//! Stage `route`.

use crate::fixture::*;
use crate::parse::{TAGS, with_tags};
use crate::router::*;
use coax_pipeline::Stage;
use coax_sim::craft::{self, ethernet};
use coax_sim::noise::{GATEWAY, mac};
use coax_sim::stand::Vtep;
use coax_sim::{Device, Enters, Scenario};
use coax_tables::{DropReason, Limit, PortRow, RouteRow};
use std::net::IpAddr;

#[test]
fn a_packet_goes_on_into_the_network_of_its_destination() {
    for (ipv6, family) in FAMILIES {
        let frame = to_gateway(&datagram(at(THERE, ipv6, 2), 64, 20));
        let played = from_vm1(
            &format!("route/{family}-to-a-local-vm"),
            "Another network on the same host: new MAC addresses, one hop less.",
            routers(),
            frame.clone(),
        );
        played.delivered(Device::Vm2, &routed(&frame, 2));
        assert_eq!(played.tallies[&2].counters.sent_frames, 1);
        for (vm, over_ipv6) in [(4, false), (5, true)] {
            let frame = to_gateway(&datagram(at(THERE, ipv6, vm), 64, 20));
            let played = from_vm1(
                &format!(
                    "route/{family}-to-a-vm-over-{}",
                    FAMILIES[usize::from(over_ipv6)].1
                ),
                "Another host: the tunnel carries the VNI of the network that the packet is routed into.",
                routers(),
                frame.clone(),
            );
            let sent = played.sent(Device::Up1);
            assert_eq!(inside(sent), routed(&frame, vm));
            let vni = if over_ipv6 { 66 } else { 46 };
            assert_eq!(sent[vni..vni + 3], [0, 0, 8]);
        }
    }
}

#[test]
fn options_and_segments_pass() {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (at(HERE, false, 1), at(THERE, false, 2)) else {
        panic!("IPv4");
    };
    let packet = craft::Ipv4::new(from, to, 17).with_options(&[1; 8]);
    let frame = to_gateway(&in_ipv4(&packet, b"with options"));
    from_vm1(
        "route/ipv4-with-options",
        "Options stay where they are.",
        routers(),
        frame.clone(),
    )
    .delivered(Device::Vm2, &routed(&frame, 2));
    for (ipv6, family) in FAMILIES {
        let (from, to) = (at(HERE, ipv6, 1), at(THERE, ipv6, 4));
        let segment = craft::tcp((from, 1000), (to, 80), &[1, 1, 1, 0], &[7; 4000]);
        let frame = to_gateway(&packet_of(from, to, &segment));
        let enters = Enters::new(Device::Vm1, frame.clone()).of_segments(1400);
        let played = play(
            &format!("route/{family}-segments"),
            "A large TCP send is routed in one piece and cut behind the vSwitch.",
            routers(),
            vec![enters],
        );
        assert_eq!(inside(played.sent(Device::Up1)), routed(&frame, 4));
    }
}

fn packet_of(from: IpAddr, to: IpAddr, segment: &[u8]) -> Vec<u8> {
    packet(from, to, 6, 64, segment)
}

#[test]
fn a_static_route_leads_over_a_vm() {
    for (ipv6, family) in FAMILIES {
        let mut rows = routers();
        let (target, bits): (IpAddr, u32) = if ipv6 {
            ("fd77::1".parse().unwrap(), 16)
        } else {
            ("192.168.7.1".parse().unwrap(), 96 + 16)
        };
        let via = RouteRow {
            gateway: key(at(THERE, ipv6, 3)),
            network: THERE,
            flags: 0,
        };
        rows.route(ROUTER, key(target), bits, via);
        let frame = to_gateway(&datagram(target, 64, 20));
        from_vm1(
            &format!("route/{family}-static"),
            "A static route over an address in one of the networks.",
            rows.clone(),
            frame.clone(),
        )
        .delivered(Device::Vm3, &routed(&frame, 3));
        let closed = RouteRow {
            flags: RouteRow::UNREACHABLE,
            ..RouteRow::default()
        };
        rows.route(ROUTER, key(target), if ipv6 { 64 } else { 96 + 24 }, closed);
        refused(
            &format!("route/{family}-unreachable"),
            "The longest prefix decides, and says that nothing is there.",
            rows,
            &frame,
            [(3, 0), (1, 0)],
        );
    }
}

#[test]
fn the_sender_is_told_why_not() {
    for (ipv6, family) in FAMILIES {
        let nowhere = if ipv6 {
            "2001:db8:9::1"
        } else {
            "198.51.100.7"
        };
        let frame = to_gateway(&datagram(nowhere.parse().unwrap(), 64, 20));
        refused(
            &format!("route/{family}-no-route"),
            "No route: the network is unreachable.",
            routers(),
            &frame,
            [(3, 0), (1, 0)],
        );
        let frame = to_gateway(&datagram(at(THERE, ipv6, 77), 64, 20));
        refused(
            &format!("route/{family}-no-neighbour"),
            "Nobody has the address: the host is unreachable.",
            routers(),
            &frame,
            [(3, 1), (1, 3)],
        );
        for hops in [0, 1] {
            let frame = to_gateway(&datagram(at(THERE, ipv6, 2), hops, 20));
            refused(
                &format!("route/{family}-{hops}-hops"),
                "The last hop is used up here: what traceroute waits for.",
                routers(),
                &frame,
                [(11, 0), (3, 0)],
            );
        }
        let mut rows = routers();
        for row in rows.macs.values_mut() {
            row.mtu = 1400;
        }
        let frame = to_gateway(&datagram(at(THERE, ipv6, 4), 64, 1400));
        refused(
            &format!("route/{family}-too-big"),
            "The network behind the router takes less than the one in front of it.",
            rows,
            &frame,
            [(3, 4), (2, 0)],
        );
    }
}

#[test]
fn nobody_is_told_where_standards_want_silence() {
    let (from, to) = (at(HERE, false, 1), at(THERE, false, 77));
    let error = craft::icmp(3, 1, [0; 4], &[0; 40]);
    let error6 = |to: IpAddr| {
        let (IpAddr::V6(source), IpAddr::V6(target)) = (at(HERE, true, 1), to) else {
            panic!("IPv6");
        };
        craft::icmpv6(source, target, 1, 0, &[0; 44])
    };
    let to6 = at(THERE, true, 77);
    let mut later = packet(from, to, 17, 64, &[0; 40]);
    later[6..8].copy_from_slice(&[0, 5]);
    let later = with_hops(later, 64);
    for (name, packet) in [
        ("error", packet(from, to, 1, 64, &error)),
        (
            "error6",
            packet(at(HERE, true, 1), to6, 58, 64, &error6(to6)),
        ),
        ("later-fragment", later),
    ] {
        from_vm1(
            &format!("route/silent-{name}"),
            "No error about an error, and none about a later fragment.",
            routers(),
            to_gateway(&packet),
        )
        .dropped(Stage::Route, DropReason::NoNeighbour, 1);
    }
}

#[test]
fn a_gateway_without_an_address_says_nothing() {
    for (ipv6, family) in FAMILIES {
        let mut rows = routers();
        let network = rows.networks.get_mut(&HERE).unwrap();
        (network.gateway_ipv4, network.gateway_ipv6) = ([0; 4], [0; 16]);
        from_vm1(
            &format!("route/silent-without-an-address-{family}"),
            "A gateway without an address of the family has nothing to speak from.",
            rows,
            to_gateway(&datagram(at(THERE, ipv6, 77), 64, 20)),
        )
        .dropped(Stage::Route, DropReason::NoNeighbour, 1);
    }
}

#[test]
fn a_port_hears_only_so_many_errors() {
    for (ipv6, family) in FAMILIES {
        let nowhere = if ipv6 {
            "2001:db8:9::1"
        } else {
            "198.51.100.7"
        };
        for (name, to, hops, reason) in [
            ("limit", at(THERE, ipv6, 2), 1, DropReason::TimeToLive),
            (
                "no-route",
                nowhere.parse().unwrap(),
                64,
                DropReason::NoRoute,
            ),
        ] {
            let frame = to_gateway(&datagram(to, hops, 20));
            let scenario = Scenario {
                rows: routers(),
                frames: vec![Enters::new(Device::Vm1, frame)],
                exhausted: vec![(1, Limit::IcmpError)],
            };
            play_scenario(
                &format!("route/silent-{name}-{family}"),
                "A port hears a hundred errors in a second.",
                scenario,
            )
            .dropped(Stage::Route, reason, 1);
        }
    }
}

#[test]
fn what_no_router_carries_is_dropped() {
    let v4 =
        |from: &str, to: &str| packet(from.parse().unwrap(), to.parse().unwrap(), 17, 64, &[0; 20]);
    let frames = [
        ("to-a-group", v4("10.0.0.1", "224.0.0.251")),
        ("to-everybody", v4("10.0.0.1", "255.255.255.255")),
        ("to-this-network", v4("10.0.0.1", "0.0.0.9")),
        ("to-loopback", v4("10.0.0.1", "127.0.0.1")),
        ("from-nobody", v4("0.0.0.0", "10.0.1.2")),
        ("from-a-group", v4("239.1.1.1", "10.0.1.2")),
        ("from-link-local", v4("169.254.1.1", "10.0.1.2")),
        ("to-group6", v4("fd00::1", "ff05::1")),
        ("from-group6", v4("ff02::1", "fd01::2")),
        ("from-nobody6", v4("::", "fd01::2")),
        ("to-loopback6", v4("fd00::1", "::1")),
        ("from-link-local6", v4("fe80::1", "fd01::2")),
    ];
    for (name, packet) in frames {
        from_vm1(
            &format!("route/{name}"),
            "Addresses that mean nothing beyond their link are not carried beyond it.",
            routers(),
            to_gateway(&packet),
        )
        .dropped(Stage::Route, DropReason::NotRoutable, 1);
    }
}

#[test]
fn only_ip_unicast_is_routed() {
    let mut disguised = packet(
        "fd00::1".parse().unwrap(),
        "fd01::2".parse().unwrap(),
        17,
        64,
        &[0; 20],
    );
    disguised[24..40].copy_from_slice(&key("10.0.1.2".parse().unwrap()));
    for (name, frame) in [
        ("disguised", to_gateway(&disguised)),
        (
            "not-ip",
            ethernet(GATEWAY, mac(1), craft::EXPERIMENT, b"hello router"),
        ),
    ] {
        from_vm1(
            &format!("route/{name}"),
            "Only IP unicast is routed, and an IPv6 packet never to an IPv4 address.",
            routers(),
            frame,
        )
        .dropped(Stage::Route, DropReason::NotRoutable, 1);
    }
    let mut rows = routers();
    for row in rows.ports.values_mut() {
        row.flags |= PortRow::VLAN_TRANSPARENT;
    }
    let tagged = with_tags(
        &to_gateway(&datagram(at(THERE, false, 2), 64, 20)),
        &TAGS[..1],
    );
    from_vm1(
        "route/tagged",
        "What a VM puts into VLANs of its own is not the router's.",
        rows,
        tagged,
    )
    .dropped(Stage::Route, DropReason::NotRoutable, 1);
}

#[test]
fn a_damaged_packet_and_one_to_its_sender_end() {
    let mut wrong = to_gateway(&datagram(at(THERE, false, 2), 64, 20));
    wrong[24] ^= 1;
    from_vm1(
        "route/wrong-checksum",
        "RFC 1812 section 5.2.2: a wrong header checksum ends a packet in silence.",
        routers(),
        wrong,
    )
    .dropped(Stage::Route, DropReason::Malformed, 1);
    let mut rows = routers();
    let back = RouteRow {
        gateway: key(at(HERE, false, 1)),
        network: HERE,
        flags: 0,
    };
    rows.route(ROUTER, key("192.168.0.0".parse().unwrap()), 96 + 16, back);
    from_vm1(
        "route/back-to-the-sender",
        "A route over the very VM that sends.",
        rows,
        to_gateway(&datagram("192.168.1.1".parse().unwrap(), 64, 20)),
    )
    .dropped(Stage::Route, DropReason::Hairpin, 1);
}

#[test]
fn frames_to_a_gateway_do_not_come_out_of_tunnels() {
    let frame = ethernet(
        GATEWAY,
        mac(4),
        craft::IPV4,
        &datagram(at(THERE, false, 2), 64, 20),
    );
    let (from, to) = (Vtep::PEER.address(false), Vtep::OWN.address(false));
    let tunnel = craft::Tunnel::new(from, to, THERE.0);
    from_fabric(
        "forward/gateway-from-a-tunnel",
        "Whoever sends routes: another host's VM has its gateway at home.",
        routers(),
        tunnel.around(&frame),
    )
    .dropped(Stage::Forward, DropReason::NotHere, 0);
}
