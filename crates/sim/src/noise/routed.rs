//! Routes, and packets of VMs to their gateway that nothing is wrong with but their hops and where they go.

use super::frames::with_hops;
use super::rows::ROUTERS;
use super::{GATEWAY, NETWORKS, Noise, ROUTER, ipv4, ipv6, mac};
use crate::SimRows;
use crate::craft::{self, Ipv4, Ipv6};
use coax_tables::RouteRow;
use coax_wire::ip;
use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) fn frame(noise: &mut Noise<'_>, vm: u8) -> Vec<u8> {
    let number = noise.pick(2, &[1, 3, 4, 5, ROUTER]);
    let error = noise.one_in(3);
    let body = vec![b'r'; noise.pick(20, &[0, 300, 1400])];
    let (ethertype, packet) = if noise.one_in(2) {
        let from = ipv6(vm);
        let to = noise.pick(ipv6(number), &[Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 1)]);
        let (protocol, body) = if error {
            (
                58,
                craft::icmpv6(from, to, noise.pick(3, &[1, 128, 129]), 0, &[0; 44]),
            )
        } else {
            (
                17,
                craft::udp((from.into(), 1000), (to.into(), 2000), &body),
            )
        };
        (craft::IPV6, Ipv6::new(from, to, protocol).packet(&body))
    } else {
        let from = ipv4(vm);
        let to = noise.pick(ipv4(number), &[Ipv4Addr::new(10, 0, 9, 1)]);
        let (protocol, body) = if error {
            (
                1,
                craft::icmp(noise.pick(3, &[11, 8, 0]), 0, [0; 4], &[0; 28]),
            )
        } else {
            (
                17,
                craft::udp((from.into(), 1000), (to.into(), 2000), &body),
            )
        };
        (craft::IPV4, Ipv4::new(from, to, protocol).packet(&body))
    };
    let packet = with_hops(noise, packet);
    craft::ethernet(GATEWAY, mac(vm), ethertype, &packet)
}

/// Routes of two routers, whose networks have the same addresses.
pub(super) fn routes(noise: &mut Noise<'_>, rows: &mut SimRows) {
    for router in ROUTERS {
        for _ in 0..noise.below(7) {
            let over_ipv6 = noise.one_in(2);
            let number = noise.pick(0, &[1, 2, 3, 4, 5, ROUTER]);
            let (address, whole) = if over_ipv6 {
                (ipv6(number).octets(), 0)
            } else {
                (ip::mapped(ipv4(number).octets()), 96)
            };
            let length = noise.pick(24, &[0, 8, 30, 32]);
            let bits = if over_ipv6 {
                length * 4
            } else {
                whole + length
            };
            let gateway = match noise.below(8) {
                6 if over_ipv6 => ipv6(noise.pick(2, &[1, 3, 5, ROUTER])).octets(),
                6 => ip::mapped(ipv4(noise.pick(2, &[1, 3, 5, ROUTER])).octets()),
                _ => [0; 16],
            };
            let row = RouteRow {
                gateway,
                network: noise.pick(NETWORKS[0], &[NETWORKS[1]]),
                flags: if noise.one_in(12) {
                    RouteRow::UNREACHABLE
                } else {
                    0
                },
            };
            // Of a prefix only the bits that count are written, as agents do.
            rows.route(router, cut(address, bits), bits, row);
        }
    }
}

fn cut(mut address: [u8; 16], bits: u32) -> [u8; 16] {
    for bit in bits as usize..128 {
        address[bit / 8] &= !(0x80 >> (bit % 8));
    }
    address
}
