//! The fabric alone, in real namespaces with the kernel's own routing: equal-cost paths, cuts, heals,
//! and that nothing stays behind. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use coax_lab::fault::{self, Target};
use coax_lab::measure::udp::{self, Stream};
use coax_lab::{down, state};
use coax_netlink::Namespace;
use common::Fabric;

#[test]
fn every_host_reaches_every_host_and_down_leaves_nothing() {
    let fabric = Fabric::up('a');
    assert_eq!(fabric.unreachable(), []);
    let lab = fabric.site.lab.clone();
    assert!(state::list().contains(&lab));
    drop(fabric);
    let prefix = lab.namespace("");
    let left: Vec<String> = Namespace::list()
        .unwrap()
        .into_iter()
        .filter(|n| n.starts_with(&prefix))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    assert!(!lab.folder().exists());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(
        !runtime.block_on(down::down(&lab)).unwrap(),
        "a second down finds nothing"
    );
}

#[test]
fn all_pairs_survive_any_single_cut_and_heal() {
    let fabric = Fabric::up('b');
    let cuts = [
        Target::Uplink("hv3".into(), 1),
        Target::Link("leaf2".into(), "spine1".into()),
        Target::Node("spine2".into()),
        Target::Node("leaf3".into()),
    ];
    for cut in cuts {
        fabric
            .runtime
            .block_on(fault::inflict(&fabric.site, &cut))
            .unwrap();
        fabric.converge();
        fabric
            .runtime
            .block_on(fault::heal(&fabric.site, &cut))
            .unwrap();
        fabric.converge();
    }
}

#[test]
fn faults_add_up_and_heal_one_by_one() {
    let fabric = Fabric::up('c');
    let (link, leaf) = (
        Target::Uplink("hv1".into(), 1),
        Target::Node("leaf1".into()),
    );
    let run = |future| fabric.runtime.block_on(future);
    for target in [&link, &leaf] {
        fabric
            .runtime
            .block_on(fault::inflict(&fabric.site, target))
            .unwrap();
    }
    run(fault::heal(&fabric.site, &leaf)).unwrap();
    let state = fabric
        .runtime
        .block_on(coax_lab::graph::link_state(&fabric.site))
        .unwrap();
    let down: Vec<_> = state
        .down()
        .map(|id| fabric.site.plan.topology.link(id).clone())
        .collect();
    assert_eq!(
        down.len(),
        1,
        "the cable that was cut on its own stays cut: {down:?}"
    );
    assert_eq!(
        (down[0].upper_device.as_str(), down[0].lower_device.as_str()),
        ("hv1", "up1")
    );
    run(fault::heal(&fabric.site, &link)).unwrap();
    fabric.converge();
}

#[test]
fn both_uplinks_carry_flows_and_a_cut_is_bridged_in_milliseconds() {
    let fabric = Fabric::up('d');
    let topology = &fabric.site.plan.topology;
    let [from, to] = ["hv1", "hv3"].map(|name| topology.find(name).unwrap());
    let address = fabric.site.plan.addressing.loopback(to).v4;
    let flows: Vec<_> = (0..16u16)
        .map(|n| {
            let stream = Stream {
                to: SocketAddr::new(address.into(), 5000 + n),
                rate: 200,
                size: 64,
                from_port: 6000 + n,
            };
            let [from, to] = [from, to].map(|id| &fabric.site.node(id).namespace);
            udp::flow(from, to, stream).unwrap()
        })
        .collect();
    assert_eq!(
        udp::wait_for_all(&flows, 10, Duration::from_secs(10)),
        flows.len()
    );
    let sent = |device: &str| {
        let path = format!("/sys/class/net/{device}/statistics/tx_packets");
        let namespace = &fabric.site.node(from).namespace;
        let read = move || tx_packets(&path);
        namespace.run(read).unwrap()
    };
    let before = [sent("up1"), sent("up2")];
    assert_eq!(
        udp::wait_for_all(&flows, 10, Duration::from_secs(10)),
        flows.len()
    );
    let after = [sent("up1"), sent("up2")];
    assert!(
        after[0] > before[0] && after[1] > before[1],
        "{before:?} {after:?}"
    );

    let cut = Target::Uplink("hv3".into(), 1);
    fabric
        .runtime
        .block_on(fault::inflict(&fabric.site, &cut))
        .unwrap();
    assert_eq!(
        udp::wait_for_all(&flows, 10, Duration::from_secs(10)),
        flows.len()
    );
    for report in udp::finish_all(flows).unwrap() {
        assert!(report.longest_gap_ms < 500.0, "{report:?}");
        assert!(report.lost < 100, "{report:?}");
    }
}

/// Transmitted packets of a device of the calling thread's namespace.
fn tx_packets(path: &str) -> u64 {
    let device = path.split('/').nth(4).unwrap();
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = text
        .lines()
        .find(|line| line.trim_start().starts_with(&format!("{device}:")));
    let fields: Vec<&str> = line
        .unwrap()
        .split(':')
        .nth(1)
        .unwrap()
        .split_whitespace()
        .collect();
    fields[8].parse().unwrap()
}

#[test]
fn two_labs_stand_side_by_side() {
    let (one, two) = (Fabric::up('e'), Fabric::up('f'));
    assert_eq!((one.unreachable(), two.unreachable()), (vec![], vec![]));
    drop(one);
    assert_eq!(two.unreachable(), []);
}
