//! Traces of packets that belong to connections which stand on the hosts, and of some that belong to none.

use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use coax_agent::trace::sim_rows;
use coax_api::{Trace, TraceRequest, TraceVerdict};
use coax_controller::trace::{Facts, trace};
use coax_pipeline::Path;
use coax_sim::craft::{self, Ipv4, Ipv6};
use coax_sim::tables::{Underlay, Way};
use coax_sim::{Host, SimTables};
use coax_tables::{Tag, connection::WAYS};
use coax_vswitch::{Connection, ConnectionMemory};
use coax_wire::MacAddress;

use crate::hypervisor::{Hypervisor, UPLINK};
use crate::site::Site;
use crate::zones::{self, ZONES};

const GATEWAY: MacAddress = MacAddress([2, 0xc0, 0xa0, 0, 0, 1]);
pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const ACK: u8 = 16;

/// web-1 on hv1 and db-1 on hv2, which a router joins.
const WEB: (u8, &str, MacAddress) = (1, "shop/web-1", MacAddress([2, 0, 0, 0, 1, 1]));
const DB: (u8, &str, MacAddress) = (2, "shop/db-1", MacAddress([2, 0, 0, 0, 3, 1]));

fn address(of: (u8, &str, MacAddress), ipv6: bool) -> IpAddr {
    match (of.0, ipv6) {
        (1, false) => IpAddr::from([10, 10, 1, 11]),
        (1, true) => IpAddr::from([0xfd00, 1, 0, 0, 0, 0, 0, 0x11]),
        (_, false) => IpAddr::from([10, 10, 3, 11]),
        (_, true) => IpAddr::from([0xfd00, 3, 0, 0, 0, 0, 0, 0x11]),
    }
}

/// A host that forwards as its rows say, for as long as the connection is opened.
fn vswitch(hypervisor: &Hypervisor) -> Host {
    let way = Way {
        path: Path {
            ifindex: UPLINK,
            ..Path::default()
        },
        resolved: true,
        mtu: 1600,
    };
    let tables = SimTables {
        rows: sim_rows(&hypervisor.rows()),
        underlay: Underlay::everywhere(way),
        now: 1 << 40,
        ..SimTables::default()
    };
    Host::new(tables, hypervisor.devices.keys().copied())
}

/// What a host remembers afterwards.
fn remembered(host: &Host) -> Vec<Connection> {
    let buckets = host.tables.state.connections.iter();
    let places = buckets.flat_map(|bucket| (0..WAYS).map(move |way| (bucket, way)));
    let connections = places.filter_map(|(bucket, way)| {
        let mut words = [0; 12];
        for (word, from) in words.iter_mut().zip(bucket.places[way].words()) {
            *word = from.load(Relaxed);
        }
        let state = Tag(bucket.tags[way].load(Relaxed)).state();
        Connection::remembered(ConnectionMemory(words), state, Duration::from_secs(100_000))
    });
    connections.collect()
}

/// What an end says.
#[derive(Clone, Copy)]
pub enum Message {
    /// Flags, sequence number, acknowledgement.
    Segment(u8, u32, u32),
    Datagram,
}

/// web-1 talks from port 40000 to port 5432 of db-1, in both families; `true`: web-1 says it.
pub fn converse(site: &Site, messages: &[(bool, Message)]) {
    let mut hosts = Vec::new();
    for number in [1, 2] {
        site.host(number, |host| {
            let devices = [WEB, DB].map(|vm| (vm.0 == number).then(|| host.device_of(vm.1)));
            hosts.push((vswitch(host), devices));
        });
    }
    for ipv6 in [false, true] {
        for (by_web, message) in messages {
            let frame = said(*by_web, *message, ipv6);
            let place = usize::from(!by_web);
            let device = hosts[place].1[place].unwrap();
            let tunnel = hosts[place].0.port(device, &frame).frame.unwrap();
            let handed = hosts[1 - place].0.uplink(UPLINK, &tunnel);
            assert!(handed.frame.is_some(), "{handed:?}");
        }
    }
    for (number, (vswitch, _)) in [1, 2].into_iter().zip(&hosts) {
        let connections = remembered(vswitch);
        assert_eq!(connections.len(), 2, "{connections:?}");
        site.host(number, |host| host.plane.set_connections(connections));
    }
}

