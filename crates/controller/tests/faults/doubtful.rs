//! What traces say of connections that hosts do not know, do not tell, or know as over: nothing that is not so.

use coax_api::{TraceRequest, TraceVerdict};
use coax_tables::{DomainRow, FlowRecord, PolicyRow};
use coax_vswitch::{Connection, ConnectionMemory, DataPlane};
use coax_wire::ip::mapped;

use crate::site::Site;
use crate::standing::{
    ACK, BACK, FIN, Message, OPENING, THERE, converse, from, holds, traced, with_connection,
};
use crate::zones::{self, ZONES};

const RULE: &str = "{ name: front-to-back, from: group/front, to: group/back, allow: [tcp/5432] }";

fn notes(site: &Site, ends: (&str, &str, &str), request: TraceRequest, parts: &[&str]) -> String {
    let notes = traced(site, ends, request).notes.join("\n");
    for part in parts {
        assert!(notes.contains(part), "`{part}` is not in: {notes}");
    }
    notes
}

/// A host's connections, as `change` makes them.
fn change(site: &Site, number: u8, change: impl Fn(&mut Connection)) {
    site.host(number, |host| {
        let mut connections = host.plane.connections().unwrap();
        connections.iter_mut().for_each(change);
        host.plane.set_connections(connections);
    });
}

#[test]
fn what_hosts_let_go_on_has_the_size_of_its_own_packets() {
    let site = with_connection();
    let request = TraceRequest {
        size: Some(9000),
        flags: Some("syn".into()),
        ..TraceRequest::default()
    };
    notes(&site, THERE, request, &["its hosts let it go on"]);
    site.kill(2);
    let parts = ["whether it goes on is not known", "hv2 is not attached"];
    notes(&site, THERE, TraceRequest::default(), &parts);
}

#[test]
fn a_host_that_does_not_tell_its_connections_is_named() {
    let site = with_connection();
    site.kill(2);
    let request = TraceRequest {
        inject: true,
        ..from(40_001, false)
    };
    let missing = "hv2 did not tell all its connections";
    let parts = [
        &format!("{missing}, so whether one of these ends stands is not known"),
        "no packet was sent for real: it may be one of a connection",
    ];
    let said = notes(&site, THERE, request, &parts);
    assert!(!said.contains("no host follows"), "{said}");
    // Nor does anybody know which ports are free.
    let request = TraceRequest {
        inject: true,
        ..TraceRequest::default()
    };
    let more = format!("{missing}, so there may be more connections that stand");
    let parts = [
        more.as_str(),
        "no packet was sent for real: it may be one of a connection, since hv2",
    ];
    notes(&site, THERE, request, &parts);
    // Nobody is asked where nothing can be found out.
    site.kill(1);
    let parts = ["no host was asked for its connections"];
    notes(&site, THERE, from(40_001, false), &parts);
    let request = TraceRequest {
        flags: Some("rst".into()),
        ..from(40_001, false)
    };
    let about = traced(&site, THERE, request).about;
    assert_eq!(about, "a segment with rst from port 40001");
}

#[test]
fn where_hosts_follow_more_than_they_tell_a_packet_is_sent_from_a_port_that_is_free() {
    let site = with_connection();
    site.host(2, |host| {
        let mut known = host.plane.connections().unwrap().into_iter();
        let known = known.find(|it| it.originator.address.is_ipv4());
        let known = known.unwrap();
        let ports = 49_152..=50_152;
        let all = ports.map(|port| {
            let mut connection = known.clone();
            connection.originator.port = port;
            connection
        });
        host.plane.set_connections(all.collect());
    });
    let request = TraceRequest {
        inject: true,
        ..TraceRequest::default()
    };
    let trace = traced(&site, THERE, request);
    // The host told of a thousand, and of the next port only when it was asked for that.
    assert_eq!(trace.about, "a new connection, from port 51161");
    let said = trace.notes.join("\n");
    assert!(said.contains("hv1: there is no kernel here"), "{said}");
}

