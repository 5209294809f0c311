//! Rows as sentences, with names where the host knows them.

use std::net::{IpAddr, Ipv6Addr};

use coax_api::{TracePath, TraceRow};
use coax_pipeline::PathState;
use coax_sim::trace::Lookup;
use coax_tables::{
    AddressKey, AddressRow, ClassRow, DomainRow, DropReason, HostRow, MacRow, PolicyKey, PolicyRow,
    PortKey, PortRow, ReplicaKey, ReplicaRow, RouteRow, ShutRow,
};
use coax_vswitch::Table;
use coax_wire::MacAddress;

use super::{HostView, is_passable, path_lookup};

/// Routes through the fabric are the host's, not a table of the vSwitch.
const UNDERLAY: &str = "underlay";

/// What guards have shut, which is no table either.
const SHUT: &str = "shut";

/// An address as rows hold it.
fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}

/// What a lookup found.
pub(super) fn row(view: &HostView, lookup: &Lookup) -> TraceRow {
    let (table, found, text) = match *lookup {
        Lookup::Host(row) => (Table::Host.name(), row.is_some(), host(row)),
        Lookup::Port(key, row) => (Table::Ports.name(), row.is_some(), port(view, key, row)),
        Lookup::Network(key, row) => {
            let network = view.names.network(key.0);
            let text = match row {
                Some(row) => format!(
                    "{network} has {} ports here, {} other hosts and {} foreign endpoints",
                    row.local,
                    row.coax_ipv4 + row.coax_ipv6,
                    row.foreign_ipv4 + row.foreign_ipv6
                ),
                None => format!("{network} is not known here"),
            };
            (Table::Networks.name(), row.is_some(), text)
        }
        Lookup::Mac(key, row) => {
            let text = mac(view, key.network.0, key.mac, row);
            (Table::Macs.name(), row.is_some(), text)
        }
        Lookup::Address(key, row) => {
            let text = owner(view, key, row);
            (Table::Addresses.name(), row.is_some(), text)
        }
        Lookup::Route(key, row) => {
            let text = router_route(view, address(key.address), row);
            (Table::Routes.name(), row.is_some(), text)
        }
        Lookup::Tunnel(key, row) => {
            let vtep = view.names.vtep(address(key.vtep));
            let text = match row {
                Some(row) => format!(
                    "{vtep} may send frames of VNI {}, {}",
                    key.vni,
                    view.names.network(row.network.0)
                ),
                None => format!("{vtep} is no member of VNI {} here", key.vni),
            };
            (Table::Tunnels.name(), row.is_some(), text)
        }
        Lookup::Replica(key, row) => {
            let text = replica(view, key, row);
            (Table::Replicas.name(), row.is_some(), text)
        }
        Lookup::Source(key, row) => {
            let ip = address(key.address);
            let text = match row {
                Some(row) => format!("the port may send from {ip} with MAC {}", row.mac),
                None => format!("the port may not send from {ip}"),
            };
            (Table::Sources.name(), row.is_some(), text)
        }
        Lookup::Domain(..) | Lookup::Class(..) | Lookup::Service(..) | Lookup::Policy(..) => {
            firewall(lookup)
        }
        Lookup::Shut(_, row) => (SHUT, row.until != 0, shut(row)),
        Lookup::Path { state, .. } => {
            let text = path(view, lookup).map(|path| route(&path, state));
            (UNDERLAY, is_passable(state), text.unwrap_or_default())
        }
    };
    TraceRow {
        table: table.to_owned(),
        found,
        text,
    }
}

fn owner(view: &HostView, key: AddressKey, row: Option<AddressRow>) -> String {
    let (ip, network) = (address(key.address), key.network.0);
    match row {
        Some(row) => format!("{ip} belongs to {}", view.names.mac(network, row.mac)),
        None => format!("nobody in {} has {ip}", view.names.network(network)),
    }
}

/// Where the router of the packet's network sends it.
fn router_route(view: &HostView, to: IpAddr, row: Option<RouteRow>) -> String {
    match row {
        None => format!("the router has no route to {to}"),
        Some(row) if row.has(RouteRow::UNREACHABLE) => {
            format!("the router's route says that {to} is unreachable")
        }
        Some(row) => {
            let network = view.names.network(row.network.0);
            if row.gateway == [0; 16] {
                format!("{to} is in {network}")
            } else {
                format!("{to} is reached over {} in {network}", address(row.gateway))
            }
        }
    }
}

fn replica(view: &HostView, key: ReplicaKey, row: Option<ReplicaRow>) -> String {
    match row {
        Some(row) if row.ifindex != 0 => format!("a copy to {}", view.port_on(row.ifindex)),
        Some(row) => format!("a copy to {}", view.names.vtep(address(row.vtep))),
        None => format!("receiver {} is missing", key.slot),
    }
}

