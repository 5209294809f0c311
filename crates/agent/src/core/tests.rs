//! The core against a scripted controller and a data plane in memory, in simulated time.

mod check;
mod controller;
mod faults;
mod flows;
mod handover;
mod late;
mod moves;
mod policies;
mod property;
mod restart;
mod routers;
mod serve;
mod standby;
mod world;

use coax_api::agent::agent_message::Body;
use coax_api::question::{HostAnswer, HostQuestion};
use coax_tables::MacRow;
use coax_vswitch::{Attachment, DataPlane, RowOperation, Table};

use crate::input::{Command, Counted, Input};
use world::{HOST, OTHER, World};

#[test]
fn a_device_becomes_a_port_as_soon_as_controller_and_alias_are_there() {
    let mut world = World::new();
    world.network("p/net");
    world.port("p/a", "p/net");
    world.port("p/b", "p/net");
    world.bind("p/b", OTHER);
    world.run();
    assert_eq!(world.rows().ports.len(), 0);
    let tap = world.plug("p/a");
    world.run();
    world.assert_converged();
    assert_eq!(world.rows().ports.len(), 1);
    assert!(
        world
            .plane
            .attached()
            .unwrap()
            .contains(&(tap, Attachment::Port))
    );
    assert_eq!(world.realised(), Some(world.controller.revision));
    assert_eq!(world.problems(), []);
}

#[test]
fn a_known_network_makes_a_new_device_a_port_in_the_very_same_step() {
    let mut world = World::new();
    world.network("p/net");
    world.port("p/a", "p/net");
    world.bind("p/a", HOST);
    world.run();
    world.controller_dies();
    let device = world.new_device("coax:p/a");
    let commands = world.core.handle(Input::Device(device), world.now);
    let applied = commands
        .iter()
        .any(|command| matches!(command, Command::Apply(_)));
    assert!(applied, "{commands:?}");
}

#[test]
fn the_plug_is_told_after_the_rows_are_on_their_way() {
    let mut world = World::new();
    world.network("p/net");
    world.port("p/a", "p/net");
    world.bind("p/a", HOST);
    world.run();
    let device = world.new_device("coax:p/a");
    let commands = world.core.handle(Input::Device(device), world.now);
    assert!(matches!(commands[0], Command::Apply(_)), "{commands:?}");
    assert!(
        matches!(&commands[1], Command::Send { body: Body::Claims(claims), .. } if !claims.full),
        "{commands:?}"
    );
}

#[test]
fn hello_says_what_is_here_and_the_claims_follow_in_full() {
    let mut world = World::new();
    world.network("p/net");
    world.port("p/a", "p/net");
    let tap = world.plug("p/a");
    world.sent.clear();
    world.restart();
    let Body::Hello(hello) = &world.sent[0] else {
        panic!("{:?}", world.sent[0])
    };
    assert_eq!(
        (hello.host.as_str(), hello.generation, hello.have.len()),
        (HOST, 0, 0)
    );
    assert_eq!(hello.underlay_mtu, 1600);
    let Body::Claims(claims) = &world.sent[1] else {
        panic!("{:?}", world.sent[1])
    };
    assert!(claims.full);
    assert_eq!(
        (claims.plugged[0].port.as_str(), claims.plugged[0].ifindex),
        ("p/a", tap)
    );
}

#[test]
fn rows_come_before_what_refers_to_them_and_go_after() {
    let mut world = World::new();
    world.network("p/net");
    for port in ["p/a", "p/b", "p/c"] {
        world.port(port, "p/net");
    }
    world.bind("p/b", OTHER);
    world.bind("p/c", "hv3");
    world.plug("p/a");
    world.run();
    world.unbind("p/c");
    world.plug("p/c");
    world.run();
    world.delete_network("p/net");
    world.run();
    world.assert_never_half();
    assert_eq!(world.rows().len(Table::Replicas), 0);
    assert_eq!(world.rows().len(Table::Networks), 0);
    assert_eq!(world.rows().len(Table::Ports), 0);
}