fn said(by_web: bool, message: Message, ipv6: bool) -> Vec<u8> {
    let (from, to) = if by_web { (WEB, DB) } else { (DB, WEB) };
    let ports = if by_web {
        (40_000, 5432)
    } else {
        (5432, 40_000)
    };
    let (source, destination) = (address(from, ipv6), address(to, ipv6));
    let ends = ((source, ports.0), (destination, ports.1));
    let (protocol, bytes) = match message {
        Message::Segment(flags, sequence, acknowledgement) => {
            let numbers = (flags, sequence, acknowledgement);
            (6, craft::tcp_numbered(ends.0, ends.1, numbers, &[]))
        }
        Message::Datagram => (17, craft::udp(ends.0, ends.1, &[])),
    };
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let packet = Ipv4::new(source, destination, protocol).packet(&bytes);
            craft::ethernet(GATEWAY, from.2, craft::IPV4, &packet)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let packet = Ipv6::new(source, destination, protocol).packet(&bytes);
            craft::ethernet(GATEWAY, from.2, craft::IPV6, &packet)
        }
        _ => unreachable!(),
    }
}

/// How a connection is opened.
pub const OPENING: [(bool, Message); 3] = [
    (true, Message::Segment(SYN, 99, 0)),
    (false, Message::Segment(SYN | ACK, 499, 100)),
    (true, Message::Segment(ACK, 100, 500)),
];

pub fn traced(site: &Site, (from, to, traffic): (&str, &str, &str), more: TraceRequest) -> Trace {
    let request = TraceRequest {
        from: from.into(),
        to: to.into(),
        traffic: Some(traffic.into()),
        ..more
    };
    let facts = Facts::gather(&site.core(), &request).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    runtime.block_on(trace(&facts, site))
}

pub fn from(port: u16, ipv6: bool) -> TraceRequest {
    TraceRequest {
        from_port: Some(port),
        family: Some(if ipv6 { "ipv6" } else { "ipv4" }.into()),
        ..TraceRequest::default()
    }
}

pub const THERE: (&str, &str, &str) = ("web-1", "db-1", "tcp/5432");
pub const BACK: (&str, &str, &str) = ("db-1", "web-1", "tcp/40000");

#[track_caller]
pub fn holds(trace: &Trace, verdict: TraceVerdict, cause: &str, parts: &[&str]) {
    let line = &trace.summary;
    assert_eq!(
        (trace.verdict, trace.cause.as_str()),
        (verdict, cause),
        "{line}"
    );
    for part in parts {
        assert!(line.contains(part), "`{part}` is not in: {line}");
    }
}

pub fn with_connection() -> Site {
    let site = Site::new();
    zones::seed(&site);
    converse(&site, &OPENING);
    site
}

#[test]
fn a_packet_of_a_connection_is_traced_as_one_in_both_directions() {
    let site = with_connection();
    let admitted = ["established", "let pass by rule `shop/front-to-back`"];
    for ipv6 in [false, true] {
        for (ends, port) in [(THERE, 40_000), (BACK, 5432)] {
            let trace = traced(&site, ends, from(port, ipv6));
            holds(&trace, TraceVerdict::Delivered, "", &admitted);
            assert!(!trace.summary.contains("anew"), "{}", trace.summary);
            assert!(
                trace.about.starts_with("the connection from "),
                "{}",
                trace.about
            );
        }
    }
    // Nobody may open a connection that way.
    let trace = traced(&site, BACK, TraceRequest::default());
    holds(
        &trace,
        TraceVerdict::Lost,
        "denied",
        &["dropped on hv2", "no rule"],
    );
    assert!(
        trace.about.starts_with("a new connection"),
        "{}",
        trace.about
    );
}

#[test]
fn a_trace_of_a_new_connection_says_what_becomes_of_those_that_stand() {
    let site = with_connection();
    let trace = traced(&site, THERE, TraceRequest::default());
    holds(
        &trace,
        TraceVerdict::Delivered,
        "",
        &["delivered to shop/db-1"],
    );
    let notes = trace.notes.join("\n");
    for part in [
        "a connection from port 40000 stands",
        "front-to-back",
        "its hosts let it go on",
    ] {
        assert!(notes.contains(part), "{notes}");
    }
    assert!(!notes.contains("there may be more"), "{notes}");

    let rule = "{ name: front-to-back, from: group/front, to: group/back, allow: [tcp/5432] }";
    site.apply(&ZONES.replace(rule, &rule.replace("allow", "deny")));
    let trace = traced(&site, THERE, TraceRequest::default());
    holds(&trace, TraceVerdict::Lost, "denied", &["front-to-back"]);
    let notes = trace.notes.join("\n");
    assert!(
        notes.contains("it does not go on: dropped on hv1 by rule"),
        "{notes}"
    );
}

