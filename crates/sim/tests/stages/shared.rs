//! Addresses that several ports share, and who has them now.

use crate::fixture::*;
use crate::guard_sources::{VIRTUAL, guarded};
use coax_pipeline::{Stage, Verdict};
use coax_sim::craft::{self, ARP, Discovery, IPV6, ethernet, group_mac};
use coax_sim::noise::mac;
use coax_sim::{Device, Enters, Scenario, SimRows};
use coax_tables::{AddressKey, AddressRow, DropReason, Limit, SourceRow};
use coax_wire::{MacAddress, ip};
use std::net::{Ipv4Addr, Ipv6Addr};

pub const SHARED4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
pub const SHARED6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x100);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// VMs 1 and 2 share an address of each family, by their own MAC addresses or by a virtual one.
pub fn shared_rows(virtual_mac: bool) -> SimRows {
    let mut rows = guarded();
    for vm in [1, 2] {
        let row = SourceRow {
            mac: if virtual_mac { VIRTUAL } else { mac(vm) },
            flags: SourceRow::SHARED,
        };
        rows.source(vm.into(), ip::mapped(SHARED4.octets()), row);
        rows.source(vm.into(), SHARED6.octets(), row);
        if virtual_mac {
            let row = SourceRow { flags: 0, ..row };
            rows.source(vm.into(), ip::link_local(VIRTUAL), row);
        }
    }
    for address in [ip::mapped(SHARED4.octets()), SHARED6.octets()] {
        let key = AddressKey {
            address,
            network: NETWORK,
        };
        let row = AddressRow {
            mac: MacAddress::default(),
            flags: AddressRow::SHARED,
        };
        rows.addresses.insert(key, row);
    }
    rows
}

pub fn arp_announcement(from: MacAddress) -> Vec<u8> {
    let packet = craft::arp(1, (from, SHARED4), (MacAddress::default(), SHARED4));
    ethernet(MacAddress::BROADCAST, from, ARP, &packet)
}

pub fn nd_announcement(from: MacAddress) -> Vec<u8> {
    let message = Discovery::advertisement((from, SHARED6), ALL_NODES, 0x20);
    ethernet(group_mac(ALL_NODES), from, IPV6, &message.packet())
}

pub fn arp_question(vm: u8) -> Vec<u8> {
    let sender = (mac(vm), coax_sim::noise::ipv4(vm));
    let packet = craft::arp(1, sender, (MacAddress::default(), SHARED4));
    ethernet(MacAddress::BROADCAST, mac(vm), ARP, &packet)
}

pub fn nd_question(vm: u8) -> Vec<u8> {
    let message = Discovery::solicitation((mac(vm), coax_sim::noise::ipv6(vm)), SHARED6);
    ethernet(
        group_mac(message.destination),
        mac(vm),
        IPV6,
        &message.packet(),
    )
}

#[test]
fn whoever_announces_an_address_has_it() {
    type Frames = (fn(MacAddress) -> Vec<u8>, fn(u8) -> Vec<u8>);
    let families: [(&str, Frames); 2] = [
        ("arp", (arp_announcement, arp_question)),
        ("nd", (nd_announcement, nd_question)),
    ];
    for (name, (announcement, question)) in families {
        let about = "Before anybody announced a shared address all are asked; then its owner is known, and it moves.";
        let frames = vec![
            Enters::new(Device::Vm3, question(3)),
            Enters::new(Device::Vm1, announcement(mac(1))),
            Enters::new(Device::Vm3, question(3)),
            Enters::new(Device::Vm2, announcement(mac(2))),
            Enters::new(Device::Vm3, question(3)),
        ];
        let played = play(
            &format!("guard/shared-{name}"),
            about,
            shared_rows(false),
            frames,
        );
        let verdicts: Vec<_> = played
            .outcomes
            .iter()
            .map(|outcome| outcome.verdict)
            .collect();
        let (flood, answer) = (Verdict::Flood, Verdict::Answer);
        assert_eq!(verdicts, [flood, flood, answer, flood, answer], "{name}");
        for (place, owner) in [(2, 1), (4, 2)] {
            let answer = played.outcomes[place].frame.as_deref().unwrap();
            assert_eq!(answer[6..12], mac(owner).0);
        }
    }
}

#[test]
fn an_announcement_that_reaches_nobody_moves_nothing() {
    let mut far = Discovery::advertisement((mac(1), SHARED6), ALL_NODES, 0x20);
    far.hop_limit = 64;
    let mut forged = Discovery::advertisement((mac(1), SHARED6), ALL_NODES, 0x20);
    forged.options = craft::link_address(2, mac(2));
    let mut ieee802 = arp_announcement(mac(1));
    // Hardware type 6: no host takes it for an announcement over Ethernet.
    ieee802[15] = 6;
    let over_ipv6 =
        |message: Discovery| ethernet(group_mac(ALL_NODES), mac(1), IPV6, &message.packet());
    for (name, frame, question) in [
        ("routed", over_ipv6(far), nd_question(3)),
        ("forged", over_ipv6(forged), nd_question(3)),
        ("other-hardware", ieee802, arp_question(3)),
    ] {
        let about = "An announcement that is dropped, or that no host takes for one, moves no shared address anywhere.";
        let frames = vec![
            Enters::new(Device::Vm1, frame),
            Enters::new(Device::Vm3, question),
        ];
        let name = format!("guard/shared-not-announced-{name}");
        let played = play(&name, about, shared_rows(false), frames);
        assert_eq!(played.outcomes[1].verdict, Verdict::Flood, "{name}");
    }
}