#[test]
fn a_host_that_does_not_know_the_connection_is_not_told_to_have_other_rules() {
    let site = Site::new();
    let both = RULE.replace("[tcp/5432]", "[tcp/5432, udp/5432]");
    site.apply(&ZONES.replace(RULE, &both));
    converse(
        &site,
        &[(true, Message::Datagram), (false, Message::Datagram)],
    );
    let back = ("db-1", "web-1", "udp/40000");
    let trace = traced(&site, back, from(5432, false));
    holds(&trace, TraceVerdict::Delivered, "", &["replied"]);
    site.host(1, |host| host.plane.set_connections(Vec::new()));
    let trace = traced(&site, back, from(5432, false));
    let parts = [
        "dropped on hv1, because no rule allows it",
        "hv1 does not know the connection (replied",
        "judges the packet as if it began one",
    ];
    holds(&trace, TraceVerdict::Lost, "denied", &parts);
    assert_eq!(trace.allow, None, "{}", trace.summary);
}

#[test]
fn who_opened_a_connection_that_a_host_does_not_know_may_be_let_pass_by_a_rule() {
    let site = Site::new();
    let both = RULE.replace("[tcp/5432]", "[tcp/5432, udp/5432]");
    site.apply(&ZONES.replace(RULE, &both));
    converse(
        &site,
        &[(true, Message::Datagram), (false, Message::Datagram)],
    );
    site.host(2, |host| host.plane.set_connections(Vec::new()));
    zones::lose_class(&site, 2, [10, 10, 1, 11]);
    let there = ("web-1", "db-1", "udp/5432");
    let trace = traced(&site, there, from(40_000, false));
    let parts = [
        "dropped on hv2, because no rule allows it",
        "hv2 does not know the connection (replied",
    ];
    holds(&trace, TraceVerdict::Lost, "denied", &parts);
    let rule = trace.allow.unwrap();
    let allows = "from: 10.10.1.11, to: 10.10.3.11, allow: [udp/5432]";
    assert!(rule.contains(allows), "{rule}");
    assert!(!trace.hint.contains("open another one"), "{}", trace.hint);
}

#[test]
fn an_end_that_was_not_heard_yet_says_what_the_other_one_waits_for() {
    let site = Site::new();
    zones::seed(&site);
    // Half of all numbers behind zero, and a window more.
    converse(&site, &[(true, Message::Segment(ACK, 7, 0x9000_0000))]);
    for ipv6 in [false, true] {
        for (ends, port) in [(THERE, 40_000), (BACK, 5432)] {
            let trace = traced(&site, ends, from(port, ipv6));
            holds(&trace, TraceVerdict::Delivered, "", &["established"]);
        }
    }
}

#[test]
fn packets_of_a_connection_that_is_over_belong_to_it() {
    let site = Site::new();
    zones::seed(&site);
    let ending = [
        (true, Message::Segment(FIN | ACK, 100, 500)),
        (false, Message::Segment(FIN | ACK, 500, 101)),
        (true, Message::Segment(ACK, 101, 501)),
    ];
    converse(&site, &[&OPENING[..], &ending].concat());
    for flags in ["ack", "fin,ack", "rst,ack"] {
        let request = TraceRequest {
            flags: Some(flags.into()),
            ..from(40_000, false)
        };
        let trace = traced(&site, THERE, request);
        holds(&trace, TraceVerdict::Delivered, "", &["time-wait"]);
    }
    for flags in [None, Some("syn".to_owned())] {
        let request = TraceRequest {
            flags,
            ..from(40_000, false)
        };
        let parts = ["the last connection of these ends is over (time-wait"];
        let said = notes(&site, THERE, request, &parts);
        assert!(!said.contains("no host follows"), "{said}");
    }
}

