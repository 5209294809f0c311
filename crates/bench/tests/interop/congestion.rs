//! Congestion marks of the fabric on decapsulation (RFC 6040 figure 4), all sixteen combinations.
//!
//! The kernel's vxlan device gets the same packets and must hand the same frames to its VM.

use crate::capture::Capture;
use crate::counters::{assert_accounted, fabric_drops};
use crate::raw::{self, Outer};
use coax_bench::pair::Pair;
use coax_bench::plan::{Checksums, Peer, Plan, Side};
use coax_bench::vm::Vm;
use coax_tables::DropReason;

const NOT_CAPABLE: u8 = 0;
const CAPABLE_1: u8 = 1;
const CAPABLE_0: u8 = 2;
const CONGESTION: u8 = 3;

/// Differentiated services of inner and outer header, which must not mix on decapsulation.
const INNER_SERVICES: u8 = 0x28;
const OUTER_SERVICES: u8 = 0xb8;

/// RFC 6040 figure 4; `None` is the packet that must be dropped.
fn figure_4(inner: u8, outer: u8) -> Option<u8> {
    match (inner, outer) {
        (NOT_CAPABLE, CONGESTION) => None,
        (NOT_CAPABLE, _) => Some(NOT_CAPABLE),
        (CONGESTION, _) | (_, CONGESTION) => Some(CONGESTION),
        (CAPABLE_0, CAPABLE_1) | (CAPABLE_1, _) => Some(CAPABLE_1),
        (_, _) => Some(CAPABLE_0),
    }
}

fn inner(ipv6: bool, mark: u8, name: u8) -> Vec<u8> {
    let (from, to) = (Vm::number(2), Vm::number(1));
    raw::datagram(&from, &to, ipv6, INNER_SERVICES | mark, &[name; 40])
}

/// What the tunnel packets of the sixteen combinations and the inner frames that must come of them.
fn combinations(outer: &Outer, ipv6: bool) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for name in 0..16 {
        let (inside, outside) = (name >> 2, name & 3);
        let mut outer = outer.clone();
        outer.class = OUTER_SERVICES | outside;
        sent.push(outer.wrap(&inner(ipv6, inside, name)));
        expected.extend(figure_4(inside, outside).map(|mark| inner(ipv6, mark, name)));
    }
    (sent, expected)
}

/// Sends all combinations to the first host, and returns what its VM got.
async fn through(pair: &Pair, over_ipv6: bool, ipv6: bool) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let outer = Outer::to_first_host(pair, over_ipv6).await;
    let (sent, mut expected) = combinations(&outer, ipv6);
    let filter = format!("ether src {} and udp", Vm::number(2).mac);
    let capture = Capture::of_vm(pair, 0, &filter);
    raw::send(pair.host(1).unwrap(), "ul0", &sent);
    let mut got = capture.until("the frames that may pass", |got| {
        got.len() >= expected.len()
    });
    // Several CPUs may have handled them.
    got.sort();
    expected.sort();
    (got, expected)
}

async fn compare(label: &str, over_ipv6: bool) {
    let plan = |who: &str, side| {
        Plan::new(&format!("{label}{who}"), [side, Side::Bare]).over_ipv6(over_ipv6)
    };
    let coax = plan("c", Side::Coax(Peer::Coax));
    let mut coax = Pair::build_plan(&coax).await.unwrap();
    let kernel = plan("k", Side::KernelVxlan(Checksums::Zero));
    let kernel = Pair::build_plan(&kernel).await.unwrap();
    for ipv6 in [false, true] {
        let (got, expected) = through(&coax, over_ipv6, ipv6).await;
        assert!(got == expected, "Coax differs from figure 4: {got:02x?}");
        let (judged, _) = through(&kernel, over_ipv6, ipv6).await;
        assert!(got == judged, "the kernel differs: {judged:02x?}");
    }
    let drops = fabric_drops(&mut coax);
    assert_eq!(drops, [(DropReason::CongestionMark, 2)].into());
    assert_accounted(&mut coax);
}

#[tokio::test]
async fn marks_of_an_ipv4_fabric_reach_the_vm_as_with_the_kernel() {
    compare("ecn4", false).await;
}

#[tokio::test]
async fn marks_of_an_ipv6_fabric_reach_the_vm_as_with_the_kernel() {
    compare("ecn6", true).await;
}
