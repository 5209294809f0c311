//! The flow's hash: frames of one flow take one path, flows take all of them.

use crate::fixture::*;
use coax_sim::craft::{IPV4, IPV6, Ipv4, Ipv6, ethernet, udp};
use coax_sim::noise::{ipv4, ipv6, mac};
use coax_sim::{Device, Host, Stand};
use std::collections::BTreeSet;

fn host() -> Host {
    coax_sim::Scenario {
        rows: rows(),
        frames: Vec::new(),
        exhausted: Vec::new(),
    }
    .host(&Stand::default())
}

/// UDP source port of the tunnel packet.
#[track_caller]
fn source_port(host: &mut Host, frame: &[u8]) -> u16 {
    let outcome = host.port(index(Device::Vm1), frame);
    let packet = outcome.frame.expect("the frame goes into a tunnel");
    u16::from_be_bytes([packet[34], packet[35]])
}

fn udp_with_port(port: u16) -> Vec<u8> {
    let datagram = udp((ipv4(1).into(), port), (ipv4(4).into(), 80), b"flow");
    let packet = Ipv4::new(ipv4(1), ipv4(4), 17).packet(&datagram);
    ethernet(mac(4), mac(1), IPV4, &packet)
}

#[test]
fn source_ports_are_dynamic_ones_and_spread() {
    let mut host = host();
    let ports: Vec<u16> = (0..4096)
        .map(|port| source_port(&mut host, &udp_with_port(port)))
        .collect();
    assert!(ports.iter().all(|port| *port >= 49_152));
    let different: BTreeSet<u16> = ports.iter().copied().collect();
    // 4096 throws into 16384 places meet about 3625 of them.
    assert!(different.len() > 3400, "{}", different.len());
    for paths in [2, 3, 4, 8] {
        for path in 0..paths {
            let flows = ports.iter().filter(|port| **port % paths == path).count();
            let fair = 4096 / usize::from(paths);
            assert!(flows.abs_diff(fair) < fair / 4, "{flows} of {fair}");
        }
    }
}

#[test]
fn a_flow_keeps_its_port() {
    let mut host = host();
    let first = source_port(&mut host, &udp_with_port(5000));
    for _ in 0..10 {
        assert_eq!(source_port(&mut host, &udp_with_port(5000)), first);
    }
}

#[test]
fn all_fragments_of_a_datagram_go_one_way() {
    let mut host = host();
    let fragment = |offset: u16, payload: &[u8]| {
        let packet = Ipv4::new(ipv4(1), ipv4(4), 17).with_fragment(offset);
        ethernet(mac(4), mac(1), IPV4, &packet.packet(payload))
    };
    let first = source_port(&mut host, &fragment(0x2000, &[1; 16]));
    assert_eq!(source_port(&mut host, &fragment(0x2002, &[2; 16])), first);
    assert_eq!(source_port(&mut host, &fragment(0x0004, &[3; 16])), first);
}

#[test]
fn flows_over_ipv6_and_other_frames_spread_too() {
    let mut host = host();
    let over_ipv6: BTreeSet<u16> = (0..256)
        .map(|port| {
            let datagram = udp((ipv6(1).into(), port), (ipv6(4).into(), 80), b"flow");
            let packet = Ipv6::new(ipv6(1), ipv6(4), 17).packet(&datagram);
            source_port(&mut host, &ethernet(mac(4), mac(1), IPV6, &packet))
        })
        .collect();
    assert!(over_ipv6.len() > 240);
    let by_type: BTreeSet<u16> = (0x9000..0x9100)
        .map(|kind| source_port(&mut host, &ethernet(mac(4), mac(1), kind, b"other")))
        .collect();
    assert!(by_type.len() > 240);
}
