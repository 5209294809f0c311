//! Stage `route` where the gateway itself answers, and where it must not help.

use crate::fixture::*;
use crate::router::*;
use coax_pipeline::{Stage, Verdict};
use coax_sim::craft;
use coax_sim::{Device, Enters, Scenario};
use coax_tables::{DropReason, Limit, MacRow, PortRow};
use std::net::IpAddr;

fn echo(from: IpAddr, to: IpAddr, payload: usize) -> Vec<u8> {
    let body = vec![b'e'; payload];
    match (from, to) {
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            let body = [&[0, 7, 0, 1][..], &body].concat();
            packet(
                from,
                to,
                58,
                64,
                &craft::icmpv6(source, target, 128, 0, &body),
            )
        }
        _ => packet(from, to, 1, 64, &craft::icmp(8, 0, [0, 7, 0, 1], &body)),
    }
}

#[test]
fn the_gateway_answers_pings() {
    for (ipv6, family) in FAMILIES {
        for (name, gate) in [
            ("own", at(HERE, ipv6, GATE)),
            ("other", at(THERE, ipv6, GATE)),
        ] {
            for payload in [0, 56, 1400] {
                let frame = to_gateway(&echo(at(HERE, ipv6, 1), gate, payload));
                let played = from_vm1(
                    &format!("route/{family}-ping-{name}-{payload}"),
                    "Every address of the router answers, also those in other networks.",
                    routers(),
                    frame.clone(),
                );
                let (kind, code, from, body) = message(played.answered());
                assert_eq!((kind, code, from), (if ipv6 { 129 } else { 0 }, 0, gate));
                let headers = if ipv6 { 14 + 48 } else { 14 + 28 };
                assert_eq!(body, frame[headers..]);
            }
        }
    }
    let frame = to_gateway(&echo("fe80::1".parse().unwrap(), link_local_gateway(), 8));
    let played = from_vm1(
        "route/ping-link-local",
        "The gateway's link-local address answers too.",
        routers(),
        frame,
    );
    assert_eq!(message(played.answered()).2, link_local_gateway());
    let scenario = Scenario {
        rows: routers(),
        frames: vec![Enters::new(
            Device::Vm1,
            to_gateway(&echo(at(HERE, false, 1), at(HERE, false, GATE), 8)),
        )],
        exhausted: vec![(1, Limit::Answer)],
    };
    play_scenario("route/ping-limit", "So many answers in a second.", scenario).dropped(
        Stage::Route,
        DropReason::AnswerLimit,
        1,
    );
}

#[test]
fn a_gateway_without_routes_answers_pings_too() {
    let mut rows = routers();
    rows.routes.clear();
    let frame = to_gateway(&echo(at(HERE, false, 1), at(HERE, false, GATE), 8));
    let played = from_vm1(
        "route/ping-without-routes",
        "A network that no router joins may have a gateway for its services.",
        rows,
        frame,
    );
    assert_eq!(played.only().verdict, Verdict::Answer);
}

#[test]
fn all_else_is_not_served_by_the_gateway() {
    for (ipv6, family) in FAMILIES {
        let (from, gate) = (at(HERE, ipv6, 1), at(HERE, ipv6, GATE));
        let tcp = craft::tcp((from, 1000), (gate, 22), &[1, 1, 1, 0], &[]);
        let udp = craft::udp((from, 1000), (gate, 33434), &[0; 12]);
        for (name, protocol, body, kinds) in [
            ("tcp", 6, tcp, [(3, 3), (1, 4)]),
            ("udp", 17, udp, [(3, 3), (1, 4)]),
            ("sctp", 132, vec![0; 20], [(3, 2), (4, 1)]),
        ] {
            refused(
                &format!("route/{family}-not-served-{name}"),
                "The gateway says which of its ports and protocols are closed.",
                routers(),
                &to_gateway(&packet(from, gate, protocol, 64, &body)),
                kinds,
            );
        }
        let pong = if ipv6 { 129 } else { 0 };
        let mut frame = to_gateway(&echo(from, gate, 8));
        let at = if ipv6 { 54 } else { 34 };
        frame[at] = pong;
        from_vm1(
            &format!("route/{family}-not-served-pong"),
            "An answer that nobody asked for.",
            routers(),
            frame,
        )
        .dropped(Stage::Route, DropReason::NotServed, 1);
    }
    let mut first = echo(at(HERE, false, 1), at(HERE, false, GATE), 64);
    first[6..8].copy_from_slice(&[0x20, 0]);
    from_vm1(
        "route/not-served-fragment",
        "The gateway does not put fragments together.",
        routers(),
        to_gateway(&with_hops(first, 64)),
    )
    .dropped(Stage::Route, DropReason::NotServed, 1);
}

#[test]
fn isolated_ports_do_not_meet_at_the_gateway() {
    for (ipv6, family) in FAMILIES {
        let mut rows = routers();
        for row in rows.ports.values_mut() {
            row.flags |= PortRow::ISOLATED;
        }
        for row in rows.macs.values_mut().filter(|row| row.has(MacRow::LOCAL)) {
            row.flags |= MacRow::ISOLATED;
        }
        let (from, to) = (at(THERE, ipv6, 2), at(THERE, ipv6, 3));
        let body = craft::udp((from, 1000), (to, 2000), b"psst");
        let mut frame = to_gateway(&packet(from, to, 17, 64, &body));
        frame[6..12].copy_from_slice(&coax_sim::noise::mac(2).0);
        let enters = Enters::new(Device::Vm2, frame);
        let name = format!("route/{family}-isolated");
        let about = "Isolated ports of a network do not reach each other over its gateway.";
        play(&name, about, rows.clone(), vec![enters]).dropped(
            Stage::Route,
            DropReason::Isolated,
            2,
        );
        let frame = to_gateway(&datagram(at(THERE, ipv6, 2), 64, 20));
        from_vm1(
            &format!("route/{family}-isolated-elsewhere"),
            "Ports of other networks are none of theirs.",
            rows,
            frame.clone(),
        )
        .delivered(Device::Vm2, &routed(&frame, 2));
    }
}