#[test]
fn a_connection_is_judged_anew_when_the_rules_have_changed() {
    let site = with_connection();
    let rule = "{ name: front-to-back, from: group/front, to: group/back, allow: [tcp/5432] }";
    assert!(ZONES.contains(rule));
    site.apply(&ZONES.replace(rule, &rule.replace("front-to-back", "renamed")));
    for (ends, port) in [(THERE, 40_000), (BACK, 5432)] {
        let trace = traced(&site, ends, from(port, false));
        let anew = [
            "hv1 judges it anew, because it has loaded its policy since, and rule `shop/renamed` allows it",
            "hv2 judges it anew",
        ];
        holds(&trace, TraceVerdict::Delivered, "", &anew);
    }

    site.apply(&ZONES.replace(&format!("    - {rule}\n"), ""));
    for ipv6 in [false, true] {
        for (ends, port, host) in [(THERE, 40_000, "hv1"), (BACK, 5432, "hv2")] {
            let trace = traced(&site, ends, from(port, ipv6));
            let dropped = format!("dropped on {host}, because no rule allows it");
            let parts = [
                dropped.as_str(),
                "let pass by a rule that is gone",
                "ends, because the rules have changed since",
            ];
            holds(&trace, TraceVerdict::Lost, "denied", &parts);
            let rule = trace.allow.unwrap();
            let (web, db) = (address(WEB, ipv6), address(DB, ipv6));
            assert!(
                rule.contains(&format!("from: {web}, to: {db}, allow: [tcp/5432]")),
                "{rule}"
            );
        }
    }
}

#[test]
fn segments_that_belong_to_no_connection_are_explained() {
    let site = with_connection();
    let flagged = |port, flags: &str| TraceRequest {
        flags: Some(flags.into()),
        ..from(port, false)
    };
    for flags in ["rst", "syn,ack", "fin,ack"] {
        let trace = traced(&site, THERE, flagged(40_001, flags));
        let cannot = format!("a segment with {flags} cannot begin one");
        let parts = ["dropped on hv1", "follows no connection", &cannot];
        holds(&trace, TraceVerdict::Lost, "no-connection", &parts);
    }
    // Data may go on where its sender might have begun.
    let trace = traced(&site, THERE, flagged(40_001, "ack"));
    holds(&trace, TraceVerdict::Delivered, "", &[]);
    let trace = traced(&site, BACK, flagged(5433, "ack"));
    let parts = [
        "dropped on hv2",
        "let the sender open none",
        "no rule allows it",
    ];
    holds(&trace, TraceVerdict::Lost, "no-connection", &parts);

    // The same in a connection that stands, and what does not belong there.
    let trace = traced(&site, THERE, flagged(40_000, "rst,ack"));
    holds(&trace, TraceVerdict::Delivered, "", &["established"]);
    // One host has forgotten it: there, the answer is what nobody may open.
    site.host(1, |host| host.plane.set_connections(Vec::new()));
    let trace = traced(&site, BACK, from(5432, false));
    let parts = [
        "dropped on hv1",
        "follows no connection",
        "let the sender open none",
    ];
    holds(&trace, TraceVerdict::Lost, "no-connection", &parts);
}

#[test]
fn ports_and_flags_are_of_protocols_that_have_them() {
    let site = Site::new();
    let core = site.core();
    let refused = |traffic: &str, from_port, flags: Option<&str>| {
        let request = TraceRequest {
            from: "web-1".into(),
            to: "web-2".into(),
            traffic: Some(traffic.into()),
            from_port,
            flags: flags.map(str::to_owned),
            ..TraceRequest::default()
        };
        Facts::gather(&core, &request).unwrap_err().code
    };
    assert_eq!(refused("icmp", Some(7), None), "bad-from-port");
    assert_eq!(refused("udp/53", None, Some("syn")), "bad-flags");
    assert_eq!(refused("tcp/53", None, Some("synn")), "bad-flags");
}
