//! Stage `guard`: from which addresses a port may send.

use crate::fixture::*;
use coax_pipeline::Stage;
use coax_sim::craft::{self, IPV4, IPV6, Ipv4, Ipv6, ethernet};
use coax_sim::noise::{ipv4, ipv6, mac};
use coax_sim::{Device, Scenario, SimRows, Stand};
use coax_tables::{DropReason, PortRow, SourceRow};
use coax_wire::{MacAddress, ip};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The MAC address of a virtual router (RFC 9568 section 7.3).
pub const VIRTUAL: MacAddress = MacAddress([0, 0, 0x5e, 0, 1, 9]);

/// The whole network, with ports that may send from their own addresses only.
pub fn guarded() -> SimRows {
    let mut rows = rows();
    for (vm, device) in VMS {
        rows.port(index(device), guarded_row(vm));
    }
    rows
}

/// The row of such a port.
pub fn guarded_row(vm: u8) -> PortRow {
    PortRow {
        flags: 0,
        ipv4: ipv4(vm).octets(),
        ipv6: ipv6(vm).octets(),
        shut_seconds: 300,
        ..port_row(vm)
    }
}

/// The link-local address that is made of a VM's MAC address.
pub fn own_link_local(vm: u8) -> Ipv6Addr {
    ip::link_local(mac(vm)).into()
}

/// A DHCP message (RFC 2131 section 2): operation, and the one option that says its type.
pub fn dhcp(operation: u8, kind: u8) -> Vec<u8> {
    let mut message = vec![0; 300];
    message[..4].copy_from_slice(&[operation, 1, 6, 0]);
    message[236..244].copy_from_slice(&[99, 130, 83, 99, 53, 1, kind, 255]);
    message
}

/// An IGMPv3 report of one group (RFC 3376 section 4.2).
fn igmp_report() -> Vec<u8> {
    let mut report = vec![0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 224, 0, 0, 251];
    let sum = craft::checksum(&[&report]).to_be_bytes();
    report[2..4].copy_from_slice(&sum);
    report
}

fn from4(source: Ipv4Addr) -> Vec<u8> {
    let packet = in_ipv4(&Ipv4::new(source, ipv4(2), 17), b"from somebody");
    ethernet(mac(2), mac(1), IPV4, &packet)
}

fn from6(source: Ipv6Addr) -> Vec<u8> {
    let packet = in_ipv6(&Ipv6::new(source, ipv6(2), 17), b"from somebody");
    ethernet(mac(2), mac(1), IPV6, &packet)
}

#[test]
fn own_addresses_pass() {
    let about = "From an address in the port's row, or the link-local one of its MAC address.";
    for (name, frame) in [
        ("own-ipv4", from4(ipv4(1))),
        ("own-ipv6", from6(ipv6(1))),
        ("own-link-local", from6(own_link_local(1))),
    ] {
        from_vm1(&format!("guard/{name}"), about, guarded(), frame.clone())
            .delivered(Device::Vm2, &frame);
    }
}

#[test]
fn other_addresses_are_forged() {
    let about =
        "From an address that the port does not have: a neighbour's, one of no family, nobody's.";
    for (name, frame) in [
        ("of-a-neighbour-4", from4(ipv4(3))),
        ("of-a-neighbour-6", from6(ipv6(3))),
        ("link-local-of-a-neighbour", from6(own_link_local(2))),
        ("from-outside", from4(Ipv4Addr::new(8, 8, 8, 8))),
        ("from-everybody", from4(Ipv4Addr::BROADCAST)),
        ("without-a-sender-4", from4(Ipv4Addr::UNSPECIFIED)),
        ("without-a-sender-6", from6(Ipv6Addr::UNSPECIFIED)),
    ] {
        from_vm1(&format!("guard/forged-{name}"), about, guarded(), frame).dropped(
            Stage::Guard,
            DropReason::ForgedAddress,
            1,
        );
    }
}

#[test]
fn a_port_without_an_address_of_a_family_has_none() {
    let mut rows = guarded();
    let row = PortRow {
        ipv4: [0; 4],
        ipv6: [0; 16],
        ..guarded_row(1)
    };
    rows.port(index(Device::Vm1), row);
    for (name, frame) in [("4", from4(ipv4(1))), ("6", from6(ipv6(1)))] {
        let about = "A port without an address of the family may send from none.";
        from_vm1(
            &format!("guard/no-address-{name}"),
            about,
            rows.clone(),
            frame,
        )
        .dropped(Stage::Guard, DropReason::ForgedAddress, 1);
    }
}

#[test]
fn further_addresses_are_in_the_source_table() {
    let mut rows = guarded();
    let (more4, more6) = (Ipv4Addr::new(10, 0, 0, 77), "fd00::77".parse().unwrap());
    let row = SourceRow {
        mac: mac(1),
        flags: 0,
    };
    rows.source(1, ip::mapped(more4.octets()), row);
    rows.source(1, Ipv6Addr::octets(&more6), row);
    for (name, frame) in [("4", from4(more4)), ("6", from6(more6))] {
        let about = "From an allowed address that is not in the port's row.";
        from_vm1(
            &format!("guard/further-address-{name}"),
            about,
            rows.clone(),
            frame.clone(),
        )
        .delivered(Device::Vm2, &frame);
    }
    let about = "Another port's allowed address.";
    let packet = in_ipv4(&Ipv4::new(more4, ipv4(1), 17), b"stolen");
    let frame = ethernet(mac(1), mac(2), IPV4, &packet);
    let frames = vec![coax_sim::Enters::new(Device::Vm2, frame)];
    play("guard/further-address-of-a-neighbour", about, rows, frames).dropped(
        Stage::Guard,
        DropReason::ForgedAddress,
        2,
    );
}

