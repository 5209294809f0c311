//! The log with records of flows that nobody sent.

use std::time::Duration;

use coax_api::flows::{Choice, Flow, FlowFilter, FlowPlace, FlowVerdict};
use coax_api::question::HostAnswer;
use coax_tables::{DropReason, FlowRecord};

use super::*;

const START: Moment = Duration::from_secs(100);

fn record(domain: u32, client: u32, port: u16) -> FlowRecord {
    let [a, b, c, d] = client.to_be_bytes();
    FlowRecord {
        source: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d],
        destination: [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
        source_port: [0x80, 1],
        destination_port: port.to_be_bytes(),
        network: 7,
        domain,
        rule: 3,
        slot: 1,
        reason: FlowRecord::PASSED,
        bytes: 60,
        protocol: 6,
        flags: FlowRecord::NEW,
        ..FlowRecord::default()
    }
}

fn names(record: &FlowRecord) -> FlowNames {
    let named = |port: &str| Named {
        port: port.into(),
        network: "shop/web".into(),
    };
    FlowNames {
        project: format!("p{}", record.domain),
        network: "shop/web".into(),
        rule: "shop/users".into(),
        from: named("shop/client"),
        to: named("shop/server"),
    }
}

fn any() -> FlowMatcher {
    matcher(FlowFilter::default())
}

fn matcher(filter: FlowFilter) -> FlowMatcher {
    FlowMatcher::new(filter).unwrap()
}

fn told(answer: HostAnswer) -> (Vec<Flow>, u64, u64) {
    match answer {
        HostAnswer::Flows {
            flows,
            left_out,
            lost,
        } => (flows, left_out, lost),
        other => panic!("{other:?}"),
    }
}

fn newest(log: &mut FlowLog, matcher: FlowMatcher, most: usize) -> (Vec<Flow>, u64, u64) {
    told(log.ask(1, 0, matcher, most, START).unwrap())
}

/// The only answer that is due.
fn due(log: &mut FlowLog, now: Moment) -> (Vec<Flow>, u64, u64) {
    let mut answers = log.due(now);
    assert_eq!(answers.len(), 1);
    told(answers.remove(0).1)
}

#[test]
fn connections_to_one_service_are_one_flow_with_the_names_of_its_beginning() {
    let mut log = FlowLog::default();
    log.note(&record(1, 5, 443), 1000, names);
    let again = FlowRecord {
        source_port: [0x80, 2],
        ..record(1, 5, 443)
    };
    log.note(&again, 1500, |_| panic!("its names are known"));
    log.note(&record(1, 5, 80), 1200, names);
    let (flows, left_out, lost) = newest(&mut log, any(), 10);
    let summary: Vec<_> = flows
        .iter()
        .map(|flow| {
            (
                flow.port,
                flow.times,
                flow.first,
                flow.last,
                flow.source_port,
            )
        })
        .collect();
    assert_eq!(
        summary,
        [(443, 2, 1000, 1500, 0x8002), (80, 1, 1200, 1200, 0x8001)]
    );
    assert_eq!((left_out, lost), (0, 0));
    assert_eq!(flows[0].from.address, Some([0, 0, 0, 5].into()));
    assert_eq!(flows[0].to.address, "fd00::9".parse().ok());
    let (flows, left_out, _) = newest(&mut log, any(), 1);
    assert_eq!((flows[0].port, left_out), (80, 1), "the newest are told");
}

