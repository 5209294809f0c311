//! What a trace notes, and that it ends as the frame does.

use super::*;
use crate::stand::{Device, Stand, Vtep, host_row};
use crate::{SimRows, craft};
use coax_pipeline::Verdict;
use coax_wire::MacAddress;

const HERE: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const THERE: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);
const NETWORK: NetworkId = NetworkId(100);

fn host() -> Host {
    let mut rows = SimRows::new(host_row());
    let port = PortRow {
        network: NETWORK,
        slot: 1,
        mtu: 1500,
        mac: HERE,
        ..PortRow::default()
    };
    rows.port(2, port);
    let behind = MacRow {
        vtep: Vtep::PEER.row(false),
        mtu: 1500,
        ..MacRow::default()
    };
    rows.mac(NETWORK, THERE, behind);
    let tables = SimTables {
        rows,
        ..SimTables::default()
    };
    Host::new(tables, Stand::default().sending())
}

fn frame() -> Vec<u8> {
    craft::ethernet(THERE, HERE, craft::EXPERIMENT, &[7; 50])
}

#[test]
fn what_is_not_known_of_the_underlay_is_asked_and_then_decides() {
    let host = host();
    let first = trace(&host, &Ways::new(), Side::Port, 2, &frame());
    assert_eq!(first.outcome.reason, Some(DropReason::NoPath));
    let question = *first.unanswered.first().unwrap();
    assert_eq!(question.destination, Vtep::PEER.address(false));

    let way = Way {
        path: Path {
            ifindex: Stand::default().index(Device::Up1),
            ..Path::default()
        },
        resolved: true,
        mtu: 1600,
    };
    let ways = Ways::from([(question, Some(way))]);
    let second = trace(&host, &ways, Side::Port, 2, &frame());
    assert_eq!(second.outcome.verdict, Verdict::Send);
    assert!(second.unanswered.is_empty());
}

#[test]
fn every_lookup_is_noted_under_its_stage() {
    let host = host();
    let traced = trace(&host, &Ways::new(), Side::Port, 2, &frame());
    let of = |stage| {
        let step = traced.steps.iter().find(|step| step.stage == stage);
        step.map(|step| step.lookups.clone()).unwrap()
    };
    let key = MacKey::new(NETWORK, THERE);
    let row = host.tables.rows.macs.get(&key).copied();
    assert!(row.is_some());
    assert_eq!(of(Stage::Forward), [Lookup::Mac(key, row)]);
    assert!(matches!(of(Stage::Port)[..], [Lookup::Port(_, Some(_))]));
    let stages: Vec<Stage> = traced.steps.iter().map(|step| step.stage).collect();
    assert_eq!(stages, traced.outcome.stages);
}

#[test]
fn a_traced_frame_ends_as_an_ordinary_one() {
    let mut host = host();
    let traced = trace(&host, &Ways::new(), Side::Port, 2, &frame()).outcome;
    host.tables.underlay = crate::Underlay::new();
    assert_eq!(traced, host.port(2, &frame()));
}
