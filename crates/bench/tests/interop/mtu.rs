//! Packets that are too large: the VM is told from inside its network, its connections go on, and
//! nothing is fragmented.

use crate::capture::Capture;
use crate::counters::{assert_accounted, port_drops, wait_until};
use crate::guarded::lift_guards;
use crate::traffic::{self, command, must};
use crate::{raw, tshark};
use coax_bench::pair::Pair;
use coax_bench::plan::{Checksums, Peer, Plan, Side};
use coax_bench::vm::Vm;
use coax_tables::DropReason;

/// VMs that believe in jumbo frames, in a network that does not carry them.
async fn believers(label: &str, over_ipv6: bool) -> Pair {
    let other = Side::KernelVxlan(Checksums::Zero);
    let mut plan = Plan::new(label, [Side::Coax(Peer::Foreign), other]).over_ipv6(over_ipv6);
    plan.vm_mtu = 9000;
    Pair::build_plan(&plan).await.unwrap()
}

/// What the VM's kernel believes about the path to the other VM.
fn path_mtu(pair: &Pair, ipv6: bool) -> Option<u32> {
    let target = Vm::number(2).address(ipv6);
    let said = must(&pair.vms[0], &format!("ip route get {target}"));
    let words: Vec<_> = said.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "mtu")?;
    words[at + 1].parse().ok()
}

#[tokio::test]
async fn a_stream_of_a_vm_with_a_too_large_mtu_goes_on() {
    let mut pair = believers("big", false).await;
    for ipv6 in [false, true] {
        traffic::stream(&pair, 0, ipv6, 1 << 20);
        assert_eq!(path_mtu(&pair, ipv6), Some(1500));
        assert!(port_drops(&mut pair).is_empty(), "answered is not dropped");
    }
    assert_accounted(&mut pair);
}

#[tokio::test]
async fn a_stream_goes_on_over_an_ipv6_fabric() {
    let mut pair = believers("big6", true).await;
    for ipv6 in [false, true] {
        traffic::stream(&pair, 0, ipv6, 1 << 20);
        assert_eq!(path_mtu(&pair, ipv6), Some(1500));
    }
    assert_accounted(&mut pair);
}

#[tokio::test]
async fn ping_is_told_the_networks_mtu() {
    let pair = believers("bigping", false).await;
    for (ipv6, size, wanted) in [(false, 1473, "mtu = 1500"), (true, 1453, "mtu: 1500")] {
        let target = Vm::number(2).address(ipv6);
        let ping = |size: u32| format!("ping -n -c 1 -W 5 -M do -s {size} {target}");
        let (done, said) = command(&pair.vms[0], &ping(size));
        let said = said.replace("mtu=", "mtu: ");
        assert!(!done && said.contains(wanted), "{said}");
        assert!(said.contains(&format!("From {target}")), "{said}");
        must(&pair.vms[0], &ping(size - 1));
    }
}

/// The two messages as tshark reads them.
#[tokio::test]
async fn the_message_is_as_the_standards_want_it() {
    let mut pair = believers("bigwire", false).await;
    let filter = "icmp or (icmp6 and ip6[40] = 2)";
    let capture = Capture::of_vm(&pair, 0, filter);
    let (vm1, vm2) = (Vm::number(1), Vm::number(2));
    let payload = traffic::noise(2000, 5);
    let sent = [false, true].map(|ipv6| raw::datagram(&vm1, &vm2, ipv6, 0xb8, &payload));
    raw::send(&pair.vms[0], "eth0", &sent);
    let mut got = capture.until("two messages", |got| got.len() >= 2);
    got.sort_by_key(|frame| frame[12..14].to_vec());
    let names = [
        "icmp.type",
        "icmp.code",
        "icmp.mtu",
        "icmpv6.type",
        "icmpv6.mtu",
    ];
    let addresses = [
        "eth.src", "eth.dst", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst",
    ];
    let read = tshark::judged(&got, &[&names[..], &addresses].concat());
    for (place, message) in read.iter().enumerate() {
        let is = |field: &str, value: &str| assert_eq!(message[field][0], value, "{field}");
        is("eth.src", &vm2.mac.to_string());
        is("eth.dst", &vm1.mac.to_string());
        let (from, to) = if place == 0 {
            is("icmp.type", "3");
            is("icmp.code", "4");
            is("icmp.mtu", "1500");
            ("ip.src", "ip.dst")
        } else {
            is("icmpv6.type", "2");
            is("icmpv6.mtu", "1500");
            ("ipv6.src", "ipv6.dst")
        };
        is(from, &vm2.address(place == 1).to_string());
        is(to, &vm1.address(place == 1).to_string());
        let headers = if place == 0 { 14 + 20 + 8 } else { 14 + 40 + 8 };
        let quote = &got[place][headers..];
        assert_eq!(*quote, sent[place][14..14 + quote.len()], "the quote");
        assert!(quote.len() >= 48, "enough to find the socket");
    }
    assert_accounted(&mut pair);
}

