//! Address resolution at the edge, as the kernel of a VM sees it: questions are answered by the
//! host, probes for addresses in use are, probes and announcements of own addresses are not.

use crate::capture::Capture;
use crate::counters::{assert_accounted, port_drops, since, wait_until};
use crate::guarded::lift_guards;
use crate::raw::{self, About};
use crate::traffic::must;
use crate::tshark;
use coax_bench::pair::Pair;
use coax_bench::plan::{Peer, Plan, Side};
use coax_bench::vm::Vm;
use coax_tables::DropReason;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Nobody forwards on the second host: every answer comes from the edge.
async fn alone(label: &str) -> Pair {
    let plan = Plan::new(label, [Side::Coax(Peer::Coax), Side::Bare]);
    Pair::build_plan(&plan).await.unwrap()
}

fn arp(operation: u8, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let vm = Vm::number(1);
    let message = [
        &[0, 1, 8, 0, 6, 4, 0, operation][..],
        &vm.mac.0,
        &sender.octets(),
        &[0; 6],
        &target.octets(),
    ]
    .concat();
    raw::ethernet([0xff; 6], vm.mac.0, &[8, 6], &message)
}

/// A neighbour solicitation (135) or advertisement (136) of VM 1 with a right checksum.
fn discovery(kind: u8, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c] = target.octets();
    let destination = if kind == 136 {
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)
    } else {
        let low = u16::from_be_bytes([b, c]);
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low)
    };
    let [.., e, f, g, h] = destination.octets();
    let mut frame = Vec::new();
    etherparse::PacketBuilder::ethernet2(Vm::number(1).mac.0, [0x33, 0x33, e, f, g, h])
        .ipv6(source.octets(), destination.octets(), 255)
        .icmpv6_raw(kind, 0, [0; 4])
        .write(&mut frame, &target.octets())
        .unwrap();
    frame
}

async fn drops_for(pair: &mut Pair, about: &str, frame: Vec<u8>, reason: DropReason) {
    let before = port_drops(pair);
    raw::send(&pair.vms[0], "eth0", &[frame]);
    wait_until(about, || {
        since(&before, port_drops(pair)).get(&reason) == Some(&1)
    });
}

#[tokio::test]
async fn a_vms_kernel_takes_the_answers() {
    let mut pair = alone("answers").await;
    let uplink = Capture::of_uplink(&pair, "udp port 4789");
    let own = Vm::number(2);
    for (place, ipv6) in [(0, false), (1, true)] {
        let target = SocketAddr::new(own.address(ipv6), 40000);
        pair.vms[0]
            .run(move || {
                let any: SocketAddr = if ipv6 { "[::]:0" } else { "0.0.0.0:0" }.parse().unwrap();
                UdpSocket::bind(any).unwrap().send_to(b"who is it?", target)
            })
            .unwrap()
            .unwrap();
        wait_until("the kernel knows the owner", || {
            let known = must(&pair.vms[0], &format!("ip neigh show {}", target.ip()));
            known.contains(&own.mac.to_string())
        });
        uplink.until("the datagram", |got| {
            kinds(got).filter(|kind| *kind == About::Udp(40000)).count() > place
        });
    }
    let heard = uplink.finish();
    assert_eq!(
        kinds(&heard)
            .filter(|kind| *kind == About::Question)
            .count(),
        0
    );
    assert_eq!(
        kinds(&heard).filter(|kind| *kind == About::Answer).count(),
        0
    );
    assert_accounted(&mut pair);
}

/// What the tunnel packets are about.
fn kinds(packets: &[Vec<u8>]) -> impl Iterator<Item = About> {
    packets
        .iter()
        .map(|packet| raw::about(raw::unwrap(packet).1))
}

