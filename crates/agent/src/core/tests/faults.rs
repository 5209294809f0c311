//! Messages late, twice, out of order or lost; tables that are full; controllers with an old mind.

use std::time::Duration;

use coax_api::agent::agent_message::Body;
use coax_api::agent::controller_message;
use coax_api::agent::{Delta, SliceKind, Snapshot};
use coax_compile::SliceDelta;
use coax_vswitch::{DataPlane, MemoryDataPlane, Table};
use prost::Message;

use crate::input::Input;

use super::world::{HOST, MOST_PORTS, OTHER, World};

fn world() -> World {
    let mut world = World::new();
    world.network("p/net");
    for port in ["p/a", "p/b", "p/c"] {
        world.port(port, "p/net");
        world.bind(port, OTHER);
    }
    world.plug("p/a");
    world.run();
    world
}

fn hellos(world: &World) -> usize {
    world
        .sent
        .iter()
        .filter(|body| matches!(body, Body::Hello(_)))
        .count()
}

#[test]
fn a_message_that_comes_twice_counts_once() {
    let mut world = world();
    world.bind("p/b", "hv3");
    let twice: Vec<_> = world
        .wire
        .iter()
        .flat_map(|it| [it.clone(), it.clone()])
        .collect();
    world.wire = twice.into();
    world.run();
    world.assert_converged();
    assert_eq!(hellos(&world), 1);
}

#[test]
fn a_lost_message_is_noticed_and_the_stream_opened_again() {
    let mut world = world();
    world.bind("p/b", "hv3");
    world.wire.pop_front();
    world.bind("p/c", "hv3");
    world.run();
    world.assert_converged();
    assert_eq!(hellos(&world), 2);
}

#[test]
fn messages_out_of_order_are_noticed_and_the_stream_opened_again() {
    let mut world = world();
    world.bind("p/b", "hv3");
    world.bind("p/c", "hv3");
    let reversed: Vec<_> = world.wire.drain(..).rev().collect();
    world.wire = reversed.into();
    world.run();
    world.assert_converged();
}

#[test]
fn words_on_a_former_stream_are_not_heard() {
    let mut world = world();
    world.bind("p/b", "hv3");
    let late = world.wire.clone();
    world.controller_dies();
    world.controller_comes_back();
    world.run();
    let before = world.plane.operations().len();
    world.wire = late;
    world.run();
    assert_eq!(world.plane.operations().len(), before);
    world.assert_converged();
}

#[test]
fn a_change_that_starts_at_an_unknown_revision_brings_a_snapshot() {
    let mut world = world();
    let network = world.controller.compiler.network_ids().next().unwrap();
    let now = world.controller.compiler.revision(network).unwrap();
    let gap = SliceDelta {
        network_id: network,
        from_revision: now + 5,
        to_revision: now + 6,
        ..SliceDelta::default()
    };
    let delta = Delta {
        delta: gap.encode_to_vec().into(),
        kind: SliceKind::Network.into(),
    };
    world.controller_says(controller_message::Body::Delta(delta));
    world.run();
    let hello = world.sent.iter().rev().find_map(|body| match body {
        Body::Hello(hello) => Some(hello),
        _ => None,
    });
    assert!(hello.unwrap().have.is_empty(), "the whole is asked for");
    world.assert_converged();
    // And after the next interruption the network is held again.
    world.controller_dies();
    world.controller_comes_back();
    world.run();
    let Some(Body::Hello(hello)) = world
        .sent
        .iter()
        .rev()
        .find(|body| matches!(body, Body::Hello(_)))
    else {
        panic!()
    };
    assert_eq!(hello.have.len(), 1);
}

#[test]
fn a_network_that_vanished_while_a_snapshot_of_it_was_awaited_is_gone() {
    let mut world = world();
    let network = world.controller.compiler.network_ids().next().unwrap();
    let now = world.controller.compiler.revision(network).unwrap();
    let gap = SliceDelta {
        network_id: network,
        from_revision: now + 5,
        to_revision: now + 6,
        ..SliceDelta::default()
    };
    let delta = Delta {
        delta: gap.encode_to_vec().into(),
        kind: SliceKind::Network.into(),
    };
    world.controller_says(controller_message::Body::Delta(delta));
    let (stream, message) = world.wire.pop_front().unwrap();
    world.input(Input::Received { stream, message });
    // The agent will not say that it has the network, so the controller cannot know that it has to say "forget".
    world.delete_network("p/net");
    world.run();
    assert!(world.rows().networks.is_empty());
}

#[test]
fn a_snapshot_older_than_what_is_here_changes_nothing_and_is_reported() {
    let mut world = world();
    let network = world.controller.compiler.network_ids().next().unwrap();
    let mut slice = world.controller.compiler.slice(network).unwrap();
    slice.revision -= 1;
    slice.members.clear();
    let before = world.rows();
    let snapshot = Snapshot {
        slice: slice.encode_to_vec().into(),
        ..Snapshot::default()
    };
    world.controller_says(controller_message::Body::Snapshot(snapshot));
    world.run();
    assert_eq!(world.rows(), before);
    // Problems are told with the next word about the revision.
    assert_eq!(world.problems()[0].object, "p/net");
}

#[test]
fn a_restored_controller_is_believed_although_its_revisions_are_older() {
    let mut world = world();
    let backup = (world.controller.intent.clone(), world.controller.revision);
    world.port("p/later", "p/net");
    world.bind("p/later", OTHER);
    world.run();
    let before = world.rows();
    world.controller_dies();
    world.controller_restores(backup);
    world.controller_comes_back();
    world.run();
    assert_eq!(world.problems(), []);
    world.assert_converged();
    assert_ne!(
        world.rows(),
        before,
        "the port that nobody knows any more is gone"
    );
    // And changes go on from there.
    world.port("p/new", "p/net");
    world.bind("p/new", OTHER);
    world.run();
    world.assert_converged();
}

