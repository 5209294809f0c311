//! Stage `firewall`: policy, and connections of all protocols but TCP.

use crate::firewall_fixture::*;
use crate::fixture::*;
use coax_pipeline::{Stage, Verdict};
use coax_sim::craft::{self, Ipv4, Ipv6};
use coax_sim::noise::{ipv4, ipv6, mac};
use coax_sim::rules::Policy;
use coax_sim::{Enters, Scenario, SimRows};
use coax_tables::{DropReason, Limit, PolicyRow};
use std::time::Duration;

/// What became of each frame: delivered, sent, answered, or dropped for a reason.
pub type Ends = Vec<Result<Verdict, DropReason>>;

pub fn ends(played: &Played) -> Ends {
    let ended = played.outcomes.iter();
    ended
        .map(|outcome| outcome.reason.map_or(Ok(outcome.verdict), Err))
        .collect()
}

const PASSED: Result<Verdict, DropReason> = Ok(Verdict::Deliver);

fn run(name: &str, about: &str, frames: Vec<Enters>) -> Ends {
    ends(&play(
        &format!("firewall/{name}"),
        about,
        guarded(&policy()),
        frames,
    ))
}

#[test]
fn datagrams_pass_there_and_back() {
    for (over_ipv6, family) in FAMILIES {
        let found = run(
            &format!("{family}-datagrams"),
            "A datagram to an allowed port, its answer, and what nobody asked for.",
            vec![
                datagram(2, 1, over_ipv6, (53, 4000)),
                datagram(1, 2, over_ipv6, (4000, 53)),
                datagram(2, 1, over_ipv6, (53, 4000)),
                datagram(2, 1, over_ipv6, (53, 4001)),
                datagram(1, 2, over_ipv6, (4000, 54)),
                datagram(1, 2, over_ipv6, (4000, 53)).after(Duration::from_secs(100)),
                datagram(2, 1, over_ipv6, (53, 4000)).after(Duration::from_secs(130)),
            ],
        );
        let denied = Err(DropReason::Denied);
        assert_eq!(
            found,
            [denied, PASSED, PASSED, denied, denied, PASSED, denied]
        );
    }
}

#[test]
fn echoes_pass_for_who_asks() {
    for (over_ipv6, family) in FAMILIES {
        let found = run(
            &format!("{family}-echoes"),
            "Requests open an exchange, replies answer it; the other way round needs a rule of its own.",
            vec![
                echo(2, 1, over_ipv6, false, 7),
                echo(1, 2, over_ipv6, true, 7),
                echo(2, 1, over_ipv6, false, 7),
                echo(2, 1, over_ipv6, true, 7),
                echo(2, 1, over_ipv6, false, 8),
                echo(2, 1, over_ipv6, false, 7).after(Duration::from_secs(40)),
            ],
        );
        let late = Err(DropReason::NoConnection);
        assert_eq!(
            found,
            [late, PASSED, PASSED, Err(DropReason::Denied), late, late]
        );
    }
}

#[test]
fn errors_pass_about_what_was_sent() {
    for (over_ipv6, family) in FAMILIES {
        let sent = datagram(1, 2, over_ipv6, (4000, 53));
        let never = datagram(1, 2, over_ipv6, (4001, 53));
        let found = run(
            &format!("{family}-errors"),
            "An ICMP error passes when it quotes a packet of a connection, to the sender of that packet.",
            vec![
                unreachable(2, 1, over_ipv6, &sent.bytes[14..]),
                sent.clone(),
                unreachable(2, 1, over_ipv6, &sent.bytes[14..]),
                unreachable(2, 1, over_ipv6, &never.bytes[14..]),
                unreachable(2, 3, over_ipv6, &sent.bytes[14..]),
            ],
        );
        let foreign = Err(DropReason::NoConnection);
        assert_eq!(found, [foreign, PASSED, PASSED, foreign, foreign]);
    }
}

