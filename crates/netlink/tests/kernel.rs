//! Links, addresses, routes and neighbours on the real kernel, in namespaces made for the test. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use coax_netlink::{
    Error, LinkEvent, LinkWatch, Namespace, NextHop, OperState, Route, RouteKind, ScopedNamespace,
    VethEnd, Vxlan,
};

fn scratch() -> ScopedNamespace {
    ScopedNamespace::create("coax-test-netlink").expect("needs root to create a namespace")
}

/// The next event that `wanted` maps to something; a kernel that stays silent fails the test.
async fn wait_for<T>(watch: &mut LinkWatch, wanted: impl Fn(LinkEvent) -> Option<T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            if let Some(found) = wanted(watch.next().await.unwrap()) {
                return found;
            }
        }
    })
    .await
    .expect("the event did not come")
}

#[tokio::test]
async fn a_veth_pair_joins_two_namespaces() {
    let (left, right) = (scratch(), scratch());
    let netlink = left.netlink().unwrap();
    let mac = [2, 0, 0, 0, 0, 1];
    let here = VethEnd::new("to-right").with_mtu(9000).with_mac(mac);
    let there = VethEnd::new("to-left").in_namespace(&right).with_mtu(9000);
    netlink.create_veth(&here, &there).await.unwrap();
    let again = netlink.create_veth(&here, &there).await.unwrap_err();
    assert!(again.is_already_there(), "{again}");

    let far = right.netlink().unwrap();
    let one = netlink.link("to-right").await.unwrap();
    let other = far.link("to-left").await.unwrap();
    assert_eq!((one.mtu, other.mtu), (9000, 9000));
    assert_eq!(one.mac, Some(mac));
    assert_eq!(one.kind.as_deref(), Some("veth"));
    assert_eq!(one.peer.unwrap().index, other.index);
    assert!(one.peer.unwrap().namespace_id.is_some());
    assert!(!one.up && !one.carrier);

    netlink.set_up(one.index).await.unwrap();
    far.set_up(other.index).await.unwrap();
    let mut watch = LinkWatch::open_in(&left).unwrap();
    let up = wait_for(&mut watch, |event| match event {
        LinkEvent::Changed(link) if link.state == OperState::Up && link.carrier => Some(link),
        _ => None,
    });
    assert_eq!(up.await.name, "to-right");

    netlink.delete_link(one.index).await.unwrap();
    let gone = far.link("to-left").await.unwrap_err();
    assert!(
        matches!(&gone, Error::NoSuchLink { name } if name == "to-left"),
        "{gone}"
    );
}

#[tokio::test]
async fn both_ends_of_a_pair_can_be_born_elsewhere() {
    let (home, left, right) = (scratch(), scratch(), scratch());
    let one = VethEnd::new("eth0").in_namespace(&left);
    let other = VethEnd::new("eth0").in_namespace(&right);
    home.netlink()
        .unwrap()
        .create_veth(&one, &other)
        .await
        .unwrap();
    assert!(home.netlink().unwrap().link("eth0").await.is_err());
    assert_eq!(
        left.netlink().unwrap().link("eth0").await.unwrap().name,
        "eth0"
    );
    assert_eq!(
        right.netlink().unwrap().link("eth0").await.unwrap().name,
        "eth0"
    );
}

