//! A network of the routed kind: IP only, looked up, never flooded.

use crate::fixture::*;
use crate::router::*;
use coax_pipeline::Stage;
use coax_sim::craft::{self, Discovery, arp, ethernet};
use coax_sim::noise::{GATEWAY, ipv4, ipv6, link_local, mac};
use coax_sim::rows::Receiver;
use coax_sim::{Device, SimRows};
use coax_tables::{DropReason, MacRow, NetworkRow, PortRow, RouteRow};
use coax_wire::{MacAddress, ip};
use std::net::{IpAddr, Ipv4Addr};

/// The network of the fixture as a routed one, with gateway number 9.
fn rows_of_a_routed_network() -> SimRows {
    as_routed(rows(), &[])
}

/// These rows of the network as those of a routed one, whose announcements go to these receivers.
pub fn as_routed(mut rows: SimRows, receivers: &[Receiver]) -> SimRows {
    for row in rows.ports.values_mut() {
        row.flags |= PortRow::ROUTED;
        row.scope = ROUTER;
    }
    let gateway = MacRow {
        flags: MacRow::ROUTER,
        ..MacRow::default()
    };
    rows.mac(NETWORK, GATEWAY, gateway);
    rows.network(NETWORK, MTU, NetworkRow::ROUTED, receivers);
    let row = rows.networks.get_mut(&NETWORK).unwrap();
    row.gateway_mac = GATEWAY;
    row.gateway_ipv4 = ipv4(GATE).octets();
    row.gateway_ipv6 = ipv6(GATE).octets();
    let to = RouteRow {
        network: NETWORK,
        ..RouteRow::default()
    };
    rows.route(ROUTER, ip::mapped([10, 0, 0, 0]), 96 + 24, to);
    rows.route(ROUTER, ipv6(0).octets(), 64, to);
    rows
}

#[test]
fn every_question_is_answered_with_the_gateways_mac_address() {
    let question = arp(1, (mac(1), ipv4(1)), (MacAddress::default(), ipv4(4)));
    let played = from_vm1(
        "resolve/routed-arp",
        "On a routed network the gateway stands for everybody.",
        rows_of_a_routed_network(),
        ethernet(MacAddress::BROADCAST, mac(1), craft::ARP, &question),
    );
    let answer = played.answered();
    assert_eq!(
        (&answer[6..12], &answer[22..28]),
        (&GATEWAY.0[..], &GATEWAY.0[..])
    );
    for (name, target) in [("global", ipv6(4)), ("link-local", link_local(4))] {
        let question = Discovery::solicitation((mac(1), link_local(1)), target);
        let to = craft::group_mac(craft::solicited_node(target));
        let played = from_vm1(
            &format!("resolve/routed-solicitation-{name}"),
            "On a routed network the gateway stands for everybody.",
            rows_of_a_routed_network(),
            ethernet(to, mac(1), craft::IPV6, &question.packet()),
        );
        assert_eq!(played.answered()[80..86], GATEWAY.0);
    }
}

#[test]
fn a_vm_that_asks_for_its_own_address_hears_nothing() {
    let probe = arp(
        1,
        (mac(1), Ipv4Addr::UNSPECIFIED),
        (MacAddress::default(), ipv4(1)),
    );
    from_vm1(
        "resolve/routed-own-address",
        "Duplicate address detection finds no duplicate.",
        rows_of_a_routed_network(),
        ethernet(MacAddress::BROADCAST, mac(1), craft::ARP, &probe),
    )
    .dropped(Stage::Forward, DropReason::OwnAddress, 1);
}

#[test]
fn packets_inside_of_the_network_are_looked_up_by_their_address() {
    for (name, from, to) in [
        ("ipv4", ipv4(1).into(), ipv4(2).into()),
        ("ipv6", IpAddr::V6(ipv6(1)), IpAddr::V6(ipv6(2))),
        ("link-local", link_local(1).into(), link_local(2).into()),
    ] {
        for hops in [1, 64] {
            let body = craft::udp((from, 1000), (to, 2000), b"hello");
            let frame = to_gateway(&packet(from, to, 17, hops, &body));
            let mut expected = frame.clone();
            expected[..6].copy_from_slice(&mac(2).0);
            expected[6..12].copy_from_slice(&GATEWAY.0);
            from_vm1(
                &format!("route/routed-{name}-{hops}-hops"),
                "Inside of a routed network hops are not counted: to its VMs it is one link.",
                rows_of_a_routed_network(),
                frame,
            )
            .delivered(Device::Vm2, &expected);
        }
    }
    let frame = to_gateway(&udp4(1, 4, 20)[14..]);
    let played = from_vm1(
        "route/routed-to-another-host",
        "In a routed network, to another host.",
        rows_of_a_routed_network(),
        frame,
    );
    let inner = inside(played.sent(Device::Up1));
    assert_eq!(
        (&inner[..6], &inner[6..12]),
        (&mac(4).0[..], &GATEWAY.0[..])
    );
}

#[test]
fn nothing_else_is_carried() {
    let group = "ff02::fb".parse().unwrap();
    let multicast = packet(ipv6(1).into(), IpAddr::V6(group), 17, 64, &[0; 20]);
    for (name, frame) in [
        ("broadcast", broadcast(1)),
        (
            "multicast",
            ethernet(craft::group_mac(group), mac(1), craft::IPV6, &multicast),
        ),
        ("to-a-vm", udp4(1, 2, 20)),
        (
            "not-ip-to-a-vm",
            ethernet(mac(2), mac(1), craft::EXPERIMENT, b"hello"),
        ),
    ] {
        from_vm1(
            &format!("forward/routed-{name}"),
            "A routed network carries IP unicast through its gateway, and nothing else.",
            rows_of_a_routed_network(),
            frame,
        )
        .dropped(Stage::Forward, DropReason::NotRoutable, 1);
    }
    from_vm1(
        "route/routed-not-ip",
        "A routed network carries IP only.",
        rows_of_a_routed_network(),
        ethernet(GATEWAY, mac(1), craft::EXPERIMENT, b"hello"),
    )
    .dropped(Stage::Route, DropReason::NotRoutable, 1);
    from_fabric(
        "forward/routed-broadcast-from-a-tunnel",
        "No broadcast comes out of a tunnel into a routed network either.",
        rows_of_a_routed_network(),
        tunnel(false).around(&broadcast(4)),
    )
    .dropped(Stage::Forward, DropReason::NotRoutable, 0);
}
