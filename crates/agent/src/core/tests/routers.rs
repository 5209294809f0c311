//! Routers, trunks and what ports share, from slices to rows.

use std::time::Duration;

use coax_model::{AllowedAddress, GATEWAY_MAC};
use coax_tables::{DropReason, MacKey, MacRow, NetworkId, PortKey, ReplicaRow, ShutRow};
use coax_vswitch::{Attachment, DataPlane, Row, RowOperation, SlotCounters};

use super::world::{OTHER, World};

/// Two networks with a router between them, one port here and one behind the router elsewhere.
fn joined() -> World {
    let mut world = World::new();
    world.network_with_vni("p/one", 4096);
    world.network_with_vni("p/two", 4097);
    world.router("p/gw", &["one", "two"]);
    world.port("p/a", "p/one");
    world.port("p/b", "p/two");
    world.bind("p/b", OTHER);
    world.plug("p/a");
    world.run();
    world
}

#[test]
fn a_port_reaches_the_networks_of_its_router_directly() {
    let mut world = joined();
    world.assert_converged();
    let rows = world.rows();
    assert_eq!(rows.networks.len(), 2);
    assert!(
        rows.routes
            .values()
            .any(|row| row.network == NetworkId(4097))
    );
    let gateway = rows.macs[&MacKey::new(NetworkId(4097), GATEWAY_MAC)];
    assert!(gateway.has(MacRow::ROUTER));
    // The other host may send into the network that it has no port in, and gets no copies of it.
    assert!(rows.tunnels.keys().any(|key| key.vni == 4096));
    assert!(rows.tunnels.keys().any(|key| key.vni == 4097));
    assert_eq!(rows.networks[&NetworkId(4096)].replicas(), 1);
    assert_eq!(rows.networks[&NetworkId(4097)].replicas(), 1);
    world.assert_never_half();

    world.delete_router("p/gw");
    world.run();
    world.assert_converged();
    assert_eq!(
        (world.rows().networks.len(), world.rows().routes.len()),
        (1, 0)
    );
    world.assert_never_half();
}

#[test]
fn routes_come_back_after_a_reboot_without_a_controller() {
    let mut world = joined();
    let before = world.rows().routes;
    assert!(!before.is_empty());
    world.controller_dies();
    world.reboot();
    world.plug("p/a");
    assert_eq!(world.rows().routes, before, "at once");
    world.controller_comes_back();
    world.run();
    world.assert_converged();
}

#[test]
fn a_restart_leaves_routes_and_sources_as_they_are() {
    let mut world = joined();
    world.edit_port("p/a", |port| port.addresses.push([10, 1, 0, 77].into()));
    world.run();
    assert_eq!(world.rows().sources.len(), 1);
    let before = world.plane.operations().len();
    world.restart();
    world.run();
    world.assert_converged();
    assert_eq!(world.plane.operations().len(), before);
}

#[test]
fn a_trunk_has_a_row_for_each_network_and_one_program() {
    let mut world = World::new();
    world.network("p/one");
    world.network("p/two");
    world.port("p/t", "p/one");
    world.trunk("p/t", &[(7, "p/two")]);
    let tap = world.plug("p/t");
    world.run();
    world.assert_converged();
    let rows = world.rows();
    let row = |vlan| rows.ports[&PortKey { ifindex: tap, vlan }];
    assert_ne!(row(0).network, row(7).network);
    assert_ne!(
        row(0).slot,
        row(7).slot,
        "what guards remember is kept apart"
    );
    let programs = world.plane.attached().unwrap();
    let of_trunk = programs.iter().filter(|at| **at == (tap, Attachment::Port));
    assert_eq!(of_trunk.count(), 1);
    world.ask_for_report(1);
    world.run();
    let request = world.reports.pop().unwrap();
    assert!(request.slots.iter().all(|counted| counted.port == "p/t"));
    assert_eq!(request.slots.len(), 2);

    world.trunk("p/t", &[]);
    world.run();
    world.assert_converged();
    assert_eq!(world.rows().ports.len(), 1);
    world.trunk("p/t", &[(7, "p/two")]);
    world.run();
    world.unplug(tap);
    world.run();
    world.assert_converged();
    assert_eq!(world.rows().ports.len(), 0);
}

#[test]
fn a_port_that_goes_leaves_its_shared_address_to_the_next() {
    let mut world = World::new();
    world.network("p/net");
    let address = AllowedAddress {
        ip: [10, 1, 254, 1].into(),
        mac: None,
    };
    for port in ["p/a", "p/b"] {
        world.port(port, "p/net");
        world.edit_port(port, |port| port.allowed_addresses = vec![address]);
    }
    let first = world.plug("p/a");
    world.plug("p/b");
    world.run();
    world.assert_converged();
    assert_eq!(world.rows().sources.len(), 2);
    world.unplug(first);
    world.run();
    world.assert_converged();
    assert_eq!(world.rows().sources.len(), 1);
}

