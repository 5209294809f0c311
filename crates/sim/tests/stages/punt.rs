//! Stage `punt`.

use crate::fixture::*;
use coax_pipeline::{Stage, Verdict};
use coax_sim::craft::{self, Discovery, Ipv4, Ipv6, ethernet};
use coax_sim::noise::{ipv4, ipv6, link_local, mac};
use coax_sim::{Device, Enters, Scenario, SimRows};
use coax_tables::{AddressKey, AddressRow, DropReason, Limit, PortRow, PuntKind};
use coax_wire::{MacAddress, ip};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The address of everybody who serves DHCPv6.
const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
const ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// The gateway's number among the VMs' addresses.
const GATEWAY: u8 = 9;

/// Rows of a network that the host serves with everything.
fn served() -> SimRows {
    let mut rows = rows();
    for row in rows.ports.values_mut() {
        row.flags |= PortRow::DHCP_IPV4 | PortRow::DHCP_IPV6 | PortRow::DNS;
    }
    for address in [ip::mapped(ipv4(GATEWAY).octets()), ipv6(GATEWAY).octets()] {
        let row = AddressRow {
            mac: mac(GATEWAY),
            flags: AddressRow::ROUTER,
        };
        let network = NETWORK;
        rows.addresses.insert(AddressKey { address, network }, row);
    }
    rows
}

fn udp(ports: (u16, u16), from: Ipv4Addr, to: Ipv4Addr, to_mac: MacAddress) -> Vec<u8> {
    let datagram = craft::udp((from.into(), ports.0), (to.into(), ports.1), &[7; 40]);
    let packet = Ipv4::new(from, to, 17).packet(&datagram);
    ethernet(to_mac, mac(1), craft::IPV4, &packet)
}

fn udp_over_ipv6(ports: (u16, u16), from: Ipv6Addr, to: Ipv6Addr, to_mac: MacAddress) -> Vec<u8> {
    let datagram = craft::udp((from.into(), ports.0), (to.into(), ports.1), &[7; 40]);
    let packet = Ipv6::new(from, to, 17).packet(&datagram);
    ethernet(to_mac, mac(1), craft::IPV6, &packet)
}

/// A DHCP message (RFC 2131 section 2) from anybody to everybody.
fn dhcp(ports: (u16, u16)) -> Vec<u8> {
    let mut message = vec![0; 236];
    message[..3].copy_from_slice(&[1, 1, 6]);
    message[28..34].copy_from_slice(&mac(1).0);
    message.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255]);
    let (any, all) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
    let datagram = craft::udp((any.into(), ports.0), (all.into(), ports.1), &message);
    let packet = Ipv4::new(any, all, 17).packet(&datagram);
    ethernet(MacAddress::BROADCAST, mac(1), craft::IPV4, &packet)
}

fn discover() -> Vec<u8> {
    dhcp((68, 67))
}

fn solicit() -> Vec<u8> {
    udp_over_ipv6(
        (546, 547),
        link_local(1),
        SERVERS,
        craft::group_mac(SERVERS),
    )
}

fn router_solicitation(hop_limit: u8) -> Vec<u8> {
    let message = craft::icmpv6(link_local(1), ROUTERS, 133, 0, &[0; 4]);
    let ip = Ipv6::new(link_local(1), ROUTERS, 58).with_hop_limit(hop_limit);
    ethernet(
        craft::group_mac(ROUTERS),
        mac(1),
        craft::IPV6,
        &ip.packet(&message),
    )
}

fn query(ipv6_: bool, to: u8) -> Vec<u8> {
    if ipv6_ {
        udp_over_ipv6((5000, 53), ipv6(1), ipv6(to), mac(to))
    } else {
        udp((5000, 53), ipv4(1), ipv4(to), mac(to))
    }
}

#[test]
fn requests_that_the_host_serves_go_to_its_agent() {
    for (name, kind, frame) in [
        ("dhcp-ipv4", PuntKind::DhcpIpv4, discover()),
        (
            "dhcp-ipv4-renewal",
            PuntKind::DhcpIpv4,
            udp((68, 67), ipv4(1), ipv4(GATEWAY), mac(GATEWAY)),
        ),
        ("dhcp-ipv6", PuntKind::DhcpIpv6, solicit()),
        (
            "router-solicitation",
            PuntKind::RouterSolicitation,
            router_solicitation(255),
        ),
        ("dns-ipv4", PuntKind::Dns, query(false, GATEWAY)),
        ("dns-ipv6", PuntKind::Dns, query(true, GATEWAY)),
    ] {
        let played = from_vm1(
            &format!("punt/{name}"),
            "The agent of the host gets the request, and nobody else.",
            served(),
            frame.clone(),
        );
        let outcome = played.only();
        assert_eq!(outcome.verdict, Verdict::Punt);
        let punt = outcome.punt.as_ref().unwrap();
        assert_eq!(punt.frame, frame);
        assert_eq!(PuntKind::numbered(punt.header.kind), Some(kind));
        assert_eq!(punt.header.ifindex, index(Device::Vm1));
        assert_eq!((punt.header.slot, punt.header.network), (1, NETWORK));
        assert_eq!(punt.header.length as usize, frame.len());
        assert!(outcome.sent().is_empty());
        assert_eq!(played.tallies[&1].counters.punted, 1);
    }
}

