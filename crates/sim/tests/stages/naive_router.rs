//! Routing between random networks on two hosts, against a router that is written the slow way: each
//! prefix in turn, the longest one that matches wins, hops are subtracted, checksums summed anew.

use crate::router::{key, packet, with_hops};
use coax_sim::craft::{self, ethernet};
use coax_sim::network::Delivery;
use coax_sim::noise::{GATEWAY, mac};
use coax_sim::{Network, SimRows};
use coax_tables::{AddressKey, AddressRow, HostRow, MacRow, NetworkId, PortRow, RouteRow};
use coax_wire::ip;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ROUTER: u32 = 1 << 24;
/// The gateway's number in each network.
const GATE: u8 = 254;
/// The MTU of the sender's network, the largest of all.
const OWN_MTU: u32 = 1500;

/// Number `vm` in network `network`.
fn at(network: u32, ipv6: bool, vm: u8) -> IpAddr {
    if ipv6 {
        Ipv6Addr::new(0xfd00 + network as u16, 0, 0, 0, 0, 0, 0, vm.into()).into()
    } else {
        Ipv4Addr::new(10, 0, network as u8, vm).into()
    }
}

/// An address as a number, and how many bits it has.
fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

type Prefix = (IpAddr, u32);

fn holds((prefix, length): Prefix, address: IpAddr) -> bool {
    let ((prefix, bits), (address, others)) = (number(prefix), number(address));
    bits == others && (length == 0 || prefix >> (bits - length) == address >> (bits - length))
}

/// Where packets of a prefix go.
#[derive(Clone, Copy, Debug)]
enum Target {
    Unreachable,
    Network(u32),
    Via(u32, IpAddr),
}

/// A VM: its host and its network. The first one sends.
type Vm = (u8, u32);

#[derive(Clone, Debug)]
struct World {
    vms: Vec<Vm>,
    mtus: [u32; 3],
    routes: BTreeMap<Prefix, Target>,
}

/// What becomes of a packet.
#[derive(Debug, PartialEq)]
enum Fate {
    Arrives(Delivery),
    /// The sender hears of it: type, code, from whom, and the MTU that is told.
    Told(u8, u8, IpAddr, u32),
    Vanishes,
}

impl World {
    fn device(vm: usize) -> u32 {
        10 + vm as u32
    }

    fn owner(&self, network: u32, address: IpAddr) -> Option<usize> {
        let all = self.vms.iter().enumerate();
        all.filter(|(_, (_, home))| *home == network)
            .map(|(vm, _)| vm)
            .find(|vm| at(network, address.is_ipv6(), *vm as u8 + 1) == address)
    }

    /// The naive router.
    fn fate(&self, frame: &[u8], to: IpAddr, hops: u8) -> Fate {
        let ipv6 = to.is_ipv6();
        let own = self.vms[0].1;
        let told = |ipv4: (u8, u8), over_ipv6: (u8, u8), from, mtu| {
            let (kind, code) = if ipv6 { over_ipv6 } else { ipv4 };
            Fate::Told(kind, code, from, mtu)
        };
        let gateway = at(own, ipv6, GATE);
        let mut best: Option<(&Prefix, &Target)> = None;
        for candidate in &self.routes {
            let longer = best.is_none_or(|(best, _)| candidate.0.1 > best.1);
            if holds(*candidate.0, to) && longer {
                best = Some(candidate);
            }
        }
        let (network, next) = match best {
            None | Some((_, Target::Unreachable)) => return told((3, 0), (1, 0), gateway, 0),
            Some((_, Target::Network(network))) if to == at(*network, ipv6, GATE) => {
                return told((3, 3), (1, 4), to, 0);
            }
            Some((_, Target::Network(network))) => (*network, to),
            Some((_, Target::Via(network, next))) => (*network, *next),
        };
        let Some(vm) = self.owner(network, next) else {
            return told((3, 1), (1, 3), gateway, 0);
        };
        if vm == 0 {
            return Fate::Vanishes;
        }
        let mtu = self.mtus[network as usize];
        if frame.len() - 14 > mtu as usize {
            return told((3, 4), (2, 0), gateway, mtu);
        }
        if hops <= 1 {
            return told((11, 0), (3, 0), gateway, 0);
        }
        let mut packet = frame[14..].to_vec();
        if ipv6 {
            packet[7] = hops - 1;
        } else {
            packet = with_hops(packet, hops - 1);
        }
        Fate::Arrives(Delivery {
            host: format!("hv{}", self.vms[vm].0),
            ifindex: Self::device(vm),
            bytes: [
                &mac(vm as u8 + 1).0[..],
                &GATEWAY.0,
                &frame[12..14],
                &packet,
            ]
            .concat(),
        })
    }

