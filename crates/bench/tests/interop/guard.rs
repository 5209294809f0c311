//! A hostile VM beside others on one host: what it forges reaches nobody, what it floods is bounded, and
//! where it bridges its port is shut; its neighbours lose nothing.

use crate::capture::{Capture, PATIENCE};
use crate::counters::wait_until;
use crate::guarded::{BYSTANDER, Guarded, HOSTILE, RATE, SECOND, SECRET, VICTIM};
use crate::raw;
use coax_bench::vm::Vm;
use coax_netlink::PacketSender;
use coax_tables::DropReason;
use coax_wire::canary::Canary;
use etherparse::{ArpEthIpv4Packet, ArpOperation, PacketBuilder};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

const EVERYBODY: [u8; 6] = [0xff; 6];
const BRIDGES: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0];

fn own() -> [u8; 6] {
    Vm::number(HOSTILE).mac.0
}

fn victim() -> [u8; 6] {
    Vm::number(VICTIM).mac.0
}

fn ipv4(from: Ipv4Addr, ports: (u16, u16)) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(own(), victim())
        .ipv4(from.octets(), Vm::number(VICTIM).ipv4.octets(), 64)
        .udp(ports.0, ports.1)
        .write(&mut frame, b"a lie")
        .unwrap();
    frame
}

fn ipv6(from: Ipv6Addr, ports: (u16, u16)) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(own(), victim())
        .ipv6(from.octets(), Vm::number(VICTIM).ipv6.octets(), 64)
        .udp(ports.0, ports.1)
        .write(&mut frame, b"a lie")
        .unwrap();
    frame
}

fn arp(operation: ArpOperation, mac: [u8; 6], sender: Ipv4Addr) -> Vec<u8> {
    let packet = ArpEthIpv4Packet {
        operation,
        sender_mac: mac,
        sender_ipv4: sender.octets(),
        target_mac: victim(),
        target_ipv4: Vm::number(VICTIM).ipv4.octets(),
    };
    raw::ethernet(victim(), own(), &[8, 6], &packet.to_bytes())
}

/// An ICMPv6 message from the VM's link-local address, with hop limit 255.
fn icmpv6(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let message = [&[kind, 0, 0, 0][..], body].concat();
    let source = Vm::number(HOSTILE).link_local().octets();
    PacketBuilder::ethernet2(own(), victim())
        .ipv6(source, Vm::number(VICTIM).ipv6.octets(), 255)
        .icmpv6_raw(kind, 0, message[4..8].try_into().unwrap())
        .write(&mut frame, &message[8..])
        .unwrap();
    frame
}

/// The frame with a hop-by-hop options header in front of what it carries.
fn behind_options(mut frame: Vec<u8>) -> Vec<u8> {
    let length = u16::from_be_bytes([frame[18], frame[19]]) + 8;
    frame[18..20].copy_from_slice(&length.to_be_bytes());
    let next = std::mem::replace(&mut frame[20], 0);
    frame.splice(54..54, [next, 0, 1, 4, 0, 0, 0, 0]);
    frame
}

fn tagged(mut frame: Vec<u8>, tags: usize) -> Vec<u8> {
    for _ in 0..tags {
        frame.splice(12..12, [0x81, 0, 0, 0]);
    }
    frame
}

fn in_snap(mut frame: Vec<u8>) -> Vec<u8> {
    let length = (frame.len() - 14 + 8) as u16;
    let [high, low] = length.to_be_bytes();
    frame.splice(12..12, [high, low, 0xaa, 0xaa, 3, 0, 0, 0]);
    frame
}

fn lies() -> Vec<(&'static str, Vec<u8>, DropReason)> {
    let other = Vm::number(BYSTANDER);
    let forged_arp = || arp(ArpOperation::REPLY, own(), other.ipv4);
    let advertisement = [&[0x60, 0, 0, 0][..], &other.ipv6.octets(), &[2, 1], &own()].concat();
    let router = [&[64, 0, 7, 8][..], &[0; 8]].concat();
    let mut other_mac = ipv4(Vm::number(HOSTILE).ipv4, (7000, 7001));
    other_mac[6..12].copy_from_slice(&other.mac.0);
    let address = DropReason::ForgedAddress;
    let server = DropReason::RogueServer;
    vec![
        ("a MAC address", other_mac, DropReason::ForgedSource),
        ("an IPv4 address", ipv4(other.ipv4, (7000, 7001)), address),
        ("an IPv6 address", ipv6(other.ipv6, (7000, 7001)), address),
        ("ARP", forged_arp(), DropReason::ForgedArp),
        (
            "a MAC address in ARP",
            arp(ArpOperation::REPLY, other.mac.0, Vm::number(HOSTILE).ipv4),
            DropReason::ForgedArp,
        ),
        (
            "ARP behind two priority tags",
            tagged(forged_arp(), 2),
            DropReason::TaggedFrame,
        ),
        (
            "ARP in SNAP",
            in_snap(forged_arp()),
            DropReason::HeaderChain,
        ),
        (
            "a neighbour advertisement",
            icmpv6(136, &advertisement),
            DropReason::ForgedNeighbour,
        ),
        (
            "a neighbour advertisement behind options",
            behind_options(icmpv6(136, &advertisement)),
            DropReason::HeaderChain,
        ),
        ("a router advertisement", icmpv6(134, &router), server),
        (
            "a router advertisement behind options",
            behind_options(icmpv6(134, &router)),
            server,
        ),
        ("DHCP", ipv4(Vm::number(HOSTILE).ipv4, (67, 68)), server),
        ("DHCPv6", ipv6(Vm::number(HOSTILE).ipv6, (547, 546)), server),
    ]
}

