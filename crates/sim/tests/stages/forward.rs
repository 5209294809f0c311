//! Stage `forward`.

use crate::fixture::*;
use coax_pipeline::Stage;
use coax_sim::craft::{EXPERIMENT, ethernet};
use coax_sim::noise::mac;
use coax_sim::rows::Receiver;
use coax_sim::stand::Vtep;
use coax_sim::{Device, SimRows};
use coax_tables::{DropReason, FABRIC_SLOT, MacRow, NetworkId, NetworkRow};
use coax_wire::MacAddress;

fn flooding_rows() -> SimRows {
    let mut rows = rows();
    if let Some(row) = rows.networks.get_mut(&NETWORK) {
        row.flags |= NetworkRow::FLOOD_UNKNOWN;
    }
    rows
}

#[test]
fn local_destinations() {
    for (name, frame) in [
        ("ipv4", udp4(1, 2, 20)),
        ("ipv6", udp6(1, 2, 20)),
        ("other", ethernet(mac(2), mac(1), EXPERIMENT, b"anything")),
    ] {
        let about = "A port of the same host gets the frame as it is.";
        let played = from_vm1(
            &format!("forward/local-{name}"),
            about,
            rows(),
            frame.clone(),
        );
        played.delivered(Device::Vm2, &frame);
        assert_eq!(played.tallies[&2].counters.sent_frames, 1);
    }
}

#[test]
fn past_the_hosts_queue() {
    let mut rows = rows();
    let to_peer = MacRow {
        flags: MacRow::LOCAL | MacRow::TO_PEER,
        ..local(2, Device::Vm2)
    };
    rows.mac(NETWORK, mac(2), to_peer);
    for (name, frame) in [
        ("ipv4", udp4(1, 2, 20)),
        ("ipv6", udp6(1, 2, 20)),
        ("other", ethernet(mac(2), mac(1), EXPERIMENT, b"anything")),
    ] {
        let about = "A veth pair's other end gets the frame without a detour, where that is right.";
        let name = format!("forward/to-peer-{name}");
        from_vm1(&name, about, rows.clone(), frame.clone()).delivered(Device::Vm2, &frame);
    }
}

#[test]
fn a_vm_cannot_send_to_itself() {
    from_vm1(
        "forward/hairpin",
        "To the own MAC address.",
        rows(),
        udp4(1, 1, 20),
    )
    .dropped(Stage::Forward, DropReason::Hairpin, 1);
}

#[test]
fn the_same_mac_in_another_network_is_somebody_else() {
    let mut rows = rows();
    let other = NetworkId(8);
    let row = coax_tables::PortRow {
        network: other,
        ..port_row(1)
    };
    rows.port(index(Device::Vm1), row);
    rows.mac(other, mac(2), local(3, Device::Vm3));
    let frame = udp4(1, 2, 20);
    let about = "Networks may use the same addresses: the sender's network decides.";
    from_vm1("forward/overlap", about, rows, frame.clone()).delivered(Device::Vm3, &frame);
}

#[test]
fn groups_that_no_bridge_forwards() {
    for last in [0x00, 0x01, 0x02, 0x03, 0x0e, 0x0f] {
        let group = MacAddress([0x01, 0x80, 0xc2, 0, 0, last]);
        from_vm1(
            &format!("forward/reserved-group-{last:02x}"),
            "IEEE 802.1Q clause 8.6.3: STP, pause, LACP, authentication, LLDP end at the port.",
            rows(),
            ethernet(group, mac(1), 0x88cc, b"control"),
        )
        .dropped(Stage::Forward, DropReason::ReservedGroup, 1);
    }
    let next = MacAddress([0x01, 0x80, 0xc2, 0, 0, 0x10]);
    let frame = ethernet(next, mac(1), EXPERIMENT, b"data");
    let about = "The first group address that bridges do forward.";
    assert!(
        !from_vm1("forward/group-10", about, rows(), frame)
            .flooded()
            .is_empty()
    );
}

#[test]
fn unknown_unicast_ends_here() {
    from_vm1(
        "forward/unknown",
        "Nobody in the network has the address, and nothing is flooded.",
        rows(),
        udp4(1, 77, 20),
    )
    .dropped(Stage::Forward, DropReason::UnknownUnicast, 1);
}

