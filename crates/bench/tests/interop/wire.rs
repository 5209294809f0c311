//! What Coax puts on the wire, as tshark reads it.

use crate::capture::Capture;
use crate::counters::assert_accounted;
use crate::guarded::lift_guards;
use crate::raw::{self, About, IPV4_HEADERS, IPV6_HEADERS, VXLAN};
use crate::traffic::{self, must};
use crate::tshark::{self, Fields};
use coax_bench::pair::{Pair, UDP_PORT};
use coax_bench::plan::{Checksums, Peer, Plan, Side};
use coax_bench::rows::{self, NETWORK};
use coax_bench::vm::Vm;
use coax_tables::HostRow;
use coax_vswitch::{DataPlane, Row, RowOperation};
use std::collections::BTreeSet;

const TUNNELS: &str = "udp port 4789";

async fn build(label: &str, over_ipv6: bool) -> Pair {
    let other = Side::KernelVxlan(Checksums::Zero);
    let plan = Plan::new(label, [Side::Coax(Peer::Foreign), other]).over_ipv6(over_ipv6);
    Pair::build_plan(&plan).await.unwrap()
}

const FIELDS: [&str; 19] = [
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "ip.flags.df",
    "ip.flags.mf",
    "ip.frag_offset",
    "ip.ttl",
    "ip.dsfield",
    "ipv6.tclass",
    "ipv6.hlim",
    "ipv6.nxt",
    "ipv6.flow",
    "udp.srcport",
    "udp.dstport",
    "udp.checksum",
    "vxlan.flags",
    "vxlan.vni",
    "vxlan.reserved8",
];

fn number(text: &str) -> u32 {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).unwrap(),
        None => text.parse().unwrap(),
    }
}

/// The outermost value.
fn first(fields: &Fields, name: &str) -> u32 {
    number(fields[name].first().unwrap_or_else(|| panic!("no {name}")))
}

/// What holds for every tunnel packet, whatever is in it.
fn assert_headers(packet: &Fields, over_ipv6: bool) {
    let is = |name: &str, value: u32| assert_eq!(first(packet, name), value, "{name}: {packet:?}");
    if over_ipv6 {
        is("ipv6.hlim", 64);
        is("ipv6.nxt", 17);
        assert_ne!(first(packet, "ipv6.flow"), 0, "RFC 6438 wants a flow label");
    } else {
        is("ip.flags.df", 1);
        is("ip.flags.mf", 0);
        is("ip.frag_offset", 0);
        is("ip.ttl", 64);
    }
    let addresses = if over_ipv6 {
        ["ipv6.src", "ipv6.dst"]
    } else {
        ["ip.src", "ip.dst"]
    };
    for (place, name) in addresses.into_iter().enumerate() {
        let vtep = Vm::number(place as u8 + 1).vtep(over_ipv6);
        assert_eq!(packet[name][0], vtep.to_string(), "{name}");
    }
    is("udp.dstport", 4789);
    is("udp.checksum", 0);
    is("vxlan.flags", 0x0800);
    is("vxlan.vni", NETWORK.0);
    is("vxlan.reserved8", 0);
    let port = first(packet, "udp.srcport");
    assert!((49152..=65535).contains(&port), "{port}");
}

fn assert_all_headers(frames: &[Vec<u8>], over_ipv6: bool) {
    for packet in tshark::judged(frames, &FIELDS) {
        assert_headers(&packet, over_ipv6);
    }
    // tshark shows only half of the reserved bits of a header with the I flag alone.
    let at = if over_ipv6 {
        IPV6_HEADERS
    } else {
        IPV4_HEADERS
    };
    for frame in frames {
        assert_eq!(frame[at..at + 4], [8, 0, 0, 0], "flags and reserved bits");
    }
}

