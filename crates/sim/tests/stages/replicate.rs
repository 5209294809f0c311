//! Stage `replicate`.

use crate::fixture::*;
use crate::parse::{TAGS, with_tags};
use coax_pipeline::Stage;
use coax_sim::craft::{EXPERIMENT, IPV4, IPV6, Ipv4, Ipv6, ethernet, group_mac};
use coax_sim::noise::{ipv4, ipv6, mac};
use coax_sim::rows::Receiver;
use coax_sim::stand::Vtep;
use coax_sim::{Device, SimRows};
use coax_tables::{DropReason, FABRIC_SLOT};
use coax_wire::MacAddress;

fn rows_for(receivers: &[Receiver]) -> SimRows {
    let mut rows = transparent_rows();
    rows.network(NETWORK, MTU, 0, receivers);
    rows
}

/// Two local ports, and VTEPs of both families, foreign and our own.
fn mixed() -> Vec<Receiver> {
    vec![
        receiver(1, Device::Vm1),
        receiver(2, Device::Vm2),
        Receiver::Host(Vtep::PEER.row(false)),
        Receiver::Host(Vtep::JUMBO.row(false)),
        Receiver::Host(Vtep::JUMBO.row(true)),
        Receiver::Foreign(Vtep::FOREIGN.row(false)),
        Receiver::Foreign(Vtep::FOREIGN.row(true)),
    ]
}

/// Broadcasts and multicasts of the kinds that are put into tunnels in different ways.
fn kinds() -> Vec<(&'static str, Vec<u8>)> {
    let group = "ff05::1234".parse().unwrap();
    let packet4 = in_ipv4(
        &Ipv4::new(ipv4(1), [239, 0, 0, 1].into(), 17),
        b"multicast over IPv4",
    );
    let packet6 = in_ipv6(&Ipv6::new(ipv6(1), group, 17), b"multicast over IPv6");
    let everybody = MacAddress::BROADCAST;
    vec![
        ("other", broadcast(1)),
        ("empty", ethernet(everybody, mac(1), EXPERIMENT, &[])),
        (
            "ipv4",
            ethernet(MacAddress([1, 0, 0x5e, 0, 0, 1]), mac(1), IPV4, &packet4),
        ),
        ("ipv6", ethernet(group_mac(group), mac(1), IPV6, &packet6)),
    ]
}

#[track_caller]
fn all_copies_are(played: &Played, frame: &[u8]) {
    for (device, copy) in &played.only().copies {
        let device = coax_sim::Stand::default().device(*device).unwrap();
        let arrives = if device.is_uplink() {
            inside(copy)
        } else {
            copy
        };
        assert_eq!(arrives, frame, "{device:?}");
    }
}

#[test]
fn everybody_gets_the_frame_once_over_both_families() {
    for (kind, frame) in kinds() {
        let played = from_vm1(
            &format!("replicate/mixed-{kind}"),
            "Local ports but the sender's, then VTEPs over IPv4, then those over IPv6.",
            rows_for(&mixed()),
            frame.clone(),
        );
        let expected = [
            Device::Vm2,
            Device::Up1,
            Device::Up2,
            Device::Up1,
            Device::Up1,
            Device::Up2,
        ];
        assert_eq!(played.flooded(), expected);
        all_copies_are(&played, &frame);
        let counters = played.tallies[&1].counters;
        assert_eq!((counters.flooded, counters.copies), (1, 6));
        assert_eq!(played.tallies[&FABRIC_SLOT].counters.sent_frames, 5);
        assert_eq!(played.tallies[&2].counters.sent_frames, 1);
    }
}

#[test]
fn tags_reach_everybody() {
    for count in 1..=3 {
        for (kind, frame) in kinds() {
            let frame = with_tags(&frame, &TAGS[..count]);
            let played = from_vm1(
                &format!("replicate/mixed-{kind}-{count}-tags"),
                "Tags are put back for local ports and taken off again for tunnels.",
                rows_for(&mixed()),
                frame.clone(),
            );
            assert_eq!(played.flooded().len(), 6);
            all_copies_are(&played, &frame);
        }
    }
}

#[test]
fn tags_reach_tunnels_where_no_port_is() {
    let receivers = [
        Receiver::Host(Vtep::PEER.row(false)),
        Receiver::Host(Vtep::PEER.row(true)),
    ];
    let frame = with_tags(&broadcast(1), &TAGS[..2]);
    let about = "Tags that were never put back need not be taken off.";
    let name = "replicate/tunnels-only-2-tags";
    let played = from_vm1(name, about, rows_for(&receivers), frame.clone());
    assert_eq!(played.flooded(), [Device::Up1, Device::Up1]);
    all_copies_are(&played, &frame);
}

#[test]
fn foreign_only_with_tags() {
    let frame = with_tags(&udp4(1, 77, 20), &TAGS[..2]);
    let about = "Unknown unicast with tags goes to foreign VTEPs only, as it is.";
    let name = "replicate/foreign-only-2-tags";
    let played = from_vm1(name, about, rows_for(&mixed()), frame.clone());
    assert_eq!(played.flooded(), [Device::Up1, Device::Up1]);
    all_copies_are(&played, &frame);
}