#[test]
fn unknown_unicast_is_flooded_where_the_network_wants_it() {
    let about = "A network with flood_unknown: copies are counted as such.";
    let played = from_vm1(
        "forward/unknown-flooded",
        about,
        flooding_rows(),
        udp4(1, 77, 20),
    );
    assert_eq!(played.flooded(), [Device::Vm2, Device::Vm3, Device::Up1]);
    assert_eq!(played.tallies[&1].counters.unknown_unicast, 1);
}

#[test]
fn unknown_unicast_goes_to_foreign_vteps_only() {
    let about = "What lives behind a foreign VTEP is not known: it alone gets a copy.";
    let rows = crate::resolve_arp::rows_with_foreign();
    let played = from_vm1("forward/unknown-to-foreign", about, rows, udp4(1, 77, 20));
    assert_eq!(played.flooded(), [Device::Up1, Device::Up2]);
    assert_eq!(played.tallies[&1].counters.unknown_unicast, 1);
}

#[test]
fn a_network_that_is_not_there_has_no_receivers() {
    let mut rows = rows();
    rows.networks.clear();
    from_vm1(
        "forward/broadcast-without-network",
        "No network row: nobody to send a broadcast to.",
        rows.clone(),
        broadcast(1),
    )
    .dropped(Stage::Forward, DropReason::NoReceiver, 1);
    from_vm1(
        "forward/unknown-without-network",
        "No network row: nobody has the address.",
        rows,
        udp4(1, 77, 20),
    )
    .dropped(Stage::Forward, DropReason::UnknownUnicast, 1);
}

#[test]
fn what_came_out_of_a_tunnel_goes_into_no_other() {
    for (name, vm) in [("remote", 4), ("unknown", 77)] {
        from_fabric(
            &format!("forward/not-here-{name}"),
            "Another host believes that the destination is here (split horizon).",
            rows(),
            tunnel(false).around(&udp4(9, vm, 20)),
        )
        .dropped(Stage::Forward, DropReason::NotHere, FABRIC_SLOT);
    }
    from_fabric(
        "forward/unknown-from-fabric-with-foreign",
        "Unknown addresses from a tunnel are not asked of foreign VTEPs either.",
        crate::resolve_arp::rows_with_foreign(),
        tunnel(false).around(&udp4(9, 77, 20)),
    )
    .dropped(Stage::Forward, DropReason::NotHere, FABRIC_SLOT);
}

#[test]
fn unknown_unicast_from_a_tunnel_is_flooded_to_local_ports() {
    let frame = tunnel(false).around(&udp4(9, 77, 20));
    let about = "In a network with flood_unknown: to local ports, never back into tunnels.";
    let played = from_fabric("forward/unknown-from-fabric", about, flooding_rows(), frame);
    assert_eq!(played.flooded(), [Device::Vm1, Device::Vm2, Device::Vm3]);
}

#[test]
fn stragglers_follow_the_vm_that_moved() {
    for (came, goes) in [(false, false), (false, true), (true, false), (true, true)] {
        for (kind, frame) in [
            ("ipv4", udp4(9, 1, 20)),
            ("ipv6", udp6(9, 1, 20)),
            ("other", ethernet(mac(1), mac(9), EXPERIMENT, b"straggler")),
        ] {
            let mut rows = rows();
            let mut row = remote(Vtep::JUMBO, goes);
            row.flags |= MacRow::FORWARD;
            rows.mac(NETWORK, mac(1), row);
            let family = |ipv6| if ipv6 { "6" } else { "4" };
            let played = from_fabric(
                &format!("forward/straggler-{kind}-{}-{}", family(came), family(goes)),
                "A VM has just moved: what still arrives here is sent on to its new host.",
                rows,
                tunnel(came).around(&frame),
            );
            assert_eq!(inside(played.sent(Device::Up2)), frame);
            let counters = played.tallies[&FABRIC_SLOT].counters;
            assert_eq!((counters.received_frames, counters.sent_frames), (1, 1));
        }
    }
}

#[test]
fn broadcasts_from_a_tunnel_are_for_local_ports() {
    let mut rows = rows();
    rows.network(
        NETWORK,
        MTU,
        0,
        &[
            receiver(1, Device::Vm1),
            Receiver::Host(Vtep::PEER.row(false)),
            Receiver::Foreign(Vtep::FOREIGN.row(false)),
        ],
    );
    let about = "Split horizon: no copy goes back into a tunnel.";
    let frame = tunnel(false).around(&broadcast(9));
    let played = from_fabric("forward/broadcast-from-fabric", about, rows, frame);
    assert_eq!(played.flooded(), [Device::Vm1]);
}