/// What the firewall looked up.
fn firewall(lookup: &Lookup) -> (&'static str, bool, String) {
    match *lookup {
        Lookup::Domain(_, row) => (Table::Domains.name(), row.is_some(), domain(row)),
        Lookup::Class(key, row) => {
            let text = format!("{} is of class {}", address(key.address), class(row));
            (Table::Classes.name(), row.is_some(), text)
        }
        Lookup::Service(key, row) => {
            let (port, protocol) = (u16::from_be_bytes(key.port), key.protocol);
            let class = class(row);
            let text = format!("service {port} of protocol {protocol} is of class {class}");
            (Table::Services.name(), row.is_some(), text)
        }
        Lookup::Policy(key, row) => (Table::Policies.name(), row.is_some(), policy(key, row)),
        _ => ("", false, String::new()),
    }
}

fn domain(row: Option<DomainRow>) -> String {
    match row {
        Some(row) => format!(
            "policy table {}, generation {}; what no rule names is {}",
            row.table,
            row.generation,
            action(row.default_action)
        ),
        None => "the port's policy is not known here".to_owned(),
    }
}

fn class(row: Option<ClassRow>) -> u32 {
    row.map_or(ClassRow::OTHER, |row| row.class)
}

fn policy(key: PolicyKey, row: Option<PolicyRow>) -> String {
    let any = |class: u32| match class {
        0 => "any".to_owned(),
        class => class.to_string(),
    };
    let (source, destination) = (any(key.source), any(key.destination));
    let service = any(key.service);
    let of = format!("classes {source} to {destination}, service {service}");
    match row {
        Some(row) => format!("{of}: rule {} says {}", row.rule, action(row.action)),
        None => format!("{of}: no rule"),
    }
}

fn action(action: u8) -> &'static str {
    match action {
        PolicyRow::ALLOW => "allow",
        PolicyRow::REJECT => "reject",
        _ => "deny",
    }
}

fn shut(row: ShutRow) -> String {
    let reason = DropReason::ALL.get(row.reason as usize);
    let reason = reason.map_or("unknown", |reason| reason.name());
    format!("a guard has shut the port ({reason}); it opens again by itself")
}

fn port(view: &HostView, key: PortKey, row: Option<PortRow>) -> String {
    let device = view.device(key.ifindex);
    match row {
        Some(row) => format!(
            "{device} is a port of {}, with MAC {} and MTU {}",
            view.names.network(row.network.0),
            view.names.mac(row.network.0, row.mac),
            row.mtu
        ),
        None => format!("{device} is no port"),
    }
}

fn host(row: Option<HostRow>) -> String {
    let Some(row) = row else {
        return "this host has no tunnel endpoint".to_owned();
    };
    let ipv4 = (row.vtep_ipv4 != [0; 4]).then(|| IpAddr::from(row.vtep_ipv4).to_string());
    let ipv6 = (row.vtep_ipv6 != [0; 16]).then(|| IpAddr::from(row.vtep_ipv6).to_string());
    let addresses: Vec<String> = ipv4.into_iter().chain(ipv6).collect();
    if addresses.is_empty() {
        return "this host has no tunnel endpoint".to_owned();
    }
    format!(
        "this host's tunnel endpoint is {}, UDP port {}",
        addresses.join(" and "),
        u16::from_be_bytes(row.udp_port)
    )
}

fn mac(view: &HostView, network: u32, mac: MacAddress, row: Option<MacRow>) -> String {
    let who = view.names.mac(network, mac);
    match row {
        None => format!("nobody in {} has {who}", view.names.network(network)),
        Some(row) if row.has(MacRow::ROUTER) => format!("{who} is the gateway, on every host"),
        Some(row) if row.has(MacRow::LOCAL) => {
            format!("{who} is here, on {}", view.device(row.ifindex))
        }
        Some(row) => format!("{who} is behind {}", view.names.vtep(address(row.vtep))),
    }
}

/// The way that a lookup was about.
pub(super) fn path(view: &HostView, lookup: &Lookup) -> Option<TracePath> {
    let (question, length, _, way) = path_lookup(lookup)?;
    let known = view.ways.get(question).and_then(Option::as_ref);
    Some(TracePath {
        from: question.source.to_string(),
        to: question.destination.to_string(),
        host: view
            .names
            .vtep_owner(question.destination)
            .unwrap_or_default(),
        device: way
            .map(|way| view.device(way.path.ifindex))
            .unwrap_or_default(),
        next_hop: known
            .map(|known| known.next_hop.to_string())
            .unwrap_or_default(),
        mtu: way.map_or(0, |way| way.mtu),
        length,
        source_port: question.source_port,
        probed: None,
    })
}

fn route(path: &TracePath, state: PathState) -> String {
    let TracePath {
        to,
        device,
        next_hop,
        mtu,
        length,
        ..
    } = path;
    match state {
        PathState::Ready => format!("{to} by {device} through {next_hop}"),
        PathState::Unresolved => {
            format!("{to} by {device} through {next_hop}, whose MAC address is not known")
        }
        PathState::Missing => format!("no route leads to {to}"),
        PathState::TooSmall => {
            format!("{device} takes packets of {mtu} bytes, this one towards {to} has {length}")
        }
    }
}
