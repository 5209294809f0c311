//! Frames from noise that guards are about: what bridges, servers, virtual routers and forgers send.

use super::{CANARY, FURTHER4, FURTHER6, Noise, VIRTUAL, ipv4, ipv6, mac, own_link_local};
use crate::craft::{self, Discovery, Ipv4, Ipv6};
use coax_wire::MacAddress;
use coax_wire::canary::Canary;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zerocopy::IntoBytes;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

pub(super) fn frame(noise: &mut Noise<'_>, vm: u8, peer: u8) -> Vec<u8> {
    match noise.below(8) {
        0 => canary(noise),
        1 => in_llc(noise, vm, peer),
        2 => over_udp(noise, vm, peer),
        3 => control_message(noise, vm, peer),
        4 => further_arp(noise, vm),
        5 => further_discovery(noise, vm),
        6 => forged_packet(noise, vm, peer),
        _ => forged_discovery(noise, vm, peer),
    }
}

fn canary(noise: &mut Noise<'_>) -> Vec<u8> {
    let secret = noise.pick(CANARY, &[CANARY, 0, 7]);
    let slot = noise.below(7) as u32;
    Canary::new(secret, slot).as_bytes().to_vec()
}

/// Spanning tree, and what hides in LLC.
fn in_llc(noise: &mut Noise<'_>, vm: u8, peer: u8) -> Vec<u8> {
    let to = noise.pick(
        MacAddress([0x01, 0x80, 0xc2, 0, 0, 0]),
        &[
            MacAddress([0x01, 0x80, 0xc2, 0, 0, 8]),
            MacAddress([0x01, 0, 0x0c, 0xcc, 0xcc, 0xcd]),
            mac(peer),
            MacAddress::BROADCAST,
        ],
    );
    let headers: [&[u8]; 6] = [
        &[0x42, 0x42, 3],
        &[0xaa, 0xaa, 3, 0, 0, 0x0c, 1, 0x0b],
        &[0xaa, 0xaa, 3, 0, 0, 0, 8, 6],
        &[0xaa, 0xab, 3, 0, 0, 0xf8, 0x86, 0xdd],
        &[6, 6, 3],
        &[0xe0, 0xe0, 3],
    ];
    let header = noise.pick(headers[0], &headers);
    let body = [header, &[0; 38]].concat();
    let length = noise.pick(body.len() as u16, &[0, 1500, 0x05f0]);
    craft::ethernet(to, mac(vm), length, &body)
}

/// DHCP, multicast name queries, and what stands between.
fn over_udp(noise: &mut Noise<'_>, vm: u8, peer: u8) -> Vec<u8> {
    let ports = noise.pick(
        (67, 68),
        &[
            (68, 67),
            (547, 546),
            (546, 547),
            (5353, 5353),
            (5355, 4000),
            (9, 68),
        ],
    );
    let payload = [noise.byte(), noise.byte(), noise.byte(), 0, 0, 0];
    if noise.one_in(2) {
        let source = noise.pick(own_link_local(vm), &[ipv6(vm), Ipv6Addr::UNSPECIFIED]);
        let to = noise.pick(ipv6(peer), &[ALL_NODES]);
        let datagram = craft::udp((source.into(), ports.0), (to.into(), ports.1), &payload);
        let packet = behind_headers(noise, source, to, 17, &datagram);
        return craft::ethernet(group_or(to, peer), mac(vm), craft::IPV6, &packet);
    }
    let source = noise.pick(ipv4(vm), &[Ipv4Addr::UNSPECIFIED]);
    let to = noise.pick(Ipv4Addr::BROADCAST, &[ipv4(peer)]);
    let datagram = craft::udp((source.into(), ports.0), (to.into(), ports.1), &payload);
    let mut ip = Ipv4::new(source, to, 17);
    match noise.below(4) {
        2 => ip.fragment = 0x2000,
        3 => ip.options = vec![1; 8],
        _ => {}
    }
    let to = noise.pick(MacAddress::BROADCAST, &[mac(peer)]);
    craft::ethernet(to, mac(vm), craft::IPV4, &ip.packet(&datagram))
}

/// Router advertisements, redirects and their neighbours of both families.
fn control_message(noise: &mut Noise<'_>, vm: u8, peer: u8) -> Vec<u8> {
    if noise.one_in(3) {
        let kind = noise.pick(5, &[9, 10, 8]);
        let message = craft::icmp(kind, 0, [0; 4], &[0; 8]);
        let packet = Ipv4::new(ipv4(vm), ipv4(peer), 1).packet(&message);
        return craft::ethernet(mac(peer), mac(vm), craft::IPV4, &packet);
    }
    let source = noise.pick(own_link_local(vm), &[Ipv6Addr::UNSPECIFIED]);
    let kind = noise.pick(134, &[133, 135, 136, 137, 143, 131]);
    let message = craft::icmpv6(source, ALL_NODES, kind, 0, &[0; 28]);
    let packet = behind_headers(noise, source, ALL_NODES, 58, &message);
    craft::ethernet(craft::group_mac(ALL_NODES), mac(vm), craft::IPV6, &packet)
}

