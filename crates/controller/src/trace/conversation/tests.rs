//! What is said of connections that stand, and of those that do not.

use super::super::facts::End;
use super::*;
use coax_api::connections::Connection;

fn standing(state: &str, by_originator: bool) -> Standing {
    Standing {
        seen: StandingConnection {
            connection: Connection {
                host: String::new(),
                network: "shop/web".into(),
                protocol: "tcp".into(),
                from: end(IpAddr::from([10, 0, 0, 1]), 40_000),
                to: end(IpAddr::from([10, 0, 0, 2]), 443),
                state: state.into(),
                rule: String::new(),
                expires_seconds: 7,
            },
            current: true,
            rule_is_gone: false,
            adopted: false,
            idle_seconds: 3,
            sent: [1000, 5000],
        },
        judged: BTreeMap::new(),
        by_originator,
        since: None,
    }
}

#[test]
fn segments_fit_where_the_connection_stands() {
    let numbers = |state, by_originator| {
        let (packet, answer) = standing(state, by_originator).numbers();
        [packet, answer].map(|it| (it.flags, it.sequence, it.acknowledgement))
    };
    let (ack, syn_ack) = (flag::ACK, flag::SYN | flag::ACK);
    assert_eq!(
        numbers("established", true),
        [(ack, 1000, 5000), (ack, 5000, 1000)]
    );
    assert_eq!(
        numbers("established", false),
        [(ack, 5000, 1000), (ack, 1000, 5000)]
    );
    assert_eq!(
        numbers("syn-sent", true),
        [(flag::SYN, 999, 0), (syn_ack, 1, 1000)]
    );
    assert_eq!(
        numbers("syn-sent", false),
        [(syn_ack, 1, 1000), (ack, 1000, 2)]
    );
}

#[test]
fn a_connection_is_told_with_its_history() {
    let mut one = standing("established", true);
    assert_eq!(
        one.history(),
        "established, last packet 3 s ago, let pass by the default"
    );
    one.since = Some(0);
    one.seen.connection.rule = "shop/web".into();
    assert_eq!(
        one.history(),
        "established since 1970-01-01T00:00:00Z, last packet 3 s ago, let pass by rule `shop/web`"
    );
    one.seen.rule_is_gone = true;
    assert!(one.history().ends_with("let pass by a rule that is gone"));
    one.seen.adopted = true;
    one.seen.connection.host = "hv2".into();
    let come = "last packet 3 s ago, come to hv2 from another host and not judged there yet";
    assert!(one.history().ends_with(come), "{}", one.history());
    assert_eq!(one.name(), "from 10.0.0.1:40000 to 10.0.0.2:443");
}

/// A packet between the ends of [`standing`].
fn facts(reversed: bool) -> Facts {
    let end = |name: &str, last: u8| End {
        name: name.into(),
        address: IpAddr::from([10, 0, 0, last]),
        port: None,
    };
    let (opener, other) = (end("shop/a", 1), end("shop/b", 2));
    let (source, destination, service, from_port) = match reversed {
        false => (opener, other, 443, 40_000),
        true => (other, opener, 40_000, 443),
    };
    Facts {
        source,
        destination,
        traffic: Traffic::Tcp(service),
        from_port: Some(from_port),
        flags: None,
        size: None,
        inject: false,
        hosts: BTreeMap::new(),
        foreign: BTreeMap::new(),
        ruling: None,
    }
}

#[test]
fn a_refused_packet_is_explained_by_what_its_host_knows_of_the_connection() {
    let told = |judgement: Option<Judgement>, by_originator| {
        let mut one = standing("established", by_originator);
        one.judged = judgement
            .map(|it| ("hv2".to_owned(), it))
            .into_iter()
            .collect();
        let mut ending = Ending::lost(Cause::HostProblem, "", "the hint");
        ending.allow = Some("the rule".to_owned());
        let text = one.refused(&facts(!by_originator), "hv2", &mut ending);
        (text, ending.allow, ending.hint)
    };
    let kept = Some("the rule".to_owned());
    for (judgement, part) in [
        (
            Some(Judgement::Current),
            "ends, because the policy of hv2 refuses this packet of it",
        ),
        (
            Some(Judgement::Earlier),
            "ends, because the rules have changed since",
        ),
        (
            Some(Judgement::Elsewhere),
            "ends, because hv2, to which it has come, judges it",
        ),
        (
            Some(Judgement::Untold),
            "by the default), and its policy refuses the packet",
        ),
        (None, "hv2 does not know the connection"),
    ] {
        let (text, allow, hint) = told(judgement, true);
        assert!(text.contains(part), "{text}");
        assert_eq!((allow, hint.as_str()), (kept.clone(), "the hint"));
    }
    let (_, allow, _) = told(Some(Judgement::Earlier), false);
    let allow = allow.unwrap_or_default();
    assert!(
        allow.contains("from: 10.0.0.1, to: 10.0.0.2, allow: [tcp/443]"),
        "{allow}"
    );
    let (text, allow, hint) = told(Some(Judgement::Untold), false);
    assert!(!text.contains("as if it began"), "{text}");
    assert_eq!((allow, hint.as_str()), (kept, "the hint"));
    let (_, allow, hint) = told(None, false);
    assert_eq!(allow, None);
    assert!(hint.contains("open another one"), "{hint}");
}
