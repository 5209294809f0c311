//! The firewall's connections in the words that users know, and which of them a filter means.

use std::collections::BTreeMap;
use std::net::IpAddr;

use coax_api::connections::{self as api, ConnectionFilter, StandingConnection};
use coax_api::question::HostAnswer;
use coax_tables::PolicyRow;
use coax_vswitch::{Connection, End, Rows};
use coax_wire::ip::protocol;

use crate::trace::Names;

/// Which connections a filter means on this host.
pub(crate) fn wanted(
    names: &Names,
    filter: ConnectionFilter,
) -> impl Fn(&Connection) -> bool + Send + use<> {
    let projects: BTreeMap<u32, String> = names
        .slices
        .iter()
        .filter_map(|(number, slice)| Some((*number, slice.params.as_ref()?.project.clone())))
        .collect();
    move |connection| {
        let ends = [&connection.originator, &connection.responder];
        let project = projects.get(&connection.network.0);
        let is_project = |wanted: &String| project == Some(wanted);
        filter.project.as_ref().is_none_or(is_project)
            && filter
                .address
                .is_none_or(|address| connection.has_end(address))
            && filter
                .port
                .is_none_or(|port| ends.iter().any(|end| end.port == port))
    }
}

/// The connections that a filter means, sorted, and not too many of them.
pub(crate) fn tell(
    names: &Names,
    filter: &ConnectionFilter,
    listed: Vec<Connection>,
    most: usize,
) -> HostAnswer {
    let wanted = wanted(names, filter.clone());
    let wanted = listed.iter().filter(|connection| wanted(connection));
    let mut connections: Vec<api::Connection> =
        wanted.map(|connection| named(names, connection)).collect();
    connections.sort();
    let left_out = connections.len().saturating_sub(most) as u64;
    connections.truncate(most);
    HostAnswer::Connections {
        connections,
        left_out,
    }
}

/// More connections between two addresses than these are not told to a trace.
const MOST_BETWEEN: usize = 1000;

/// The connections between two ends, those with the latest packets first, and whether policy is still as it was when
/// it admitted them.
pub fn between(
    names: &Names,
    rows: &Rows,
    (ends, protocol): ([IpAddr; 2], &str),
    listed: Vec<Connection>,
) -> HostAnswer {
    let mut listed = listed;
    listed.retain(|connection| {
        let own = [connection.originator.address, connection.responder.address];
        (own == ends || [own[1], own[0]] == ends) && protocol_name(connection.protocol) == protocol
    });
    listed.sort_by_key(Connection::idle);
    listed.truncate(MOST_BETWEEN);
    let standing = listed.iter().map(|connection| {
        let domain = rows.domains.get(&connection.domain);
        StandingConnection {
            connection: named(names, connection),
            current: domain.is_some_and(|domain| domain.generation == connection.generation()),
            rule_is_gone: connection.rule != PolicyRow::NO_RULE
                && !names.rules.contains_key(&connection.rule),
            idle_seconds: connection.idle().as_secs(),
            sent: connection.sent(),
        }
    });
    HostAnswer::Standing {
        connections: standing.collect(),
    }
}

fn protocol_name(number: u8) -> String {
    match number {
        protocol::TCP => "tcp".to_owned(),
        protocol::UDP => "udp".to_owned(),
        protocol::ICMP => "icmp".to_owned(),
        protocol::ICMPV6 => "icmpv6".to_owned(),
        other => other.to_string(),
    }
}

fn named(names: &Names, connection: &Connection) -> api::Connection {
    let end = |end: &End| api::ConnectionEnd {
        address: end.address,
        port: end.port,
    };
    let rule = names.rules.get(&connection.rule);
    api::Connection {
        host: String::new(),
        network: names.network(connection.network.0),
        protocol: protocol_name(connection.protocol),
        from: end(&connection.originator),
        to: end(&connection.responder),
        state: connection.state_name().to_owned(),
        rule: rule.cloned().unwrap_or_default(),
        expires_seconds: connection.expires_in.as_secs(),
    }
}