#[tokio::test]
async fn every_change_of_a_link_is_told_once() {
    let (namespace, other) = (scratch(), scratch());
    let netlink = namespace.netlink().unwrap();
    let mut watch = LinkWatch::open_in(&namespace).unwrap();
    wait_for(&mut watch, |event| {
        (event == LinkEvent::Listed).then_some(())
    })
    .await;

    netlink
        .create_veth(
            &VethEnd::new("tap0"),
            &VethEnd::new("eth0").in_namespace(&other),
        )
        .await
        .unwrap();
    let changed = |event| match event {
        LinkEvent::Changed(link) => Some(link),
        _ => None,
    };
    let link = wait_for(&mut watch, changed).await;
    assert_eq!((link.name.as_str(), link.alias.as_deref()), ("tap0", None));
    assert_eq!(link.kind.as_deref(), Some("veth"));

    // The alias of a link that is down is told with the next event: at the latest when it is switched on.
    let index = link.index;
    netlink.set_alias(index, "coax:shop/web-1").await.unwrap();
    netlink.set_up(index).await.unwrap();
    let named = wait_for(&mut watch, changed).await;
    assert_eq!(
        (named.alias.as_deref(), named.up),
        (Some("coax:shop/web-1"), true)
    );
    netlink.set_alias(index, "coax:shop/web-2").await.unwrap();
    assert_eq!(
        wait_for(&mut watch, changed).await.alias.as_deref(),
        Some("coax:shop/web-2")
    );
    netlink.set_alias(index, "").await.unwrap();
    assert_eq!(wait_for(&mut watch, changed).await.alias, None);
    netlink.set_down(index).await.unwrap();
    assert!(!wait_for(&mut watch, changed).await.up);
    netlink.set_mtu(link.index, 1400).await.unwrap();
    assert_eq!(wait_for(&mut watch, changed).await.mtu, 1400);
    netlink.set_name(link.index, "tap1").await.unwrap();
    assert_eq!(wait_for(&mut watch, changed).await.name, "tap1");

    // Into a bridge and out of it is a change of the link, not its end.
    netlink.create_bridge("br0").await.unwrap();
    let bridge = netlink.link("br0").await.unwrap().index;
    netlink.set_master(link.index, Some(bridge)).await.unwrap();
    netlink.set_master(link.index, None).await.unwrap();
    netlink.set_namespace(link.index, &other).await.unwrap();
    let gone = wait_for(&mut watch, |event| match event {
        LinkEvent::Gone(link) => Some(link),
        _ => None,
    });
    let gone = gone.await;
    assert_eq!((gone.name.as_str(), gone.master), ("tap1", None));
    assert_eq!(
        other.netlink().unwrap().link("tap1").await.unwrap().mtu,
        1400
    );
}

/// Two routers of a namespace pair, with the addresses of both families on both of two cables.
async fn two_cables(left: &Namespace, right: &Namespace) -> [u32; 2] {
    let netlink = left.netlink().unwrap();
    let far = right.netlink().unwrap();
    let mut indexes = [0; 2];
    for (number, index) in indexes.iter_mut().enumerate() {
        let name = format!("up{number}");
        let (here, there) = (VethEnd::new(&name), VethEnd::new(&name).in_namespace(right));
        netlink.create_veth(&here, &there).await.unwrap();
        for (end, last) in [(&netlink, 1), (&far, 2)] {
            let link = end.link(&name).await.unwrap().index;
            let four = format!("10.0.{number}.{last}/24").parse().unwrap();
            let six = format!("fd00:{number}::{last}/64").parse().unwrap();
            end.add_address(link, four).await.unwrap();
            end.add_address(link, six).await.unwrap();
            end.set_up(link).await.unwrap();
        }
        *index = netlink.link(&name).await.unwrap().index;
    }
    indexes
}

#[tokio::test]
async fn routes_with_several_next_hops_come_back_as_they_were_set() {
    let (left, right) = (scratch(), scratch());
    let cables = two_cables(&left, &right).await;
    let netlink = left.netlink().unwrap();
    for (destination, hops) in [
        ("192.0.2.0/24", ["10.0.0.2", "10.0.1.2"]),
        ("2001:db8::/64", ["fd00:0::2", "fd00:1::2"]),
    ] {
        let destination = destination.parse().unwrap();
        let hops: Vec<NextHop> = hops
            .iter()
            .zip(cables)
            .map(|(hop, link)| NextHop::via(hop.parse().unwrap(), link))
            .collect();
        let find = async || {
            let routes = netlink.routes().await.unwrap();
            routes
                .into_iter()
                .filter(|route| route.destination == destination)
                .collect::<Vec<_>>()
        };
        netlink
            .replace_route(&Route::new(destination, hops.clone()))
            .await
            .unwrap();
        let both = find().await;
        assert_eq!(both.len(), 1, "{both:?}");
        assert_eq!(both[0].next_hops, hops);

        // One path fewer, in place, then both again, then none.
        netlink
            .replace_route(&Route::new(destination, vec![hops[1]]))
            .await
            .unwrap();
        assert_eq!(find().await[0].next_hops, [hops[1]]);
        netlink
            .replace_route(&Route::new(destination, hops.clone()))
            .await
            .unwrap();
        assert_eq!(find().await[0].next_hops, hops);
        netlink.delete_route(destination).await.unwrap();
        assert_eq!(find().await, []);
        assert!(
            netlink
                .delete_route(destination)
                .await
                .unwrap_err()
                .is_not_found()
        );
    }
}