#[test]
fn tiny_path_mtus_are_not_believed() {
    let sent = datagram(1, 2, false, (4000, 53));
    let too_big = |mtu: u16| {
        let [high, low] = mtu.to_be_bytes();
        let message = craft::icmp(3, 4, [0, 0, high, low], &sent.bytes[14..42]);
        let packet = in_packet(address(2, false), address(1, false), 1, &message);
        frame(2, 1, false, &packet)
    };
    let found = run(
        "ipv4-tiny-mtu",
        "Nobody has a path that takes less than 576 bytes.",
        vec![
            sent.clone(),
            too_big(1400),
            too_big(0),
            too_big(575),
            too_big(576),
        ],
    );
    let refused = Err(DropReason::NoConnection);
    assert_eq!(found, [PASSED, PASSED, PASSED, refused, PASSED]);
    let sent = datagram(1, 2, true, (4000, 53));
    let too_big = |mtu: u32| {
        let body = [&mtu.to_be_bytes(), &sent.bytes[14..62]].concat();
        let message = craft::icmpv6(ipv6(2), ipv6(1), 2, 0, &body);
        frame(
            2,
            1,
            true,
            &Ipv6::new(ipv6(2), ipv6(1), 58).packet(&message),
        )
    };
    let found = run(
        "ipv6-tiny-mtu",
        "Nobody has a path that takes less than 1280 bytes.",
        vec![sent.clone(), too_big(1400), too_big(1279)],
    );
    assert_eq!(found, [PASSED, PASSED, refused]);
}

#[test]
fn who_is_rejected_is_told() {
    for (over_ipv6, family) in FAMILIES {
        let mut talk = Talk::new(over_ipv6);
        talk.ports = (4000, 23);
        let played = play(
            &format!("firewall/{family}-rejected"),
            "A reset for a segment, an ICMP error for a datagram.",
            guarded(&policy()),
            vec![talk.says(1, SYN, 0), datagram(1, 2, over_ipv6, (4000, 23))],
        );
        assert_eq!(ends(&played), [Ok(Verdict::Answer), Ok(Verdict::Answer)]);
        assert_eq!(played.tallies[&1].counters.answered, 2);
    }
}

#[test]
fn who_asks_too_often_is_rejected_in_silence() {
    for (over_ipv6, family) in FAMILIES {
        let mut talk = Talk::new(over_ipv6);
        talk.ports = (4000, 23);
        let scenario = Scenario {
            rows: guarded(&policy()),
            frames: vec![talk.says(1, SYN, 0), datagram(1, 2, over_ipv6, (4000, 23))],
            exhausted: vec![(1, Limit::Reset), (1, Limit::IcmpError)],
        };
        let played = play_scenario(
            &format!("firewall/{family}-rejected-often"),
            "The port has had its resets and ICMP errors: rejected packets end without an answer.",
            scenario,
        );
        assert_eq!(ends(&played), [Err(DropReason::Rejected); 2]);
    }
}

#[test]
fn discovery_and_arp_pass_and_other_frames_do_not() {
    let advertisement = craft::Discovery::advertisement((mac(1), ipv6(1)), ipv6(2), 0x60);
    let stale = Ipv6::new(ipv6(2), ipv6(1), 58).with_hop_limit(254);
    let body = [&[0x60, 0, 0, 0][..], &ipv6(2).octets()].concat();
    let message = craft::icmpv6(ipv6(2), ipv6(1), 136, 0, &body);
    let found = run(
        "discovery",
        "Guards watch ARP and neighbour discovery; what is no IP at all is not allowed.",
        vec![
            frame(1, 2, true, &advertisement.packet()),
            frame(2, 1, true, &stale.packet(&message)),
            Enters::new(
                device(1),
                craft::ethernet(mac(2), mac(1), craft::EXPERIMENT, b"what"),
            ),
        ],
    );
    assert_eq!(
        found[1..],
        [Err(DropReason::Denied), Err(DropReason::NotAllowed)]
    );
    assert_eq!(found[0], PASSED);
}

#[test]
fn broadcasts_are_judged_one_by_one() {
    let to_group = |port| {
        let group = [239, 1, 1, 1].into();
        let udp = craft::udp(
            (ipv4(1).into(), 4000),
            (std::net::IpAddr::V4(group), port),
            &[0; 12],
        );
        let packet = Ipv4::new(ipv4(1), group, 17).packet(&udp);
        let everybody = coax_wire::MacAddress([1, 0, 0x5e, 1, 1, 1]);
        Enters::new(
            device(1),
            craft::ethernet(everybody, mac(1), craft::IPV4, &packet),
        )
    };
    let found = run(
        "ipv4-multicast",
        "A multicast opens no connection, and nobody is told that it was rejected.",
        vec![to_group(53), to_group(54), to_group(23)],
    );
    let (denied, rejected) = (Err(DropReason::Denied), Err(DropReason::Rejected));
    assert_eq!(found, [Ok(Verdict::Flood), denied, rejected]);
}

