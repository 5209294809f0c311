//! Routing between networks, as the kernels of the VMs see it: the gateway answers, packets arrive one
//! hop later, and what cannot go on is told by the gateway of the sender's network.

use crate::between::{Between, GATE, GATEWAY, LEFT, RIGHT, RIGHT_MTU, at, of_vm, route};
use crate::counters::wait_until;
use crate::raw;
use crate::traffic::{self, command, must};
use crate::tshark;
use coax_bench::rows::key_address;
use coax_bench::vm::Vm;
use coax_tables::{DropReason, SourceKey, SourceRow};
use coax_vswitch::Row;
use etherparse::{IpNumber, PacketBuilder};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

const FAMILIES: [bool; 2] = [false, true];

fn ping(options: &str, target: IpAddr) -> String {
    format!("ping -n -c 1 -W 5 {options}{target}")
}

#[tokio::test]
async fn the_gateway_answers_in_every_network() {
    let mut between = Between::build("gate", false).await;
    for (vm, ipv6) in [(1, false), (1, true), (2, false), (3, true)] {
        for network in [LEFT, RIGHT] {
            for size in [0, 56, 1300] {
                let said = must(
                    between.vm(vm),
                    &ping(&format!("-s {size} "), at(network, ipv6, GATE)),
                );
                assert!(said.contains("ttl=64"), "{said}");
            }
            must(between.vm(vm), &ping("-t 1 ", at(network, ipv6, GATE)));
        }
        let network = if vm == 1 { LEFT } else { RIGHT };
        let known = must(
            between.vm(vm),
            &format!("ip neigh show {}", at(network, ipv6, GATE)),
        );
        assert!(known.contains(&GATEWAY.to_string()), "{known}");
        if ipv6 {
            assert!(known.contains("router"), "RFC 4861 section 7.2.5: {known}");
        }
    }
    between.assert_accounted();
}

/// VM 2 is on another host, VM 3 on the same one.
async fn packets_cross(label: &str, over_ipv6: bool) {
    let mut between = Between::build(label, over_ipv6).await;
    for (vm, ipv6) in [(2, false), (2, true), (3, false), (3, true)] {
        let filter = "icmp[0] = 8 or (icmp6 and ip6[40] = 128)";
        let capture = between.capture(vm, filter);
        for (from, to) in [(1, vm), (vm, 1)] {
            let said = must(between.vm(from), &ping("", of_vm(to, ipv6)));
            assert!(said.contains("ttl=63"), "one hop each way: {said}");
        }
        let got = capture.until("the request", |got| !got.is_empty());
        let names = ["eth.src", "eth.dst", "ip.ttl", "ipv6.hlim"];
        let read = tshark::judged(&got[..1], &names);
        assert_eq!(read[0]["eth.src"][0], GATEWAY.to_string());
        assert_eq!(read[0]["eth.dst"][0], Vm::number(vm).mac.to_string());
        assert_eq!(read[0][if ipv6 { "ipv6.hlim" } else { "ip.ttl" }][0], "63");
        for (from, to) in [(1, vm), (vm, 1)] {
            let target = of_vm(to, ipv6);
            traffic::stream_between(between.vm(from), between.vm(to), target, 2 << 20);
        }
    }
    between.assert_accounted();
}

#[tokio::test]
async fn packets_cross_networks_on_one_host_and_on_two() {
    packets_cross("cross4", false).await;
}

#[tokio::test]
async fn packets_cross_networks_over_an_ipv6_fabric() {
    packets_cross("cross6", true).await;
}

/// What ping says when its packet comes to nothing, and the message as tshark reads it.
fn told(between: &Between, options: &str, target: IpAddr) -> (String, tshark::Fields) {
    let capture = between.capture(1, "icmp or (icmp6 and ip6[40] < 128)");
    let (done, said) = command(between.vm(1), &ping(options, target));
    assert!(!done, "{said}");
    let got = capture.until("the message", |got| !got.is_empty());
    let names = [
        "icmp.type",
        "icmp.code",
        "icmp.mtu",
        "icmpv6.type",
        "icmpv6.code",
        "icmpv6.mtu",
        "ip.src",
        "ipv6.src",
        "ip.ttl",
        "ipv6.hlim",
        "eth.src",
    ];
    let mut read = tshark::judged(&got[..1], &names);
    (said, read.remove(0))
}

