//! Questions of ports, from the punt to the frame that goes back, and advertisements that nobody asked for.

use std::time::Duration;

use coax_model::intent::Change;
use coax_model::network::{Dhcp, Network, Subnet};
use coax_tables::{NetworkId, PuntKind};
use coax_vswitch::Punt;
use coax_wire::MacAddress;

use super::world::{HOST, World};
use crate::input::Input;

/// What udhcpc sends, from the fuzz corpus, and the MAC address that it sends it from.
const DISCOVER: &[u8] =
    include_bytes!("../../../../../fuzz/corpus/services/dhcpv4-discover-answered-342");
pub(super) const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
pub(super) const ADDRESS: [u8; 4] = [10, 10, 1, 11];
pub(super) const VNI: u32 = 4096;

pub(super) fn network() -> Network {
    let (vni, mtu) = (VNI.try_into().unwrap(), 1442u32.try_into().unwrap());
    let subnets = ["10.10.1.0/24", "fd00:10:1::/64"];
    Network {
        subnets: subnets
            .map(|prefix| Subnet::new(prefix.parse().unwrap()))
            .into(),
        dhcp: Some(Dhcp::default()),
        router_advertisements: true,
        ..Network::new(vni, mtu)
    }
}

pub(super) fn put(world: &mut World, network: Network) {
    let name = "p/net".parse().unwrap();
    world.change(Change::PutNetwork { name, network });
    world.run_for(Duration::ZERO);
}

/// One port in a network where everything is answered, plugged in. Returns its device.
pub(super) fn world() -> (World, u32) {
    let mut world = World::new();
    put(&mut world, network());
    world.port("p/web-1", "p/net");
    world.edit_port("p/web-1", |port| {
        port.mac = MAC;
        port.addresses = vec![ADDRESS.into(), "fd00:10:1::11".parse().unwrap()];
    });
    world.bind("p/web-1", HOST);
    let device = world.plug("p/web-1");
    world.run_for(Duration::ZERO);
    (world, device)
}

fn ask(world: &mut World, ifindex: u32, vlan: u16, slot: u32) {
    world.input(Input::Punted(Punt {
        ifindex,
        slot,
        network: NetworkId(VNI),
        kind: PuntKind::DhcpIpv4,
        vlan,
        frame: DISCOVER.to_vec(),
    }));
}

fn slot(world: &World) -> u32 {
    world.rows().ports.values().next().unwrap().slot
}

/// The addresses that were offered since the last look, with the devices that they were sent to.
fn offered(world: &mut World) -> Vec<(u32, [u8; 4])> {
    let answers = std::mem::take(&mut world.answers).into_iter();
    let ipv4 = answers.filter(|(_, frame)| frame[12..14] == [8, 0]);
    // Behind Ethernet, IPv4 and UDP, 16 bytes into the message (RFC 2131 section 2).
    ipv4.map(|(device, frame)| (device, frame[58..62].try_into().unwrap()))
        .collect()
}

/// The router lifetimes and MTUs of advertisements that were sent since the last look.
fn advertised(world: &mut World) -> Vec<(u16, u16)> {
    let answers = std::mem::take(&mut world.answers).into_iter();
    let advertisements =
        answers.filter(|(_, frame)| frame[12..14] == [0x86, 0xdd] && frame[54] == 134);
    let number = |frame: &[u8], at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    // The MTU is the second option, behind the link-layer address.
    advertisements
        .map(|(_, frame)| (number(&frame, 60), number(&frame, 84)))
        .collect()
}

#[test]
fn a_question_is_answered_from_the_slices() {
    let (mut world, device) = world();
    let slot = slot(&world);
    ask(&mut world, device, 0, slot);
    assert_eq!(offered(&mut world), [(device, ADDRESS)]);
    // A port that nobody knows, and a network that its VMs serve themselves.
    ask(&mut world, device, 0, slot + 1);
    let own = Network {
        own_servers: true,
        ..network()
    };
    put(&mut world, own);
    ask(&mut world, device, 0, slot);
    assert_eq!(offered(&mut world), []);
}

#[test]
fn leases_survive_the_controller_and_a_reboot() {
    let (mut world, _) = world();
    world.run();
    world.controller_dies();
    world.reboot();
    let device = world.plug("p/web-1");
    world.run();
    let slot = slot(&world);
    world.answers.clear();
    ask(&mut world, device, 0, slot);
    assert_eq!(offered(&mut world), [(device, ADDRESS)]);
}

#[test]
fn answers_to_a_trunk_carry_the_vlan_that_was_asked_in() {
    let (mut world, device) = world();
    let slot = slot(&world);
    world.answers.clear();
    ask(&mut world, device, 7, slot);
    let frames: Vec<_> = world
        .answers
        .iter()
        .map(|(_, frame)| &frame[12..18])
        .collect();
    assert_eq!(frames, [[0x81, 0, 0, 7, 8, 0]]);
}

#[test]
fn what_was_asked_is_reported() {
    let (mut world, device) = world();
    let slot = slot(&world);
    ask(&mut world, device, 0, slot);
    ask(&mut world, device, 0, slot);
    world.ask_for_report(3);
    world.run();
    let counts: Vec<_> = world.reports.last().unwrap().requests.iter().collect();
    let [count] = counts[..] else {
        panic!("{counts:?}");
    };
    assert_eq!(
        (count.request.as_str(), count.outcome.as_str(), count.count),
        ("dhcpv4-discover", "answered", 2)
    );
}

#[test]
fn ports_are_told_what_is_new_of_their_network() {
    let (mut world, device) = world();
    assert_eq!(advertised(&mut world), [(0, 1442)]);
    world.run_for(Duration::from_secs(40));
    assert_eq!(advertised(&mut world), [(0, 1442); 2]);
    let smaller = Network {
        mtu: 1400u32.try_into().unwrap(),
        ..network()
    };
    put(&mut world, smaller);
    world.run_for(Duration::from_secs(5));
    assert_eq!(advertised(&mut world).last(), Some(&(0, 1400)));
    world.unplug(device);
    world.run_for(Duration::from_secs(3600));
    assert_eq!(advertised(&mut world), []);
}

#[test]
fn ports_hear_from_their_host_every_ten_minutes_also_after_a_restart() {
    let (mut world, _) = world();
    world.run_for(Duration::from_secs(100));
    world.restart();
    world.answers.clear();
    world.run_for(Duration::from_secs(16));
    assert_eq!(advertised(&mut world).len(), 1);
    world.run_for(Duration::from_secs(600));
    assert!(!advertised(&mut world).is_empty());
}