#[tokio::test]
async fn probes_for_addresses_in_use_are_answered() {
    let mut pair = alone("probes").await;
    let other = Vm::number(2);
    let filter = format!("ether src {}", other.mac);
    let capture = Capture::of_vm(&pair, 0, &filter);
    let probe = arp(1, Ipv4Addr::UNSPECIFIED, other.ipv4);
    raw::send(&pair.vms[0], "eth0", &[probe]);
    capture.until("the owner's answer", |got| !got.is_empty());
    let probe = discovery(135, Ipv6Addr::UNSPECIFIED, other.ipv6);
    raw::send(&pair.vms[0], "eth0", &[probe]);
    let got = capture.until("the owner's advertisement", |got| got.len() > 1);
    let arp = [
        "arp.opcode",
        "arp.src.hw_mac",
        "arp.src.proto_ipv4",
        "eth.dst",
    ];
    let discovery = [
        "ipv6.dst",
        "icmpv6.type",
        "icmpv6.nd.na.flag.s",
        "icmpv6.nd.na.flag.o",
    ];
    let read = tshark::judged(&got, &[arp, discovery].concat());
    assert_eq!(read[0]["arp.opcode"], ["2"]);
    assert_eq!(read[0]["arp.src.hw_mac"], [other.mac.to_string()]);
    assert_eq!(read[0]["arp.src.proto_ipv4"], [other.ipv4.to_string()]);
    assert_eq!(read[0]["eth.dst"], [Vm::number(1).mac.to_string()]);
    // The whole network hears it, nobody asked for it, and it counts more than what is in caches.
    assert_eq!(read[1]["ipv6.dst"], ["ff02::1"]);
    assert_eq!(read[1]["icmpv6.type"], ["136"]);
    assert_eq!(read[1]["icmpv6.nd.na.flag.s"], ["0"]);
    assert_eq!(read[1]["icmpv6.nd.na.flag.o"], ["1"]);
    assert_accounted(&mut pair);
}

/// The kernel's own duplicate address detection (RFC 4862 section 5.4) is the judge.
#[tokio::test]
async fn duplicate_address_detection_finds_duplicates_and_only_them() {
    let pair = alone("dad").await;
    for (key, value) in [("accept_dad", "1"), ("dad_transmits", "2")] {
        let key = format!("net.ipv6.conf.eth0.{key}");
        pair.vms[0].write_sysctl(&key, value).unwrap();
    }
    pair.vms[0]
        .write_sysctl("net.ipv6.neigh.eth0.retrans_time_ms", "100")
        .unwrap();
    let (own, others) = (Vm::number(1).ipv6, Vm::number(2).ipv6);
    must(&pair.vms[0], &format!("ip addr del {own}/64 dev eth0"));
    for address in [own, others] {
        must(&pair.vms[0], &format!("ip addr add {address}/64 dev eth0"));
    }
    let state =
        |address: Ipv6Addr| must(&pair.vms[0], &format!("ip addr show dev eth0 to {address}"));
    wait_until("the duplicate is found", || {
        state(others).contains("dadfailed")
    });
    wait_until("the own address is free", || {
        !state(own).contains("tentative")
    });
    assert!(!state(own).contains("dadfailed"));
}

#[tokio::test]
async fn what_is_ones_own_stays_at_the_edge_unanswered() {
    let mut pair = alone("own").await;
    let vm = Vm::number(1);
    let answers = Capture::of_vm(&pair, 0, "arp or icmp6");
    let uplink = Capture::of_uplink(&pair, "udp port 4789");
    let own = DropReason::OwnAddress;
    let cases = [
        ("a probe", arp(1, Ipv4Addr::UNSPECIFIED, vm.ipv4), own),
        ("an announcement", arp(1, vm.ipv4, vm.ipv4), own),
        (
            "an announcement as an answer",
            arp(2, vm.ipv4, vm.ipv4),
            own,
        ),
        (
            "duplicate address detection",
            discovery(135, Ipv6Addr::UNSPECIFIED, vm.ipv6),
            own,
        ),
        ("an advertisement", discovery(136, vm.ipv6, vm.ipv6), own),
        (
            "a question for nobody's address",
            arp(1, vm.ipv4, Ipv4Addr::new(10, 10, 0, 99)),
            DropReason::UnknownAddress,
        ),
        (
            "a solicitation for nobody's address",
            discovery(135, vm.ipv6, "fd00:10::99".parse().unwrap()),
            DropReason::UnknownAddress,
        ),
    ];
    for (about, frame, reason) in cases {
        drops_for(&mut pair, about, frame, reason).await;
    }
    assert_accounted(&mut pair);
    assert_eq!(answers.finish(), Vec::<Vec<u8>>::new());
    let crossed = kinds(&uplink.finish())
        .filter(|kind| *kind != About::Else)
        .count();
    assert_eq!(crossed, 0);
}

