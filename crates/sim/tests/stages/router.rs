//! A router between networks 7 and 8, for the tests of `route`.
//!
//! Network 7 is 10.0.0.0/24 and fd00::/64 with VM 1, network 8 is 10.0.1.0/24 and fd01::/64 with VMs 2
//! and 3, and with VM 4 and VM 5 on the host `PEER` over IPv4 and IPv6. The gateway is number 9 in both.

use crate::fixture::*;
use coax_sim::SimRows;
use coax_sim::craft::{self, Ipv4, Ipv6, checksum, ethernet};
use coax_sim::noise::{GATEWAY, mac};
use coax_sim::stand::{Vtep, host_row};
use coax_tables::{AddressKey, AddressRow, MacRow, NetworkId, RouteRow};
use coax_wire::ip;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const ROUTER: u32 = 1 << 24;
pub const HERE: NetworkId = NETWORK;
pub const THERE: NetworkId = NetworkId(8);
/// The gateway's number.
pub const GATE: u8 = 9;

/// A VM's or the gateway's address in one of the networks.
pub fn at(network: NetworkId, ipv6: bool, number: u8) -> IpAddr {
    let third = (network.0 - HERE.0) as u8;
    if ipv6 {
        Ipv6Addr::new(0xfd00 + u16::from(third), 0, 0, 0, 0, 0, 0, number.into()).into()
    } else {
        Ipv4Addr::new(10, 0, third, number).into()
    }
}

pub fn key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => ip::mapped(address.octets()),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Bits of a network's prefix as routes have them.
pub const fn bits(ipv6: bool) -> u32 {
    if ipv6 { 64 } else { 96 + 24 }
}

fn own(rows: &mut SimRows, network: NetworkId, address: IpAddr) {
    let row = AddressRow {
        mac: GATEWAY,
        flags: AddressRow::ROUTER,
    };
    let address = key(address);
    rows.addresses.insert(AddressKey { address, network }, row);
}

/// Rows of both networks and their router.
pub fn routers() -> SimRows {
    let mut rows = SimRows::new(host_row());
    for (vm, device) in VMS {
        let network = if vm == 1 { HERE } else { THERE };
        let mut port = port_row(vm);
        (port.network, port.scope) = (network, ROUTER);
        rows.port(index(device), port);
        rows.mac(network, mac(vm), local(vm, device));
    }
    rows.mac(THERE, mac(4), remote(Vtep::PEER, false));
    rows.mac(THERE, mac(5), remote(Vtep::PEER, true));
    for network in [HERE, THERE] {
        let gateway = MacRow {
            flags: MacRow::ROUTER,
            ..MacRow::default()
        };
        rows.mac(network, GATEWAY, gateway);
        rows.network(network, MTU, 0, &[]);
        let row = rows.networks.get_mut(&network).unwrap();
        row.router = ROUTER;
        row.gateway_mac = GATEWAY;
        for over_ipv6 in [false, true] {
            rows.tunnel(Vtep::PEER.row(over_ipv6), network, 0);
            let gate = at(network, over_ipv6, GATE);
            let row = rows.networks.get_mut(&network).unwrap();
            match gate {
                IpAddr::V4(gate) => row.gateway_ipv4 = gate.octets(),
                IpAddr::V6(gate) => row.gateway_ipv6 = gate.octets(),
            }
            own(&mut rows, network, gate);
            let to = RouteRow {
                network,
                ..RouteRow::default()
            };
            rows.route(ROUTER, key(at(network, over_ipv6, 0)), bits(over_ipv6), to);
            for vm in 1..=5 {
                if (vm == 1) == (network == HERE) {
                    rows.address(network, key(at(network, over_ipv6, vm)), mac(vm));
                }
            }
        }
        own(&mut rows, network, link_local_gateway());
    }
    rows
}

