//! Frames from noise: valid ones of all kinds, then damaged, tagged, cut, nested.

use super::{GATEWAY, NETWORKS, Noise, ROUTER, VMS, hostile, ipv4, ipv6, link_local, mac, routed};
use crate::craft::{self, Discovery, Ipv4, Ipv6, Tunnel};
use crate::stand::Vtep;
use crate::{Device, Enters, Side};
use coax_wire::MacAddress;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Tunnels in tunnels that noise makes at most.
const DEPTH: usize = 3;

pub(super) fn enters(noise: &mut Noise<'_>) -> Enters {
    let from_fabric = noise.one_in(2);
    let device = if from_fabric {
        noise.pick(Device::Up1, &[Device::Up2])
    } else {
        noise.pick(
            Device::Vm1,
            &[Device::Vm1, Device::Vm2, Device::Vm3, Device::Up1],
        )
    };
    let bytes = if from_fabric {
        outside(noise, 0)
    } else {
        inside(noise, 0)
    };
    let mut frame = Enters::new(device, damaged(noise, bytes));
    frame.side = if from_fabric {
        Side::Uplink
    } else {
        Side::Port
    };
    if noise.one_in(12) {
        frame = frame.of_segments(noise.pick(1400, &[1, 500, 1448, 9000]));
    }
    frame
}

/// A frame of a VM.
fn inside(noise: &mut Noise<'_>, depth: usize) -> Vec<u8> {
    let vm = noise.pick(1, &VMS);
    let from = mac(vm);
    let peer = noise.pick(2, &VMS);
    let frame = match noise.below(21) {
        0..=2 => over_ipv4(noise, from, vm, peer),
        3..=5 => over_ipv6(noise, from, vm, peer),
        6 | 7 => arp(noise, from, vm, peer),
        8 | 9 => discovery(noise, from, vm, peer),
        10 => {
            let to = destination(noise, peer);
            let ethertype = noise.pick(
                craft::EXPERIMENT,
                &[0x88cc, 0x0005, 0x05dc, 0xffff, craft::IPV4, craft::IPV6],
            );
            craft::ethernet(to, from, ethertype, &payload(noise))
        }
        11 | 12 => request(noise, from, vm),
        13..=16 => hostile::frame(noise, vm, peer),
        17..=19 => routed::frame(noise, vm),
        _ if depth < DEPTH => outside(noise, depth + 1),
        _ => craft::ethernet(mac(peer), from, craft::EXPERIMENT, &[]),
    };
    tags(noise, frame)
}

fn tags(noise: &mut Noise<'_>, mut frame: Vec<u8>) -> Vec<u8> {
    let count = noise.pick(0, &[0, 0, 0, 0, 0, 1, 1, 2, 3, 4]);
    for _ in 0..count {
        let protocol = noise.pick(craft::C_TAG, &[craft::S_TAG]);
        let control = noise.pick(5, &[0, 0x0fff, 0xe064, 0x1001]);
        frame = craft::tagged(&frame, protocol, control);
    }
    frame
}

fn destination(noise: &mut Noise<'_>, peer: u8) -> MacAddress {
    noise.pick(
        mac(peer),
        &[
            mac(peer),
            MacAddress::BROADCAST,
            MacAddress([0x01, 0, 0x5e, 0, 0, 1]),
            MacAddress([0x33, 0x33, 0, 0, 0, 1]),
            MacAddress([0x01, 0x80, 0xc2, 0, 0, 0x0e]),
            mac(5),
            mac(1),
            GATEWAY,
            GATEWAY,
            GATEWAY,
            GATEWAY,
        ],
    )
}

