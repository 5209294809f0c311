//! Answers to questions for addresses whose owners the vSwitch did not know when they were asked.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use coax_model::network::{Network, NetworkKind};
use coax_model::{GATEWAY_MAC, Name};
use coax_pipeline::Verdict;
use coax_sim::craft::{self, Discovery, ethernet, group_mac};
use coax_sim::rows::Receiver;
use coax_sim::{Host, SimTables};
use coax_tables::{DropReason, FlowRecord, NetworkId};
use coax_wire::{MacAddress, ip};

use super::serve::{ADDRESS, MAC, VNI, network, put, world};
use super::world::World;
use crate::input::{FlowRecords, Input};
use crate::trace::sim_rows;

const OWN: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 1, 0, 0, 0, 0, 0x11);
const OWNER: MacAddress = MacAddress([2, 0, 0, 0, 0, 7]);
const LATE_IPV4: Ipv4Addr = Ipv4Addr::new(10, 10, 1, 77);
const LATE_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 1, 0, 0, 0, 0, 0x77);

/// The port that comes late, on another host.
fn owner_comes(world: &mut World) {
    world.port("p/web-2", "p/net");
    world.edit_port("p/web-2", |port| {
        port.mac = OWNER;
        port.addresses = vec![LATE_IPV4.into(), LATE_IPV6.into()];
    });
    world.bind("p/web-2", "hv2");
    world.run_for(Duration::ZERO);
}

/// What the VM asks, in both families.
fn questions() -> [Vec<u8>; 2] {
    let packet = craft::arp(1, (MAC, ADDRESS.into()), (MacAddress::default(), LATE_IPV4));
    let message = Discovery::solicitation((MAC, OWN), LATE_IPV6);
    let to = group_mac(message.destination);
    [
        ethernet(MacAddress::BROADCAST, MAC, craft::ARP, &packet),
        ethernet(to, MAC, craft::IPV6, &message.packet()),
    ]
}

/// The vSwitch with the rows that the agent has written so far.
fn vswitch(world: &World) -> Host {
    let tables = SimTables {
        rows: sim_rows(&world.rows()),
        ..SimTables::default()
    };
    Host::new(tables, world.devices.keys().copied())
}

/// The VM asks, the vSwitch does not know, and the agent hears of it.
fn ask(world: &mut World, device: u32) {
    ask_of(world, device, &[]);
}

/// As `ask`, where these foreign endpoints are asked, too.
fn ask_of(world: &mut World, device: u32, foreign: &[[u8; 16]]) {
    let mut records: Vec<FlowRecord> = Vec::new();
    for question in questions() {
        let mut vswitch = vswitch(world);
        let receivers: Vec<_> = foreign.iter().copied().map(Receiver::Foreign).collect();
        if !receivers.is_empty() {
            let rows = &mut vswitch.tables.rows;
            rows.network(NetworkId(VNI), 1500, 0, &receivers);
        }
        let outcome = vswitch.port(device, &question);
        match receivers.is_empty() {
            true => assert_eq!(outcome.reason, Some(DropReason::UnknownAddress)),
            false => assert_eq!(outcome.verdict, Verdict::Flood),
        }
        records.extend(vswitch.sink.take_flows());
    }
    assert_eq!(records.len(), 2);
    world.answers.clear();
    world.input(Input::Flows(FlowRecords {
        records,
        lost: 0,
        clock_ahead: 0,
    }));
}

/// Who asks for a port that is not known yet hears what the vSwitch would have said, in both families.
#[test]
fn a_question_for_an_owner_who_comes_later_is_answered_as_by_the_vswitch() {
    for (kind, mac) in [
        (NetworkKind::Bridged, OWNER),
        (NetworkKind::Routed, GATEWAY_MAC),
    ] {
        let (mut world, device) = world();
        let network = Network { kind, ..network() };
        put(&mut world, network);
        ask(&mut world, device);
        assert!(world.answers.is_empty());
        owner_comes(&mut world);
        let answers = questions().map(|question| {
            let outcome = vswitch(&world).port(device, &question);
            assert_eq!(outcome.verdict, Verdict::Answer, "{:?}", outcome.reason);
            (outcome.device.unwrap(), outcome.frame.unwrap())
        });
        assert_eq!(world.answers, answers, "{kind:?}");
        let ends = [MAC.0, mac.0].concat();
        for (_, frame) in &world.answers {
            assert_eq!(frame[..12], ends);
        }
    }
}

/// A station behind a foreign endpoint might have had the address.
#[test]
fn a_question_that_went_to_foreign_endpoints_is_answered_late_all_the_same() {
    let (mut world, device) = world();
    put(&mut world, network());
    ask_of(&mut world, device, &[ip::mapped([192, 0, 2, 99])]);
    assert!(world.answers.is_empty());
    owner_comes(&mut world);
    let of_both: Vec<&[u8]> = world
        .answers
        .iter()
        .map(|(_, frame)| &frame[..12])
        .collect();
    let ends = [MAC.0, OWNER.0].concat();
    assert_eq!(of_both, [&ends[..]; 2]);
}

#[test]
fn who_has_left_the_network_hears_nothing_of_it() {
    let (mut world, device) = world();
    world.port("p/web-3", "p/net");
    world.plug("p/web-3");
    world.run_for(Duration::ZERO);
    ask(&mut world, device);
    world.network_with_vni("p/other", VNI + 1);
    world.edit_port("p/web-1", |port| {
        port.network = Name::new("other").unwrap();
    });
    world.run_for(Duration::ZERO);
    let rows = world.rows();
    let mut ports = rows.ports.iter().filter(|(key, _)| key.ifindex == device);
    let (_, row) = ports.next().unwrap();
    assert_eq!(row.network, NetworkId(VNI + 1));
    world.answers.clear();
    owner_comes(&mut world);
    let is_arp = |frame: &[u8]| frame[12..14] == [8, 6];
    assert!(!world.answers.iter().any(|(_, frame)| is_arp(frame)));
}
