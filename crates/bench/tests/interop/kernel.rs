//! The kernel's own vxlan device at the other end: each side takes what the other sends.

use crate::counters::assert_accounted;
use crate::traffic;
use coax_bench::pair::Pair;
use coax_bench::plan::{Checksums, Peer, Plan, Side};

async fn talk(label: &str, over_ipv6: bool, checksums: Checksums) {
    let sides = [Side::Coax(Peer::Foreign), Side::KernelVxlan(checksums)];
    let plan = Plan::new(label, sides).over_ipv6(over_ipv6);
    let mut pair = Pair::build_plan(&plan).await.unwrap();
    traffic::everything(&pair).await;
    assert_accounted(&mut pair);
}

#[tokio::test]
async fn over_ipv4_with_zero_checksums() {
    talk("kz4", false, Checksums::Zero).await;
}

#[tokio::test]
async fn over_ipv4_the_kernel_may_send_checksums() {
    talk("kc4", false, Checksums::Sent).await;
}

#[tokio::test]
async fn over_ipv6_with_zero_checksums() {
    talk("kz6", true, Checksums::Zero).await;
}

#[tokio::test]
async fn over_ipv6_the_kernel_may_send_checksums() {
    talk("kc6", true, Checksums::Sent).await;
}

/// The port is a row of the host; 8472 is what Linux used before there was a number.
#[tokio::test]
async fn over_another_udp_port() {
    let sides = [
        Side::Coax(Peer::Foreign),
        Side::KernelVxlan(Checksums::Zero),
    ];
    let mut plan = Plan::new("port", sides);
    plan.udp_port = 8472;
    let mut pair = Pair::build_plan(&plan).await.unwrap();
    for from in 0..2 {
        traffic::ping(&pair, from, false);
    }
    assert_accounted(&mut pair);
}