/// VM 1 hears an error of this type and code from its gateway, and ping understands it.
fn refused(between: &Between, options: &str, target: IpAddr, kinds: [(u8, u8); 2], words: &str) {
    let ipv6 = target.is_ipv6();
    let (said, message) = told(between, options, target);
    let gateway = at(LEFT, ipv6, GATE).to_string();
    assert!(said.contains(&gateway), "{said}");
    assert!(said.to_lowercase().contains(words), "{said}");
    let (kind, code) = kinds[usize::from(ipv6)];
    let [names, hops, from] = if ipv6 {
        [
            ["icmpv6.type", "icmpv6.code"],
            ["ipv6.hlim", ""],
            ["ipv6.src", ""],
        ]
    } else {
        [["icmp.type", "icmp.code"], ["ip.ttl", ""], ["ip.src", ""]]
    };
    assert_eq!(message[names[0]][0], kind.to_string(), "{message:?}");
    assert_eq!(message[names[1]][0], code.to_string(), "{message:?}");
    assert_eq!(message[hops[0]][0], "64");
    assert_eq!(message[from[0]][0], gateway);
    assert_eq!(message["eth.src"][0], GATEWAY.to_string());
}

#[tokio::test]
async fn a_trace_of_the_route_sees_the_gateway() {
    let mut between = Between::build("trace", false).await;
    for (vm, ipv6) in [(2, false), (2, true), (3, false), (3, true)] {
        let target = of_vm(vm, ipv6);
        let words = if ipv6 {
            "hop limit"
        } else {
            "time to live exceeded"
        };
        refused(&between, "-t 1 ", target, [(11, 0), (3, 0)], words);
        must(between.vm(1), &ping("-t 2 ", target));
    }
    between.assert_accounted();
}

#[tokio::test]
async fn what_leads_nowhere_is_told_so() {
    let mut between = Between::build("nowhere", false).await;
    for ipv6 in FAMILIES {
        let (far, words, near) = if ipv6 {
            ("2001:db8:9::1", "no route", "address unreachable")
        } else {
            ("198.51.100.7", "net unreachable", "host unreachable")
        };
        refused(&between, "", far.parse().unwrap(), [(3, 0), (1, 0)], words);
        refused(&between, "", at(RIGHT, ipv6, 77), [(3, 1), (1, 3)], near);
    }
    between.assert_accounted();
}

/// A route to everywhere of one family is none for the other, and leads over a VM that forwards.
#[tokio::test]
async fn a_static_route_leads_over_a_vm_for_its_own_family() {
    let mut between = Between::build("static", false).await;
    let everywhere = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let behind = Row::Source(
        SourceKey {
            address: key_address("2001:db8:9::1".parse().unwrap()),
            slot: 1,
        },
        SourceRow {
            mac: Vm::number(2).mac,
            flags: 0,
        },
    );
    between.put(&[route(everywhere, 0, RIGHT, Some(of_vm(2, true))), behind]);
    must(between.vm(2), "ip addr add 2001:db8:9::1/128 dev lo");
    // The kernel takes an address into use in the background.
    wait_until("the address is VM 2's own", || {
        command(between.vm(2), "ip -6 route get 2001:db8:9::1")
            .1
            .contains("local")
    });
    let said = must(between.vm(1), &ping("", "2001:db8:9::1".parse().unwrap()));
    assert!(said.contains("ttl=63"), "{said}");
    let far = "198.51.100.7".parse().unwrap();
    refused(&between, "", far, [(3, 0), (1, 0)], "net unreachable");
    between.assert_accounted();
}

#[tokio::test]
async fn the_router_says_what_the_next_network_carries() {
    let mut between = Between::build("narrow", false).await;
    for ipv6 in FAMILIES {
        let target = of_vm(2, ipv6);
        let headers = if ipv6 { 48 } else { 28 };
        let size = |packet: u32| format!("-M do -s {} ", packet - headers);
        let words = format!("mtu = {RIGHT_MTU}");
        let (said, message) = told(&between, &size(RIGHT_MTU + 1), target);
        let said = said
            .to_lowercase()
            .replace("mtu=", "mtu = ")
            .replace("mtu: ", "mtu = ");
        assert!(said.contains(&words), "{said}");
        assert!(said.contains(&at(LEFT, ipv6, GATE).to_string()), "{said}");
        let mtu = if ipv6 { "icmpv6.mtu" } else { "icmp.mtu" };
        assert_eq!(message[mtu][0], RIGHT_MTU.to_string());
        must(between.vm(1), &ping(&size(RIGHT_MTU), target));
    }
    between.assert_accounted();
}

#[tokio::test]
async fn a_stream_into_a_narrower_network_goes_on() {
    let mut between = Between::build("narrows", false).await;
    for (vm, ipv6) in [(2, false), (3, true)] {
        // The receiver's own MTU would hide what is to be seen.
        let target = of_vm(vm, ipv6);
        traffic::stream_between(between.vm(1), between.vm(vm), target, 1 << 20);
        let said = must(between.vm(1), &format!("ip route get {target}"));
        assert!(said.contains(&format!("mtu {RIGHT_MTU}")), "{said}");
    }
    between.assert_accounted();
}