/// The gateway's link-local address.
pub fn link_local_gateway() -> IpAddr {
    "fe80::c0:a0ff:fe00:1".parse().unwrap()
}

/// A packet of any protocol between two addresses.
pub fn packet(from: IpAddr, to: IpAddr, protocol: u8, hops: u8, payload: &[u8]) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            with_hops(Ipv4::new(from, to, protocol).packet(payload), hops)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => Ipv6::new(from, to, protocol)
            .with_hop_limit(hops)
            .packet(payload),
        _ => panic!("{from} and {to} are of two families"),
    }
}

/// An IPv4 packet with other hops, and the right checksum.
pub fn with_hops(mut packet: Vec<u8>, hops: u8) -> Vec<u8> {
    packet[8] = hops;
    packet[10..12].fill(0);
    let sum = checksum(&[&packet[..usize::from(packet[0] & 15) * 4]]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// A frame of VM 1 to its gateway.
pub fn to_gateway(packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet[0] >> 4 == 6 {
        craft::IPV6
    } else {
        craft::IPV4
    };
    ethernet(GATEWAY, mac(1), ethertype, packet)
}

/// A UDP datagram of VM 1.
pub fn datagram(to: IpAddr, hops: u8, payload: usize) -> Vec<u8> {
    let from = at(HERE, to.is_ipv6(), 1);
    let body = craft::udp((from, 1000), (to, 2000), &vec![b'x'; payload]);
    packet(from, to, 17, hops, &body)
}

/// The frame as the router sends it on: MAC addresses changed, and one hop less.
pub fn routed(frame: &[u8], to: u8) -> Vec<u8> {
    let packet = &frame[14..];
    let packet = if packet[0] >> 4 == 6 {
        let mut packet = packet.to_vec();
        packet[7] -= 1;
        packet
    } else {
        with_hops(packet.to_vec(), packet[8] - 1)
    };
    [&mac(to).0[..], &GATEWAY.0, &frame[12..14], &packet].concat()
}

/// The families, and their names in cases.
pub const FAMILIES: [(bool, &str); 2] = [(false, "ipv4"), (true, "ipv6")];

/// Type, code, sender and quote of an ICMP message to VM 1.
#[track_caller]
pub fn message(answer: &[u8]) -> (u8, u8, IpAddr, Vec<u8>) {
    assert_eq!(answer[..6], mac(1).0);
    assert_eq!(answer[6..12], GATEWAY.0);
    let packet = SlicedPacket::from_ethernet(answer).unwrap();
    match (packet.net.unwrap(), packet.transport.unwrap()) {
        (NetSlice::Ipv4(ip), TransportSlice::Icmpv4(icmp)) => {
            let from = IpAddr::V4(ip.header().source_addr());
            (
                icmp.type_u8(),
                icmp.code_u8(),
                from,
                icmp.payload().to_vec(),
            )
        }
        (NetSlice::Ipv6(ip), TransportSlice::Icmpv6(icmp)) => {
            let from = IpAddr::V6(ip.header().source_addr());
            (
                icmp.type_u8(),
                icmp.code_u8(),
                from,
                icmp.payload().to_vec(),
            )
        }
        other => panic!("{other:?}"),
    }
}

/// VM 1's frame is answered with an error of one of these types from the gateway of its network.
#[track_caller]
pub fn refused(name: &str, about: &str, rows: SimRows, frame: &[u8], kinds: [(u8, u8); 2]) {
    let played = from_vm1(name, about, rows, frame.to_vec());
    let ipv6 = frame[12] == 0x86;
    let (kind, code, from, quote) = message(played.answered());
    assert_eq!((kind, code), kinds[usize::from(ipv6)]);
    assert_eq!(from, at(HERE, ipv6, GATE));
    let most = if ipv6 { 1232 } else { 548 };
    assert_eq!(quote, frame[14..frame.len().min(14 + most)]);
    assert_eq!(played.tallies[&1].counters.answered, 1);
}