    fn rows(&self, host: u8) -> SimRows {
        let mut rows = SimRows::new(HostRow {
            vtep_ipv4: [192, 0, 2, host],
            udp_port: 4789u16.to_be_bytes(),
            ..HostRow::default()
        });
        let other = ip::mapped([192, 0, 2, 1 - host]);
        for network in 0..3 {
            self.gateway(&mut rows, network);
            rows.tunnel(other, NetworkId(network + 1), 0);
        }
        for (vm, (home, network)) in self.vms.iter().enumerate() {
            let (local, id) = (*home == host, NetworkId(network + 1));
            let vm_mac = mac(vm as u8 + 1);
            let mtu = self.mtus[*network as usize];
            let (ifindex, slot) = (Self::device(vm), vm as u32 + 1);
            let row = MacRow {
                vtep: if local { [0; 16] } else { other },
                ifindex: if local { ifindex } else { 0 },
                slot: if local { slot } else { 0 },
                flags: if local { MacRow::LOCAL } else { 0 },
                mtu,
                ..MacRow::default()
            };
            rows.mac(id, vm_mac, row);
            let [ipv4, ipv6] = [false, true].map(|ipv6| key(at(*network, ipv6, vm as u8 + 1)));
            for address in [ipv4, ipv6] {
                rows.address(id, address, vm_mac);
            }
            let [.., a, b, c, d] = ipv4;
            let port = PortRow {
                network: id,
                slot,
                mtu,
                mac: vm_mac,
                scope: ROUTER,
                ipv4: [a, b, c, d],
                ipv6,
                ..PortRow::default()
            };
            if local {
                rows.port(ifindex, port);
            }
        }
        for ((prefix, length), target) in &self.routes {
            let mapped = if prefix.is_ipv4() { 96 } else { 0 };
            let row = match target {
                Target::Unreachable => RouteRow {
                    flags: RouteRow::UNREACHABLE,
                    ..RouteRow::default()
                },
                Target::Network(network) => RouteRow {
                    network: NetworkId(network + 1),
                    ..RouteRow::default()
                },
                Target::Via(network, next) => RouteRow {
                    network: NetworkId(network + 1),
                    gateway: key(*next),
                    flags: 0,
                },
            };
            rows.route(ROUTER, key(*prefix), length + mapped, row);
        }
        rows
    }

    fn gateway(&self, rows: &mut SimRows, number: u32) {
        let network = NetworkId(number + 1);
        let [IpAddr::V4(ipv4), IpAddr::V6(ipv6)] = [false, true].map(|ipv6| at(number, ipv6, GATE))
        else {
            panic!("one address of each family");
        };
        rows.network(network, self.mtus[number as usize], 0, &[]);
        let row = rows.networks.get_mut(&network).unwrap();
        (row.router, row.gateway_mac) = (ROUTER, GATEWAY);
        (row.gateway_ipv4, row.gateway_ipv6) = (ipv4.octets(), ipv6.octets());
        let flags = MacRow::ROUTER;
        rows.mac(
            network,
            GATEWAY,
            MacRow {
                flags,
                ..MacRow::default()
            },
        );
        for address in [ipv4.into(), ipv6.into()].map(key) {
            let row = AddressRow {
                mac: GATEWAY,
                flags: AddressRow::ROUTER,
            };
            rows.addresses.insert(AddressKey { address, network }, row);
        }
    }
}

/// Reads an ICMP error with somebody else's code, which verifies every checksum on the way.
fn read_error(answer: &[u8], about: &[u8]) -> Fate {
    assert_eq!(
        (&answer[..6], &answer[6..12]),
        (&mac(1).0[..], &GATEWAY.0[..])
    );
    let packet = SlicedPacket::from_ethernet(answer).unwrap();
    let (kind, code, from, rest, quote, most) = match (packet.net, packet.transport) {
        (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Icmpv4(icmp))) => {
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            assert_eq!(craft::checksum(&[icmp.slice()]), 0);
            let from = IpAddr::V4(ip.header().source_addr());
            let rest = u32::from_be_bytes(icmp.bytes5to8());
            (
                icmp.type_u8(),
                icmp.code_u8(),
                from,
                rest,
                icmp.payload().to_vec(),
                548,
            )
        }
        (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Icmpv6(icmp))) => {
            let (source, target) = (ip.header().source(), ip.header().destination());
            assert!(icmp.is_checksum_valid(source, target));
            let rest = u32::from_be_bytes(icmp.bytes5to8());
            (
                icmp.type_u8(),
                icmp.code_u8(),
                Ipv6Addr::from(source).into(),
                rest,
                icmp.payload().to_vec(),
                1232,
            )
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(quote, about[14..about.len().min(14 + most)]);
    Fate::Told(kind, code, from, rest)
}