#[test]
fn a_controller_with_an_old_generation_is_turned_away() {
    let mut world = world();
    world.controller_dies();
    world.controller_comes_back();
    world.run();
    let before = world.rows();
    world.controller_dies();
    world.controller.generation = 1;
    world.controller.up = true;
    world.delete_port("p/a");
    world.run();
    assert_eq!(world.rows(), before, "the old controller is not believed");
    let attempts = hellos(&world);
    assert!(attempts < 40, "{attempts} attempts in a minute");
    world.controller.generation = 3;
    world.run();
    world.assert_converged();
    assert_ne!(world.rows(), before);
}

#[test]
fn a_controller_that_tells_something_older_is_turned_away_until_a_new_generation_begins() {
    let mut world = world();
    let before = world.rows();
    let newest = world.controller.revision;
    world.controller_dies();
    // Another controller with an old copy of the state, whose revisions are behind.
    world.controller.run += 1;
    world.controller.revision = newest - 1;
    world.controller.up = true;
    world.run();
    assert_eq!(world.rows(), before, "the old copy is not believed");
    // Not after a restart of the agent either.
    world.controller_dies();
    world.controller.up = true;
    world.restart();
    world.run();
    assert_eq!(world.rows(), before, "nor after a restart");
    // A backup was restored: what is older is right now.
    world.controller.generation += 1;
    world.run();
    world.delete_port("p/a");
    world.run();
    world.assert_converged();
    assert_ne!(world.rows(), before);
}

#[test]
fn the_newest_generation_is_remembered_across_a_reboot() {
    let mut world = world();
    world.controller.generation = 9;
    world.controller_dies();
    world.controller.up = true;
    world.run();
    world.reboot();
    assert!(
        world
            .sent
            .iter()
            .any(|body| matches!(body, Body::Hello(hello) if hello.generation == 9))
    );
}

#[test]
fn a_silent_controller_is_left_and_asked_again() {
    let mut world = World::new();
    world.wire.clear();
    world.run_for(Duration::from_secs(9));
    assert_eq!(hellos(&world), 1);
    world.wire.clear();
    world.run_for(Duration::from_secs(3));
    assert_eq!(hellos(&world), 2);
}

#[test]
fn a_full_table_is_a_problem_that_names_table_and_option_and_heals() {
    let mut world = World::with_plane(MemoryDataPlane::new().with_capacity(Table::Macs, 2));
    world.network("p/net");
    for port in ["p/a", "p/b", "p/c"] {
        world.port(port, "p/net");
        world.bind(port, OTHER);
    }
    world.plug("p/a");
    world.run_for(Duration::from_secs(1));
    let problems = world.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].object, "p/net");
    for word in ["`macs`", "full", "--capacity"] {
        assert!(problems[0].reason.contains(word), "{}", problems[0].reason);
    }
    assert_eq!(world.realised(), Some(world.controller.revision));
    world.delete_port("p/c");
    world.run();
    assert_eq!(world.problems(), []);
    world.assert_converged();
}

#[test]
fn a_full_replica_table_leaves_the_old_list_in_force() {
    let mut world = World::with_plane(MemoryDataPlane::new().with_capacity(Table::Replicas, 4));
    world.network("p/net");
    for port in ["p/a", "p/b", "p/c", "p/d"] {
        world.port(port, "p/net");
    }
    world.plug("p/a");
    world.bind("p/b", OTHER);
    world.run();
    world.assert_converged();
    let before = world.rows();
    world.bind("p/c", "hv3");
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.rows().networks, before.networks);
    assert_eq!(
        world.rows().replicas,
        before.replicas,
        "a half list takes no room"
    );
    assert!(world.problems()[0].reason.contains("`replicas`"));
    world.unbind("p/c");
    world.run();
    world.assert_converged();
    world.assert_never_half();
}

#[test]
fn when_room_comes_later_the_rows_follow_without_anybody_asking() {
    let mut world = World::with_plane(MemoryDataPlane::new().with_capacity(Table::Networks, 1));
    world.network("p/one");
    world.network("p/two");
    world.port("p/a", "p/one");
    world.port("p/b", "p/two");
    let tap = world.plug("p/a");
    world.plug("p/b");
    world.run();
    assert_eq!(world.problems().len(), 1);
    world.unplug(tap);
    world.unbind("p/a");
    world.run_for(Duration::from_secs(40));
    world.assert_converged();
    assert_eq!(world.problems(), []);
}

#[test]
fn more_ports_than_counters_are_a_problem_and_the_next_place_is_used() {
    let mut world = World::new();
    world.network("p/net");
    let mut taps = Vec::new();
    for number in 0..=MOST_PORTS {
        world.port(&format!("p/v{number}"), "p/net");
        taps.push(world.plug(&format!("p/v{number}")));
    }
    world.run();
    assert_eq!(world.rows().ports.len(), MOST_PORTS as usize);
    assert_eq!(world.problems().len(), 1);
    assert!(world.problems()[0].reason.contains("--capacity ports"));
    world.unplug(taps[3]);
    world.run();
    assert_eq!(world.rows().ports.len(), MOST_PORTS as usize);
    assert_eq!(world.problems(), []);
}

#[test]
fn a_device_that_goes_while_it_is_attached_is_no_problem() {
    let mut world = world();
    let tap = world.plug("p/b");
    world.unplug(tap);
    world.run();
    assert_eq!(world.problems(), []);
    assert!(
        world
            .plane
            .attached()
            .unwrap()
            .iter()
            .all(|(ifindex, _)| *ifindex != tap)
    );
    world.bind("p/b", HOST);
    world.run();
    world.assert_converged();
}
