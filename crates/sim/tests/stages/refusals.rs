//! What the kernel may refuse when it has no memory: every such frame is a drop with a name.

use crate::firewall_fixture::{ACK, FAMILIES, Talk, guarded, policy};
use crate::fixture::*;
use crate::parse::{TAGS, with_tags};
use coax_pipeline::{Stage, Verdict};
use coax_sim::craft::Discovery;
use coax_sim::noise::{ipv6, mac};
use coax_sim::rules::Policy;
use coax_sim::{Device, Enters, Host, Operation, Scenario, SimRows, SimTables, Stand};
use coax_tables::{DropReason, PolicyRow};

#[track_caller]
fn dropped(rows: SimRows, frame: Enters, refused: Operation, stage: Stage) {
    let scenario = Scenario {
        rows,
        frames: vec![frame],
        exhausted: Vec::new(),
    };
    let played = scenario.play_refusing(&Stand::default(), Some(refused));
    let (_, outcomes) = played.unwrap();
    assert_eq!(outcomes[0].verdict, Verdict::Drop);
    assert_eq!(outcomes[0].reason, Some(DropReason::RewriteFailed));
    assert_eq!(outcomes[0].stages.last(), Some(&stage));
    assert!(stage.drops().contains(&DropReason::RewriteFailed));
}

fn by_vm1(frame: Vec<u8>) -> Enters {
    Enters::new(Device::Vm1, frame)
}

fn by_fabric(frame: &[u8]) -> Enters {
    Enters::new(Device::Up1, tunnel(false).around(frame))
}

#[test]
fn each_stage_that_rewrites_may_fail() {
    let tagged = with_tags(&udp4(1, 2, 20), &TAGS[..2]);
    let too_big = udp4(1, 2, 1473);
    let transparent = transparent_rows;
    dropped(
        transparent(),
        by_vm1(tagged.clone()),
        Operation::PopTag,
        Stage::Parse,
    );
    dropped(
        transparent(),
        by_vm1(tagged.clone()),
        Operation::PushTag,
        Stage::Deliver,
    );
    dropped(
        rows(),
        by_vm1(too_big.clone()),
        Operation::Resize,
        Stage::Mtu,
    );
    dropped(rows(), by_vm1(too_big), Operation::Write, Stage::Mtu);
    dropped(
        rows(),
        by_vm1(udp6(1, 2, 1453)),
        Operation::Resize,
        Stage::Mtu,
    );
    let tagged_too_big = with_tags(&udp4(1, 2, 1473), &TAGS[..2]);
    dropped(
        transparent(),
        by_vm1(tagged_too_big),
        Operation::PushTag,
        Stage::Mtu,
    );
    dropped(
        rows(),
        by_vm1(udp4(1, 4, 20)),
        Operation::Open,
        Stage::Encapsulate,
    );
    dropped(
        rows(),
        by_vm1(udp4(1, 4, 20)),
        Operation::Write,
        Stage::Underlay,
    );
    dropped(
        rows(),
        by_vm1(udp4(1, 5, 20)),
        Operation::Write,
        Stage::Underlay,
    );
    dropped(
        rows(),
        by_fabric(&udp4(9, 1, 20)),
        Operation::Close,
        Stage::Decapsulate,
    );
    dropped(
        rows(),
        by_fabric(&udp4(9, 1, 20)),
        Operation::Write,
        Stage::Decapsulate,
    );
}

#[test]
fn answers_may_fail() {
    let question = Discovery::solicitation((mac(1), ipv6(1)), ipv6(2));
    let mut short = question.clone();
    short.options = Vec::new();
    let frame = |message: &Discovery| {
        let bytes = message.packet();
        by_vm1(coax_sim::craft::ethernet(mac(2), mac(1), 0x86dd, &bytes))
    };
    dropped(rows(), frame(&question), Operation::Write, Stage::Resolve);
    dropped(rows(), frame(&short), Operation::Resize, Stage::Resolve);
    let packet = coax_sim::craft::arp(
        1,
        (mac(1), coax_sim::noise::ipv4(1)),
        (mac(0), coax_sim::noise::ipv4(2)),
    );
    let arp = coax_sim::craft::ethernet(mac(2), mac(1), 0x0806, &packet);
    dropped(rows(), by_vm1(arp), Operation::Write, Stage::Resolve);
}