#[test]
fn hosts_behind_a_router_hear_who_has_a_shared_address() {
    let mut world = joined();
    let announced = |world: &World| {
        let rows = world.rows().replicas;
        let announced = rows
            .iter()
            .filter(|(key, row)| key.network == NetworkId(4096) && row.has(ReplicaRow::ANNOUNCED));
        announced.count()
    };
    assert_eq!(announced(&world), 0, "nobody shares an address");
    world.edit_port("p/a", |port| {
        port.allowed_addresses = vec![AllowedAddress {
            ip: [10, 1, 254, 1].into(),
            mac: None,
        }];
    });
    world.run();
    world.assert_converged();
    assert_eq!(announced(&world), 1);
    world.port("p/c", "p/two");
    world.bind("p/c", "hv3");
    world.run();
    world.assert_converged();
    assert_eq!(announced(&world), 2);
    world.edit_port("p/a", |port| port.allowed_addresses.clear());
    world.run();
    world.assert_converged();
    assert_eq!(announced(&world), 0);
    world.assert_never_half();
}

#[test]
fn a_port_that_comes_and_goes_costs_its_own_rows_and_the_list_of_copies() {
    let mut world = World::new();
    world.network("p/net");
    for number in 0..200 {
        world.port(&format!("p/v{number}"), "p/net");
        world.bind(&format!("p/v{number}"), OTHER);
    }
    world.port("p/a", "p/net");
    world.port("p/b", "p/net");
    world.plug("p/a");
    world.run();
    for step in ["comes", "goes"] {
        let before = world.plane.operations().len();
        match step {
            "comes" => drop(world.plug("p/b")),
            _ => world.unplug(world.find_local("p/b").unwrap()),
        }
        world.run();
        world.assert_converged();
        let done = &world.plane.operations()[before..];
        // Its MAC address, its IP address, its own row; the network's, and two lists of at most three.
        assert!(done.len() <= 4 + 6, "{step}: {done:?}");
    }
}

#[test]
fn a_port_that_a_guard_has_shut_is_a_problem_until_it_opens() {
    let mut world = World::new();
    world.network("p/net");
    world.port("p/a", "p/net");
    let tap = world.plug("p/a");
    world.run();
    let row = ShutRow {
        until: world.now.as_secs() as u32 + 30,
        reason: DropReason::ForgedSource as u32,
    };
    let slot = world.slot_of(tap);
    world.plane.set_shut(slot, &row).unwrap();
    world.run_for(Duration::from_secs(2));
    let problems = world.problems();
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}")
    };
    assert_eq!(
        (problem.object.as_str(), problem.code.as_str()),
        ("p/a", "port-shut")
    );
    assert!(
        problem.reason.contains("forged-source"),
        "{}",
        problem.reason
    );
    let said = world.sent.len();
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.sent.len(), said, "what is known is not said again");
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.problems(), []);
}

#[test]
fn what_guards_drop_is_a_problem_of_the_port_for_as_long_as_it_goes_on() {
    let mut world = World::new();
    world.network("p/net");
    world.port("p/a", "p/net");
    let tap = world.plug("p/a");
    world.run();
    let slot = world.slot_of(tap);
    let drops = |frames| SlotCounters {
        drops: vec![
            (DropReason::ForgedArp, frames),
            (DropReason::Denied, frames),
        ],
        ..SlotCounters::default()
    };
    world.plane.set_counters(slot, drops(3));
    world.run_for(Duration::from_secs(2));
    let problems = world.problems();
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}")
    };
    assert_eq!(
        (problem.object.as_str(), problem.code.as_str()),
        ("p/a", "forged-arp")
    );
    assert!(problem.reason.contains("3 frames"), "{}", problem.reason);
    let said = world.sent.len();
    for frames in 4..60 {
        world.plane.set_counters(slot, drops(frames));
        world.run_for(Duration::from_secs(1));
    }
    let said = world.sent.len() - said;
    assert!((5..=6).contains(&said), "said {said} times in a minute");
    world.run_for(Duration::from_secs(62));
    assert_eq!(world.problems(), []);
}

#[test]
fn isolation_reaches_the_copies_as_soon_as_it_is_known() {
    let mut world = World::new();
    world.network("p/net");
    world.port("p/a", "p/net");
    world.plug("p/a");
    world.run();
    world.edit_port("p/a", |port| port.isolated = true);
    world.run();
    world.assert_converged();
    let copies = world
        .plane
        .operations()
        .iter()
        .filter_map(|operation| match operation {
            RowOperation::Put(Row::Replica(_, row)) => Some(row.has(ReplicaRow::ISOLATED)),
            _ => None,
        });
    assert_eq!(copies.collect::<Vec<_>>(), [false, true]);
}
