//! Shared addresses where hosts route: in a routed network, and for hosts that have no port in the network.

use crate::fixture::*;
use crate::routed::as_routed;
use crate::router::{key, packet, to_gateway};
use crate::shared::*;
use coax_pipeline::{Stage, Verdict};
use coax_sim::craft;
use coax_sim::noise::{ipv4, ipv6, mac};
use coax_sim::rows::Receiver;
use coax_sim::stand::Vtep;
use coax_sim::{Device, Enters, SimRows};
use coax_tables::{DropReason, NetworkRow};
use coax_wire::MacAddress;
use std::net::IpAddr;

const FAMILIES: [(&str, bool); 2] = [("ipv4", false), ("ipv6", true)];

fn announcement(ipv6: bool, from: MacAddress) -> Vec<u8> {
    if ipv6 {
        nd_announcement(from)
    } else {
        arp_announcement(from)
    }
}

/// The routed network, of which one other host hears announcements.
fn routed_rows(virtual_mac: bool) -> SimRows {
    let other = Receiver::Announced(Vtep::PEER.row(false));
    as_routed(shared_rows(virtual_mac), &[other])
}

/// VM 3 sends to the shared address.
fn to_shared(over_ipv6: bool) -> Vec<u8> {
    let (from, to): (IpAddr, IpAddr) = if over_ipv6 {
        (ipv6(3).into(), SHARED6.into())
    } else {
        (ipv4(3).into(), SHARED4.into())
    };
    let body = craft::udp((from, 1000), (to, 2000), b"hello");
    let mut frame = to_gateway(&packet(from, to, 17, 64, &body));
    frame[6..12].copy_from_slice(&mac(3).0);
    frame
}

#[test]
fn in_a_routed_network_hosts_hear_of_owners_and_ports_do_not() {
    for (name, over_ipv6) in FAMILIES {
        let about = "A routed network: an announcement goes to other hosts and to no port; packets go to the new owner.";
        let frames = vec![
            Enters::new(Device::Vm3, to_shared(over_ipv6)),
            Enters::new(Device::Vm1, announcement(over_ipv6, mac(1))),
            Enters::new(Device::Vm3, to_shared(over_ipv6)),
            Enters::new(
                Device::Up1,
                tunnel(false).around(&announcement(over_ipv6, mac(4))),
            ),
            Enters::new(Device::Vm3, to_shared(over_ipv6)),
        ];
        let case = format!("forward/routed-shared-{name}");
        let played = play(&case, about, routed_rows(false), frames);
        let [nobody, said, here, heard, elsewhere] = &played.outcomes[..] else {
            panic!("{name}")
        };
        assert_eq!(nobody.verdict, Verdict::Answer, "that host is unreachable");
        assert_eq!(said.verdict, Verdict::Flood);
        let [(device, bytes)] = said.sent()[..] else {
            panic!("{:?}", said.sent())
        };
        assert_eq!(device, index(Device::Up1));
        assert_eq!(inside(bytes), announcement(over_ipv6, mac(1)));
        assert_eq!(
            (here.device, &here.frame.as_ref().unwrap()[..6]),
            (Some(index(Device::Vm1)), &mac(1).0[..])
        );
        assert_eq!(
            (heard.reason, heard.sent().len()),
            (Some(DropReason::NoReceiver), 0)
        );
        let packet = elsewhere.frame.as_deref().unwrap();
        assert_eq!(inside(packet)[..6], mac(4).0);
    }
}

#[test]
fn in_a_routed_network_a_shared_address_cannot_be_stolen() {
    for (name, over_ipv6) in FAMILIES {
        let about = "In a routed network a port that does not share the address announces it.";
        let reason = if over_ipv6 {
            DropReason::ForgedAddress
        } else {
            DropReason::ForgedArp
        };
        let frames = vec![Enters::new(Device::Vm3, announcement(over_ipv6, mac(3)))];
        let case = format!("guard/routed-stolen-{name}");
        play(&case, about, routed_rows(false), frames).dropped(Stage::Guard, reason, 3);
        // A host whose rows do not call the address shared takes nobody's word for it.
        let mut rows = routed_rows(false);
        rows.addresses
            .retain(|_, row| row.mac != MacAddress::default());
        let about =
            "A routed network: from the fabric, an announcement of an address that is not shared.";
        let case = format!("forward/routed-not-shared-{name}");
        let frame = tunnel(false).around(&announcement(over_ipv6, mac(4)));
        from_fabric(&case, about, rows, frame).dropped(Stage::Forward, DropReason::NotRoutable, 0);
    }
}