#[test]
fn a_change_elsewhere_touches_one_row() {
    let mut world = World::new();
    world.network("p/net");
    for number in 0..50 {
        world.port(&format!("p/v{number}"), "p/net");
        world.bind(&format!("p/v{number}"), OTHER);
    }
    world.plug("p/v0");
    world.bind("p/v1", "hv3");
    world.run();
    let before = world.plane.operations().len();
    world.bind("p/v2", "hv3");
    world.run();
    let done = &world.plane.operations()[before..];
    assert!(
        matches!(done, [RowOperation::Put(coax_vswitch::Row::Mac(..))]),
        "{done:?}"
    );
}

#[test]
fn networks_that_the_host_does_not_reach_any_more_leave_nothing() {
    let mut world = World::new();
    world.network("p/one");
    world.network("p/two");
    world.port("p/a", "p/one");
    world.port("p/b", "p/two");
    let (one, two) = (world.plug("p/a"), world.plug("p/b"));
    world.run();
    assert_eq!(world.rows().networks.len(), 2);
    world.unplug(one);
    world.unbind("p/a");
    world.run();
    assert_eq!(world.rows().networks.len(), 1);
    world.assert_converged();
    world.unplug(two);
    world.unbind("p/b");
    world.run();
    let rows = world.rows();
    let host = coax_vswitch::Rows {
        host: rows.host,
        ..Default::default()
    };
    assert_eq!(rows, host);
}

#[test]
fn a_port_that_changes_its_network_keeps_its_device_and_its_counters() {
    let mut world = World::new();
    world.network("p/one");
    world.network("p/two");
    world.port("p/a", "p/two");
    world.port("p/b", "p/one");
    world.plug("p/b");
    let tap = world.plug("p/a");
    world.run();
    let slot = world.slot_of(tap);
    world.port("p/a", "p/one");
    world.run();
    world.assert_converged();
    assert_eq!(world.slot_of(tap), slot);
    world.port("p/a", "p/two");
    world.run();
    world.assert_converged();
    assert_eq!(world.slot_of(tap), slot);
}

#[test]
fn a_refused_claim_is_a_problem_and_gets_no_rows_until_the_controller_agrees() {
    let mut world = World::new();
    world.network("p/net");
    world.port("p/a", "p/net");
    world.bind("p/a", OTHER);
    world.controller.refuse.insert("p/a".into());
    world.plug("p/a");
    world.port("p/b", "p/net");
    world.plug("p/b");
    world.run();
    assert_eq!(world.rows().ports.len(), 1);
    assert!(
        world
            .problems()
            .iter()
            .any(|problem| problem.object == "p/a"),
        "{:?}",
        world.problems()
    );
    world.controller.refuse.clear();
    world.bind("p/a", HOST);
    world.run();
    assert_eq!(world.rows().ports.len(), 2);
    assert_eq!(world.problems(), []);
    world.assert_converged();
}

#[test]
fn two_devices_for_one_port_are_a_problem_until_one_goes() {
    let mut world = World::new();
    world.network("p/net");
    world.port("p/a", "p/net");
    let first = world.plug("p/a");
    let second = world.plug("p/a");
    world.run();
    assert_eq!(world.rows().ports.keys().next().unwrap().ifindex, first);
    assert_eq!(world.problems()[0].object, "p/a");
    world.unplug(first);
    world.run();
    assert_eq!(world.rows().ports.keys().next().unwrap().ifindex, second);
    assert_eq!(world.problems(), []);
    world.assert_converged();
}

#[test]
fn a_device_that_is_too_small_for_its_network_is_reported_with_the_command_that_helps() {
    let mut world = World::new();
    world.network("p/net");
    world.port("p/a", "p/net");
    let mut device = world.new_device("coax:p/a");
    device.mtu = 1500;
    world.change_device(device.clone());
    world.run();
    let problems = world.problems();
    assert!(problems[0].reason.contains("ip link set") && problems[0].reason.contains("1530"));
    device.mtu = 1530;
    world.change_device(device);
    world.run();
    assert_eq!(world.problems(), []);
}