#[tokio::test]
async fn nothing_is_said_about_errors_groups_and_other_protocols() {
    let mut pair = believers("bigmute", false).await;
    lift_guards(&mut pair);
    let (vm1, vm2) = (Vm::number(1), Vm::number(2));
    let payload = traffic::noise(2000, 6);
    let with = |change: &dyn Fn(&mut etherparse::Ipv4Header)| {
        let mut frame = raw::datagram(&vm1, &vm2, false, 0, &payload);
        raw::change_ipv4(&mut frame, change);
        frame
    };
    let mut icmp_error = with(&|ip| ip.protocol = etherparse::IpNumber::ICMP);
    icmp_error[34..36].copy_from_slice(&[3, 1]);
    let mut icmpv6_error = raw::datagram(&vm1, &vm2, true, 0, &payload);
    icmpv6_error[20] = 58;
    icmpv6_error[54..56].copy_from_slice(&[1, 4]);
    let mut broadcast = with(&|ip| ip.destination = [255; 4]);
    broadcast[..6].fill(0xff);
    let frames = [
        icmp_error,
        icmpv6_error,
        broadcast,
        with(&|ip| ip.fragment_offset = 8.try_into().unwrap()),
        with(&|ip| ip.source = [224, 0, 0, 1]),
        raw::ethernet(vm2.mac.0, vm1.mac.0, &[0x88, 0xb5], &payload),
    ];
    let capture = Capture::of_vm(&pair, 0, "icmp or (icmp6 and ip6[40] = 2)");
    raw::send(&pair.vms[0], "eth0", &frames);
    wait_until("six are dropped", || {
        port_drops(&mut pair).get(&DropReason::TooBig) == Some(&6)
    });
    // One that is answered shows that the answers of those before it would have been seen.
    let last = raw::datagram(&vm1, &vm2, false, 0, &payload);
    raw::send(&pair.vms[0], "eth0", &[last]);
    capture.until("one message", |got| !got.is_empty());
    assert_eq!(capture.finish().len(), 1);
    assert_accounted(&mut pair);
}

#[tokio::test]
async fn jumbo_frames_cross_a_fabric_that_carries_them() {
    let other = Side::KernelVxlan(Checksums::Zero);
    for over_ipv6 in [false, true] {
        let label = if over_ipv6 { "jumbo6" } else { "jumbo4" };
        let mut plan = Plan::new(label, [Side::Coax(Peer::Foreign), other]).over_ipv6(over_ipv6);
        (plan.mtu, plan.vm_mtu, plan.underlay_mtu) = (9000, 9000, 9070);
        let mut pair = Pair::build_plan(&plan).await.unwrap();
        for ipv6 in [false, true] {
            let largest = 9000 - 8 - if ipv6 { 40 } else { 20 };
            traffic::datagrams(&pair, ipv6, &[largest, 4000, 1500]);
            for from in 0..2 {
                traffic::stream(&pair, from, ipv6, 2 << 20);
            }
        }
        assert_accounted(&mut pair);
    }
}

/// The network's MTU is checked against the fabric's when it is written; a fabric that shrank later
/// must not lead to fragments, and must be seen in the counters.
#[tokio::test]
async fn a_fabric_that_is_too_small_is_counted_and_never_fragmented_to() {
    for over_ipv6 in [false, true] {
        let label = if over_ipv6 { "small6" } else { "small4" };
        let sides = [Side::Coax(Peer::Coax), Side::Bare];
        let mut plan = Plan::new(label, sides).over_ipv6(over_ipv6);
        plan.underlay_mtu = 1500;
        let mut pair = Pair::build_plan(&plan).await.unwrap();
        let overhead = if over_ipv6 { 70 } else { 50 };
        let capture = Capture::of_uplink(&pair, "greater 1000");
        let frame = |length: usize| {
            let payload = vec![length as u8; length - 28];
            raw::datagram(&Vm::number(1), &Vm::number(2), false, 0, &payload)
        };
        let fits = frame(1500 - overhead);
        let frames = [frame(1501 - overhead), frame(1500), fits.clone()];
        raw::send(&pair.vms[0], "eth0", &frames);
        let got = capture.until("the one that fits", |got| !got.is_empty());
        assert_eq!(got.len(), 1);
        assert!(got[0].ends_with(&fits));
        assert_eq!(got[0].len(), 1514);
        let drops = port_drops(&mut pair);
        assert_eq!(drops.get(&DropReason::PathTooSmall), Some(&2));
        assert_accounted(&mut pair);
    }
}