/// Everything that two VMs do, with checksums that the VM computes itself: the judge sees them all.
async fn every_header(label: &str, over_ipv6: bool) {
    let mut pair = build(label, over_ipv6).await;
    must(&pair.vms[0], "ethtool -K eth0 tx off tso off gso off");
    let capture = Capture::of_uplink(&pair, TUNNELS);
    traffic::everything(&pair).await;
    assert_accounted(&mut pair);
    let frames = capture.finish();
    assert!(frames.len() > 1000, "{} frames", frames.len());
    assert_all_headers(&frames, over_ipv6);
}

#[tokio::test]
async fn every_header_over_ipv4() {
    every_header("head4", false).await;
}

#[tokio::test]
async fn every_header_over_ipv6() {
    every_header("head6", true).await;
}

/// A frame that stands for many segments is encapsulated once. Here the kernel has to cut it and to
/// fill checksums in when it leaves the host, and tshark sees whether Coax described it rightly.
async fn cut_on_the_way_out(label: &str, over_ipv6: bool) {
    let pair = build(label, over_ipv6).await;
    let features = "tx off tso off gso off tx-udp_tnl-segmentation off";
    must(pair.host(0).unwrap(), &format!("ethtool -K ul0 {features}"));
    let capture = Capture::of_uplink(&pair, TUNNELS);
    for ipv6 in [false, true] {
        traffic::stream(&pair, 0, ipv6, 1 << 20);
    }
    let frames = capture.finish();
    assert_all_headers(&frames, over_ipv6);
    let largest = frames.iter().map(Vec::len).max().unwrap();
    assert_eq!(largest, 14 + 1500 + if over_ipv6 { 70 } else { 50 });
    let full = frames.iter().filter(|frame| frame.len() == largest).count();
    assert!(full > 1000, "{full} of {} segments are full", frames.len());
}

#[tokio::test]
async fn segments_are_right_when_they_are_cut_behind_us_over_ipv4() {
    cut_on_the_way_out("cut4", false).await;
}

#[tokio::test]
async fn segments_are_right_when_they_are_cut_behind_us_over_ipv6() {
    cut_on_the_way_out("cut6", true).await;
}

/// Frames of any kind and length.
fn curious(from: &Vm, to: &Vm) -> Vec<Vec<u8>> {
    let frame = |types: &[u8], length: usize| {
        let payload = traffic::noise(length, length as u32 + 1);
        raw::ethernet(to.mac.0, from.mac.0, types, &payload)
    };
    let mut frames: Vec<_> = [0, 1, 2, 19, 20, 21, 39, 40, 41, 45, 46, 47, 1499, 1500]
        .into_iter()
        .map(|length| frame(&[0x88, 0xb5], length))
        .collect();
    // Novell's and IEEE's length fields, MPLS, PPPoE, and IP that is none.
    for types in [
        [0, 3],
        [5, 220],
        [0x88, 0x47],
        [0x88, 0x64],
        [8, 0],
        [0x86, 0xdd],
    ] {
        frames.push(frame(&types, 100));
    }
    for ipv6 in [false, true] {
        for class in [0x00, 0x01, 0x02, 0x03, 0xb8, 0xbb] {
            frames.push(raw::datagram(from, to, ipv6, class, &[class; 20]));
        }
    }
    frames
}

/// The traffic class of a frame: what the outer header must show.
fn class(frame: &[u8]) -> u32 {
    match frame[12..] {
        [8, 0, 0x45, class, ..] => u32::from(class),
        [0x86, 0xdd, first, second, ..] if first >> 4 == 6 => u32::from(first << 4 | second >> 4),
        _ => 0,
    }
}

/// Says only which frames differ.
fn assert_same(got: &[Vec<u8>], sent: &[Vec<u8>]) {
    let lost: Vec<_> = sent.iter().filter(|frame| !got.contains(frame)).collect();
    let strange: Vec<_> = got.iter().filter(|frame| !sent.contains(frame)).collect();
    assert!(
        lost.is_empty() && strange.is_empty(),
        "lost {lost:02x?}, got {strange:02x?}"
    );
    assert_eq!(got.len(), sent.len());
}

