//! A network of the routed kind, as the kernels of its VMs see it: every neighbour has the gateway's
//! MAC address, hops are not counted, and nothing but IP unicast is carried.

use crate::between::{Between, GATE, GATEWAY, LEFT, RIGHT, at, of_vm};
use crate::counters::wait_until;
use crate::raw;
use crate::traffic::{self, must};
use coax_bench::vm::Vm;
use coax_tables::{DropReason, NetworkRow, PortRow};
use coax_vswitch::{DataPlane, Row};

/// VM 3 and VM 2 share the right network, on two hosts; here it is routed.
async fn build(label: &str) -> Between {
    let mut between = Between::build(label, false).await;
    for plane in between.pair.planes() {
        let rows = plane.rows().unwrap();
        let right = rows.ports.values().find(|row| row.mac != Vm::number(1).mac);
        let id = right.unwrap().network;
        for (key, row) in rows.networks.into_iter().filter(|(key, _)| *key == id) {
            let flags = row.flags | NetworkRow::ROUTED;
            let row = Row::Network(key, NetworkRow { flags, ..row });
            plane.apply(&coax_vswitch::RowOperation::Put(row)).unwrap();
        }
        for (key, row) in rows.ports.into_iter().filter(|(_, row)| row.network == id) {
            let flags = row.flags | PortRow::ROUTED;
            let row = Row::Port(key, PortRow { flags, ..row });
            plane.apply(&coax_vswitch::RowOperation::Put(row)).unwrap();
        }
    }
    between
}

#[tokio::test]
async fn neighbours_are_reached_through_the_gateway_without_a_hop() {
    let mut between = build("routed").await;
    for ipv6 in [false, true] {
        let target = of_vm(2, ipv6);
        let said = must(between.vm(3), &format!("ping -n -c 1 -W 5 -t 1 {target}"));
        assert!(
            said.contains("ttl=64"),
            "inside the network no hop is counted: {said}"
        );
        let known = must(between.vm(3), &format!("ip neigh show {target}"));
        assert!(known.contains(&GATEWAY.to_string()), "{known}");
        traffic::stream_between(between.vm(3), between.vm(2), target, 1 << 20);
        // Out of the network hops count as everywhere.
        let said = must(
            between.vm(3),
            &format!("ping -n -c 1 -W 5 {}", of_vm(1, ipv6)),
        );
        assert!(said.contains("ttl=63"), "{said}");
        must(
            between.vm(3),
            &format!("ping -n -c 1 -W 5 {}", at(RIGHT, ipv6, GATE)),
        );
        must(
            between.vm(3),
            &format!("ping -n -c 1 -W 5 {}", at(LEFT, ipv6, GATE)),
        );
    }
    between.assert_accounted();
}

#[tokio::test]
async fn nothing_but_ip_unicast_is_carried() {
    let mut between = build("routedno").await;
    let (own, other) = (Vm::number(3).mac.0, Vm::number(2).mac.0);
    let heard = between.capture(2, &format!("ether src {}", Vm::number(3).mac));
    for (about, to) in [
        ("a broadcast", [0xff; 6]),
        ("past the gateway", other),
        ("not IP", GATEWAY.0),
    ] {
        let before = between.dropped(3, DropReason::NotRoutable);
        let frame = raw::ethernet(to, own, &[0x88, 0xb5], &[0; 46]);
        raw::send(between.vm(3), "eth0", &[frame]);
        wait_until(about, || {
            between.dropped(3, DropReason::NotRoutable) > before
        });
    }
    assert_eq!(heard.finish().len(), 0);
    between.assert_accounted();
}
