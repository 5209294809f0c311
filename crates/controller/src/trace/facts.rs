//! Who is meant by the names of a trace, and what is known of them before any packet is sent.

use std::collections::BTreeMap;
use std::net::IpAddr;

use coax_api as api;
use coax_api::{Problem, TraceRequest, Traffic};
use coax_model::{
    Asked, IcmpKind, Intent, Network, NetworkName, ObjectName, PortName, PortRange, Ruling,
    Service, nearest, ruling,
};
use coax_wire::MacAddress;

use super::frame;
use crate::core::{Core, Listing, no_such};

/// One end of a traced packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Full name of the port, or the address where there is none.
    pub name: String,
    /// The address that is used.
    pub address: IpAddr,
    /// The port; none for an address that no port has.
    pub port: Option<EndPort>,
}

/// An end that is a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndPort {
    /// As users see it.
    pub view: api::Port,
    /// Its MAC address.
    pub mac: MacAddress,
    /// Its network.
    pub network: NetworkName,
    /// The network's largest packet.
    pub mtu: u32,
    /// The other end's address is in a subnet of its own network.
    pub peer_on_link: bool,
    /// Where packets to other subnets go, if a router joins the network.
    pub gateway: Option<IpAddr>,
    /// The router knows the other end's address: it joins a network with such a subnet, or has a static
    /// route.
    pub router_knows_peer: bool,
}

/// What a trace starts from.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Who sends.
    pub source: End,
    /// Who is to get it.
    pub destination: End,
    /// What is sent.
    pub traffic: Traffic,
    /// The port that it comes from, if that is not any.
    pub from_port: Option<u16>,
    /// Flags of the TCP segment, if they are not those that fit.
    pub flags: Option<u8>,
    /// Bytes of the IP packet, if it is not to be as small as can be.
    pub size: Option<u32>,
    /// Whether the packet is to be sent for real, too.
    pub inject: bool,
    /// Hosts by name.
    pub hosts: BTreeMap<String, api::Host>,
    /// Foreign tunnel endpoints by address: full name.
    pub foreign: BTreeMap<IpAddr, String>,
    /// What the rules say of the connection that the packet would begin; none where no firewall judges.
    pub ruling: Option<Ruling>,
}

impl Facts {
    /// Finds out who is meant.
    pub fn gather(core: &Core, request: &TraceRequest) -> Result<Self, Box<Problem>> {
        let intent = core.intent();
        let traffic = request.traffic.as_deref().unwrap_or("icmp");
        let traffic = traffic.parse::<Traffic>().map_err(|error| {
            bad(
                "bad-traffic",
                error.to_string(),
                "write tcp/443, udp/53 or icmp",
            )
        })?;
        let wants_ipv6 = match request.family.as_deref() {
            None => None,
            Some("ipv4") => Some(false),
            Some("ipv6") => Some(true),
            Some(other) => {
                let message = format!("`{other}` is no IP family");
                return Err(bad("bad-family", message, "write ipv4 or ipv6"));
            }
        };
        let from = find(intent, &request.from, request.project.as_deref(), None)?;
        let Found::Port(from, from_address) = from else {
            let message = format!("no port has the address {}", request.from);
            let hint = "`coax port list` shows ports and their addresses";
            return Err(bad("no-such-port", message, hint));
        };
        // A name that stands alone is first looked for where the sender is.
        let near = Some(&from);
        let to = find(intent, &request.to, request.project.as_deref(), near)?;
        if to.port() == Some(&from) {
            let message = format!("{from} cannot be both ends");
            return Err(bad("same-port", message, "name two different ports"));
        }
        let to_addresses = to.addresses(intent);
        let fits = |address: &&IpAddr| {
            from_address.is_none_or(|own| own == **address)
                && wants_ipv6.is_none_or(|ipv6| ipv6 == address.is_ipv6())
        };
        let own = intent.ports.get(&from).map(|port| &port.addresses);
        let pair = own.into_iter().flatten().filter(fits).find_map(|source| {
            let same = |other: &&IpAddr| other.is_ipv6() == source.is_ipv6();
            Some((*source, *to_addresses.iter().find(same)?))
        });
        let Some((source, destination)) = pair else {
            return Err(no_common_family(&from, &request.to, wants_ipv6));
        };
        let source = end(core, Some(&from), source, destination);
        let destination = end(core, to.port(), destination, source.address);
        Ok(Self {
            ruling: ruling_of(intent, &source, &destination, traffic),
            source,
            destination,
            traffic,
            from_port: request.from_port,
            flags: flags(request, traffic)?,
            size: request.size,
            inject: request.inject,
            hosts: core
                .host_views()
                .into_iter()
                .map(|host| (host.name.clone(), host))
                .collect(),
            foreign: intent
                .vteps
                .iter()
                .map(|(name, vtep)| (vtep.address, name.to_string()))
                .collect(),
        })
    }