/// What one VM sends to the other, without what kernels say by themselves.
fn between(from: &Vm, to: &Vm) -> String {
    let noise = "arp or icmp or icmp6";
    format!(
        "ether src {} and ether dst {} and not ({noise})",
        from.mac, to.mac
    )
}

async fn any_frame(label: &str, over_ipv6: bool) {
    let mut pair = build(label, over_ipv6).await;
    lift_guards(&mut pair);
    let (vm1, vm2) = (Vm::number(1), Vm::number(2));
    let filter = between(&vm1, &vm2);
    let uplink = Capture::of_uplink(&pair, TUNNELS);
    let inside = Capture::of_vm(&pair, 1, &filter);
    let mut sent = curious(&vm1, &vm2);
    raw::send(&pair.vms[0], "eth0", &sent);
    let got = inside.until("every frame", |got| got.len() >= sent.len());
    let headers = if over_ipv6 {
        IPV6_HEADERS
    } else {
        IPV4_HEADERS
    } + VXLAN;
    let mut wire = uplink.finish();
    wire.retain(|packet| {
        let frame = &packet[headers..];
        let ours = frame.starts_with(&[vm2.mac.0, vm1.mac.0].concat());
        ours && raw::about(frame) != About::Answer
    });
    wire.sort_by_key(|frame| frame[headers..].to_vec());
    sent.sort();
    assert_same(&got, &sent);
    let name = if over_ipv6 {
        "ipv6.tclass"
    } else {
        "ip.dsfield"
    };
    let read = tshark::fields(&wire, &FIELDS);
    assert_eq!(wire.len(), sent.len());
    for ((frame, packet), sent) in wire.iter().zip(&read).zip(&sent) {
        assert_eq!(frame[headers..], sent[..], "what is on the wire");
        assert_eq!(first(packet, name), class(sent), "{packet:?}");
        assert_headers(packet, over_ipv6);
    }
    assert_accounted(&mut pair);

    let back = curious(&vm2, &vm1);
    let filter = between(&vm2, &vm1);
    let inside = Capture::of_vm(&pair, 0, &filter);
    raw::send(&pair.vms[1], "eth0", &back);
    let got = inside.until("every frame back", |got| got.len() >= back.len());
    assert_same(&got, &back);
    assert_accounted(&mut pair);
}

#[tokio::test]
async fn frames_of_any_kind_arrive_byte_for_byte_over_ipv4() {
    any_frame("any4", false).await;
}

#[tokio::test]
async fn frames_of_any_kind_arrive_byte_for_byte_over_ipv6() {
    any_frame("any6", true).await;
}

/// With the pipe model the fabric sees no service class of a VM, but its congestion bits.
#[tokio::test]
async fn the_pipe_model_hides_services_and_shows_congestion() {
    let mut pair = build("pipe", false).await;
    let mut host = rows::host(&Vm::number(1), UDP_PORT);
    host.flags |= HostRow::PIPE_DSCP;
    let row = RowOperation::Put(Row::Host(host));
    pair.planes()[0].apply(&row).unwrap();
    let capture = Capture::of_uplink(&pair, TUNNELS);
    let (vm1, vm2) = (Vm::number(1), Vm::number(2));
    let classes = [0xb8, 0xb9, 0xba, 0xbb];
    let sent = classes.map(|class| raw::datagram(&vm1, &vm2, false, class, &[class; 20]));
    raw::send(&pair.vms[0], "eth0", &sent);
    let ours = |frame: &&Vec<u8>| frame.ends_with(&[frame[frame.len() - 1]; 20]);
    let got = capture.until("four", |got| got.iter().filter(ours).count() >= 4);
    for frame in got.iter().filter(ours) {
        let (inner, outer) = (frame[frame.len() - 1], frame[15]);
        assert_eq!(outer, inner & 3);
    }
}

