//! A VM moves: away from this host, and to it.

use coax_api::agent::agent_message::Body;
use coax_model::intent::Binding;
use coax_model::name::HostName;
use coax_tables::MacRow;
use coax_vswitch::{Row, RowOperation};

use super::world::{HOST, OTHER, World};

fn host(name: &str) -> Option<HostName> {
    Some(HostName::new(name).unwrap())
}

fn world() -> World {
    let mut world = World::new();
    world.network("p/net");
    for port in ["p/vm", "p/here", "p/there"] {
        world.port(port, "p/net");
    }
    world.bind("p/there", OTHER);
    world.plug("p/here");
    world
}

#[test]
fn when_the_device_goes_its_mac_address_points_to_the_new_host_at_once() {
    let mut world = world();
    let tap = world.plug("p/vm");
    world.run();
    assert!(world.mac_row("p/vm").has(MacRow::LOCAL));
    let binding = Binding {
        host: host(HOST),
        moving_to: host(OTHER),
        moved_from: None,
    };
    world.put_binding("p/vm", binding);
    world.run();
    assert!(
        world.mac_row("p/vm").has(MacRow::LOCAL),
        "the VM still runs here"
    );

    let before = world.plane.operations().len();
    world.unplug(tap);
    let row = world.mac_row("p/vm");
    assert!(
        !row.has(MacRow::LOCAL) && row.has(MacRow::FORWARD),
        "{row:?}"
    );
    assert_eq!(row.vtep[12..], [10, 0, 0, 2]);
    let done = &world.plane.operations()[before..];
    assert!(
        matches!(done[0], RowOperation::Put(Row::Mac(..))),
        "nothing goes first: {done:?}"
    );
    let unplugged = world.sent.iter().rev().find_map(|body| match body {
        Body::Claims(claims) => Some(claims.unplugged.clone()),
        _ => None,
    });
    assert_eq!(unplugged, Some(vec!["p/vm".to_owned()]));

    world.put_binding(
        "p/vm",
        Binding {
            host: host(OTHER),
            moving_to: None,
            moved_from: host(HOST),
        },
    );
    world.run();
    assert!(
        world.mac_row("p/vm").has(MacRow::FORWARD),
        "stragglers are still sent on"
    );
    world.bind("p/vm", OTHER);
    world.run();
    assert!(!world.mac_row("p/vm").has(MacRow::FORWARD));
    world.assert_converged();
    world.assert_never_half();
}

#[test]
fn a_target_is_prepared_and_the_arriving_device_works_at_once() {
    let mut world = world();
    world.bind("p/vm", OTHER);
    world.run();
    world.put_binding(
        "p/vm",
        Binding {
            host: host(OTHER),
            moving_to: host(HOST),
            moved_from: None,
        },
    );
    world.run();
    assert!(!world.mac_row("p/vm").has(MacRow::LOCAL));
    let tap = world.plug("p/vm");
    let row = world.mac_row("p/vm");
    assert!(
        row.has(MacRow::LOCAL) && row.ifindex == tap,
        "before a word of the controller"
    );
    world.run();
    world.assert_converged();
    world.ask_for_report(1);
    world.run();
    let request = world.reports.pop().unwrap();
    assert_eq!(request.measures.migration_gap.count(), 1);
    world.assert_never_half();
}

#[test]
fn ten_moves_to_and_fro_end_as_good_as_the_first() {
    let mut world = world();
    world.plug("p/vm");
    world.run();
    let slot = world.slot_of(world.next_local("p/vm"));
    for _ in 0..10 {
        world.put_binding(
            "p/vm",
            Binding {
                host: host(HOST),
                moving_to: host(OTHER),
                moved_from: None,
            },
        );
        world.run();
        world.unplug(world.next_local("p/vm"));
        world.put_binding(
            "p/vm",
            Binding {
                host: host(OTHER),
                moving_to: None,
                moved_from: host(HOST),
            },
        );
        world.run();
        world.put_binding(
            "p/vm",
            Binding {
                host: host(OTHER),
                moving_to: host(HOST),
                moved_from: None,
            },
        );
        world.run();
        let tap = world.plug("p/vm");
        world.run();
        world.assert_converged();
        assert_eq!(
            world.slot_of(tap),
            slot,
            "the counters of a port that returns go on"
        );
    }
    assert_eq!(
        world.resets.iter().filter(|reset| **reset == slot).count(),
        1
    );
    world.assert_never_half();
    assert_eq!(world.problems(), []);
}

#[test]
fn a_host_that_was_only_a_former_one_gets_copies_with_its_first_member_and_none_after_the_last() {
    let mut world = world();
    world.bind("p/vm", OTHER);
    world.put_binding(
        "p/there",
        Binding {
            host: host(OTHER),
            moving_to: None,
            moved_from: host("hv3"),
        },
    );
    world.run();
    let copies = |world: &World| world.rows().networks.values().next().unwrap().coax_ipv4;
    assert_eq!(copies(&world), 1, "a former host gets none");
    // The slice knows the host already: nothing but the member changes.
    world.bind("p/vm", "hv3");
    world.run();
    world.assert_converged();
    assert_eq!(copies(&world), 2);
    world.bind("p/vm", OTHER);
    world.run();
    world.assert_converged();
    assert_eq!(copies(&world), 1);
}
