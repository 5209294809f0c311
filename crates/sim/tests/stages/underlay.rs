//! Stage `underlay`.

use crate::fixture::*;
use coax_pipeline::{Stage, Verdict};
use coax_sim::noise::mac;
use coax_sim::stand::Vtep;
use coax_sim::{Device, SimRows};
use coax_tables::{DropReason, FABRIC_SLOT};

fn rows_to(vtep: Vtep, over_ipv6: bool) -> SimRows {
    let mut rows = rows();
    rows.mac(NETWORK, mac(4), remote(vtep, over_ipv6));
    rows
}

fn name(what: &str, over_ipv6: bool) -> String {
    format!(
        "underlay/{what}-{}",
        if over_ipv6 { "ipv6" } else { "ipv4" }
    )
}

#[test]
fn the_route_chooses_the_uplink() {
    for over_ipv6 in [false, true] {
        let about = "The route to the VTEP leads over the second uplink.";
        let rows = rows_to(Vtep::JUMBO, over_ipv6);
        let played = from_vm1(
            &name("second-uplink", over_ipv6),
            about,
            rows,
            udp4(1, 4, 20),
        );
        let packet = played.sent(Device::Up2);
        assert_eq!(packet[..6], Device::Up2.next_hop().0);
        assert_eq!(packet[6..12], Device::Up2.mac().0);
    }
}

#[test]
fn a_next_hop_without_mac_address_is_left_to_the_host() {
    for over_ipv6 in [false, true] {
        let about = "The host's stack asks for the next hop's MAC address and sends.";
        let rows = rows_to(Vtep::UNRESOLVED, over_ipv6);
        let played = from_vm1(&name("unresolved", over_ipv6), about, rows, udp4(1, 4, 20));
        let outcome = played.only();
        assert_eq!(outcome.verdict, Verdict::SendUnresolved);
        assert_eq!(outcome.device, Some(index(Device::Up1)));
        assert_eq!(played.tallies[&FABRIC_SLOT].counters.sent_frames, 1);
    }
}

#[test]
fn no_route() {
    for over_ipv6 in [false, true] {
        from_vm1(
            &name("no-route", over_ipv6),
            "No route leads to the VTEP.",
            rows_to(Vtep::NOWHERE, over_ipv6),
            udp4(1, 4, 20),
        )
        .dropped(Stage::Underlay, DropReason::NoPath, 1);
    }
}

#[test]
fn an_uplink_that_is_too_small() {
    for (over_ipv6, headers) in [(false, 50), (true, 70)] {
        let most = Device::Small.mtu() as usize - headers - 28;
        let rows = rows_to(Vtep::NARROW, over_ipv6);
        let about = "The largest packet that the uplink takes with its tunnel headers.";
        let played = from_vm1(
            &name("just-fits", over_ipv6),
            about,
            rows.clone(),
            udp4(1, 4, most),
        );
        assert_eq!(played.only().verdict, Verdict::Send);
        from_vm1(
            &name("too-small", over_ipv6),
            "One byte more: the fabric is narrower than network and tunnel headers.",
            rows,
            udp4(1, 4, most + 1),
        )
        .dropped(Stage::Underlay, DropReason::PathTooSmall, 1);
    }
}

#[test]
fn stragglers_are_measured_too() {
    let mut rows = rows_to(Vtep::NARROW, true);
    if let Some(row) = rows
        .macs
        .get_mut(&coax_tables::MacKey::new(NETWORK, mac(4)))
    {
        row.flags |= coax_tables::MacRow::FORWARD;
    }
    from_fabric(
        "underlay/straggler-too-big",
        "What moves on from an IPv4 tunnel needs 20 bytes more over IPv6.",
        rows,
        tunnel(false).around(&udp4(9, 4, 1350)),
    )
    .dropped(Stage::Underlay, DropReason::PathTooSmall, FABRIC_SLOT);
}