/// Other hops in an IP packet; over IPv4 mostly with the right checksum.
pub(super) fn with_hops(noise: &mut Noise<'_>, mut packet: Vec<u8>) -> Vec<u8> {
    if !noise.one_in(2) {
        return packet;
    }
    let hops = noise.pick(1, &[0, 2, 255]);
    if packet[0] >> 4 == 6 {
        packet[7] = hops;
        return packet;
    }
    packet[8] = hops;
    if !noise.one_in(6) {
        packet[10..12].fill(0);
        let sum = craft::checksum(&[&packet[..usize::from(packet[0] & 15) * 4]]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

fn payload(noise: &mut Noise<'_>) -> Vec<u8> {
    let length = noise.pick(
        18,
        &[
            0, 1, 7, 46, 64, 120, 200, 1000, 1472, 1473, 1500, 1501, 2000,
        ],
    );
    let start = noise.byte();
    (0..length)
        .map(|place| start.wrapping_add(place as u8))
        .collect()
}

fn over_ipv4(noise: &mut Noise<'_>, from: MacAddress, vm: u8, peer: u8) -> Vec<u8> {
    let source = ipv4(vm);
    let destination_address = noise.pick(
        ipv4(peer),
        &[
            ipv4(peer),
            Ipv4Addr::BROADCAST,
            Ipv4Addr::new(224, 0, 0, 251),
            Vtep::OWN.ipv4(),
            ipv4(ROUTER),
            Ipv4Addr::new(10, 0, 9, 1),
            Ipv4Addr::new(127, 0, 0, 1),
        ],
    );
    let body = payload(noise);
    let (protocol, body) = match noise.below(6) {
        0 => (
            17,
            craft::udp(
                (source.into(), 1000),
                (destination_address.into(), 53),
                &body,
            ),
        ),
        1 => (
            6,
            craft::tcp(
                (source.into(), 1000),
                (destination_address.into(), 80),
                &[1, 1, 1, 0],
                &body,
            ),
        ),
        2 => {
            let kind = noise.pick(8, &[0, 3, 5, 11]);
            (1, craft::icmp(kind, 0, [0, 1, 0, 1], &body))
        }
        3 => (132, body),
        _ => (noise.byte(), body),
    };
    let mut ip = Ipv4::new(source, destination_address, protocol).with_class(noise.byte());
    match noise.below(8) {
        5 => ip.fragment = 0x2000,
        6 => ip.fragment = 0x0005,
        7 => ip.options = vec![1; 4 * (1 + noise.below(10))],
        _ => {}
    }
    let to = destination(noise, peer);
    let packet = with_hops(noise, ip.packet(&body));
    craft::ethernet(to, from, craft::IPV4, &packet)
}

fn over_ipv6(noise: &mut Noise<'_>, from: MacAddress, vm: u8, peer: u8) -> Vec<u8> {
    let source = noise.pick(
        ipv6(vm),
        &[ipv6(vm), link_local(vm), super::own_link_local(vm)],
    );
    let target = noise.pick(
        ipv6(peer),
        &[
            ipv6(peer),
            Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
            Vtep::OWN.ipv6(),
            ipv6(ROUTER),
            link_local(ROUTER),
            link_local(peer),
            Ipv6Addr::LOCALHOST,
        ],
    );
    let body = payload(noise);
    let (next, body) = match noise.below(6) {
        0 => (
            17,
            craft::udp((source.into(), 1000), (target.into(), 53), &body),
        ),
        1 => (
            6,
            craft::tcp(
                (source.into(), 1000),
                (target.into(), 80),
                &[1, 1, 1, 0],
                &body,
            ),
        ),
        2 | 3 => {
            let kind = noise.pick(128, &[1, 2, 127, 129, 133, 134, 137, 143]);
            (58, craft::icmpv6(source, target, kind, 0, &body))
        }
        _ => (noise.byte(), body),
    };
    let ip = Ipv6::new(source, target, next).with_class(noise.byte());
    let to = destination(noise, peer);
    let packet = with_hops(noise, ip.packet(&body));
    craft::ethernet(to, from, craft::IPV6, &packet)
}

fn arp(noise: &mut Noise<'_>, from: MacAddress, vm: u8, peer: u8) -> Vec<u8> {
    let operation = noise.pick(1, &[1, 2, 3]);
    let sender = noise.pick(ipv4(vm), &[Ipv4Addr::UNSPECIFIED, ipv4(5)]);
    let packet = craft::arp(
        operation,
        (from, sender),
        (MacAddress::default(), ipv4(peer)),
    );
    let to = noise.pick(MacAddress::BROADCAST, &[mac(peer)]);
    let mut frame = craft::ethernet(to, from, craft::ARP, &packet);
    if noise.one_in(3) {
        frame.resize(60, 0);
    }
    frame
}

fn discovery(noise: &mut Noise<'_>, from: MacAddress, vm: u8, peer: u8) -> Vec<u8> {
    let own = noise.pick(
        ipv6(vm),
        &[
            ipv6(vm),
            link_local(vm),
            super::own_link_local(vm),
            Ipv6Addr::UNSPECIFIED,
        ],
    );
    let target = noise.pick(ipv6(peer), &[link_local(peer), ipv6(5), ipv6(vm)]);
    let mut message = if noise.one_in(3) {
        let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        let to = noise.pick(all, &[target]);
        Discovery::advertisement((from, own), to, noise.pick(0x20, &[0xe0, 0x60]))
    } else {
        Discovery::solicitation((from, own), target)
    };
    match noise.below(10) {
        6 => message.hop_limit = 64,
        7 => message.options = craft::link_address(1, from),
        8 => message.options = Vec::new(),
        9 => message.options = [1, 1, 2, 0, 0, 0, 0, 9, 14, 1, 1, 2, 3, 4, 5, 6].to_vec(),
        _ => {}
    }
    let group = if message.destination.is_multicast() {
        craft::group_mac(message.destination)
    } else {
        mac(peer)
    };
    let to = noise.pick(group, &[group, mac(peer), MacAddress::BROADCAST]);
    craft::ethernet(to, from, craft::IPV6, &message.packet())
}

/// What the agent answers, or something like it.
fn request(noise: &mut Noise<'_>, from: MacAddress, vm: u8) -> Vec<u8> {
    let source_port = noise.pick(68, &[546, 5000, 67]);
    let port = noise.pick(67, &[547, 53, 53, 68]);
    let body = payload(noise);
    let to_mac = noise.pick(MacAddress::BROADCAST, &[GATEWAY, GATEWAY, mac(2)]);
    if noise.one_in(2) {
        let source = noise.pick(Ipv4Addr::UNSPECIFIED, &[ipv4(vm)]);
        let target = noise.pick(Ipv4Addr::BROADCAST, &[ipv4(ROUTER), ipv4(2)]);
        let body = craft::udp((source.into(), source_port), (target.into(), port), &body);
        let packet = Ipv4::new(source, target, 17).packet(&body);
        return craft::ethernet(to_mac, from, craft::IPV4, &packet);
    }
    let source = noise.pick(link_local(vm), &[ipv6(vm)]);
    let servers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
    let target = noise.pick(servers, &[ipv6(ROUTER), link_local(ROUTER), ipv6(2)]);
    let (next, body, hops) = if noise.one_in(3) {
        let message = craft::icmpv6(source, target, 133, 0, &body);
        (58, message, noise.pick(255, &[64]))
    } else {
        let message = craft::udp((source.into(), source_port), (target.into(), port), &body);
        (17, message, 64)
    };
    let packet = Ipv6::new(source, target, next).with_hop_limit(hops);
    craft::ethernet(to_mac, from, craft::IPV6, &packet.packet(&body))
}

/// A frame of the fabric: nearly always a tunnel packet for the own VTEP.
fn outside(noise: &mut Noise<'_>, depth: usize) -> Vec<u8> {
    if noise.one_in(16) {
        return inside(noise, depth + 1);
    }
    let over_ipv6 = noise.one_in(3);
    let sender = noise.pick(
        Vtep::PEER,
        &[Vtep::PEER, Vtep::FOREIGN, Vtep::JUMBO, Vtep::NOWHERE],
    );
    let receiver = noise.pick(
        Vtep::OWN,
        &[Vtep::OWN, Vtep::OWN, Vtep::OWN, Vtep::OWN, Vtep::PEER],
    );
    let vni = noise.pick(NETWORKS[0].0, &[NETWORKS[0].0, NETWORKS[1].0, 9, 0xff_ffff]);
    let inner = inside(noise, depth + 1);
    let mut tunnel = Tunnel::new(sender.address(over_ipv6), receiver.address(over_ipv6), vni);
    tunnel.class = noise.pick(0, &[1, 2, 3, 0xb9, 0xff]);
    match noise.below(16) {
        10 => tunnel.vxlan[0] = 0,
        11 => tunnel.vxlan = [0xff, 1, 2, 3, 0, 0, NETWORKS[0].0 as u8, 9],
        12 => tunnel.port = 8472,
        13 => tunnel.fragment = 0x2000,
        14 => tunnel.fragment = 0x0010,
        15 => tunnel.checksum = 0x1234,
        _ => {}
    }
    let mut packet = tunnel.around(&inner);
    match noise.below(10) {
        // Padding, or an outer header with options, which nobody sends.
        8 => packet.extend([0; 9]),
        9 => packet[14] = packet[14].wrapping_add(1),
        _ => {}
    }
    packet
}

/// Mostly left alone; sometimes cut, filled up, or with other bytes at some places.
fn damaged(noise: &mut Noise<'_>, mut bytes: Vec<u8>) -> Vec<u8> {
    match noise.below(8) {
        5 => {
            let length = noise.below(bytes.len() + 1);
            bytes.truncate(length);
        }
        6 => {
            let more = noise.below(80);
            bytes.resize(bytes.len() + more, 0x5a);
        }
        7 => {
            for _ in 0..=noise.below(3) {
                // Headers are where damage matters.
                let place = noise.below(bytes.len().clamp(1, 120));
                let value = noise.byte();
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = value;
                }
            }
        }
        _ => {}
    }
    bytes
}