#[test]
fn padding_that_cannot_be_cut_off() {
    let mut packet = tunnel(false).around(&udp4(9, 1, 20));
    packet.extend([0; 8]);
    let frame = Enters::new(Device::Up1, packet);
    dropped(rows(), frame, Operation::Resize, Stage::Decapsulate);
}

/// Copies are lost for a reason each, and the frame counts as flooded.
#[track_caller]
fn loses(frame: Vec<u8>, refused: Operation, reasons: &[(DropReason, u64)]) {
    let scenario = Scenario {
        rows: transparent_rows(),
        frames: vec![by_vm1(frame)],
        exhausted: Vec::new(),
    };
    let played = scenario.play_refusing(&Stand::default(), Some(refused));
    let (host, outcomes) = played.unwrap();
    assert_eq!(outcomes[0].verdict, Verdict::Flood);
    let drops: Vec<_> = host.sink.tally(1).drops.into_iter().collect();
    assert_eq!(drops, reasons);
}

#[test]
fn copies_may_fail() {
    let tagged = with_tags(&broadcast(1), &TAGS[..1]);
    loses(
        broadcast(1),
        Operation::Copy,
        &[(DropReason::CopyFailed, 3)],
    );
    loses(
        broadcast(1),
        Operation::Open,
        &[(DropReason::RewriteFailed, 1)],
    );
    loses(
        broadcast(1),
        Operation::Write,
        &[(DropReason::CopyFailed, 1)],
    );
    loses(
        tagged.clone(),
        Operation::PushTag,
        &[(DropReason::RewriteFailed, 1)],
    );
    dropped(
        transparent_rows(),
        by_vm1(tagged),
        Operation::PopTag,
        Stage::Parse,
    );
}

/// A piece of TCP that is too large to become a reset, when policy has changed: the sender hears of it with what it sends again.
#[test]
fn a_connection_is_over_when_its_sender_could_be_told() {
    for (over_ipv6, name) in FAMILIES {
        let mut talk = Talk::new(over_ipv6);
        let allowed = guarded(&policy());
        let rejecting = Policy {
            rules: Vec::new(),
            otherwise: PolicyRow::REJECT,
        };
        let mut rejecting = guarded(&rejecting);
        for row in rejecting.domains.values_mut() {
            row.generation += 1;
        }
        let tables = SimTables {
            rows: allowed,
            ..SimTables::default()
        };
        let mut host = Host::new(tables, Stand::default().sending());
        let frame = |host: &mut Host, enters: &Enters| {
            host.port(Stand::default().index(enters.device), &enters.bytes)
        };
        for enters in talk.open() {
            assert_eq!(frame(&mut host, &enters).verdict, Verdict::Deliver);
        }
        host.tables.rows = rejecting;
        let data = talk.segment(1, ACK, 500).enters();
        host.refused = Some(Operation::Resize);
        for _ in 0..2 {
            let mute = frame(&mut host, &data);
            assert_eq!(mute.verdict, Verdict::Drop, "{name}");
            assert_eq!(mute.reason, Some(DropReason::RewriteFailed), "{name}");
        }
        host.refused = None;
        assert_eq!(frame(&mut host, &data).verdict, Verdict::Answer, "{name}");
        // It is over now: what follows belongs to no connection.
        let last = frame(&mut host, &data);
        assert_eq!(last.reason, Some(DropReason::NoConnection), "{name}");
        host.check_accounting().unwrap();
    }
}
