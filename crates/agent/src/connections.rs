//! The firewall's connections in the words that users know, and which of them a filter means.

use std::collections::BTreeMap;

use coax_api::connections::{self as api, ConnectionFilter, StandingConnection, StandingFilter};
use coax_api::question::HostAnswer;
use coax_model::name::RAILS;
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

/// The connections between two ends, of their ports and networks if those are given, those with the latest packets first,
/// and whether policy is still as it was when it admitted them.
pub fn between(
    names: &Names,
    rows: &Rows,
    wanted: &StandingFilter,
    listed: Vec<Connection>,
) -> HostAnswer {
    let StandingFilter {
        ends,
        protocol,
        ports,
        networks,
    } = wanted;
    let mut listed = listed;
    listed.retain(|connection| {
        let are = |own: [&End; 2]| {
            own.map(|end| end.address) == *ends
                && ports.is_none_or(|ports| own.map(|end| end.port) == ports)
        };
        let (originator, responder) = (&connection.originator, &connection.responder);
        let network = || names.network(connection.network.0);
        (are([originator, responder]) || are([responder, originator]))
            && protocol_name(connection.protocol) == *protocol
            && (networks.is_empty() || networks.contains(&network()))
    });
    listed.sort_by_key(Connection::idle);
    let left_out = listed.len().saturating_sub(MOST_BETWEEN) as u64;
    listed.truncate(MOST_BETWEEN);
    let standing = listed.iter().map(|connection| {
        let domain = rows.domains.get(&connection.domain);
        StandingConnection {
            connection: named(names, connection),
            current: domain.is_some_and(|domain| domain.generation == connection.generation()),
            rule_is_gone: connection.rule != PolicyRow::NO_RULE
                && rule(names, connection).is_none(),
            adopted: connection.generation() == 0,
            idle_seconds: connection.idle().as_secs(),
            sent: connection.sent(),
        }
    });
    HostAnswer::Standing {
        connections: standing.collect(),
        left_out,
    }
}

/// The rule that admitted a connection. A connection may outlive its rule, whose number is another project's then: no rule of
/// that one has admitted it.
fn rule<'a>(names: &'a Names, connection: &Connection) -> Option<&'a String> {
    let slice = names.slices.get(&connection.network.0);
    let project = slice.and_then(|slice| Some(slice.params.as_ref()?.project.as_str()));
    let rule = names.rules.get(&connection.rule)?;
    let (owner, _) = rule.split_once('/')?;
    (owner == RAILS || Some(owner) == project).then_some(rule)
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
    api::Connection {
        host: String::new(),
        network: names.network(connection.network.0),
        protocol: protocol_name(connection.protocol),
        from: end(&connection.originator),
        to: end(&connection.responder),
        state: connection.state_name().to_owned(),
        rule: rule(names, connection).cloned().unwrap_or_default(),
        expires_seconds: connection.expires_in.as_secs(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use coax_compile::NetworkSlice;
    use coax_tables::{ConnectionState, DomainId, NetworkId};
    use coax_vswitch::ConnectionMemory;
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::Duration;

    const ENDS: [IpAddr; 2] = [
        IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)),
        IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)),
    ];

    fn connection(port: u16, rule: u32) -> Connection {
        let end = |address, port| End { address, port };
        Connection {
            network: NetworkId(7),
            protocol: protocol::TCP,
            originator: end(ENDS[0], port),
            responder: end(ENDS[1], 443),
            state: ConnectionState::ESTABLISHED,
            expires_in: Duration::from_secs(u64::from(port)),
            domain: DomainId(1),
            rule,
            memory: ConnectionMemory::default(),
        }
    }

    fn told(
        names: &Names,
        (ends, ports): ([IpAddr; 2], Option<[u16; 2]>),
        listed: Vec<Connection>,
    ) -> (Vec<StandingConnection>, u64) {
        told_of(names, &[], (ends, ports), listed)
    }

    fn told_of(
        names: &Names,
        networks: &[&str],
        (ends, ports): ([IpAddr; 2], Option<[u16; 2]>),
        listed: Vec<Connection>,
    ) -> (Vec<StandingConnection>, u64) {
        let wanted = StandingFilter {
            ends,
            protocol: "tcp".to_owned(),
            ports,
            networks: networks.iter().copied().map(str::to_owned).collect(),
        };
        match between(names, &Rows::default(), &wanted, listed) {
            HostAnswer::Standing {
                connections,
                left_out,
            } => (connections, left_out),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_one_that_is_asked_for_is_told_among_however_many() {
        let listed: Vec<Connection> = (1..=1002).map(|port| connection(port, 0)).collect();
        let names = Names::default();
        let (all, left_out) = told(&names, (ENDS, None), listed.clone());
        assert_eq!((all.len(), left_out), (MOST_BETWEEN, 2));
        assert!(all.iter().all(|it| it.connection.from.port > 2));
        for wanted in [(ENDS, [1, 443]), ([ENDS[1], ENDS[0]], [443, 1])] {
            let (one, left_out) = told(&names, (wanted.0, Some(wanted.1)), listed.clone());
            assert_eq!((one.len(), left_out), (1, 0));
            assert_eq!(one[0].connection.from.port, 1);
        }
        let (none, _) = told(&names, (ENDS, Some([443, 1])), listed);
        assert!(none.is_empty());
    }

    #[test]
    fn connections_of_other_networks_do_not_crowd_out_those_that_are_meant() {
        let slice = |project: &str| {
            let mut slice = NetworkSlice::default();
            let params = slice.params.get_or_insert_default();
            params.project = project.into();
            params.name = "web".into();
            Arc::new(slice)
        };
        let names = Names {
            slices: BTreeMap::from([(7, slice("bank")), (9, slice("shop"))]),
            ..Names::default()
        };
        let busier = (2..=1002).map(|port| connection(port, 0));
        let meant = Connection {
            network: NetworkId(9),
            ..connection(1, 0)
        };
        let listed: Vec<Connection> = busier.chain([meant]).collect();
        let (one, left_out) = told_of(&names, &["shop/web"], (ENDS, None), listed.clone());
        assert_eq!((one.len(), left_out), (1, 0));
        assert_eq!(one[0].connection.network, "shop/web");
        let (all, left_out) = told(&names, (ENDS, None), listed);
        assert_eq!((all.len(), left_out), (MOST_BETWEEN, 2));
        assert!(all.iter().all(|it| it.connection.network == "bank/web"));
    }

    #[test]
    fn no_connection_is_told_to_be_admitted_by_a_rule_of_another_project() {
        let mut slice = NetworkSlice::default();
        slice.params.get_or_insert_default().project = "shop".into();
        let rules = [(1, "shop/web"), (2, "bank/safe"), (3, "rails/open")];
        let names = Names {
            slices: BTreeMap::from([(7, Arc::new(slice))]),
            rules: rules.map(|(number, name)| (number, name.to_owned())).into(),
            ..Names::default()
        };
        let listed = (0..=4).map(|rule| connection(rule as u16 + 1, rule));
        let (mut told, _) = told(&names, (ENDS, None), listed.collect());
        told.sort_by_key(|it| it.connection.from.port);
        let told = told.iter();
        let told = told.map(|it| (it.connection.rule.as_str(), it.rule_is_gone));
        let right = [
            ("", false),
            ("shop/web", false),
            ("", true),
            ("rails/open", false),
            ("", true),
        ];
        assert_eq!(told.collect::<Vec<_>>(), right);
    }
}