#[tokio::test]
async fn closed_ports_of_the_gateway_refuse() {
    let between = Between::build("closed", false).await;
    for ipv6 in FAMILIES {
        let any: SocketAddr = if ipv6 { "[::]:0" } else { "0.0.0.0:0" }.parse().unwrap();
        let target = SocketAddr::new(at(LEFT, ipv6, GATE), 4000);
        let error = between
            .vm(1)
            .run(move || {
                let socket = UdpSocket::bind(any)?;
                socket.set_read_timeout(Some(Duration::from_secs(5)))?;
                socket.connect(target)?;
                socket.send(b"anybody?")?;
                socket.recv(&mut [0; 8])
            })
            .unwrap()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}

/// A frame of VM 1 to its gateway.
fn frame(from: IpAddr, to: IpAddr, protocol: u8, hops: u8, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(Vm::number(1).mac.0, GATEWAY.0);
    let builder = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => builder.ipv4(from.octets(), to.octets(), hops),
        (IpAddr::V6(from), IpAddr::V6(to)) => builder.ipv6(from.octets(), to.octets(), hops),
        _ => panic!("{from} and {to} are of two families"),
    };
    let mut frame = Vec::new();
    builder
        .write(&mut frame, IpNumber(protocol), payload)
        .unwrap();
    frame
}

/// About errors, later fragments, groups and link-local addresses nothing is said, and none of them
/// comes out of the router. A wrong checksum ends a packet.
#[tokio::test]
async fn what_a_router_must_not_forward_ends_in_silence() {
    let mut between = Between::build("mute", false).await;
    let (own4, own6) = (of_vm(1, false), of_vm(1, true));
    let (to4, to6) = (of_vm(3, false), of_vm(3, true));
    let link_local = IpAddr::V6(Vm::number(1).link_local());
    let error4 = [&[3, 1, 0, 0, 0, 0, 0, 0][..], &[0; 28]].concat();
    let error6 = [&[1, 4, 0, 0, 0, 0, 0, 0][..], &[0; 48]].concat();
    let mut later = frame(own4, to4, 17, 1, &[0; 40]);
    raw::change_ipv4(&mut later, |ip| ip.fragment_offset = 8.try_into().unwrap());
    let mut wrong = frame(own4, to4, 17, 64, &[0; 40]);
    wrong[24] ^= 1;
    let group4 = IpAddr::V4(Ipv4Addr::new(239, 1, 1, 1));
    let group6: IpAddr = "ff0e::1".parse().unwrap();
    let frames = [
        (
            "an error",
            frame(own4, to4, 1, 1, &error4),
            DropReason::TimeToLive,
        ),
        (
            "an ICMPv6 error",
            frame(own6, to6, 58, 1, &error6),
            DropReason::TimeToLive,
        ),
        ("a later fragment", later, DropReason::TimeToLive),
        ("a wrong checksum", wrong, DropReason::Malformed),
        (
            "a group",
            frame(own4, group4, 17, 64, &[0; 40]),
            DropReason::NotRoutable,
        ),
        (
            "an IPv6 group",
            frame(own6, group6, 17, 64, &[0; 40]),
            DropReason::NotRoutable,
        ),
        (
            "a link-local source",
            frame(link_local, to6, 17, 64, &[0; 40]),
            DropReason::NotRoutable,
        ),
    ];
    let heard = between.capture(1, "icmp or (icmp6 and ip6[40] < 128)");
    let arrived = between.capture(3, "ip or ip6");
    for (about, frame, reason) in frames {
        let before = between.dropped(1, reason);
        raw::send(between.vm(1), "eth0", &[frame]);
        wait_until(about, || between.dropped(1, reason) == before + 1);
    }
    assert_eq!(heard.finish().len(), 0);
    let frames = arrived.finish();
    let of_vm1 = |frame: &&Vec<u8>| frame[6..12] == GATEWAY.0;
    assert_eq!(frames.iter().filter(of_vm1).count(), 0);
    between.assert_accounted();
}

#[tokio::test]
async fn errors_come_at_a_limited_rate() {
    let mut between = Between::build("rate", false).await;
    // Each port has a limit of its own, so neither family finds it used up.
    for (ipv6, vm, network) in [(false, 1, RIGHT), (true, 3, LEFT)] {
        let heard = between.capture(vm, "icmp or (icmp6 and ip6[40] < 128)");
        let mut packet = frame(of_vm(vm, ipv6), at(network, ipv6, 77), 17, 64, &[0; 40]);
        packet[6..12].copy_from_slice(&Vm::number(vm).mac.0);
        let before = between.dropped(vm, DropReason::NoNeighbour);
        let start = Instant::now();
        raw::send(between.vm(vm), "eth0", &vec![packet; 2000]);
        let mut silent = 0;
        wait_until("most are dropped", || {
            silent = between.dropped(vm, DropReason::NoNeighbour) - before;
            silent > 1000
        });
        let got = heard.finish().len() as u64;
        let most = 50 + start.elapsed().as_millis() as u64 / 10 + 1;
        assert!(got <= most && got >= 10, "{got} of at most {most}");
    }
    between.assert_accounted();
}