#[tokio::test]
async fn nothing_forged_is_delivered_and_a_neighbour_loses_nothing() {
    let guarded = Guarded::build("lies", 300).await;
    let opposite = ((*guarded.host).clone(), "port2");
    let filter = format!("ether src {}", Vm::number(HOSTILE).mac);
    let filter = format!("{filter} or arp or icmp6 or port 7001");
    let capture = Capture::start(&guarded.vms[1], "eth0", opposite, &filter);
    let between = raw::datagram(
        &Vm::number(BYSTANDER),
        &Vm::number(VICTIM),
        false,
        0,
        b"fine",
    );
    let (mut got, mut sent) = (guarded.got(VICTIM), 0);
    let first = got;
    for (about, frame, reason) in lies() {
        let before = guarded.dropped(HOSTILE, reason);
        let frames = vec![between.clone(); 20];
        raw::send(guarded.bystander(), "eth0", &frames);
        raw::send(guarded.hostile(), "eth0", &[frame]);
        sent += 20;
        wait_until(about, || guarded.dropped(HOSTILE, reason) == before + 1);
        wait_until(about, || {
            got = guarded.got(VICTIM);
            got >= first + sent
        });
        assert_eq!(got, first + sent, "{about}");
    }
    let honest = raw::datagram(
        &Vm::number(HOSTILE),
        &Vm::number(VICTIM),
        false,
        0,
        b"the truth",
    );
    raw::send(guarded.hostile(), "eth0", std::slice::from_ref(&honest));
    capture.until("the truth", |got| got.contains(&honest));
    let found = capture.finish();
    let strange = found
        .iter()
        .filter(|frame| **frame != between && **frame != honest);
    assert_eq!(strange.count(), 0);
    assert_eq!(found.len() as u64, sent + 1);
}

/// Sends the frame over and over for a time, and says how often.
fn storm(guarded: &Guarded, frame: &[u8], time: Duration) -> u64 {
    let burst = vec![frame.to_vec(); 1000];
    let (end, mut sent) = (Instant::now() + time, 0);
    while Instant::now() < end {
        raw::send(guarded.hostile(), "eth0", &burst);
        sent += burst.len() as u64;
    }
    sent
}

#[tokio::test]
async fn no_receiver_gets_more_of_a_storm_than_its_limit() {
    let guarded = Guarded::build("storm", 300).await;
    let unknown = [2, 0, 0, 0, 9, 9];
    for (about, to) in [
        ("broadcast", EVERYBODY),
        ("multicast", [1, 0, 0x5e, 1, 2, 3]),
        ("unknown unicast", unknown),
    ] {
        let frame = raw::ethernet(to, own(), &[0x88, 0xb5], &[0; 46]);
        let before = [VICTIM, BYSTANDER].map(|vm| guarded.got(vm));
        let start = Instant::now();
        let sent = storm(&guarded, &frame, Duration::from_secs(2));
        let seconds = start.elapsed().as_secs_f64();
        let most = u64::from(RATE) * (seconds.ceil() as u64);
        for (vm, before) in [VICTIM, BYSTANDER].into_iter().zip(before) {
            let got = guarded.got(vm) - before;
            println!("{about}: {sent} sent in {seconds:.2} s, VM {vm} got {got}");
            assert!(
                got <= most && got >= u64::from(RATE),
                "{about}: {got} of {sent}"
            );
        }
        assert!(sent > 10 * most, "{about}: only {sent} frames were sent");
        assert!(guarded.dropped(HOSTILE, DropReason::Storm) > 0);
    }
    neighbours_go_on(&guarded, 500);
}

