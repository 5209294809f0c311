//! Firewalls from noise, and conversations that they may be about.

use super::rows::ROUTERS;
use super::{Noise, ipv4, ipv6, mac};
use crate::craft::{self, Ipv4, Ipv6};
use crate::rules::{Policy, Prefix, Rule, Service};
use crate::{Device, Enters, SimRows};
use coax_tables::{DomainId, MacRow, PolicyRow};
use coax_wire::ip;
use std::net::IpAddr;

/// The two domains that there may be.
const DOMAINS: [DomainId; 2] = [DomainId(1), DomainId(2)];

/// Puts firewalls on some of the ports, or on none.
pub(super) fn policies(noise: &mut Noise<'_>, rows: &mut SimRows) {
    if !noise.one_in(2) {
        return;
    }
    rows.host.seed = u64::from(noise.byte()) << 56 | u64::from(noise.byte());
    for domain in DOMAINS {
        let count = noise.below(6);
        let policy = Policy {
            rules: (0..count).map(|_| rule(noise)).collect(),
            otherwise: noise.pick(PolicyRow::ALLOW, &[PolicyRow::DENY, PolicyRow::REJECT]),
        };
        for router in ROUTERS {
            policy.put(rows, domain, domain.0, router);
        }
        if let Some(row) = rows.domains.get_mut(&domain) {
            row.quota = noise.pick(64, &[64, 64, 2, 0]);
        }
    }
    // A policy that nobody has told this host of.
    if noise.one_in(12) {
        rows.domains.remove(&DOMAINS[1]);
    }
    for port in rows.ports.values_mut() {
        port.policy = domain(noise);
    }
    for row in rows.macs.values_mut() {
        if row.has(MacRow::LOCAL) {
            row.policy = domain(noise);
            row.scope = noise.pick(ROUTERS[0], &[ROUTERS[0], ROUTERS[1]]);
        }
    }
}

fn domain(noise: &mut Noise<'_>) -> DomainId {
    noise.pick(DOMAINS[0], &[DOMAINS[0], DOMAINS[1], DomainId(0)])
}

fn rule(noise: &mut Noise<'_>) -> Rule {
    let protocol = noise.pick(6, &[6, 17, 17, 1, 58, 132]);
    let port = noise.pick(None, &[Some(80), Some(53), Some(0x0800), Some(0x8000)]);
    Rule {
        source: prefix(noise),
        destination: prefix(noise),
        service: noise.pick(Some(Service { protocol, port }), &[None]),
        action: noise.pick(
            PolicyRow::ALLOW,
            &[PolicyRow::ALLOW, PolicyRow::DENY, PolicyRow::REJECT],
        ),
        flags: noise.pick(0, &[0, 0, PolicyRow::LOG, PolicyRow::AUDIT]),
    }
}

fn prefix(noise: &mut Noise<'_>) -> Option<Prefix> {
    let vm = noise.pick(1, &[2, 3, 4]);
    let (v4, v6) = (ip::mapped(ipv4(vm).octets()), ipv6(vm).octets());
    let bits = |address, bits| Some(Prefix { address, bits });
    noise.pick(
        None,
        &[
            bits(v4, 128),
            bits(v6, 128),
            bits(ip::mapped([10, 0, 0, 0]), 120),
        ],
    )
}

/// Some packets of a conversation of the first two VMs: of one connection, mostly.
pub(super) fn conversation(noise: &mut Noise<'_>) -> Vec<Enters> {
    let over_ipv6 = noise.one_in(2);
    let kind = noise.below(5);
    let count = noise.below(9);
    let packets = (0..count).map(|_| {
        let (from, to) = noise.pick((1, 2), &[(1, 2), (2, 1)]);
        let device = if from == 1 { Device::Vm1 } else { Device::Vm2 };
        let packet = packet(noise, (from, to), over_ipv6, kind);
        let ethertype = if over_ipv6 { craft::IPV6 } else { craft::IPV4 };
        Enters::new(
            device,
            craft::ethernet(mac(to), mac(from), ethertype, &packet),
        )
    });
    packets.collect()
}