#[test]
fn a_virtual_mac_address_is_a_source_too() {
    let mut rows = guarded();
    let row = SourceRow {
        mac: VIRTUAL,
        flags: 0,
    };
    let address = ip::link_local(VIRTUAL);
    rows.source(1, address, row);
    let packet = in_ipv4(&Ipv4::new(ipv4(1), ipv4(2), 112), b"VRRP");
    let frame = ethernet(mac(2), VIRTUAL, IPV4, &packet);
    let about =
        "A virtual router speaks with its virtual MAC address, from the port's own IP address.";
    from_vm1("guard/virtual-mac", about, rows, frame.clone()).delivered(Device::Vm2, &frame);
    let about = "A virtual MAC address that the port may not use.";
    from_vm1("guard/virtual-mac-not-allowed", about, guarded(), frame).dropped(
        Stage::Port,
        DropReason::ForgedSource,
        1,
    );
}

#[test]
fn messages_of_those_who_have_no_address_yet_pass() {
    let none4 = Ipv4Addr::UNSPECIFIED;
    let discover = craft::udp(
        (none4.into(), 68),
        (Ipv4Addr::BROADCAST.into(), 67),
        &dhcp(1, 1),
    );
    let request = Ipv4::new(none4, Ipv4Addr::BROADCAST, 17).packet(&discover);
    let group = Ipv4Addr::new(224, 0, 0, 22);
    let igmp = Ipv4::new(none4, group, 2).packet(&igmp_report());
    let all = "ff02::16".parse().unwrap();
    let report = craft::icmpv6(Ipv6Addr::UNSPECIFIED, all, 143, 0, &[0; 24]);
    let mld = Ipv6::new(Ipv6Addr::UNSPECIFIED, all, 58).packet(&report);
    for (name, frame) in [
        (
            "dhcp",
            ethernet(MacAddress::BROADCAST, mac(1), IPV4, &request),
        ),
        (
            "igmp",
            ethernet(MacAddress([1, 0, 0x5e, 0, 0, 22]), mac(1), IPV4, &igmp),
        ),
        ("mld", ethernet(craft::group_mac(all), mac(1), IPV6, &mld)),
    ] {
        let about = "DHCP clients, IGMP and MLD send without an address of their own.";
        let played = from_vm1(&format!("guard/no-sender-{name}"), about, guarded(), frame);
        assert!(!played.flooded().is_empty());
    }
}

#[test]
fn what_only_claims_to_be_ip_ends_here() {
    for (name, kind) in [("4", IPV4), ("6", IPV6)] {
        let frame = ethernet(mac(2), mac(1), kind, &[0x15; 60]);
        let about = "An ethertype of IP and no IP behind it: nothing can be compared.";
        from_vm1(&format!("guard/not-ip-{name}"), about, guarded(), frame).dropped(
            Stage::Guard,
            DropReason::Malformed,
            1,
        );
    }
}

#[test]
fn priority_tags_change_nothing_and_the_vms_own_vlans_are_their_own() {
    let mut rows = guarded();
    for row in rows.ports.values_mut() {
        row.flags |= PortRow::VLAN_TRANSPARENT;
    }
    let tagged = |controls: &[u16]| {
        controls.iter().fold(from4(ipv4(3)), |frame, control| {
            craft::tagged(&frame, craft::C_TAG, *control)
        })
    };
    for (name, controls) in [("one", &[0u16][..]), ("three", &[0, 0xe000, 0])] {
        let about = "Priority tags in front of a forged packet.";
        let name = format!("guard/priority-tags-{name}");
        from_vm1(&name, about, rows.clone(), tagged(controls)).dropped(
            Stage::Guard,
            DropReason::ForgedAddress,
            1,
        );
    }
    let about = "In a VLAN of the VM's own, addresses are its own business.";
    let frame = tagged(&[0, 5]);
    from_vm1("guard/own-vlan", about, rows, frame.clone()).delivered(Device::Vm2, &frame);
}

#[test]
fn what_a_port_sends_and_a_guard_drops_is_reported_once() {
    let stand = Stand::default();
    let scenario = Scenario {
        rows: guarded(),
        ..Scenario::default()
    };
    let forged_mac = ethernet(mac(2), mac(3), IPV4, &[0; 40]);
    for (frame, has_address) in [(from4(ipv4(3)), true), (forged_mac, false)] {
        let mut host = scenario.host(&stand);
        let outcome = host.port(index(Device::Vm1), &frame);
        let reported = host.sink.take_flows();
        assert_eq!(reported.len(), 1, "{outcome:?}");
        let record = reported[0];
        assert_eq!(Some(record.reason), outcome.reason.map(|it| it as u32));
        assert_eq!((record.domain, record.slot), (0, port_row(1).slot));
        assert_eq!(record.network, NETWORK.0);
        assert_eq!(record.source != [0; 16], has_address);
    }
}
