//! Killing, restarting, rebooting, and controllers that are not there.

use std::time::Duration;

use coax_vswitch::{Attachment, DataPlane};

use super::world::{HOST, OTHER, World};
use crate::core::Found;
use crate::input::Input;

fn world() -> World {
    let mut world = World::new();
    for network in ["p/one", "p/two"] {
        world.network(network);
        for port in ["a", "b", "c"] {
            let port = format!("{network}-{port}");
            world.port(&port, network);
            world.bind(&port, OTHER);
        }
        world.plug(&format!("{network}-a"));
        world.plug(&format!("{network}-b"));
    }
    world.run();
    world.assert_converged();
    world
}

#[test]
fn a_restart_changes_nothing_and_counters_go_on() {
    let mut world = world();
    let (rows, operations) = (world.rows(), world.plane.operations().len());
    let resets = world.resets.len();
    for cache in [world.saved.clone(), None] {
        world.saved = cache;
        world.restart();
        world.run();
        world.assert_converged();
        assert_eq!(world.rows(), rows);
        assert_eq!(
            world.plane.operations().len(),
            operations,
            "not even the same row again"
        );
        assert_eq!(world.resets.len(), resets);
    }
}

#[test]
fn a_restart_puts_the_program_on_again_so_that_a_new_version_takes_over() {
    let mut world = world();
    let attached = world.plane.attached().unwrap();
    // A data plane that forgot shows what is attached anew.
    for (ifindex, side) in &attached {
        world.plane.detach(*ifindex, *side).unwrap();
    }
    world.restart();
    world.run();
    assert_eq!(world.plane.attached().unwrap(), attached);
}

#[test]
fn changes_while_the_agent_was_down_are_all_that_is_touched() {
    let mut world = world();
    let before = world.plane.operations().len();
    world.controller.attached = None;
    world.bind("p/one-c", "hv3");
    world.restart();
    world.run();
    world.assert_converged();
    let touched = world.plane.operations().len() - before;
    assert!(touched < 12, "{touched} operations for one port");
}

#[test]
fn a_device_that_went_while_the_agent_was_down_is_cleaned_up() {
    let mut world = world();
    let gone = world.next_local("p/one-a");
    world.devices.remove(&gone);
    world.restart();
    world.run();
    world.assert_converged();
    assert!(
        !world
            .plane
            .attached()
            .unwrap()
            .contains(&(gone, Attachment::Port))
    );
}

#[test]
fn after_a_reboot_ports_come_up_from_the_cache_without_a_controller() {
    let mut world = world();
    let slices = world.controller.compiler.network_ids().count();
    assert_eq!(world.saved.as_ref().unwrap().slices.len(), slices);
    world.controller_dies();
    world.reboot();
    let tap = world.plug("p/one-a");
    world.plug("p/two-b");
    assert_eq!(world.rows().ports.len(), 2, "at once");
    assert!(
        world
            .plane
            .attached()
            .unwrap()
            .contains(&(tap, Attachment::Port))
    );
    assert!(world.rows().macs.len() >= 4);
    world.controller_comes_back();
    world.run();
    world.assert_converged();
}

#[test]
fn rows_newer_than_the_cache_are_left_alone_while_a_controller_may_speak() {
    let mut world = world();
    let old = world.saved.clone();
    world.bind("p/one-c", "hv3");
    world.run();
    let rows = world.rows();
    world.saved = old;
    world.controller_dies();
    world.restart();
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.rows(), rows, "the cache knows less than the tables");
    world.controller_comes_back();
    world.run();
    world.assert_converged();
}

#[test]
fn without_a_controller_for_long_the_cache_is_all_there_is() {
    let mut world = world();
    let cached = world.saved.clone();
    let rows = world.rows();
    world.bind("p/one-c", "hv3");
    world.run();
    world.saved = cached;
    world.controller_dies();
    world.restart();
    world.run();
    assert_eq!(
        super::check::normal_form(&world.rows()),
        super::check::normal_form(&rows)
    );
}

#[test]
fn new_devices_do_not_wait_for_a_controller_after_a_restart() {
    let mut world = world();
    world.controller_dies();
    world.restart();
    world.plug("p/one-c");
    assert_eq!(world.rows().ports.len(), 5);
}

#[test]
fn nothing_is_removed_before_the_devices_are_known() {
    let world = world();
    let rows = world.rows();
    let found = Found {
        rows: rows.clone(),
        attached: world.plane.attached().unwrap(),
        cache: world.saved.clone(),
        cache_problem: None,
        seed: 1,
    };
    let mut core = crate::core::Core::new(super::world::config(), found, world.now);
    let hour = world.now + Duration::from_secs(3600);
    assert_eq!(core.deadline(), None);
    assert!(core.handle(Input::Tick, hour).is_empty());
}

#[test]
fn forwarding_stays_when_the_controller_is_gone_and_it_catches_up_when_it_is_back() {
    let mut world = world();
    let rows = world.rows();
    world.controller_dies();
    world.run_for(Duration::from_secs(3 * 24 * 3600));
    assert_eq!(world.rows(), rows);
    world.bind("p/one-c", "hv3");
    world.bind("p/two-c", HOST);
    world.controller_comes_back();
    world.run_for(Duration::from_secs(6));
    world.assert_converged();
    assert_eq!(world.realised(), Some(world.controller.revision));
}

#[test]
fn a_damaged_cache_is_reported_until_a_good_one_is_written() {
    let mut world = World::new();
    let found = Found {
        cache_problem: Some("checksum".into()),
        ..Found::default()
    };
    world.core = crate::core::Core::new(super::world::config(), found, world.now);
    world.input(Input::Device(world.devices[&world.uplink].clone()));
    world.input(Input::DevicesListed);
    world.run_for(Duration::from_millis(1));
    assert!(world.sent.iter().any(|body| matches!(
        body,
        coax_api::agent::agent_message::Body::Realised(realised)
            if realised.problems.iter().any(|problem| problem.object == "cache")
    )));
    world.run();
    assert_eq!(world.problems(), []);
}

#[test]
fn tables_of_a_new_layout_are_filled_before_programs_switch_to_them() {
    let mut world = world();
    let attached = world.plane.attached().unwrap();
    let mut plane = coax_vswitch::MemoryDataPlane::new();
    for (ifindex, side) in attached {
        plane.attach(ifindex, side).unwrap();
    }
    world.plane = plane;
    world.saved = None;
    world.controller_dies();
    world.restart();
    let attached_anew = world.core.attached_now.clone();
    assert!(attached_anew.is_empty(), "{attached_anew:?}");
    world.controller_comes_back();
    world.run();
    world.assert_converged();
    assert_eq!(world.core.attached_now.len(), 5);
}