    /// The host with a tunnel endpoint.
    pub fn host_with(&self, vtep: &str) -> Option<&api::Host> {
        let has = |address: &Option<String>| address.as_deref() == Some(vtep);
        let mut hosts = self.hosts.values();
        hosts.find(|host| has(&host.vtep_ipv4) || has(&host.vtep_ipv6))
    }
}

impl End {
    /// Where it is.
    pub fn host(&self) -> Option<&str> {
        self.port.as_ref()?.view.host.as_deref()
    }
}

/// What a text stands for.
enum Found {
    /// A port, and the address by which it was named, if it was.
    Port(PortName, Option<IpAddr>),
    /// An address that no port has.
    Address(IpAddr),
}

impl Found {
    fn port(&self) -> Option<&PortName> {
        match self {
            Self::Port(name, _) => Some(name),
            Self::Address(_) => None,
        }
    }

    fn addresses(&self, intent: &Intent) -> Vec<IpAddr> {
        match self {
            Self::Port(_, Some(address)) | Self::Address(address) => vec![*address],
            Self::Port(name, None) => intent
                .ports
                .get(name)
                .map(|port| port.addresses.clone())
                .unwrap_or_default(),
        }
    }
}

/// A port by name or address. Of several, the one in the project that was named, or near `near`.
fn find(
    intent: &Intent,
    text: &str,
    project: Option<&str>,
    near: Option<&PortName>,
) -> Result<Found, Box<Problem>> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let ports = intent.ports.iter();
        let having = ports.filter(|(_, port)| port.addresses.contains(&address));
        let names: Vec<&PortName> = having.map(|(name, _)| name).collect();
        return match choose(&names, project, near, intent) {
            Ok(name) => Ok(Found::Port(name.clone(), Some(address))),
            Err(0) => Ok(Found::Address(address)),
            Err(_) => Err(ambiguous(text, &names)),
        };
    }
    if let Ok(name) = text.parse::<PortName>() {
        return match intent.ports.contains_key(&name) {
            true => Ok(Found::Port(name, None)),
            false => Err(unknown(intent, text)),
        };
    }
    let ports = intent.ports.keys();
    let names: Vec<&PortName> = ports.filter(|port| port.name.as_str() == text).collect();
    match choose(&names, project, near, intent) {
        Ok(name) => Ok(Found::Port(name.clone(), None)),
        Err(0) => Err(unknown(intent, text)),
        Err(_) => Err(ambiguous(text, &names)),
    }
}

/// The one that is meant, or how many there are.
fn choose<'a>(
    names: &[&'a PortName],
    project: Option<&str>,
    near: Option<&PortName>,
    intent: &Intent,
) -> Result<&'a PortName, usize> {
    let in_project = |name: &&&PortName| {
        let wanted = project.or(near.map(|near| near.project.as_str()));
        wanted.is_none_or(|wanted| name.project.as_str() == wanted)
    };
    let network = |name: &PortName| intent.ports.get(name).map(|port| &port.network);
    let beside = |name: &&&PortName| {
        near.is_some_and(|near| near.project == name.project && network(near) == network(name))
    };
    let only = |found: Vec<&&'a PortName>| match found[..] {
        [one] => Some(*one),
        _ => None,
    };
    only(names.iter().filter(beside).collect())
        .or_else(|| only(names.iter().filter(in_project).collect()))
        .or_else(|| only(names.iter().collect()).filter(|_| project.is_none()))
        .ok_or(names.len())
}

fn end(core: &Core, name: Option<&PortName>, address: IpAddr, other: IpAddr) -> End {
    let port = name.and_then(|name| end_port(core, name, address, other));
    End {
        name: name.map_or_else(|| address.to_string(), ToString::to_string),
        address,
        port,
    }
}

fn end_port(core: &Core, name: &PortName, address: IpAddr, other: IpAddr) -> Option<EndPort> {
    let port = core.intent().ports.get(name)?;
    let network_name = NetworkName::new(name.project.clone(), port.network.clone());
    let network = core.intent().networks.get(&network_name)?;
    Some(EndPort {
        view: Listing::single(core).port_named(name)?,
        mac: port.mac,
        mtu: network.mtu.get().into(),
        peer_on_link: network
            .subnets
            .iter()
            .any(|net| net.prefix.contains(&other)),
        gateway: gateway(core.intent(), &network_name, network, address),
        router_knows_peer: router_knows(core.intent(), &network_name, other),
        network: network_name,
    })
}

