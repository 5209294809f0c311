//! A VM behind a foreign VTEP, which nobody described: what is not known is asked of the foreign
//! VTEP, and of nobody else.

use crate::bystander::{self, Bystanders};
use crate::capture::Capture;
use crate::counters::{port_drops, since, wait_until};
use crate::raw::{self, About};
use crate::traffic;
use coax_bench::pair::Pair;
use coax_bench::plan::{Checksums, Peer, Plan, Side};
use coax_bench::rows::SLOT;
use coax_bench::vm::Vm;
use coax_tables::{Counters, DropReason, FABRIC_SLOT};
use coax_vswitch::DataPlane;
use std::net::IpAddr;

/// Received, copied, sent, flooded and dropped frames of one slot.
fn totals(pair: &mut Pair, slot: u32) -> (Counters, u64) {
    let found = pair.planes()[0].counters(slot).unwrap();
    let drops = found.drops.iter().map(|(_, count)| count).sum();
    (found.counters, drops)
}

/// The accounting of a host with three slots.
fn assert_accounted(pair: &mut Pair) {
    wait_until("every frame is accounted for", || {
        let (mut entered, mut left) = (0, 0);
        for slot in [FABRIC_SLOT, SLOT, bystander::SLOT] {
            let (counters, drops) = totals(pair, slot);
            entered += counters.received_frames + counters.copies;
            left += counters.sent_frames + counters.flooded + counters.punted + drops;
        }
        entered == left
    });
}

async fn build(label: &str, over_ipv6: bool, peer: Peer) -> (Pair, Bystanders) {
    let sides = [Side::Coax(peer), Side::KernelVxlan(Checksums::Zero)];
    let plan = Plan::new(label, sides).over_ipv6(over_ipv6);
    let mut pair = Pair::build_plan(&plan).await.unwrap();
    let bystanders = Bystanders::join(&mut pair, over_ipv6).await;
    (pair, bystanders)
}

const BROADCAST: About = About::Udp(40002);

/// To which VTEP the tunnel packets of VM 1 go, and what they are about.
fn sort(packets: &[Vec<u8>]) -> Vec<(IpAddr, About)> {
    let own = Vm::number(1).mac.0;
    let packets = packets.iter().map(|packet| raw::unwrap(packet));
    let ours = packets.filter(|(_, frame)| frame[6..12] == own);
    ours.map(|(vtep, frame)| (vtep, raw::about(frame)))
        .collect()
}

/// The broadcast, on a port of the first host.
fn is_broadcast(frame: &[u8]) -> bool {
    raw::about(frame) == BROADCAST
}

async fn nobody_else_is_asked(label: &str, over_ipv6: bool) {
    let (mut pair, bystanders) = build(label, over_ipv6, Peer::ForeignUnknown).await;
    let uplink = Capture::of_uplink(&pair, "udp port 4789");
    let filter = format!("ether src {} and not ether multicast", Vm::number(1).mac);
    let unicasts = bystanders.capture(&pair, &filter);
    let all = bystanders.capture(&pair, "");
    for from in 0..2 {
        for ipv6 in [false, true] {
            traffic::ping(&pair, from, ipv6);
            traffic::stream(&pair, from, ipv6, 100_000);
        }
    }
    traffic::broadcast(&pair, 0, false).await;
    let foreign = Vm::number(2).vtep(over_ipv6);
    let heard = uplink.until("the broadcast at both VTEPs", |got| {
        let got = sort(got);
        got.contains(&(foreign, BROADCAST)) && got.contains(&(bystanders.vtep, BROADCAST))
    });
    let heard = sort(&heard);
    let count = |vtep, about| {
        heard
            .iter()
            .filter(|found| **found == (vtep, about))
            .count()
    };
    assert!(count(foreign, About::Question) >= 2, "of both families");
    assert!(count(foreign, About::Unicast) > 0);
    assert_eq!(count(foreign, BROADCAST), 1);
    assert_eq!(count(bystanders.vtep, About::Question), 0);
    assert_eq!(count(bystanders.vtep, About::Unicast), 0);
    assert_eq!(count(bystanders.vtep, BROADCAST), 1);

    all.until("the broadcast on the same host", |got| {
        got.iter().any(|frame| is_broadcast(frame))
    });
    let own = Vm::number(1).mac.0;
    let asked = |frame: &&Vec<u8>| frame[6..12] == own && raw::about(frame) == About::Question;
    assert_eq!(all.finish().iter().filter(asked).count(), 0);
    assert_eq!(unicasts.finish(), Vec::<Vec<u8>>::new());
    assert!(totals(&mut pair, SLOT).0.unknown_unicast > 0);
    assert_accounted(&mut pair);
}

