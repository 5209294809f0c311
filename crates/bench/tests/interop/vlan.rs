//! VLAN tags of VMs: carried byte for byte where the network wants them, refused where not.

use crate::capture::Capture;
use crate::counters::{assert_accounted, port_drops, since, wait_until};
use crate::hostile::{Hostile, Outcome, case};
use crate::raw;
use coax_bench::pair::Pair;
use coax_bench::plan::{Checksums, Peer, Plan, Side};
use coax_bench::vm::Vm;
use coax_tables::DropReason;

const C_TAG: [u8; 4] = [0x81, 0x00, 0x20, 0x64];
const S_TAG: [u8; 4] = [0x88, 0xa8, 0x00, 0xc8];

/// One tag, a provider's tag around a customer's, three tags; each with a payload that is IP and one
/// that is not.
fn tagged(from: &Vm, to: &Vm) -> Vec<Vec<u8>> {
    let stacks = [
        C_TAG.to_vec(),
        [S_TAG, C_TAG].concat(),
        [S_TAG, C_TAG, C_TAG].concat(),
    ];
    let ipv4 = raw::datagram(from, to, false, 0, &[0x5a; 300]);
    let ipv6 = raw::datagram(from, to, true, 0, &[0xa5; 300]);
    let payloads = [
        ipv4[12..].to_vec(),
        ipv6[12..].to_vec(),
        [&[0x88, 0xb5][..], &[7; 50]].concat(),
    ];
    let mut frames = Vec::new();
    for stack in &stacks {
        for payload in &payloads {
            frames.push(raw::ethernet(to.mac.0, from.mac.0, stack, payload));
        }
    }
    frames
}

fn too_many(from: &Vm, to: &Vm) -> Vec<u8> {
    let types = [C_TAG, C_TAG, C_TAG, C_TAG].concat();
    raw::ethernet(to.mac.0, from.mac.0, &types, &[0x88, 0xb5, 1, 2, 3])
}

async fn there_and_back(label: &str, over_ipv6: bool) {
    let other = Side::KernelVxlan(Checksums::Zero);
    let plan = Plan::new(label, [Side::Coax(Peer::Foreign), other]).over_ipv6(over_ipv6);
    let mut pair = Pair::build_plan(&plan).await.unwrap();
    for (from, to) in [(0, 1), (1, 0)] {
        let (sender, receiver) = (Vm::number(from + 1), Vm::number(to + 1));
        let (from, to) = (usize::from(from), usize::from(to));
        let frames = tagged(&sender, &receiver);
        let filter = format!("ether src {} and greater 50", sender.mac);
        let capture = Capture::of_vm(&pair, to, &filter);
        raw::send(&pair.vms[from], "eth0", &frames);
        let is_tagged = |frame: &&Vec<u8>| matches!(frame[12..14], [0x81, 0x00] | [0x88, 0xa8]);
        let got = capture.until("tagged frames", |got| {
            got.iter().filter(is_tagged).count() >= frames.len()
        });
        let mut got: Vec<_> = got.iter().filter(is_tagged).cloned().collect();
        let mut frames = frames;
        got.sort();
        frames.sort();
        assert_eq!(got, frames);
    }
    let before = port_drops(&mut pair);
    let frame = too_many(&Vm::number(1), &Vm::number(2));
    raw::send(&pair.vms[0], "eth0", &[frame]);
    let expected = [(DropReason::TooManyTags, 1)].into();
    wait_until("four tags are too many", || {
        since(&before, port_drops(&mut pair)) == expected
    });
    assert_accounted(&mut pair);
}

#[tokio::test]
async fn tags_reach_the_kernel_and_come_back_over_ipv4() {
    there_and_back("vlan4", false).await;
}

#[tokio::test]
async fn tags_reach_the_kernel_and_come_back_over_ipv6() {
    there_and_back("vlan6", true).await;
}

#[tokio::test]
async fn a_network_without_tags_refuses_them_from_the_fabric() {
    let hostile = Hostile::new("notags", false, false).await;
    let (vm1, vm2) = (Vm::number(1), Vm::number(2));
    let good = raw::datagram(&vm2, &vm1, false, 0, b"without a tag");
    let mut cases = Vec::new();
    for frame in tagged(&vm2, &vm1) {
        let outcome = Outcome::Dropped(DropReason::TaggedFrame);
        cases.push(case("a tag", hostile.outer.wrap(&frame), outcome));
    }
    let wrapped = hostile.outer.wrap(&good);
    cases.push(case("no tag", wrapped, Outcome::Delivered(good)));
    hostile.run(cases);
}

#[tokio::test]
async fn a_network_with_tags_refuses_four_of_them_from_the_fabric() {
    let hostile = Hostile::new("fourtags", false, true).await;
    let frame = too_many(&Vm::number(2), &Vm::number(1));
    let cut = raw::ethernet(
        Vm::number(1).mac.0,
        Vm::number(2).mac.0,
        &[C_TAG, C_TAG].concat(),
        &[0x81],
    );
    let many = Outcome::Dropped(DropReason::TooManyTags);
    let truncated = Outcome::Dropped(DropReason::Truncated);
    let cases = vec![
        case("four tags", hostile.outer.wrap(&frame), many),
        case("half a tag", hostile.outer.wrap(&cut), truncated),
    ];
    hostile.run(cases);
}

#[tokio::test]
async fn a_network_without_tags_refuses_them_from_the_vm() {
    let mut plan = Plan::new("novmtags", [Side::Coax(Peer::Coax), Side::Bare]);
    plan.vlan_transparent = false;
    let mut pair = Pair::build_plan(&plan).await.unwrap();
    let before = port_drops(&mut pair);
    let frames = tagged(&Vm::number(1), &Vm::number(2));
    let expected = [(DropReason::TaggedFrame, frames.len() as u64)].into();
    raw::send(&pair.vms[0], "eth0", &frames);
    wait_until("every tag is refused", || {
        let mut drops = since(&before, port_drops(&mut pair));
        drops.retain(|reason, _| *reason != DropReason::OwnAddress);
        drops == expected
    });
    assert_accounted(&mut pair);
}