/// Every frame of a VM beside the hostile one arrives.
fn neighbours_go_on(guarded: &Guarded, frames: usize) {
    let before = guarded.got(VICTIM);
    let frame = raw::datagram(
        &Vm::number(BYSTANDER),
        &Vm::number(VICTIM),
        false,
        0,
        b"fine",
    );
    raw::send(guarded.bystander(), "eth0", &vec![frame; frames]);
    wait_until("neighbours go on", || {
        guarded.got(VICTIM) >= before + frames as u64
    });
}

fn bpdu() -> Vec<u8> {
    let body = [&[0x42, 0x42, 3, 0, 0, 2, 2][..], &[0; 39]].concat();
    raw::ethernet(BRIDGES, own(), &(body.len() as u16).to_be_bytes(), &body)
}

#[tokio::test]
async fn spanning_tree_shuts_its_port_at_once_and_for_a_while() {
    let guarded = Guarded::build("bpdu", 2).await;
    let start = Instant::now();
    raw::send(guarded.hostile(), "eth0", &[bpdu()]);
    wait_until("the port is shut", || guarded.shut(HOSTILE).until != 0);
    let took = start.elapsed();
    assert!(took < Duration::from_millis(100), "{took:?}");
    assert_eq!(guarded.shut(HOSTILE).reason, DropReason::Bpdu as u32);
    let honest = |from| raw::datagram(&Vm::number(from), &Vm::number(VICTIM), false, 0, b"honest");
    raw::send(guarded.hostile(), "eth0", &[honest(HOSTILE)]);
    wait_until("the port stays shut", || {
        guarded.dropped(HOSTILE, DropReason::PortShut) == 1
    });
    for vm in [SECOND, VICTIM, BYSTANDER] {
        assert_eq!(guarded.shut(vm).until, 0);
    }
    let before = guarded.got(VICTIM);
    raw::send(guarded.bystander(), "eth0", &[honest(BYSTANDER)]);
    wait_until("a neighbour's port is open", || {
        guarded.got(VICTIM) == before + 1
    });
    wait_until("the port opens by itself", || {
        raw::send(guarded.hostile(), "eth0", &[honest(HOSTILE)]);
        guarded.got(VICTIM) > before + 1
    });
    assert!(start.elapsed() > Duration::from_secs(1) && start.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_vm_that_bridges_two_ports_is_found_and_one_port_shut() {
    let mut guarded = Guarded::build("loop", 300).await;
    guarded.allow_any_source();
    let within = guarded.hostile().netlink().unwrap();
    within.create_bridge("br0").await.unwrap();
    let bridge = within.link("br0").await.unwrap().index;
    for device in ["eth0", "eth1"] {
        let index = within.link(device).await.unwrap().index;
        within.set_master(index, Some(bridge)).await.unwrap();
    }
    within.set_up(bridge).await.unwrap();
    let start = Instant::now();
    let ports = guarded.ports;
    let found = || [HOSTILE, SECOND].map(|vm| guarded.shut(vm).until != 0);
    // What the agent does: a canary out of each port, again and again.
    let send = || {
        let mut sender = PacketSender::open().unwrap();
        for (ifindex, slot) in [(ports[0], HOSTILE), (ports[1], SECOND)] {
            let canary = Canary::new(SECRET, slot.into());
            sender.send(ifindex, canary.as_bytes()).unwrap();
        }
    };
    while found() == [false, false] {
        guarded.host.run(send).unwrap();
        let next = Instant::now() + Duration::from_millis(100);
        while found() == [false, false] && Instant::now() < next {
            std::thread::yield_now();
        }
        assert!(
            start.elapsed() < Duration::from_secs(3),
            "the loop is not found"
        );
    }
    // Both come back once more. The first port is shut by now, and the other one stays open.
    let came_back = || -> u64 {
        let reasons = [DropReason::Loop, DropReason::PortShut];
        let of_vm = |vm| reasons.map(|reason| guarded.dropped(vm, reason));
        [HOSTILE, SECOND].iter().copied().flat_map(of_vm).sum()
    };
    let before = came_back();
    guarded.host.run(send).unwrap();
    wait_until("both canaries come back", || came_back() >= before + 2);
    let shut = found();
    assert!(
        shut == [true, false] || shut == [false, true],
        "one of two: {shut:?}"
    );
    let vm = if shut[0] { HOSTILE } else { SECOND };
    assert_eq!(guarded.shut(vm).reason, DropReason::Loop as u32);
    for vm in [VICTIM, BYSTANDER] {
        assert_eq!(guarded.shut(vm).until, 0);
    }
    neighbours_go_on(&guarded, 100);
}
