//! Many hosts: who may reach whom is all that decides what arrives where.

use coax_sim::craft::{EXPERIMENT, ethernet};
use coax_sim::network::Delivery;
use coax_sim::noise::mac;
use coax_sim::rows::Receiver;
use coax_sim::{Network, SimRows};
use coax_tables::{DropReason, FABRIC_SLOT, HostRow, MacRow, NetworkId, PortRow};
use coax_wire::{MacAddress, ip};
use proptest::prelude::*;
use std::collections::BTreeSet;

const UDP_PORT: [u8; 2] = 4789u16.to_be_bytes();

fn vtep(host: u8, over_ipv6: bool) -> [u8; 16] {
    if over_ipv6 {
        [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]
    } else {
        ip::mapped([192, 0, 2, host])
    }
}

/// A VM: its host and its network.
type Vm = (u8, u32);

/// Rows of one host, worked out the slow way. VM number n has the device 10 + n.
fn rows(host: u8, vms: &[Vm], ipv6_hosts: &BTreeSet<u8>) -> SimRows {
    let mut rows = SimRows::new(HostRow {
        vtep_ipv6: vtep(host, true),
        vtep_ipv4: [192, 0, 2, host],
        udp_port: UDP_PORT,
        flags: 0,
        ..HostRow::default()
    });
    let networks: BTreeSet<u32> = vms.iter().map(|(_, network)| *network).collect();
    for id in networks.into_iter().map(NetworkId) {
        let members = || {
            let all = vms.iter().enumerate();
            all.filter(|(_, (_, network))| *network == id.0)
                .map(|(number, (home, _))| (number as u8, *home))
        };
        if !members().any(|(_, home)| home == host) {
            continue;
        }
        let mut receivers = Vec::new();
        let mut homes = BTreeSet::new();
        for (number, home) in members() {
            let (ifindex, slot) = (10 + u32::from(number), 1 + u32::from(number));
            let over_ipv6 = ipv6_hosts.contains(&home) || ipv6_hosts.contains(&host);
            let local = home == host;
            let row = MacRow {
                vtep: if local {
                    [0; 16]
                } else {
                    vtep(home, over_ipv6)
                },
                ifindex: if local { ifindex } else { 0 },
                slot: if local { slot } else { 0 },
                mtu: 1500,
                flags: match (local, over_ipv6) {
                    (true, _) => MacRow::LOCAL,
                    (false, true) => MacRow::IPV6,
                    (false, false) => 0,
                },
                ..MacRow::default()
            };
            rows.mac(id, mac(number), row);
            if local {
                receivers.push(Receiver::Port { ifindex, slot });
                let port = PortRow {
                    network: id,
                    slot,
                    mtu: 1500,
                    mac: mac(number),
                    flags: 0,
                    ..PortRow::default()
                };
                rows.port(ifindex, port);
            } else if homes.insert(home) {
                receivers.push(Receiver::Host(vtep(home, over_ipv6)));
                rows.tunnel(vtep(home, over_ipv6), id, 0);
            }
        }
        rows.network(id, 1500, 0, &receivers);
    }
    rows
}

fn build(vms: &[Vm], ipv6_hosts: &BTreeSet<u8>) -> Network {
    let mut network = Network::new();
    for host in 0..8 {
        let ports = (0..vms.len() as u32).map(|number| 10 + number);
        network.add(&format!("hv{host}"), rows(host, vms, ipv6_hosts), ports);
    }
    network
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    /// The naive model: unicast reaches the VM with the address if it is in the sender's network,
    /// a broadcast every other VM of the network once, and nobody hears anything else.
    #[test]
    fn frames_reach_exactly_whom_the_networks_allow(
        vms in proptest::collection::vec((0u8..8, 1u32..4), 2..24),
        ipv6_hosts in proptest::collection::btree_set(0u8..8, 0..5),
        talks in proptest::collection::vec((0usize..24, 0usize..24, any::<bool>()), 1..40),
    ) {
        let mut network = build(&vms, &ipv6_hosts);
        for (from, to, to_all) in talks {
            let (from, to) = (from % vms.len(), to % vms.len());
            let to_mac = if to_all { MacAddress::BROADCAST } else { mac(to as u8) };
            let frame = ethernet(to_mac, mac(from as u8), EXPERIMENT, b"hello");
            let host = format!("hv{}", vms[from].0);
            let mut found = network.send(&host, 10 + from as u32, &frame).unwrap();
            found.sort();
            let mut expected: Vec<Delivery> = vms
                .iter()
                .enumerate()
                .filter(|(number, vm)| *number != from && vm.1 == vms[from].1 && (to_all || *number == to))
                .map(|(number, vm)| Delivery {
                    host: format!("hv{}", vm.0),
                    ifindex: 10 + number as u32,
                    bytes: frame.clone(),
                })
                .collect();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}

#[test]
fn two_hosts_that_forward_to_each_other_stop_when_the_hops_are_used_up() {
    let mut network = build(&[(0, 1), (1, 1), (2, 1)], &BTreeSet::new());
    for (host, other) in [(1, 2), (2, 1)] {
        let rows = &mut network.host(&format!("hv{host}")).unwrap().tables.rows;
        let row = MacRow {
            vtep: vtep(other, false),
            mtu: 1500,
            flags: MacRow::FORWARD,
            ..MacRow::default()
        };
        rows.mac(NetworkId(1), mac(1), row);
    }
    let frame = ethernet(mac(1), mac(0), EXPERIMENT, b"hot potato");
    assert_eq!(network.send("hv0", 10, &frame), Ok(Vec::new()));
    let dropped = |network: &mut Network, host| {
        let tally = network.host(host).unwrap().sink.tally(FABRIC_SLOT);
        tally.drops.get(&DropReason::NotHere).copied().unwrap_or(0)
    };
    let (one, other) = (dropped(&mut network, "hv1"), dropped(&mut network, "hv2"));
    assert_eq!(one + other, 1);
    let sent = |network: &mut Network, host| {
        let tally = network.host(host).unwrap().sink.tally(FABRIC_SLOT);
        tally.counters.sent_frames
    };
    assert_eq!(sent(&mut network, "hv1") + sent(&mut network, "hv2"), 63);
}