#[test]
fn what_became_of_a_flow_follows_from_its_record() {
    let of = |reason: u32, flags| {
        let mut log = FlowLog::default();
        let record = FlowRecord {
            reason,
            flags,
            ..record(1, 5, 443)
        };
        log.note(&record, 0, names);
        let flow = newest(&mut log, any(), 1).0.remove(0);
        (flow.verdict, flow.reason)
    };
    let passed = FlowRecord::PASSED;
    let none = String::new();
    assert_eq!(
        of(passed, FlowRecord::LOG),
        (FlowVerdict::Allow, none.clone())
    );
    assert_eq!(of(passed, FlowRecord::AUDIT), (FlowVerdict::Audit, none));
    for (reason, verdict) in [
        (DropReason::Denied, FlowVerdict::Deny),
        (DropReason::Rejected, FlowVerdict::Reject),
        (DropReason::NoConnection, FlowVerdict::Drop),
    ] {
        assert_eq!(of(reason as u32, 0), (verdict, reason.name().to_owned()));
    }
}

#[test]
fn a_reader_is_told_what_is_new_and_nothing_twice() {
    let mut log = FlowLog::default();
    log.note(&record(1, 1, 443), 0, names);
    let (flows, ..) = told(log.ask(1, 9, any(), 0, START).unwrap());
    assert_eq!(flows, [], "it wants nothing of what was before");
    assert!(log.ask(2, 9, any(), 0, START).is_none());
    let late = log.deadline().unwrap();
    log.note(&record(1, 2, 443), 0, names);
    log.wake(START);
    let soon = log.deadline().unwrap();
    assert!(soon < late && soon - START < Duration::from_millis(200));
    let (flows, _, lost) = due(&mut log, soon);
    assert_eq!((flows.len(), lost), (1, 0));

    // What happens between two questions is told, too; where nothing does, the answer says so in the end.
    log.note(&record(1, 1, 443), 0, names);
    assert!(log.ask(3, 9, any(), 0, soon).is_none());
    let soon = log.deadline().unwrap();
    let (flows, ..) = due(&mut log, soon);
    assert_eq!((flows.len(), flows[0].times), (1, 2));
    assert!(log.ask(4, 9, any(), 0, soon).is_none());
    let end = log.deadline().unwrap();
    assert_eq!(due(&mut log, end), (vec![], 0, 0));
    assert_eq!(log.deadline(), None);
}

#[test]
fn what_a_reader_does_not_want_does_not_wake_it() {
    let mut log = FlowLog::default();
    let only = |port| {
        matcher(FlowFilter {
            port: Choice {
                only: vec![port],
                ..Choice::default()
            },
            ..FlowFilter::default()
        })
    };
    log.ask(1, 9, only(80), 0, START);
    log.ask(2, 9, only(80), 0, START);
    log.note(&record(1, 1, 443), 0, names);
    log.wake(START);
    let soon = log.deadline().unwrap();
    assert!(log.due(soon).is_empty());
    let end = log.deadline().unwrap();
    assert!(end > soon);
    assert_eq!(due(&mut log, end).0, []);
}

#[test]
fn a_flood_of_one_project_leaves_the_flows_of_others_and_is_counted() {
    let mut log = FlowLog::default();
    log.note(&record(2, 1, 443), 0, names);
    log.ask(1, 9, any(), 0, START);
    let flood = MOST_OF_ONE as u32 + 1000;
    for client in 0..flood {
        log.note(&record(1, client, 443), 0, names);
    }
    let (flows, left_out, _) = newest(&mut log, any(), MOST);
    assert_eq!((flows.len(), left_out), (MOST_OF_ONE + 1, 0));
    assert_eq!(flows[0].project, "p2");
    // The reader gets what is still there, and the number of what is not.
    let mut seen = 0;
    let mut missed = 0;
    let mut now = START;
    while seen < MOST_OF_ONE {
        assert!(log.ask(2, 9, any(), 0, now).is_none());
        now = log.deadline().unwrap();
        let (flows, _, lost) = due(&mut log, now);
        assert!(flows.len() <= MOST_IN_ANSWER);
        seen += flows.len();
        missed += lost;
    }
    assert_eq!((seen, missed), (MOST_OF_ONE, 1000));
}