fn prefixes() -> impl Strategy<Value = Prefix> {
    let prefix = |text: &str| {
        let (address, length) = text.split_once('/').unwrap();
        (address.parse().unwrap(), length.parse().unwrap())
    };
    let all = [
        "0.0.0.0/0",
        "10.0.0.0/8",
        "10.0.1.128/25",
        "10.0.1.2/32",
        "192.168.0.0/16",
        "192.168.7.0/24",
        "192.168.7.9/32",
        "::/0",
        "fd00::/8",
        "fd01::8000/113",
        "fd01::2/128",
        "2001:db8::/32",
        "2001:db8:7::/48",
        "2001:db8:7::9/128",
    ];
    select(all.map(prefix).to_vec())
}

fn targets() -> impl Strategy<Value = IpAddr> {
    let beyond = [
        "10.0.1.200",
        "10.9.9.9",
        "192.168.7.9",
        "192.168.7.10",
        "192.168.8.1",
        "198.51.100.1",
        "fd01::80ff",
        "fd99::9",
        "2001:db8:7::9",
        "2001:db8:7::10",
        "2001:db8:8::1",
        "3fff::1",
    ];
    let beyond = beyond.map(|text| text.parse().unwrap()).to_vec();
    let inside = (
        0u32..3,
        any::<bool>(),
        prop_oneof![3 => 1u8..10, 1 => Just(GATE)],
    );
    prop_oneof![
        select(beyond),
        inside.prop_map(|(network, ipv6, vm)| at(network, ipv6, vm)),
    ]
}

fn worlds() -> impl Strategy<Value = World> {
    let vms = proptest::collection::vec((0u8..2, 0u32..3), 2..8);
    let via = (0u32..3, 1u8..10, 0u8..10);
    let routes = proptest::collection::vec((prefixes(), via), 0..8);
    let mtus = proptest::array::uniform3(select(vec![1280, 1400, OWN_MTU]));
    (vms, mtus, routes).prop_map(|(vms, mut mtus, written)| {
        mtus[vms[0].1 as usize] = OWN_MTU;
        let mut routes = BTreeMap::new();
        for ((prefix, length), (network, vm, kind)) in written {
            let target = match kind {
                0 => Target::Unreachable,
                1 => Target::Via(network, at(network, prefix.is_ipv6(), GATE)),
                _ => Target::Via(network, at(network, prefix.is_ipv6(), vm)),
            };
            routes.insert((prefix, length), target);
        }
        for network in 0..3 {
            for (ipv6, length) in [(false, 24), (true, 64)] {
                routes.insert((at(network, ipv6, 0), length), Target::Network(network));
            }
        }
        World { vms, mtus, routes }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn packets_go_where_a_naive_router_sends_them(
        world in worlds(),
        packets in proptest::collection::vec(
            (targets(), select(vec![0u8, 1, 2, 64, 255]), 0usize..1400),
            1..20,
        ),
    ) {
        let mut network = Network::new();
        for host in 0..2 {
            network.add(&format!("hv{host}"), world.rows(host), 10..20);
        }
        let (home, own) = world.vms[0];
        for (to, hops, payload) in packets {
            let from = at(own, to.is_ipv6(), 1);
            let body = craft::udp((from, 1000), (to, 2000), &vec![b'x'; payload]);
            let packet = packet(from, to, 17, hops, &body);
            let ethertype = if to.is_ipv6() { craft::IPV6 } else { craft::IPV4 };
            let frame = ethernet(GATEWAY, mac(1), ethertype, &packet);
            let mut found = network.send(&format!("hv{home}"), World::device(0), &frame).unwrap();
            let found = match found.pop() {
                None => Fate::Vanishes,
                Some(one) if one.ifindex == World::device(0) => read_error(&one.bytes, &frame),
                Some(one) => Fate::Arrives(one),
            };
            prop_assert_eq!(found, world.fate(&frame, to, hops));
        }
    }
}