#[tokio::test]
async fn false_solicitations_are_refused() {
    let mut pair = alone("false").await;
    let (vm, other) = (Vm::number(1), Vm::number(2));
    let answers = Capture::of_vm(&pair, 0, "arp or icmp6");
    let good = discovery(135, vm.ipv6, other.ipv6);
    let with = |at: usize, value: u8| {
        let mut frame = good.clone();
        frame[at] = value;
        frame
    };
    let cases = [
        ("hop limit 64: not from this link", with(21, 64)),
        ("code 1", with(55, 1)),
        ("a wrong checksum", with(56, !good[56])),
    ];
    for (about, frame) in cases {
        drops_for(&mut pair, about, frame, DropReason::Malformed).await;
    }
    let mut short = arp(1, vm.ipv4, other.ipv4);
    short.truncate(14 + 20);
    drops_for(&mut pair, "half an ARP", short, DropReason::Truncated).await;
    assert_accounted(&mut pair);
    // The right one is answered, and it is the only one.
    raw::send(&pair.vms[0], "eth0", &[good]);
    answers.until("the answer", |got| !got.is_empty());
    assert_eq!(answers.finish().len(), 1);
}

/// ARP for anything but IPv4 over Ethernet, and RARP, in which a hypervisor says where a VM is now.
#[tokio::test]
async fn questions_in_other_languages_are_carried() {
    let mut pair = alone("babel").await;
    lift_guards(&mut pair);
    let (vm, other) = (Vm::number(1), Vm::number(2));
    let arp = arp(1, vm.ipv4, other.ipv4);
    let with = |at: usize, value: u8| {
        let mut frame = arp.clone();
        frame[at] = value;
        frame
    };
    let mut rarp = with(21, 3);
    rarp[12..14].copy_from_slice(&[0x80, 0x35]);
    let frames = [with(15, 6), with(16, 0x86), with(18, 8), rarp];
    let uplink = Capture::of_uplink(&pair, "udp port 4789");
    raw::send(&pair.vms[0], "eth0", &frames);
    for frame in &frames {
        uplink.until("the question as it was", |got| {
            got.iter().any(|packet| raw::unwrap(packet).1 == frame)
        });
    }
    assert_accounted(&mut pair);
}

/// A question to one VM alone, by which kernels see whether it is still there, is answered as any
/// other: the manager knows.
#[tokio::test]
async fn reachability_is_confirmed_at_the_edge() {
    let mut pair = alone("reach").await;
    let (vm, other) = (Vm::number(1), Vm::number(2));
    let answers = Capture::of_vm(&pair, 0, "arp or icmp6");
    let uplink = Capture::of_uplink(&pair, "udp port 4789");
    let mut questions = [
        arp(1, vm.ipv4, other.ipv4),
        discovery(135, vm.ipv6, other.ipv6),
    ];
    for question in &mut questions {
        question[..6].copy_from_slice(&other.mac.0);
    }
    raw::send(&pair.vms[0], "eth0", &questions);
    answers.until("both answers", |got| {
        got.iter()
            .filter(|frame| raw::about(frame) == About::Answer)
            .count()
            == 2
    });
    assert_eq!(
        kinds(&uplink.finish())
            .filter(|kind| *kind == About::Question)
            .count(),
        0
    );
    assert_accounted(&mut pair);
}
