//! Stage `guard`: what only servers and routers may say.

use crate::fixture::*;
use crate::guard_sources::{dhcp, guarded, own_link_local};
use coax_pipeline::{Stage, Verdict};
use coax_sim::craft::{self, IPV4, IPV6, Ipv4, Ipv6, ethernet, group_mac};
use coax_sim::noise::{ipv4, ipv6, mac};
use coax_sim::{Device, SimRows};
use coax_tables::{DropReason, PortRow};
use coax_wire::MacAddress;
use std::net::{Ipv4Addr, Ipv6Addr};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

fn udp4(ports: (u16, u16), to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let datagram = craft::udp((ipv4(1).into(), ports.0), (to.into(), ports.1), payload);
    let packet = Ipv4::new(ipv4(1), to, 17).packet(&datagram);
    let mac_to = if to == ipv4(2) {
        mac(2)
    } else {
        MacAddress::BROADCAST
    };
    ethernet(mac_to, mac(1), IPV4, &packet)
}

fn udp6(ports: (u16, u16), to: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let source = own_link_local(1);
    let datagram = craft::udp((source.into(), ports.0), (to.into(), ports.1), payload);
    let packet = Ipv6::new(source, to, 17).packet(&datagram);
    let to = if to.is_multicast() {
        group_mac(to)
    } else {
        mac(2)
    };
    ethernet(to, mac(1), IPV6, &packet)
}

fn icmpv6(kind: u8, headers: &[u8]) -> Vec<u8> {
    let source = own_link_local(1);
    let body: &[u8] = match kind {
        133 => &[0; 4],
        134 => &[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0],
        _ => &[0; 36],
    };
    let message = craft::icmpv6(source, ALL_NODES, kind, 0, body);
    let next = if headers.is_empty() { 58 } else { 0 };
    let packet = Ipv6::new(source, ALL_NODES, next)
        .with_hop_limit(255)
        .packet(&[headers, &message].concat());
    ethernet(group_mac(ALL_NODES), mac(1), IPV6, &packet)
}

fn icmp(kind: u8) -> Vec<u8> {
    let packet = Ipv4::new(ipv4(1), ipv4(2), 1).packet(&craft::icmp(kind, 0, [0; 4], &[0; 8]));
    ethernet(mac(2), mac(1), IPV4, &packet)
}

/// Multicast DNS: "where is a.local?", and "a.local is at 10.0.0.1" (RFC 6762).
const QUERY: &[u8] = b"\0\0\0\0\0\x01\0\0\0\0\0\0\x01a\x05local\0\0\x01\0\x01";
const ANSWER: &[u8] =
    b"\0\0\x84\0\0\0\0\x01\0\0\0\0\x01a\x05local\0\0\x01\0\x01\0\0\0\x78\0\x04\x0a\0\0\x01";

fn rogue() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "dhcp-broadcast",
            udp4((67, 68), Ipv4Addr::BROADCAST, &dhcp(2, 2)),
        ),
        ("dhcp-unicast", udp4((67, 68), ipv4(2), &dhcp(2, 5))),
        (
            "dhcp-from-another-port",
            udp4((4000, 68), ipv4(2), &dhcp(2, 5)),
        ),
        ("dhcpv6", udp6((547, 546), ipv6(2), b"advertise")),
        ("dhcpv6-to-a-group", udp6((9, 546), ALL_NODES, b"advertise")),
        (
            "multicast-dns",
            udp4((5353, 5353), Ipv4Addr::BROADCAST, ANSWER),
        ),
        (
            "multicast-dns-6",
            udp6((5353, 5353), "ff02::fb".parse().unwrap(), ANSWER),
        ),
        ("llmnr", udp4((5355, 40_000), ipv4(2), ANSWER)),
        ("router-advertisement", icmpv6(134, &[])),
        ("redirect-6", icmpv6(137, &[])),
        ("redirect-4", icmp(5)),
        ("router-advertisement-4", icmp(9)),
    ]
}

fn serving() -> SimRows {
    let mut rows = guarded();
    for row in rows.ports.values_mut() {
        row.flags |= PortRow::SERVER;
    }
    rows
}

#[test]
fn servers_that_nobody_asked_for() {
    for (name, frame) in rogue() {
        let about =
            "DHCP to clients, router advertisements, redirects, answers to multicast name queries.";
        from_vm1(
            &format!("guard/rogue-{name}"),
            about,
            guarded(),
            frame.clone(),
        )
        .dropped(Stage::Guard, DropReason::RogueServer, 1);
        let about = "The same from a port that may serve.";
        let played = from_vm1(&format!("guard/server-{name}"), about, serving(), frame);
        assert_ne!(played.only().verdict, Verdict::Drop);
    }
}

#[test]
fn clients_are_not_servers() {
    for (name, frame) in [
        ("dhcp", udp4((68, 67), Ipv4Addr::BROADCAST, &dhcp(1, 3))),
        (
            "dhcpv6",
            udp6((546, 547), "ff02::1:2".parse().unwrap(), b"solicit"),
        ),
        (
            "multicast-dns",
            udp4((5353, 5353), Ipv4Addr::BROADCAST, QUERY),
        ),
        ("router-solicitation", icmpv6(133, &[])),
    ] {
        let about = "What clients say passes.";
        let played = from_vm1(&format!("guard/client-{name}"), about, guarded(), frame);
        assert_eq!(played.only().verdict, Verdict::Flood, "{name}");
    }
    let frame = icmp(8);
    let about = "An echo request.";
    from_vm1("guard/echo", about, guarded(), frame.clone()).delivered(Device::Vm2, &frame);
}

#[test]
fn servers_in_disguise() {
    let options = [58, 0, 1, 4, 0, 0, 0, 0];
    let about = "A router advertisement behind a hop-by-hop header.";
    from_vm1(
        "guard/hidden-advertisement",
        about,
        guarded(),
        icmpv6(134, &options),
    )
    .dropped(Stage::Guard, DropReason::RogueServer, 1);
    let datagram = craft::udp(
        (own_link_local(1).into(), 547),
        (ipv6(2).into(), 546),
        b"reply",
    );
    let headers = [17, 0, 1, 4, 0, 0, 0, 0];
    let packet =
        Ipv6::new(own_link_local(1), ipv6(2), 60).packet(&[&headers[..], &datagram].concat());
    let frame = ethernet(mac(2), mac(1), IPV6, &packet);
    let about = "A DHCPv6 answer behind destination options.";
    from_vm1("guard/hidden-dhcpv6", about, guarded(), frame).dropped(
        Stage::Guard,
        DropReason::RogueServer,
        1,
    );
    let datagram = craft::udp((ipv4(1).into(), 67), (ipv4(2).into(), 68), &dhcp(2, 2));
    let packet = Ipv4::new(ipv4(1), ipv4(2), 17)
        .with_options(&[1; 8])
        .with_fragment(0x2000)
        .packet(&datagram);
    let frame = ethernet(mac(2), mac(1), IPV4, &packet);
    let about = "A DHCP answer behind IP options, as a first fragment.";
    from_vm1("guard/hidden-dhcp", about, guarded(), frame).dropped(
        Stage::Guard,
        DropReason::RogueServer,
        1,
    );
}