#[test]
fn a_rule_that_is_only_audited_is_not_told_to_allow() {
    for (from_text, to_text, part) in [
        (
            RULE,
            RULE.replace("allow", "deny"),
            "rule `shop/front-to-back` would refuse it, but is only audited",
        ),
        (
            &format!("    - {RULE}\n"),
            String::new(),
            "the default would refuse it, but is only audited",
        ),
    ] {
        let site = with_connection();
        assert!(ZONES.contains(from_text));
        let audit = ZONES.replace("default: deny", "default: deny\n  mode: audit");
        site.apply(&audit.replace(from_text, &to_text));
        let trace = traced(&site, THERE, from(40_000, false));
        holds(
            &trace,
            TraceVerdict::Delivered,
            "",
            &["hv1 judges it anew", part],
        );
    }
}

#[test]
fn a_connection_that_has_come_from_another_host_is_judged_for_the_first_time() {
    let site = with_connection();
    change(&site, 2, |connection| {
        let ConnectionMemory(words) = &mut connection.memory;
        words[10] &= u64::from(u32::MAX);
        connection.rule = 0;
    });
    let trace = traced(&site, BACK, from(5432, false));
    let parts = [
        "come to hv2 from another host and not judged there yet",
        "hv2 judges it for the first time, and rule `shop/front-to-back` allows it",
    ];
    holds(&trace, TraceVerdict::Delivered, "", &parts);

    site.apply(&ZONES.replace(&format!("    - {RULE}\n"), ""));
    let trace = traced(&site, BACK, from(5432, false));
    let parts = [
        "dropped on hv2, because no rule allows it",
        "ends, because hv2, to which it has come, judges it for the first time",
    ];
    holds(&trace, TraceVerdict::Lost, "denied", &parts);
}

#[test]
fn hosts_that_do_not_agree_on_who_opened_a_connection_follow_the_same() {
    let site = with_connection();
    change(&site, 2, |connection| {
        let ConnectionMemory(mut words) = connection.memory;
        // `ConnectionTraits::HIGH_ORIGINATES`
        words[11] ^= 1;
        let memory = ConnectionMemory(words);
        let left = connection.expires_in;
        *connection = Connection::remembered(memory, connection.state, left).unwrap();
    });
    let rule = RULE.replace("front-to-back", "renamed");
    site.apply(&ZONES.replace(RULE, &rule));
    // The other way round nobody may open it.
    let trace = traced(&site, THERE, from(40_000, false));
    let parts = [
        "dropped on hv2",
        "ends, because the rules have changed since",
    ];
    holds(&trace, TraceVerdict::Lost, "denied", &parts);
}

#[test]
fn a_connection_is_as_old_as_the_host_says_that_saw_it_first() {
    let site = with_connection();
    let decided = |number: u8, network: u32, seconds: u64| {
        let record = FlowRecord {
            time: seconds * 1_000_000_000,
            source: mapped([10, 10, 1, 11]),
            destination: mapped([10, 10, 3, 11]),
            source_port: 40_000_u16.to_be_bytes(),
            destination_port: 5432_u16.to_be_bytes(),
            network,
            domain: 1,
            reason: FlowRecord::PASSED,
            protocol: 6,
            flags: FlowRecord::NEW,
            ..FlowRecord::default()
        };
        site.decided(number, record);
    };
    decided(1, 100, 20);
    // This host has forgotten it once.
    decided(2, 300, 50);
    // That one is another project's.
    decided(2, 900, 5);
    let trace = traced(&site, THERE, from(40_000, false));
    let since = "established since 1970-01-01T00:00:20Z";
    holds(&trace, TraceVerdict::Delivered, "", &[since]);
}

#[test]
fn hosts_that_let_pass_what_the_rules_refuse_are_told() {
    let site = Site::new();
    zones::seed(&site);
    for host in [1, 2] {
        site.host(host, |host| {
            let open = |row: &mut DomainRow| row.default_action = PolicyRow::ALLOW;
            host.corrupt(move |rows| rows.domains.values_mut().for_each(open));
        });
    }
    let ends = ("web-1", "db-1", "tcp/3306");
    let parts = ["no rule allows it, but no host refuses it"];
    notes(&site, ends, TraceRequest::default(), &parts);
}