/// Only the port is told off whose limit is used up, and what it says moves nothing here, either.
#[test]
fn an_announcement_beyond_the_limit_moves_nothing() {
    type Frames = (fn(MacAddress) -> Vec<u8>, fn(u8) -> Vec<u8>);
    let families: [(&str, Limit, Frames); 2] = [
        ("arp", Limit::Broadcast, (arp_announcement, arp_question)),
        ("nd", Limit::Multicast, (nd_announcement, nd_question)),
    ];
    for (name, limit, (announcement, question)) in families {
        let mut rows = shared_rows(false);
        for row in rows.ports.values_mut() {
            (row.broadcast_rate, row.multicast_rate) = (1000, 1000);
        }
        let frames = vec![
            Enters::new(Device::Vm2, announcement(mac(2))),
            Enters::new(Device::Vm1, announcement(mac(1))),
            Enters::new(Device::Vm3, question(3)),
        ];
        let scenario = Scenario {
            rows,
            frames,
            exhausted: vec![(1, limit)],
        };
        let about = "Storm control drops an announcement: the address stays whose it was, as on all other hosts.";
        let played = play_scenario(&format!("guard/shared-storm-{name}"), about, scenario);
        assert_eq!(played.outcomes[1].reason, Some(DropReason::Storm));
        let answer = played.outcomes[2].frame.as_deref().unwrap();
        assert_eq!(answer[6..12], mac(2).0, "{name}");
    }
}

#[test]
fn a_virtual_mac_address_moves_along() {
    let about = "Frames for a virtual MAC address follow its announcements.";
    let mut to_virtual = udp4(3, 2, 20);
    to_virtual[..6].copy_from_slice(&VIRTUAL.0);
    let frames = vec![
        Enters::new(Device::Vm3, to_virtual.clone()),
        Enters::new(Device::Vm1, arp_announcement(VIRTUAL)),
        Enters::new(Device::Vm3, to_virtual.clone()),
        Enters::new(Device::Vm2, nd_announcement(VIRTUAL)),
        Enters::new(Device::Vm3, to_virtual.clone()),
        Enters::new(
            Device::Up1,
            tunnel(false).around(&arp_announcement(VIRTUAL)),
        ),
        Enters::new(Device::Vm3, to_virtual),
    ];
    let played = play("guard/shared-virtual-mac", about, shared_rows(true), frames);
    let devices: Vec<_> = played
        .outcomes
        .iter()
        .map(|outcome| outcome.device)
        .collect();
    let to = |device| Some(index(device));
    let expected = [
        None,
        None,
        to(Device::Vm1),
        None,
        to(Device::Vm2),
        None,
        to(Device::Up1),
    ];
    assert_eq!(devices, expected);
}

#[test]
fn announcements_from_the_fabric_count_for_shared_addresses_only() {
    for (name, frame) in [
        ("arp", arp_announcement(mac(4))),
        ("nd", nd_announcement(mac(4))),
    ] {
        let about = "Another host's VM announces a shared address: it is known here at once.";
        let question = if name == "arp" {
            arp_question(3)
        } else {
            nd_question(3)
        };
        let frames = vec![
            Enters::new(Device::Up1, tunnel(false).around(&frame)),
            Enters::new(Device::Vm3, question.clone()),
        ];
        let name = format!("guard/shared-from-fabric-{name}");
        let played = play(&name, about, shared_rows(false), frames);
        let answer = played.outcomes[1].frame.as_deref().unwrap();
        assert_eq!(answer[6..12], mac(4).0);
    }
    let packet = craft::arp(
        1,
        (mac(4), coax_sim::noise::ipv4(2)),
        (MacAddress::default(), coax_sim::noise::ipv4(2)),
    );
    let theft = ethernet(MacAddress::BROADCAST, mac(4), ARP, &packet);
    let question = craft::arp(
        1,
        (mac(3), coax_sim::noise::ipv4(3)),
        (MacAddress::default(), coax_sim::noise::ipv4(2)),
    );
    let question = ethernet(MacAddress::BROADCAST, mac(3), ARP, &question);
    let about = "An announcement of an address that is not shared changes nothing.";
    let frames = vec![
        Enters::new(Device::Up1, tunnel(false).around(&theft)),
        Enters::new(Device::Vm3, question),
    ];
    let played = play(
        "guard/not-shared-from-fabric",
        about,
        shared_rows(false),
        frames,
    );
    let answer = played.outcomes[1].frame.as_deref().unwrap();
    assert_eq!(answer[6..12], mac(2).0);
}

#[test]
fn a_shared_address_cannot_be_stolen() {
    for (name, frame, reason) in [
        ("arp", arp_announcement(mac(3)), DropReason::ForgedArp),
        ("nd", nd_announcement(mac(3)), DropReason::ForgedAddress),
    ] {
        let about = "A port that does not share the address announces it.";
        let frames = vec![Enters::new(Device::Vm3, frame)];
        play(
            &format!("guard/stolen-{name}"),
            about,
            shared_rows(false),
            frames,
        )
        .dropped(Stage::Guard, reason, 3);
    }
}