/// Where a port with this address sends what is not for its own subnets, if a router joins its network.
fn gateway(
    intent: &Intent,
    name: &NetworkName,
    network: &Network,
    address: IpAddr,
) -> Option<IpAddr> {
    intent.router_of(name)?;
    let subnet = network
        .subnets
        .iter()
        .find(|net| net.prefix.contains(&address))?;
    Some(subnet.gateway)
}

/// Whether the router of a network knows a way to the address.
fn router_knows(intent: &Intent, network: &NetworkName, address: IpAddr) -> bool {
    let Some((_, router)) = intent.router_of(network) else {
        return false;
    };
    let joined = router.networks.iter();
    let mut joined = joined.filter_map(|name| {
        let name = NetworkName::new(network.project.clone(), name.clone());
        intent.networks.get(&name)
    });
    let has_subnet = |network: &Network| {
        let mut subnets = network.subnets.iter();
        subnets.any(|net| net.prefix.contains(&address))
    };
    joined.any(has_subnet)
        || router
            .routes
            .iter()
            .any(|route| route.to.contains(&address))
}

/// What the rules say of a new connection.
fn ruling_of(intent: &Intent, from: &End, to: &End, traffic: Traffic) -> Option<Ruling> {
    let network = &from.port.as_ref()?.network;
    let other = to.port.as_ref().map_or(network, |port| &port.network);
    let port = |port| PortRange::new(port, port);
    let asked = Asked {
        from: (network, from.address),
        to: (other, to.address),
        service: match (traffic, from.address.is_ipv6()) {
            (Traffic::Tcp(number), _) => Service::Tcp(port(number)?),
            (Traffic::Udp(number), _) => Service::Udp(port(number)?),
            (Traffic::Icmp, false) => Service::Icmp(IcmpKind::Code(8, 0)),
            (Traffic::Icmp, true) => Service::Icmpv6(IcmpKind::Code(128, 0)),
        },
    };
    ruling(intent, asked)
}

/// The flags that are asked for; ports and flags are of protocols that have them.
fn flags(request: &TraceRequest, traffic: Traffic) -> Result<Option<u8>, Box<Problem>> {
    if request.from_port.is_some() && traffic == Traffic::Icmp {
        let message = "icmp has no ports".to_owned();
        return Err(bad(
            "bad-from-port",
            message,
            "leave the source port out, or trace tcp/PORT or udp/PORT",
        ));
    }
    let Some(text) = &request.flags else {
        return Ok(None);
    };
    let flags = frame::flags_of(text).filter(|_| matches!(traffic, Traffic::Tcp(_)));
    flags.map(Some).ok_or_else(|| {
        let message = format!("`{text}` are no flags of {traffic}");
        let hint = "write flags of TCP, such as syn, ack or rst,ack";
        bad("bad-flags", message, hint)
    })
}

fn bad(code: &str, message: String, hint: &str) -> Box<Problem> {
    let title = "The trace cannot be done";
    Box::new(Problem::new(400, code, title, message, hint))
}

fn unknown(intent: &Intent, text: &str) -> Box<Problem> {
    let mut problem = no_such("port", text);
    let names: Vec<String> = intent.ports.keys().map(ObjectName::to_string).collect();
    let short = |name: &String| match text.contains('/') {
        true => name.clone(),
        false => name.rsplit('/').next().unwrap_or_default().to_owned(),
    };
    let names: Vec<String> = names.iter().map(short).collect();
    if let Some(similar) = nearest(text, names.iter().map(String::as_str)) {
        problem.hint = format!("did you mean `{similar}`?");
    }
    Box::new(problem)
}

fn ambiguous(text: &str, names: &[&PortName]) -> Box<Problem> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let message = format!("`{text}` may be {}", names.join(" or "));
    bad("ambiguous-name", message, "write PROJECT/NAME")
}

fn no_common_family(from: &PortName, to: &str, ipv6: Option<bool>) -> Box<Problem> {
    let family = match ipv6 {
        Some(true) => "IPv6 addresses",
        Some(false) => "IPv4 addresses",
        None => "addresses of the same IP family",
    };
    let message = format!("{from} and {to} do not both have {family}");
    let hint = "`coax port show NAME` prints a port's addresses";
    bad("no-common-family", message, hint)
}