#[test]
fn with_many_projects_the_one_with_the_most_makes_room() {
    let mut log = FlowLog::default();
    let shares = (MOST / MOST_OF_ONE) as u32;
    for domain in 1..=shares {
        for client in 0..MOST_OF_ONE as u32 {
            log.note(&record(domain, client, 443), 0, names);
        }
    }
    for client in 0..10 {
        log.note(&record(99, client, 443), 0, names);
    }
    let (flows, ..) = newest(&mut log, any(), usize::MAX);
    assert_eq!(flows.len(), MOST);
    let late = flows.iter().filter(|flow| flow.project == "p99");
    assert_eq!(late.count(), 10);
    assert_eq!(log.places.len(), MOST);
}

#[test]
fn decisions_that_nobody_noted_are_counted() {
    let mut log = FlowLog::default();
    log.ask(1, 9, any(), 0, START);
    let late = FlowRecord {
        missed: 40,
        ..record(1, 1, 443)
    };
    log.note(&late, 0, names);
    log.lose(2);
    assert_eq!(newest(&mut log, any(), 1).2, 42);
    log.ask(2, 9, any(), 0, START);
    let soon = log.deadline().unwrap();
    assert_eq!(due(&mut log, soon).2, 42);
    log.ask(3, 9, any(), 0, soon);
    let end = log.deadline().unwrap();
    assert_eq!(due(&mut log, end).2, 0);
}

#[test]
fn readers_that_do_not_come_back_make_room_for_others() {
    let mut log = FlowLog::default();
    for reader in 1..=MOST_READERS as u64 {
        assert!(matches!(
            log.ask(reader, reader, any(), 0, START),
            Some(HostAnswer::Flows { .. })
        ));
    }
    let refused = log.ask(50, 50, any(), 0, START);
    assert!(matches!(refused, Some(HostAnswer::Failed { .. })));
    let later = START + Duration::from_secs(6);
    let taken = log.ask(50, 50, any(), 0, later);
    assert!(matches!(taken, Some(HostAnswer::Flows { .. })));
}

#[test]
fn a_filter_takes_what_it_says() {
    let mut log = FlowLog::default();
    log.note(&record(1, 0x0a14_0001, 443), 5000, names);
    let mut takes = |change: &dyn Fn(&mut FlowFilter)| {
        let mut filter = FlowFilter::default();
        change(&mut filter);
        newest(&mut log, matcher(filter), 1).0.len() == 1
    };
    let only = |place: FlowPlace| Choice {
        only: vec![place],
        not: Vec::new(),
    };
    let prefix = |text: &str| only(FlowPlace::Prefix(text.to_owned()));
    assert!(takes(&|it| it.from = prefix("10.20.0.0/24")));
    assert!(!takes(&|it| it.to = prefix("10.20.0.0/24")));
    assert!(takes(&|it| it.to = prefix("fd00::/64")));
    assert!(takes(
        &|it| it.from = only(FlowPlace::Port("shop/client".into()))
    ));
    assert!(!takes(
        &|it| it.to = only(FlowPlace::Port("shop/client".into()))
    ));
    assert!(takes(
        &|it| it.to = only(FlowPlace::Network("shop/web".into()))
    ));
    assert!(takes(&|it| it.verdict.only = vec![FlowVerdict::Allow]));
    assert!(!takes(&|it| it.verdict.not = vec![FlowVerdict::Allow]));
    assert!(takes(&|it| it.rule.only = vec!["shop/users".into()]));
    assert!(!takes(&|it| it.reason.only = vec!["denied".into()]));
    assert!(!takes(&|it| it.protocol.only = vec!["udp".into()]));
    assert!(!takes(&|it| it.project.only = vec!["p2".into()]));
    assert!(takes(&|it| it.since = 5000) && !takes(&|it| it.since = 5001));
    let bad = FlowFilter {
        from: prefix("nowhere"),
        ..FlowFilter::default()
    };
    assert!(FlowMatcher::new(bad).is_err());
}