#[test]
fn a_change_of_policy_ends_what_it_forbids() {
    // One host's rows cannot change inside of a golden case, so this plays on the host itself.
    let rows = guarded(&policy());
    let scenario = coax_sim::Scenario {
        rows,
        ..coax_sim::Scenario::default()
    };
    let mut host = scenario.host(&coax_sim::Stand::default());
    let play = |host: &mut coax_sim::Host, enters: Enters| {
        let outcome = host.port(index(enters.device), &enters.bytes);
        outcome.reason.map_or(Ok(outcome.verdict), Err)
    };
    let ask = || datagram(1, 2, false, (4000, 53));
    let answer = || datagram(2, 1, false, (53, 4000));
    assert_eq!(play(&mut host, ask()), PASSED);
    assert_eq!(play(&mut host, answer()), PASSED);
    let nothing = Policy {
        rules: Vec::new(),
        otherwise: PolicyRow::DENY,
    };
    let mut rows = SimRows::clone(&host.tables.rows);
    nothing.put(&mut rows, DOMAIN, TABLE + 1, NETWORK.0);
    let before = std::mem::replace(&mut host.tables.rows, rows);
    assert_eq!(play(&mut host, answer()), Err(DropReason::Denied));
    host.tables.rows = before;
    assert_eq!(
        play(&mut host, answer()),
        Err(DropReason::Denied),
        "it is over"
    );
    assert_eq!(play(&mut host, ask()), PASSED);
    assert_eq!(play(&mut host, answer()), PASSED);
}

#[test]
fn audited_rules_report_and_let_pass() {
    let mut audited = policy();
    for rule in &mut audited.rules {
        rule.action = PolicyRow::DENY;
        rule.flags = PolicyRow::AUDIT;
    }
    let played = play(
        "firewall/ipv4-audit",
        "What a rule in audit mode would deny passes.",
        guarded(&audited),
        vec![
            datagram(1, 2, false, (4000, 53)),
            datagram(2, 1, false, (53, 4000)),
        ],
    );
    assert_eq!(ends(&played), [PASSED, PASSED]);
}

#[test]
fn a_scan_is_stopped_at_the_quota_and_by_nothing_else() {
    let mut rows = guarded(&policy());
    rows.domains.get_mut(&DOMAIN).unwrap().quota = 4;
    let answered = |port| {
        [
            datagram(1, 2, false, (port, 53)),
            datagram(2, 1, false, (53, port)),
        ]
    };
    let mut frames: Vec<Enters> = (1000..1004).flat_map(answered).collect();
    frames.push(datagram(1, 2, false, (1004, 53)));
    frames.push(datagram(2, 1, false, (53, 1000)));
    frames.push(datagram(1, 2, false, (1004, 53)).after(Duration::from_secs(125)));
    let found = ends(&play(
        "firewall/ipv4-quota",
        "Connections that were answered are not replaced; when their time is over, others may come.",
        rows,
        frames,
    ));
    assert_eq!(found[..8], [PASSED; 8]);
    assert_eq!(
        found[8..],
        [Err(DropReason::ConnectionQuota), PASSED, PASSED]
    );
}

#[test]
fn a_full_table_keeps_what_it_has() {
    let mut rows = guarded(&policy());
    rows.domains.get_mut(&DOMAIN).unwrap().quota = 1000;
    let mut frames = Vec::new();
    for port in 1000..1200 {
        frames.push(datagram(1, 2, false, (port, 53)));
        frames.push(datagram(2, 1, false, (53, port)));
    }
    let found = ends(&play(
        "firewall/ipv4-full",
        "Two hundred exchanges in a table for 128.",
        rows,
        frames,
    ));
    let full = found
        .iter()
        .filter(|end| **end == Err(DropReason::ConnectionsFull));
    assert!(full.count() >= 72);
    for pair in found.chunks(2) {
        assert!(pair == [PASSED; 2] || pair[0] == Err(DropReason::ConnectionsFull));
    }
}

#[test]
fn who_comes_from_a_tunnel_is_judged_at_the_receiver() {
    let inner = |from: u8, port| {
        let udp = craft::udp((ipv4(from).into(), 4000), (ipv4(2).into(), port), b"hello");
        let packet = Ipv4::new(ipv4(from), ipv4(2), 17).packet(&udp);
        craft::ethernet(mac(2), mac(from), craft::IPV4, &packet)
    };
    let mut allowing = policy();
    allowing
        .rules
        .push(rule(4, 2, false, (17, Some(53)), PolicyRow::ALLOW));
    let through = |frame: &[u8]| Enters::new(coax_sim::Device::Up1, tunnel(false).around(frame));
    let played = play(
        "firewall/ipv4-from-tunnel",
        "A frame from another host meets the policy of the port that it is for.",
        guarded(&allowing),
        vec![through(&inner(4, 53)), through(&inner(4, 54))],
    );
    assert_eq!(ends(&played), [PASSED, Err(DropReason::Denied)]);
    assert_eq!(played.outcomes[1].stages.last(), Some(&Stage::Firewall));
}