/// How evenly `count` buckets are filled: the share of the capacity that could be used before the
/// fullest one is full.
fn evenness(ports: &[u32], buckets: usize, bucket: impl Fn(u32) -> u32) -> f64 {
    let mut filled = vec![0.0_f64; buckets];
    for port in ports {
        filled[bucket(*port) as usize % buckets] += 1.0;
    }
    let fullest = filled.iter().copied().fold(0.0, f64::max);
    ports.len() as f64 / buckets as f64 / fullest
}

fn port(bytes: &[u8]) -> u32 {
    u32::from(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// So many that chance does not decide: four standard deviations are a tenth.
const FLOWS: u16 = 4000;

async fn spread(label: &str, ipv6: bool) {
    let pair = build(label, false).await;
    let (vm1, vm2) = (Vm::number(1), Vm::number(2));
    let flow = |port: u16| raw::flow(&vm1, &vm2, ipv6, 0, (port, 443), &[0x77; 10]);
    let sent: Vec<_> = (30_000..30_000 + FLOWS).map(flow).collect();
    let capture = Capture::of_uplink(&pair, TUNNELS);
    let ours = |frame: &&Vec<u8>| frame.ends_with(&[0x77; 10]);
    let (mut got, mut wanted) = (Vec::new(), 0);
    // Queues between the namespaces are shorter than all of them.
    for some in sent.chunks(250).chain(sent[..250].chunks(250)) {
        raw::send(&pair.vms[0], "eth0", some);
        wanted += some.len();
        got = capture.until("flows", |got| got.iter().filter(ours).count() >= wanted);
    }
    let got: Vec<_> = got.iter().filter(ours).cloned().collect();
    // Inner source port, outer source port.
    let read: BTreeSet<(u32, u32)> = got
        .iter()
        .map(|packet| {
            let inner = raw::unwrap(packet).1;
            let at = if ipv6 { 14 + 40 } else { 14 + 20 };
            (port(&inner[at..]), port(&packet[34..]))
        })
        .collect();
    assert_eq!(read.len(), usize::from(FLOWS), "one flow, one port");
    let ports: Vec<u32> = read.iter().map(|(_, port)| *port).collect();
    let distinct: BTreeSet<_> = ports.iter().collect();
    assert!(distinct.len() > 3500, "{} ports", distinct.len());
    // Routers choose by the low bits, by the high ones, or by a hash of their own.
    let low = evenness(&ports, 4, |port| port);
    let high = evenness(&ports, 4, |port| port >> 12);
    let hashed = evenness(&ports, 4, |port| port.wrapping_mul(0x9e37_79b1) >> 30);
    for (name, share) in [("low", low), ("high", high), ("hashed", hashed)] {
        assert!(share >= 0.9, "{name} bits use {share:.3} of four paths");
    }
}

#[tokio::test]
async fn source_ports_spread_ipv4_flows_over_equal_paths() {
    spread("ecmp4", false).await;
}

#[tokio::test]
async fn source_ports_spread_ipv6_flows_over_equal_paths() {
    spread("ecmp6", true).await;
}

/// Fragments of one datagram take one path, or they overtake each other.
#[tokio::test]
async fn fragments_of_a_datagram_have_one_source_port() {
    let pair = build("onepath", false).await;
    let whole = raw::datagram(&Vm::number(1), &Vm::number(2), false, 0, &[0x66; 100]);
    let (mut head, mut tail) = (whole.clone(), whole);
    raw::change_ipv4(&mut head, |ip| ip.more_fragments = true);
    raw::change_ipv4(&mut tail, |ip| ip.fragment_offset = 13.try_into().unwrap());
    tail[34..38].copy_from_slice(&[1, 2, 3, 4]);
    let capture = Capture::of_uplink(&pair, TUNNELS);
    raw::send(&pair.vms[0], "eth0", &[head, tail]);
    let ours = |frame: &&Vec<u8>| frame.ends_with(&[0x66; 50]);
    let got = capture.until("both", |got| got.iter().filter(ours).count() >= 2);
    let ports: BTreeSet<_> = got
        .iter()
        .filter(ours)
        .map(|frame| &frame[34..36])
        .collect();
    assert_eq!(ports.len(), 1);
}
