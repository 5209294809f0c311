//! Stage `guard`: storm control, with limits that are used up from the beginning.

use crate::fixture::*;
use coax_pipeline::Stage;
use coax_sim::craft::{self, ARP, EXPERIMENT, ethernet};
use coax_sim::noise::{ipv4, mac};
use coax_sim::{Device, Enters, Scenario, SimRows};
use coax_tables::{DropReason, Limit, NetworkRow};
use coax_wire::MacAddress;
use std::net::Ipv4Addr;

const RATE: u32 = 1_000;
const GROUP: MacAddress = MacAddress([0x01, 0, 0x5e, 1, 2, 3]);

/// The whole network with limits on every port, where unknown addresses are flooded.
fn limited() -> SimRows {
    let mut rows = rows();
    for row in rows.ports.values_mut() {
        row.broadcast_rate = RATE;
        row.multicast_rate = RATE;
        row.unknown_rate = RATE;
    }
    if let Some(row) = rows.networks.get_mut(&NETWORK) {
        row.flags |= NetworkRow::FLOOD_UNKNOWN;
    }
    rows
}

fn played(
    name: &str,
    about: &str,
    rows: SimRows,
    exhausted: &[(u32, Limit)],
    frames: Vec<Enters>,
) -> Played {
    let scenario = Scenario {
        rows,
        frames,
        exhausted: exhausted.to_vec(),
    };
    play_scenario(name, about, scenario)
}

fn multicast(from: u8) -> Vec<u8> {
    ethernet(GROUP, mac(from), EXPERIMENT, b"to a group")
}

fn unknown(from: u8) -> Vec<u8> {
    ethernet(mac(9), mac(from), EXPERIMENT, b"to nobody")
}

fn question(target: Ipv4Addr) -> Vec<u8> {
    let packet = craft::arp(1, (mac(1), ipv4(1)), (MacAddress::default(), target));
    ethernet(MacAddress::BROADCAST, mac(1), ARP, &packet)
}

#[test]
fn each_kind_has_a_limit_of_its_own_and_each_port_too() {
    for (name, limit, stage, frame) in [
        (
            "broadcast",
            Limit::Broadcast,
            Stage::Guard,
            broadcast as fn(u8) -> Vec<u8>,
        ),
        ("multicast", Limit::Multicast, Stage::Guard, multicast),
        ("unknown", Limit::Unknown, Stage::Forward, unknown),
    ] {
        let about =
            "A port that has used its limit up; the other kinds, unicast and a neighbour go on.";
        let others = [broadcast, multicast, unknown].map(|other| other(1));
        let mut frames = vec![Enters::new(Device::Vm1, frame(1))];
        let others = others.into_iter().filter(|other| *other != frame(1));
        frames.extend(others.map(|other| Enters::new(Device::Vm1, other)));
        frames.push(Enters::new(Device::Vm1, udp4(1, 2, 20)));
        frames.push(Enters::new(Device::Vm2, frame(2)));
        let name = format!("guard/storm-{name}");
        let done = played(&name, about, limited(), &[(1, limit)], frames);
        let reasons: Vec<_> = done.outcomes.iter().map(|outcome| outcome.reason).collect();
        assert_eq!(
            reasons,
            [Some(DropReason::Storm), None, None, None, None],
            "{name}"
        );
        assert_eq!(done.outcomes[0].stages.last(), Some(&stage));
    }
}

#[test]
fn questions_that_the_host_answers_do_not_count() {
    let exhausted = [(1, Limit::Broadcast)];
    let frames = vec![Enters::new(Device::Vm1, question(ipv4(2)))];
    let about = "ARP is answered, whatever the port has broadcast before: nobody else hears it.";
    played("guard/storm-answered", about, limited(), &exhausted, frames).answered();
    let mut rows = limited();
    let foreign = coax_sim::rows::Receiver::Foreign(coax_sim::stand::Vtep::FOREIGN.row(false));
    rows.network(NETWORK, MTU, 0, &[receiver(2, Device::Vm2), foreign]);
    let frames = vec![Enters::new(
        Device::Vm1,
        question(Ipv4Addr::new(10, 0, 0, 99)),
    )];
    let about = "ARP that does leave the host counts as a broadcast.";
    played("guard/storm-question", about, rows, &exhausted, frames).dropped(
        Stage::Forward,
        DropReason::Storm,
        1,
    );
}

#[test]
fn a_port_without_a_limit_has_none() {
    let frames = vec![Enters::new(Device::Vm1, broadcast(1))];
    let about = "A rate of zero is no limit.";
    let exhausted = [(1, Limit::Broadcast)];
    let done = played("guard/storm-no-limit", about, rows(), &exhausted, frames);
    assert!(!done.flooded().is_empty());
}