#[test]
fn a_network_that_serves_itself_is_left_alone() {
    for (name, frame) in [
        ("dhcp-ipv4", discover()),
        ("dhcp-ipv6", solicit()),
        ("router-solicitation", router_solicitation(255)),
    ] {
        from_vm1(
            &format!("punt/not-served-{name}"),
            "Requests in a network whose services are its own are broadcasts as others.",
            rows(),
            frame,
        )
        .flooded();
    }
}

#[test]
fn what_only_looks_like_a_request_goes_its_way() {
    for (name, frame) in [
        ("ports", dhcp((67, 68))),
        ("relay", dhcp((67, 67))),
        ("hops", router_solicitation(64)),
        (
            "dhcp-ipv6-to-client",
            udp_over_ipv6(
                (547, 546),
                link_local(1),
                SERVERS,
                craft::group_mac(SERVERS),
            ),
        ),
        (
            "advertisement-solicited",
            ethernet(
                craft::group_mac(ROUTERS),
                mac(1),
                craft::IPV6,
                &Discovery::solicitation((mac(1), link_local(1)), ROUTERS).packet(),
            ),
        ),
    ] {
        let played = from_vm1(
            &format!("punt/no-request-{name}"),
            "Not from a client to a server, or not genuine.",
            served(),
            frame,
        );
        assert!(played.only().punt.is_none());
    }
    for over_ipv6 in [false, true] {
        let name = if over_ipv6 { "ipv6" } else { "ipv4" };
        let frame = query(over_ipv6, 2);
        from_vm1(
            &format!("punt/dns-of-another-vm-{name}"),
            "A query to a VM that serves DNS itself.",
            served(),
            frame.clone(),
        )
        .delivered(Device::Vm2, &frame);
    }
    let fragment = Ipv4::new(ipv4(1), ipv4(GATEWAY), 17).with_fragment(0x2000);
    let frame = ethernet(mac(2), mac(1), craft::IPV4, &in_ipv4(&fragment, &[0; 64]));
    from_vm1(
        "punt/fragment",
        "A fragment is no request, whatever it begins with.",
        served(),
        frame.clone(),
    )
    .delivered(Device::Vm2, &frame);
}

#[test]
fn a_port_asks_so_often_and_no_more() {
    let scenario = Scenario {
        rows: served(),
        frames: vec![
            Enters::new(Device::Vm1, discover()),
            Enters::new(Device::Vm1, query(false, GATEWAY)),
        ],
        exhausted: vec![(1, Limit::Punt), (2, Limit::Answer)],
    };
    let played = play_scenario(
        "punt/limit",
        "More than a hundred requests in a second: the rest is dropped.",
        scenario,
    );
    for outcome in &played.outcomes {
        assert_eq!(outcome.verdict, Verdict::Drop);
        assert_eq!(outcome.reason, Some(DropReason::PuntLimit));
        assert_eq!(outcome.stages.last(), Some(&Stage::Punt));
    }
    assert_eq!(played.drops(1), [(DropReason::PuntLimit, 2)]);
}

#[test]
fn large_requests_are_cut() {
    let mut rows = served();
    for row in rows.ports.values_mut() {
        row.mtu = 9000;
    }
    let (from, to) = (ipv4(1), ipv4(GATEWAY));
    let datagram = craft::udp((from.into(), 5000), (to.into(), 53), &[7; 2500]);
    let packet = Ipv4::new(from, to, 17).packet(&datagram);
    let frame = ethernet(mac(GATEWAY), mac(1), craft::IPV4, &packet);
    let played = from_vm1(
        "punt/large",
        "The agent gets the first 2000 bytes of a jumbo frame.",
        rows,
        frame.clone(),
    );
    assert_eq!(played.only().punt.as_ref().unwrap().frame, frame[..2000]);
}