#[tokio::test]
async fn special_routes_and_sources_are_kept() {
    let (left, right) = (scratch(), scratch());
    let cables = two_cables(&left, &right).await;
    let netlink = left.netlink().unwrap();
    let default: Route = Route::new(
        "0.0.0.0/0".parse().unwrap(),
        vec![NextHop::via("10.0.0.2".parse().unwrap(), cables[0])],
    )
    .with_source("10.0.1.1".parse().unwrap());
    netlink.replace_route(&default).await.unwrap();
    let black = Route {
        kind: RouteKind::Blackhole,
        ..Route::new("203.0.113.0/24".parse().unwrap(), Vec::new())
    };
    netlink.replace_route(&black).await.unwrap();
    let routes = netlink.routes().await.unwrap();
    assert!(routes.contains(&default), "{routes:?}");
    assert!(routes.contains(&black), "{routes:?}");

    let mixed = Route::new(
        "2001:db8::/64".parse().unwrap(),
        vec![NextHop::via("10.0.0.2".parse().unwrap(), cables[0])],
    );
    let refused = netlink.replace_route(&mixed).await.unwrap_err();
    assert!(matches!(refused, Error::MixedFamilies { .. }), "{refused}");
}

#[tokio::test]
async fn addresses_can_be_added_listed_and_deleted() {
    let namespace = scratch();
    let netlink = namespace.netlink().unwrap();
    netlink.create_bridge("vtep").await.unwrap();
    let index = netlink.link("vtep").await.unwrap().index;
    for address in ["192.0.2.1/32", "2001:db8::1/128"] {
        let address = address.parse().unwrap();
        netlink.add_address(index, address).await.unwrap();
        assert!(
            netlink
                .addresses(Some(index))
                .await
                .unwrap()
                .contains(&(index, address))
        );
        assert!(
            netlink
                .add_address(index, address)
                .await
                .unwrap_err()
                .is_already_there()
        );
        netlink.delete_address(index, address).await.unwrap();
        assert!(
            !netlink
                .addresses(None)
                .await
                .unwrap()
                .contains(&(index, address))
        );
    }
}

#[tokio::test]
async fn permanent_neighbours_are_entered_and_replaced() {
    let namespace = scratch();
    let netlink = namespace.netlink().unwrap();
    netlink.create_bridge("d0").await.unwrap();
    let index = netlink.link("d0").await.unwrap().index;
    netlink.set_up(index).await.unwrap();
    for address in ["192.0.2.7", "2001:db8::7"] {
        let address = address.parse().unwrap();
        for last in [1, 2] {
            let mac = [2, 0, 0, 0, 0, last];
            netlink.set_neighbour(index, address, mac).await.unwrap();
            let neighbours = netlink.neighbours().await.unwrap();
            let found: Vec<_> = neighbours
                .iter()
                .filter(|one| one.address == address)
                .collect();
            assert_eq!(found.len(), 1);
            assert_eq!((found[0].mac, found[0].permanent), (Some(mac), true));
        }
    }
}

#[tokio::test]
async fn the_kernels_vxlan_device_takes_several_endpoints_for_unknown_frames() {
    let namespace = scratch();
    let netlink = namespace.netlink().unwrap();
    let vxlan = Vxlan {
        name: "vx0",
        vni: 4096,
        local: "192.0.2.1".parse().unwrap(),
        remote: None,
        port: 4789,
        learning: false,
    };
    netlink.create_vxlan(&vxlan).await.unwrap();
    let index = netlink.link("vx0").await.unwrap().index;
    for remote in ["192.0.2.2", "192.0.2.3"] {
        netlink
            .append_fdb(index, [0; 6], remote.parse().unwrap())
            .await
            .unwrap();
    }
    let refused = netlink.append_fdb(1, [0; 6], vxlan.local).await;
    assert!(
        refused.is_err(),
        "the loopback device has no forwarding entries"
    );
}

/// The kernel makes one list at a time for a socket; whoever asks meanwhile waits for his turn.
#[tokio::test]
async fn lists_are_given_to_many_at_once() {
    let namespace = scratch();
    let netlink = namespace.netlink().unwrap();
    for number in 0..40 {
        let end = |side: &str| format!("{side}{number}");
        let (near, far) = (end("near"), end("far"));
        let (near, far) = (VethEnd::new(&near), VethEnd::new(&far));
        netlink.create_veth(&near, &far).await.unwrap();
    }
    let asking = (0..64).map(|number| {
        let netlink = netlink.clone();
        tokio::spawn(async move {
            match number % 4 {
                // Somebody who does not wait for the end.
                0 => {
                    let soon = Duration::from_micros(100);
                    let _ = tokio::time::timeout(soon, netlink.links()).await;
                    81
                }
                1 => netlink.addresses(None).await.map(|_| 81).unwrap(),
                2 => netlink.routes().await.map(|_| 81).unwrap(),
                _ => netlink.links().await.unwrap().len(),
            }
        })
    });
    for asked in asking.collect::<Vec<_>>() {
        // The loopback device and both ends of each pair.
        assert_eq!(asked.await.unwrap(), 81);
    }
}