#[test]
fn uplinks_get_their_program_also_when_they_come_late_or_come_back() {
    let mut world = World::new();
    world.run();
    let attached = |world: &World| world.plane.attached().unwrap();
    let first = world.uplink;
    assert_eq!(attached(&world), [(first, Attachment::Uplink)]);
    world.unplug(first);
    world.run();
    assert_eq!(attached(&world), []);
    assert_eq!(world.problems()[0].object, "uplink eth0");
    let again = world.plug_uplink(1600);
    world.run();
    assert_eq!(attached(&world), [(again, Attachment::Uplink)]);
    assert_eq!(world.problems(), []);
}

#[test]
fn a_new_mtu_of_an_uplink_reaches_the_controller() {
    let mut world = World::new();
    world.run();
    let uplink = world.devices[&world.uplink].clone();
    world.change_device(crate::input::Device {
        mtu: 9000,
        ..uplink
    });
    world.run();
    let told = world.sent.iter().filter_map(|body| match body {
        Body::Hello(hello) => Some(hello.underlay_mtu),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [1600, 9000]);
}

#[test]
fn only_veth_pairs_into_another_namespace_are_handed_straight_to_the_peer() {
    let mut world = World::new();
    world.network("p/net");
    world.port("p/a", "p/net");
    let mut device = world.new_device("coax:p/a");
    world.change_device(device.clone());
    world.run();
    assert!(!world.mac_row("p/a").has(MacRow::TO_PEER));
    device.veth_into_namespace = true;
    world.change_device(device);
    world.run();
    assert!(world.mac_row("p/a").has(MacRow::TO_PEER));
}

#[test]
fn the_controllers_question_is_answered_with_every_slot() {
    let mut world = World::new();
    world.network("p/net");
    world.port("p/a", "p/net");
    let tap = world.plug("p/a");
    world.run();
    let slot = world.slot_of(tap);
    world.ask_for_report(7);
    world.run();
    let request = world.reports.pop().unwrap();
    let counted = Counted {
        slot,
        port: "p/a".into(),
        network: Some("p/net".into()),
    };
    assert_eq!(request.slots, [counted]);
    // A port that starts here has not waited for anybody.
    assert_eq!(request.measures.migration_gap.count(), 0);
    assert_eq!(request.revision, world.controller.revision);
    assert!(
        world
            .sent
            .iter()
            .any(|body| matches!(body, Body::Report(report) if report.request_id == 7))
    );
}

#[test]
fn a_question_is_passed_on_with_the_names_of_things_and_its_answer_goes_back() {
    let mut world = World::new();
    world.network("p/net");
    world.port("p/a", "p/net");
    let tap = world.plug("p/a");
    world.run();
    let question = HostQuestion::Run { frames: Vec::new() };
    world.ask(3, &serde_json::to_vec(&question).unwrap());
    world.run();
    let inquiry = world.inquiries.pop().unwrap();
    assert_eq!(inquiry.question, question);
    assert_eq!(inquiry.names.device_of("p/a"), Some(tap));
    assert_eq!(inquiry.names.uplinks(), [world.uplink]);
    let replied = |world: &World, id| {
        let mut replies = world.sent.iter().filter_map(|body| match body {
            Body::Reply(reply) if reply.question_id == id => Some(reply.json.to_vec()),
            _ => None,
        });
        replies.next()
    };
    assert_eq!(replied(&world, 3).unwrap(), b"{}");

    world.ask(4, br#"{"kind":"of-a-later-version"}"#);
    world.run();
    let reply = replied(&world, 4).unwrap();
    assert!(matches!(
        serde_json::from_slice(&reply).unwrap(),
        HostAnswer::Failed { .. }
    ));
}
