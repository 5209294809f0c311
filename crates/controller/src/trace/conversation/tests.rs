//! What is said of connections that stand, and of those that do not.

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
            idle_seconds: 3,
            sent: [1000, 5000],
        },
        current: BTreeMap::new(),
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
        "established, last packet 3 s ago, allowed because no rule forbade it"
    );
    one.since = Some(0);
    one.seen.connection.rule = "shop/web".into();
    assert_eq!(
        one.history(),
        "established since 1970-01-01T00:00:00Z, last packet 3 s ago, allowed by rule `shop/web`"
    );
    one.seen.rule_is_gone = true;
    assert!(one.history().ends_with("allowed by a rule that is gone"));
    assert_eq!(one.name(), "from 10.0.0.1:40000 to 10.0.0.2:443");
}
