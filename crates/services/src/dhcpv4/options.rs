//! The options of answers (RFC 2132, 3397, 3442).

use std::net::{IpAddr, Ipv4Addr};

use dhcproto::v4::{DhcpOption, DhcpOptions, MessageType, OptionCode};
use ipnet::Ipv4Net;

use crate::settings::{Asker, Dhcp, LINK_LOCAL_SERVER, Network};
use crate::zone;

/// What every answer begins with. The client's identifier goes back to it (RFC 6842).
pub(super) fn heading(asked: &DhcpOptions, kind: MessageType, server: Ipv4Addr) -> Vec<DhcpOption> {
    let identifier = asked.get(OptionCode::ClientIdentifier).cloned();
    [
        DhcpOption::MessageType(kind),
        DhcpOption::ServerIdentifier(server),
    ]
    .into_iter()
    .chain(identifier)
    .collect()
}

/// How long the lease is good, and when to ask again (RFC 2131 section 4.4.5).
pub(super) fn times(dhcp: Dhcp) -> [DhcpOption; 3] {
    let lease = u32::try_from(dhcp.lease.as_secs()).unwrap_or(u32::MAX);
    [
        DhcpOption::AddressLeaseTime(lease),
        DhcpOption::Renewal(lease / 2),
        DhcpOption::Rebinding(lease - lease / 8),
    ]
}

/// What a client is told besides its address, what it needs most first.
pub(super) fn parameters(
    asker: &Asker<'_>,
    address: Ipv4Addr,
    server: Ipv4Addr,
) -> Vec<DhcpOption> {
    let network = asker.network;
    let subnet = network.subnet_of(address.into());
    let mask = match subnet.map(|subnet| subnet.prefix) {
        Some(ipnet::IpNet::V4(prefix)) => prefix.netmask(),
        _ => Ipv4Addr::BROADCAST,
    };
    let gateway = match subnet.and_then(|subnet| subnet.gateway) {
        Some(IpAddr::V4(gateway)) if network.routed => Some(gateway),
        _ => None,
    };
    let mut parameters = vec![DhcpOption::SubnetMask(mask)];
    parameters.extend(gateway.map(|gateway| DhcpOption::Router(vec![gateway])));
    let resolvers = network.resolvers_ipv4(server);
    let on_link = resolvers.contains(&LINK_LOCAL_SERVER);
    let routes = routes(network, gateway, on_link);
    parameters.extend((!routes.is_empty()).then_some(DhcpOption::ClasslessStaticRoute(routes)));
    parameters.extend((!resolvers.is_empty()).then_some(DhcpOption::DomainNameServer(resolvers)));
    parameters.push(DhcpOption::InterfaceMtu(network.mtu.get()));
    parameters.push(DhcpOption::Hostname(asker.port.name.clone()));
    if network.dns.answered || network.dns.domain.is_some() {
        let search = zone::search(network);
        let own = search.first().map(|name| {
            let text = name.to_ascii();
            DhcpOption::DomainName(text.trim_end_matches('.').to_owned())
        });
        parameters.extend(own);
        parameters.push(DhcpOption::DomainSearch(search));
    }
    parameters
}

/// A client that takes this option does not look at "router", so the default route is in it, too (RFC 3442).
fn routes(
    network: &Network,
    gateway: Option<Ipv4Addr>,
    server_is_on_link: bool,
) -> Vec<(Ipv4Net, Ipv4Addr)> {
    let mut routes: Vec<(Ipv4Net, Ipv4Addr)> = network
        .routes
        .iter()
        .filter_map(|route| match (route.destination, route.gateway) {
            (ipnet::IpNet::V4(destination), IpAddr::V4(gateway)) => Some((destination, gateway)),
            _ => None,
        })
        .collect();
    if server_is_on_link {
        routes.push((LINK_LOCAL_SERVER.into(), Ipv4Addr::UNSPECIFIED));
    }
    if !routes.is_empty() {
        routes.extend(gateway.map(|gateway| (Ipv4Net::default(), gateway)));
    }
    routes
}

/// True if the client's list of parameters has the option.
pub(super) fn is_asked_for(option: &DhcpOption, asked: &DhcpOptions) -> bool {
    match asked.get(OptionCode::ParameterRequestList) {
        Some(DhcpOption::ParameterRequestList(list)) => list.contains(&OptionCode::from(option)),
        _ => false,
    }
}