fn packet(noise: &mut Noise<'_>, (from, to): (u8, u8), over_ipv6: bool, kind: usize) -> Vec<u8> {
    let address = |vm| -> IpAddr {
        if over_ipv6 {
            ipv6(vm).into()
        } else {
            ipv4(vm).into()
        }
    };
    let server = noise.pick(53, &[53, 53, 80]);
    let ports = if from == 1 {
        (1000, server)
    } else {
        (server, 1000)
    };
    let ends = ((address(from), ports.0), (address(to), ports.1));
    let (protocol, body) = match kind {
        0 | 1 => (6, segment(noise, ends)),
        2 => (17, craft::udp(ends.0, ends.1, b"hello")),
        3 => echo(noise, (from, to), over_ipv6),
        _ => return fragment(noise, (from, to), over_ipv6),
    };
    packet_of((from, to), over_ipv6, protocol, 0x4000, &body)
}

fn packet_of(
    (from, to): (u8, u8),
    over_ipv6: bool,
    protocol: u8,
    fragment: u16,
    body: &[u8],
) -> Vec<u8> {
    if over_ipv6 {
        Ipv6::new(ipv6(from), ipv6(to), protocol).packet(body)
    } else {
        let header = Ipv4::new(ipv4(from), ipv4(to), protocol);
        header.with_fragment(fragment).packet(body)
    }
}

/// A segment near the beginning of both ends' numbers. Its checksum is wrong, which no switch looks at.
fn segment(noise: &mut Noise<'_>, (from, to): ((IpAddr, u16), (IpAddr, u16))) -> Vec<u8> {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    let flags = noise.pick(ACK, &[SYN, SYN, SYN | ACK, ACK, ACK | 1, 4, ACK | 4, 3]);
    let options: &[u8] = noise.pick(
        &[][..],
        &[&[1, 3, 3, 7], &[2, 4, 5, 0xb4, 3, 3, 9, 0], &[3, 2, 0, 0]],
    );
    let mut segment = craft::tcp(from, to, options, b"data");
    let sequence = u32::from(noise.pick(0u8, &[1, 5, 9, 200])) << noise.pick(0, &[0, 0, 0, 20]);
    let acknowledgement = u32::from(noise.pick(0u8, &[1, 5, 9, 200]));
    segment[4..8].copy_from_slice(&sequence.to_be_bytes());
    segment[8..12].copy_from_slice(&acknowledgement.to_be_bytes());
    segment[13] = flags;
    let window = noise.pick(0xffff, &[0xffff, 1, 0]);
    segment[14..16].copy_from_slice(&u16::to_be_bytes(window));
    segment
}

/// An echo, its reply, or an error about a datagram of the other end.
fn echo(noise: &mut Noise<'_>, (from, to): (u8, u8), over_ipv6: bool) -> (u8, Vec<u8>) {
    let choice = noise.below(3);
    let rest = [0, noise.pick(1, &[2]), 0, 1];
    let ends = ((ipv4(to).into(), 1000), (ipv4(from).into(), 53));
    let ends6 = ((ipv6(to).into(), 1000), (ipv6(from).into(), 53));
    if over_ipv6 {
        let kind = [128, 129, 1][choice];
        let datagram = craft::udp(ends6.0, ends6.1, b"hello");
        let quote = packet_of((to, from), true, 17, 0, &datagram);
        let body = [&rest, &quote[..]].concat();
        return (58, craft::icmpv6(ipv6(from), ipv6(to), kind, 0, &body));
    }
    let datagram = craft::udp(ends.0, ends.1, b"hello");
    let quote = packet_of((to, from), false, 17, 0x4000, &datagram);
    (1, craft::icmp([8, 0, 3][choice], 1, rest, &quote))
}

/// A part of a datagram.
fn fragment(noise: &mut Noise<'_>, (from, to): (u8, u8), over_ipv6: bool) -> Vec<u8> {
    let offset: u16 = noise.pick(0, &[0, 1, 2, 3, 4]);
    let more = noise.one_in(2);
    let length = noise.pick(8, &[16, 24, 5]);
    let mut body = vec![0x5a; length];
    if offset == 0 {
        body = [&[0x03, 0xe8, 0, 53, 0, 40, 0, 0][..], &body].concat();
    }
    if over_ipv6 {
        let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
        let header = [17, 0, high, low, 0, 0, 0, 7];
        return packet_of((from, to), true, 44, 0, &[&header, &body[..]].concat());
    }
    let fragment = offset | if more { 0x2000 } else { 0 };
    packet_of((from, to), false, 17, fragment, &body)
}