#[test]
fn a_host_without_ports_hears_announcements_and_no_broadcasts() {
    let mut rows = shared_rows(false);
    let receivers = [
        receiver(1, Device::Vm1),
        receiver(3, Device::Vm3),
        Receiver::Announced(Vtep::PEER.row(false)),
        Receiver::Announced(Vtep::PEER.row(true)),
    ];
    rows.network(NETWORK, MTU, 0, &receivers);
    let frames = vec![
        Enters::new(Device::Vm1, broadcast(1)),
        Enters::new(Device::Vm1, arp_announcement(mac(1))),
        Enters::new(Device::Vm1, nd_announcement(mac(1))),
    ];
    let about =
        "Hosts that only route into the network hear who has a shared address, and nothing else.";
    let played = play("replicate/announced", about, rows, frames);
    let devices = |place: usize| -> Vec<u32> {
        played.outcomes[place]
            .sent()
            .iter()
            .map(|(device, _)| *device)
            .collect()
    };
    let [vm3, up] = [Device::Vm3, Device::Up1].map(index);
    assert_eq!(
        [devices(0), devices(1), devices(2)],
        [vec![vm3], vec![vm3, up, up], vec![vm3, up, up]]
    );

    let mut rows = shared_rows(false);
    rows.ports.clear();
    rows.macs.retain(|key, _| key.mac == mac(4));
    rows.network(NETWORK, MTU, 0, &[]);
    let about = "A host without ports in the network hears who has a shared address.";
    let frame = tunnel(false).around(&arp_announcement(mac(4)));
    from_fabric(
        "replicate/announced-to-a-router",
        about,
        rows.clone(),
        frame.clone(),
    )
    .dropped(Stage::Replicate, DropReason::NoReceiver, 0);
    assert_eq!(owner_after(rows, frame, false), mac(4));
}

/// What its sender's host has not compared tells nobody who has an address: a frame to one MAC address, and one in a VLAN of the
/// VM's own.
#[test]
fn what_no_guard_has_compared_moves_no_shared_address() {
    for (_, over_ipv6) in FAMILIES {
        let mut rows = shared_rows(false);
        let receivers = [receiver(1, Device::Vm1), receiver(3, Device::Vm3)];
        let open = NetworkRow::VLAN_TRANSPARENT | NetworkRow::FLOOD_UNKNOWN;
        rows.network(NETWORK, MTU, open, &receivers);
        let announced = announcement(over_ipv6, mac(4));
        let mut to_one = announced.clone();
        to_one[..6].copy_from_slice(&mac(9).0);
        let in_a_vlan = craft::tagged(&announced, 0x8100, 7);
        for (frame, owner) in [
            (to_one, MacAddress::default()),
            (in_a_vlan, MacAddress::default()),
            (announced, mac(4)),
        ] {
            let frame = tunnel(false).around(&frame);
            assert_eq!(owner_after(rows.clone(), frame, over_ipv6), owner);
        }
    }
}

/// Who has the shared address for a host after a frame from the fabric.
fn owner_after(rows: SimRows, frame: Vec<u8>, over_ipv6: bool) -> MacAddress {
    let tables = coax_sim::SimTables {
        rows,
        ..coax_sim::SimTables::default()
    };
    let mut host = coax_sim::Host::new(tables, [index(Device::Up1)]);
    host.uplink(index(Device::Up1), &frame);
    let shared = match over_ipv6 {
        false => SHARED4.into(),
        true => SHARED6.into(),
    };
    let address = coax_tables::AddressKey {
        address: key(shared),
        network: NETWORK,
    };
    host.tables.rows.addresses[&address].mac
}
