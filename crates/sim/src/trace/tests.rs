//! What a trace notes, and that it ends as the frame does.

use super::*;
use crate::stand::{Device, Stand, Vtep, host_row};
use crate::{SimRows, craft};
use coax_pipeline::Verdict;
use coax_tables::DomainRow;
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

fn known<'a>(ways: &'a Ways, remembered: &'a Remembered) -> Known<'a> {
    Known { ways, remembered }
}

fn frame() -> Vec<u8> {
    craft::ethernet(THERE, HERE, craft::EXPERIMENT, &[7; 50])
}

#[test]
fn what_is_not_known_of_the_underlay_is_asked_and_then_decides() {
    let host = host();
    let first = trace(
        &host,
        known(&Ways::new(), &Remembered::default()),
        Side::Port,
        2,
        &frame(),
    );
    assert_eq!(first.outcome.reason, Some(DropReason::NoPath));
    let question = *first.unanswered.ways.first().unwrap();
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
    let second = trace(
        &host,
        known(&ways, &Remembered::default()),
        Side::Port,
        2,
        &frame(),
    );
    assert_eq!(second.outcome.verdict, Verdict::Send);
    assert!(second.unanswered.is_empty());
}

#[test]
fn every_lookup_is_noted_under_its_stage() {
    let host = host();
    let traced = trace(
        &host,
        known(&Ways::new(), &Remembered::default()),
        Side::Port,
        2,
        &frame(),
    );
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
    let traced = trace(
        &host,
        known(&Ways::new(), &Remembered::default()),
        Side::Port,
        2,
        &frame(),
    )
    .outcome;
    host.tables.underlay = crate::Underlay::new();
    assert_eq!(traced, host.port(2, &frame()));
}

/// Connections of the real host are asked for bucket by bucket, decide, and stay as they are.
#[test]
fn connections_are_asked_for_and_then_decide() {
    let mut host = host();
    let (mut port, domain) = (
        host.tables.rows.ports.values().copied().next().unwrap(),
        DomainId(1),
    );
    (port.policy, port.scope) = (domain, 5);
    port.flags = PortRow::ANY_ADDRESS;
    host.tables.rows.port(2, port);
    let policy = DomainRow {
        generation: 3,
        default_action: PolicyRow::ALLOW,
        quota: 1,
        ..DomainRow::default()
    };
    host.tables.rows.domains.insert(domain, policy);
    let ends = (
        (IpAddr::from([10, 0, 0, 1]), 7),
        (IpAddr::from([10, 0, 0, 2]), 9),
    );
    let datagram = craft::udp(ends.0, ends.1, b"hello");
    let packet = craft::Ipv4::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), 17).packet(&datagram);
    let frame = craft::ethernet(THERE, HERE, craft::IPV4, &packet);

    let ways = Ways::new();
    let play = |number, usage: &[u64], buckets: &BTreeMap<u32, Vec<u64>>| {
        let remembered = Remembered::new(number, usage, buckets);
        trace(&host, known(&ways, &remembered), Side::Port, 2, &frame)
    };
    let asked = play(1 << 15, &[0, 0], &BTreeMap::new());
    let buckets = asked.unanswered.buckets;
    assert!((1..=2).contains(&buckets.len()), "{buckets:?}");
    let empty: BTreeMap<u32, Vec<u64>> = buckets.iter().map(|it| (*it, vec![0; 104])).collect();
    let opens = play(1 << 15, &[0, 0], &empty);
    assert!(opens.unanswered.buckets.is_empty());
    assert_eq!(opens.outcome.reason, Some(DropReason::NoPath));
    assert!(opens.flows[0].has(FlowRecord::NEW));
    // The project has as many as it may, and the table, of one bucket, holds none that is over.
    let bucket = BTreeMap::from([(0, vec![0; 104])]);
    let full = play(1, &[0, 1], &bucket);
    assert_eq!(full.outcome.reason, Some(DropReason::ConnectionQuota));
    assert!(full.unanswered.buckets.is_empty());
}