#[tokio::test]
async fn over_ipv4_nobody_else_is_asked() {
    nobody_else_is_asked("unk4", false).await;
}

#[tokio::test]
async fn over_ipv6_nobody_else_is_asked() {
    nobody_else_is_asked("unk6", true).await;
}

/// What is known is answered at the edge, and the foreign VTEP is not asked either.
#[tokio::test]
async fn what_is_known_is_asked_of_nobody() {
    let (mut pair, _bystanders) = build("known", false, Peer::Foreign).await;
    let uplink = Capture::of_uplink(&pair, "udp port 4789");
    for ipv6 in [false, true] {
        traffic::ping(&pair, 0, ipv6);
    }
    traffic::broadcast(&pair, 0, false).await;
    let foreign = Vm::number(2).vtep(false);
    let heard = uplink.until("the broadcast", |got| {
        sort(got).contains(&(foreign, BROADCAST))
    });
    let asked = sort(&heard);
    let asked = asked.iter().filter(|(_, about)| *about == About::Question);
    assert_eq!(asked.count(), 0);
    assert_accounted(&mut pair);
}

/// An announcement of a VM is heard behind the foreign VTEP: caches there must follow a VM that moved.
#[tokio::test]
async fn announcements_reach_the_foreign_vtep_only() {
    let (mut pair, bystanders) = build("garp", false, Peer::ForeignUnknown).await;
    let behind = Capture::of_vm(&pair, 1, "arp");
    let beside = bystanders.capture(&pair, "");
    let vm = Vm::number(1);
    let announcement = [
        &[0, 1, 8, 0, 6, 4, 0, 1][..],
        &vm.mac.0,
        &vm.ipv4.octets(),
        &[0; 6],
        &vm.ipv4.octets(),
    ]
    .concat();
    let frame = raw::ethernet([0xff; 6], vm.mac.0, &[8, 6], &announcement);
    raw::send(&pair.vms[0], "eth0", std::slice::from_ref(&frame));
    behind.until("the announcement", |got| {
        got.iter().any(|got| got.starts_with(&frame))
    });
    traffic::broadcast(&pair, 0, false).await;
    let heard = beside.until("the broadcast on the same host", |got| {
        got.iter().any(|frame| is_broadcast(frame))
    });
    assert!(!heard.iter().any(|got| got.starts_with(&frame)));
    assert_accounted(&mut pair);
}

/// Without a foreign VTEP nothing unknown leaves the host.
#[tokio::test]
async fn without_a_foreign_vtep_the_unknown_ends_at_the_port() {
    let plan = Plan::new("nofor", [Side::Coax(Peer::Coax), Side::Bare]);
    let mut pair = Pair::build_plan(&plan).await.unwrap();
    let mut frame = raw::datagram(&Vm::number(1), &Vm::number(2), false, 0, b"to nobody");
    frame[..6].copy_from_slice(&[6, 6, 6, 6, 6, 6]);
    let before = port_drops(&mut pair);
    raw::send(&pair.vms[0], "eth0", &[frame]);
    wait_until("the frame is dropped", || {
        since(&before, port_drops(&mut pair)).get(&DropReason::UnknownUnicast) == Some(&1)
    });
    let (counters, _) = totals(&mut pair, SLOT);
    assert_eq!(counters.unknown_unicast, 0, "nothing was copied");
    assert_accounted(&mut pair);
}
