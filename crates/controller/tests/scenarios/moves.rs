//! Ports that go to another host.

use super::*;

#[test]
fn a_move_prepares_its_target_and_keeps_the_old_host_until_all_know() {
    let mut world = world();
    world.plug(HV1, "shop/web-1");
    world.plug(HV3, "shop/web-2");
    world.settle();

    let Ok(Answer::Port(moving)) = world.move_port("shop/web-1", "hv2") else {
        panic!("a move is granted");
    };
    assert_eq!(
        (moving.state, moving.moving_to.as_deref()),
        (PortState::Moving, Some("hv2"))
    );
    world.settle();
    assert_eq!(
        held(&world, HV2),
        ["shop/web"],
        "the target is prepared before the device is there"
    );
    assert_eq!(port(&world, "shop/web-1").host.as_deref(), Some("hv1"));

    // A peer that does not hear of it for a while.
    world.detach(HV3);
    world.plug(HV2, "shop/web-1");
    world.settle();
    world.unplug(HV1, "shop/web-1");
    world.settle();
    let moved = (Some("hv2".into()), None, Some("hv1".into()));
    assert_eq!(place(&world, "shop/web-1"), moved);
    assert_eq!(
        held(&world, HV1),
        ["shop/web"],
        "stragglers are still forwarded"
    );
    for _ in 0..60 {
        world.pass(Duration::from_secs(5));
        world.settle();
    }
    assert_eq!(place(&world, "shop/web-1"), moved);

    world.attach(HV3);
    world.settle();
    assert_eq!(place(&world, "shop/web-1"), at("hv2"));
    assert!(held(&world, HV1).is_empty());
    world.check();
}

#[test]
fn ten_moves_in_a_row_end_like_the_first() {
    let mut world = world();
    world.plug(HV1, "shop/web-1");
    world.settle();
    for round in 0..10 {
        let (from, to) = ([HV1, HV2, HV3][round % 3], [HV1, HV2, HV3][(round + 1) % 3]);
        let target = world.agents[to].name.clone();
        world.move_port("shop/web-1", &target).unwrap();
        world.plug(to, "shop/web-1");
        world.settle();
        world.unplug(from, "shop/web-1");
        world.settle();
        assert_eq!(place(&world, "shop/web-1"), at(&target));
        assert!(held(&world, from).is_empty());
    }
    world.check();
}

#[test]
fn a_move_is_called_off_by_moving_back() {
    let mut world = world();
    world.plug(HV1, "shop/web-1");
    world.plug(HV2, "shop/web-2");
    world.settle();
    for (name, home, away) in [("shop/web-1", "hv1", "hv3"), ("shop/web-2", "hv2", "hv3")] {
        world.move_port(name, away).unwrap();
        world.settle();
        assert_eq!(held(&world, HV3), ["shop/web"]);
        world.move_port(name, home).unwrap();
        world.settle();
        assert_eq!(place(&world, name), at(home));
        assert!(held(&world, HV3).is_empty());
    }
    let problem = world.move_port("shop/web-1", "hv9").unwrap_err();
    assert_eq!(problem.code, "no-such-host");
    world.check();
}

#[test]
fn another_wish_in_the_file_is_a_move() {
    let mut world = world();
    world.plug(HV1, "shop/web-1");
    world.settle();
    world.apply(&STACK.replace("host: hv1", "host: hv2"));
    assert_eq!(port(&world, "shop/web-1").moving_to.as_deref(), Some("hv2"));
    // And a move is another wish: the exported file says where the port is wanted now.
    let file = world.core.stack(&"shop".parse().unwrap()).unwrap();
    let text = coax_model::to_yaml(&file).unwrap();
    assert!(text.contains("host: hv2"), "{text}");
}

#[test]
fn a_move_waits_for_hosts_that_only_send_through_a_router() {
    let mut world = World::attached(3, 1);
    world.apply(JOINED);
    world.plug(HV1, "shop/web-1");
    world.plug(HV2, "shop/db-1");
    world.settle();
    world.move_port("shop/web-1", "hv3").unwrap();
    world.settle();
    assert_eq!(
        held(&world, HV3).len(),
        2,
        "the target has everything before"
    );
    world.detach(HV2);
    world.plug(HV3, "shop/web-1");
    world.settle();
    world.unplug(HV1, "shop/web-1");
    world.settle();
    let (_, _, from) = place(&world, "shop/web-1");
    assert_eq!(
        from.as_deref(),
        Some("hv1"),
        "hv2 may still send to the old host"
    );
    world.attach(HV2);
    world.settle();
    assert_eq!(place(&world, "shop/web-1"), at("hv3"));
    world.check();
}