/// An IPv6 packet with more or fewer extension headers in front of its payload.
fn behind_headers(
    noise: &mut Noise<'_>,
    source: Ipv6Addr,
    to: Ipv6Addr,
    protocol: u8,
    payload: &[u8],
) -> Vec<u8> {
    let count = noise.pick(0, &[0, 0, 1, 1, 2, 8, 9]);
    let (mut next, mut body) = (protocol, payload.to_vec());
    for _ in 0..count {
        let kind = noise.pick(60, &[0, 43, 44, 51, 135]);
        let offset = if kind == 44 {
            noise.pick(0, &[1, 8])
        } else {
            0
        };
        let header = [next, 0, 0, offset, 0, 0, 0, 7];
        body = [&header[..], &body].concat();
        next = kind;
    }
    Ipv6::new(source, to, next)
        .with_hop_limit(255)
        .packet(&body)
}

fn further_arp(noise: &mut Noise<'_>, vm: u8) -> Vec<u8> {
    let from = noise.pick(mac(vm), &[VIRTUAL]);
    let target = noise.pick(FURTHER4, &[ipv4(1)]);
    let operation = noise.pick(1, &[2]);
    let packet = craft::arp(operation, (from, FURTHER4), (MacAddress::default(), target));
    let to = noise.pick(MacAddress::BROADCAST, &[mac(3), VIRTUAL]);
    craft::ethernet(to, from, craft::ARP, &packet)
}

fn further_discovery(noise: &mut Noise<'_>, vm: u8) -> Vec<u8> {
    let from = noise.pick(mac(vm), &[VIRTUAL]);
    let flags = noise.pick(0x20, &[0x60, 0]);
    let mut message = Discovery::advertisement((from, FURTHER6), ALL_NODES, flags);
    if noise.one_in(2) {
        message = Discovery::solicitation((mac(vm), ipv6(vm)), FURTHER6);
    }
    let to = craft::group_mac(message.destination);
    craft::ethernet(to, from, craft::IPV6, &message.packet())
}

fn forged_packet(noise: &mut Noise<'_>, vm: u8, peer: u8) -> Vec<u8> {
    let from = noise.pick(mac(vm), &[VIRTUAL, mac(peer)]);
    if noise.one_in(2) {
        let source = noise.pick(
            ipv6(peer),
            &[FURTHER6, own_link_local(peer), Ipv6Addr::LOCALHOST],
        );
        let packet = Ipv6::new(source, ipv6(peer), 59).packet(&[]);
        return craft::ethernet(mac(peer), from, craft::IPV6, &packet);
    }
    let source = noise.pick(ipv4(peer), &[FURTHER4, Ipv4Addr::UNSPECIFIED]);
    let protocol = noise.pick(17, &[2, 6]);
    let packet = Ipv4::new(source, ipv4(peer), protocol).packet(&[0; 8]);
    craft::ethernet(mac(peer), from, craft::IPV4, &packet)
}

fn forged_discovery(noise: &mut Noise<'_>, vm: u8, peer: u8) -> Vec<u8> {
    if noise.one_in(3) {
        let sender = noise.pick((mac(vm), ipv4(peer)), &[(mac(peer), ipv4(vm))]);
        let packet = craft::arp(2, sender, (mac(peer), ipv4(peer)));
        return craft::ethernet(MacAddress::BROADCAST, mac(vm), craft::ARP, &packet);
    }
    let mut message = Discovery::advertisement((mac(vm), ipv6(vm)), ALL_NODES, 0x20);
    match noise.below(4) {
        0 => message.target = ipv6(peer),
        1 => message.options = craft::link_address(2, mac(peer)),
        2 => message.options = [14, 1, 0, 0, 0, 0, 0, 0].repeat(7),
        _ => message.options = vec![1, 0, 2, 0, 0, 0, 0, 9],
    }
    let to = craft::group_mac(ALL_NODES);
    craft::ethernet(to, mac(vm), craft::IPV6, &message.packet())
}

fn group_or(to: Ipv6Addr, peer: u8) -> MacAddress {
    if IpAddr::from(to).is_multicast() {
        craft::group_mac(to)
    } else {
        mac(peer)
    }
}
