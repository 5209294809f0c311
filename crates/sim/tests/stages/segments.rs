//! Frames that stand for several segments of a TCP flow.

use crate::fixture::*;
use coax_pipeline::Verdict;
use coax_sim::craft::{IPV4, IPV6, Ipv4, Ipv6, ethernet, tcp};
use coax_sim::noise::{ipv4, ipv6, mac};
use coax_sim::{Device, Enters};

fn stream4(to: u8, payload: usize) -> Vec<u8> {
    let addresses = (ipv4(1), ipv4(to));
    let body = vec![b's'; payload];
    let segment = tcp(
        (addresses.0.into(), 1000),
        (addresses.1.into(), 80),
        &[],
        &body,
    );
    let packet = Ipv4::new(addresses.0, addresses.1, 6).packet(&segment);
    ethernet(mac(to), mac(1), IPV4, &packet)
}

fn stream6(to: u8, payload: usize) -> Vec<u8> {
    let addresses = (ipv6(1), ipv6(to));
    let body = vec![b's'; payload];
    let segment = tcp(
        (addresses.0.into(), 1000),
        (addresses.1.into(), 80),
        &[],
        &body,
    );
    let packet = Ipv6::new(addresses.0, addresses.1, 6).packet(&segment);
    ethernet(mac(to), mac(1), IPV6, &packet)
}

fn send(name: &str, about: &str, frame: Vec<u8>, payload: u32) -> Played {
    let enters = Enters::new(Device::Vm1, frame).of_segments(payload);
    play(name, about, rows(), vec![enters])
}

#[test]
fn segments_that_fit_pass_as_one_frame() {
    for (name, frame, payload) in [
        ("ipv4", stream4(2, 30_000), 1460),
        ("ipv6", stream6(2, 30_000), 1440),
    ] {
        let about = "Larger than the MTU, but every segment fits: nobody cuts it here.";
        send(
            &format!("mtu/segments-{name}"),
            about,
            frame.clone(),
            payload,
        )
        .delivered(Device::Vm2, &frame);
    }
}

#[test]
fn segments_go_into_a_tunnel_at_once() {
    for (inner, frame4, frame6, payload) in [
        ("ipv4", stream4(4, 20_000), stream4(5, 20_000), 1460),
        ("ipv6", stream6(4, 20_000), stream6(5, 20_000), 1440),
    ] {
        for (outer, frame) in [("ipv4", frame4), ("ipv6", frame6)] {
            let name = format!("encapsulate/segments-{inner}-over-{outer}");
            let about = "One encapsulation for all segments; lengths are written when it is cut.";
            let played = send(&name, about, frame.clone(), payload);
            assert_eq!(inside(played.sent(Device::Up1)), frame);
        }
    }
}

#[test]
fn segments_that_do_not_fit_are_answered_once() {
    for (name, frame, payload) in [
        ("ipv4", stream4(2, 30_000), 1461),
        ("ipv6", stream6(2, 30_000), 1441),
    ] {
        let about = "Each segment is one byte too big; the answer is an ordinary frame.";
        let name = format!("mtu/segments-too-big-{name}");
        let played = send(&name, about, frame, payload);
        assert_eq!(played.only().verdict, Verdict::Answer);
    }
}