#[test]
fn from_a_tunnel_to_local_ports_only() {
    for (kind, frame) in kinds() {
        let frame = with_tags(&frame, &TAGS[..1]);
        let played = from_fabric(
            &format!("replicate/from-fabric-{kind}"),
            "What came out of a tunnel is copied to local ports, with its tags.",
            rows_for(&mixed()),
            tunnel(true).around(&frame),
        );
        assert_eq!(played.flooded(), [Device::Vm1, Device::Vm2]);
        all_copies_are(&played, &frame);
    }
}

#[test]
fn nobody_else_is_there() {
    from_vm1(
        "replicate/alone",
        "The sender is the only member.",
        rows_for(&[receiver(1, Device::Vm1)]),
        broadcast(1),
    )
    .dropped(Stage::Replicate, DropReason::NoReceiver, 1);
    from_vm1(
        "replicate/nobody",
        "The network has no receivers at all.",
        rows_for(&[]),
        broadcast(1),
    )
    .dropped(Stage::Replicate, DropReason::NoReceiver, 1);
    from_fabric(
        "replicate/nobody-local",
        "A broadcast from a tunnel, and no local port.",
        rows_for(&[Receiver::Host(Vtep::PEER.row(false))]),
        tunnel(false).around(&broadcast(9)),
    )
    .dropped(Stage::Replicate, DropReason::NoReceiver, FABRIC_SLOT);
}

#[test]
fn copies_that_cannot_go_are_counted_one_by_one() {
    for over_ipv6 in [false, true] {
        let receivers = [
            receiver(2, Device::Vm2),
            receiver(4, Device::Down),
            Receiver::Host(Vtep::NOWHERE.row(over_ipv6)),
            Receiver::Host(Vtep::UNRESOLVED.row(over_ipv6)),
            Receiver::Host(Vtep::NARROW.row(over_ipv6)),
            Receiver::Host(Vtep::PEER.row(over_ipv6)),
        ];
        let frame = ethernet(MacAddress::BROADCAST, mac(1), EXPERIMENT, &[0; 1400]);
        let played = from_vm1(
            &format!(
                "replicate/lost-copies-{}",
                if over_ipv6 { "ipv6" } else { "ipv4" }
            ),
            "Every copy that cannot be sent is a drop with a name; the others are sent.",
            rows_for(&receivers),
            frame,
        );
        assert_eq!(played.flooded(), [Device::Vm2, Device::Up1]);
        let expected = [
            (DropReason::NoPath, 2),
            (DropReason::CopyFailed, 1),
            (DropReason::PathTooSmall, 1),
        ];
        assert_eq!(played.drops(1), expected);
        assert_eq!(played.tallies[&1].counters.copies, 6);
    }
}

#[test]
fn a_family_without_an_own_address_is_one_drop() {
    for (name, ipv4, ipv6, expected) in [
        ("ipv4", [0; 4], Vtep::OWN.row(true), 3),
        ("ipv6", Vtep::OWN.ipv4().octets(), [0; 16], 4),
    ] {
        let mut rows = rows_for(&mixed());
        rows.host.vtep_ipv4 = ipv4;
        rows.host.vtep_ipv6 = ipv6;
        let about = "The host has no tunnel address of one family: its run of copies is lost.";
        let played = from_vm1(
            &format!("replicate/no-own-{name}"),
            about,
            rows,
            broadcast(1),
        );
        assert_eq!(played.flooded().len(), expected);
        assert_eq!(played.drops(1), [(DropReason::NoTunnelAddress, 1)]);
    }
}

#[test]
fn a_list_with_holes_is_walked_to_its_end() {
    let mut rows = rows_for(&mixed());
    rows.replicas.retain(|key, _| key.slot % 2 == 1);
    let about = "Rows that are not there (yet) are passed over.";
    let played = from_vm1("replicate/holes", about, rows, broadcast(1));
    assert_eq!(played.flooded(), [Device::Vm2, Device::Up2, Device::Up1]);
}

#[test]
fn a_list_of_another_generation_is_not_read() {
    let mut rows = rows_for(&mixed());
    if let Some(row) = rows.networks.get_mut(&NETWORK) {
        row.generation += 1;
    }
    from_vm1(
        "replicate/generation",
        "The network row names the generation that counts.",
        rows,
        broadcast(1),
    )
    .dropped(Stage::Replicate, DropReason::NoReceiver, 1);
}

#[test]
fn there_is_no_hidden_limit() {
    let receivers: Vec<Receiver> = (0..2000)
        .map(|number: u16| {
            let [a, b] = number.to_be_bytes();
            Receiver::Host(coax_wire::ip::mapped([198, 18, a, b]))
        })
        .collect();
    let mut rows = rows_for(&receivers);
    rows.ports
        .retain(|key, _| key.ifindex == index(Device::Vm1));
    let way = coax_sim::tables::Way {
        path: coax_pipeline::Path {
            ifindex: index(Device::Up1),
            ..Default::default()
        },
        resolved: true,
        mtu: 9000,
    };
    let tables = coax_sim::SimTables {
        rows,
        underlay: coax_sim::Underlay::everywhere(way),
        ..coax_sim::SimTables::default()
    };
    let mut host = coax_sim::Host::new(tables, [index(Device::Up1)]);
    assert_eq!(
        host.port(index(Device::Vm1), &broadcast(1)).copies.len(),
        2000
    );
    host.check_accounting().unwrap();
}
