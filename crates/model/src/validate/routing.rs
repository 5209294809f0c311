//! Whether gateways, routers and their routes keep the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::overlap;
use crate::allocate::last_usable;
use crate::diagnostic::FieldPath;
use crate::file::{RouterEntry, StackFile};
use crate::name::Name;
use crate::network::Subnet;
use crate::plan::Kind;
use crate::router::Route;
use crate::rule::{MAX_ROUTES, Refusals, RoutingRule, Rule};

/// Which router joins each network that is joined.
pub type Joined<'a> = BTreeMap<&'a Name, &'a Name>;

/// The routers by the networks that they join; of two that join one network the first.
pub fn joined(file: &StackFile) -> Joined<'_> {
    let mut joined = Joined::new();
    for (name, router) in &file.routers {
        for network in &router.networks {
            joined.entry(network).or_insert(name);
        }
    }
    joined
}

/// Checks gateways, routers and routes.
pub fn check(file: &StackFile, joined: &Joined, refusals: &mut Refusals) {
    for (name, entry) in &file.networks {
        let path = FieldPath::keys(&["networks", name.as_str(), "subnets"]);
        for (index, subnet) in entry.subnets.iter().enumerate() {
            if let Err(rule) = check_gateway(subnet) {
                refusals.push(path.item(index).key("gateway"), rule);
            }
        }
    }
    for (name, router) in &file.routers {
        let path = FieldPath::keys(&["routers", name.as_str()]);
        check_networks(name, router, file, joined, &path.key("networks"), refusals);
        check_routes(router, file, &path.key("routes"), refusals);
    }
}

fn check_gateway(subnet: &Subnet) -> Result<(), Rule> {
    let Subnet {
        prefix, gateway, ..
    } = *subnet;
    if *subnet == Subnet::new(prefix) || prefix.prefix_len() + 2 > prefix.max_prefix_len() {
        // The gateway was not written, or there is no room for one, which is said elsewhere.
        return Ok(());
    }
    if !prefix.contains(&gateway) {
        let subnet = prefix;
        return Err(RoutingRule::GatewayOutside { gateway, subnet }.into());
    }
    if gateway == prefix.network() || gateway > last_usable(prefix) {
        return Err(Rule::AddressReserved {
            address: gateway,
            subnet: prefix,
        });
    }
    Ok(())
}

/// The subnets that a router joins, with their networks.
fn subnets<'a>(
    router: &'a RouterEntry,
    file: &'a StackFile,
) -> impl Iterator<Item = (&'a Name, &'a Subnet)> {
    let networks: BTreeSet<&Name> = router.networks.iter().collect();
    networks.into_iter().flat_map(|name| {
        let network = file.networks.get(name).into_iter();
        network.flat_map(move |network| network.subnets.iter().map(move |subnet| (name, subnet)))
    })
}

fn check_networks(
    name: &Name,
    router: &RouterEntry,
    file: &StackFile,
    joined: &Joined,
    path: &FieldPath,
    refusals: &mut Refusals,
) {
    let mut before: Vec<(&Name, &Subnet)> = Vec::new();
    for (index, network) in router.networks.iter().enumerate() {
        let path = path.item(index);
        let Some(entry) = file.networks.get(network) else {
            refusals.push(
                path,
                Rule::unknown(Kind::Network, network, file.networks.keys()),
            );
            continue;
        };
        let network_name = || network.clone();
        let by = joined.get(network).copied().unwrap_or(name);
        if by != name || router.networks[..index].contains(network) {
            let (network, by) = (network_name(), by.clone());
            refusals.push(path, RoutingRule::NetworkJoined { network, by });
            continue;
        }
        if entry.subnets.is_empty() {
            let network = network_name();
            refusals.push(path.clone(), RoutingRule::WithoutSubnets { network });
        }
        for subnet in &entry.subnets {
            let other = before
                .iter()
                .find(|(other, it)| *other != network && overlap(subnet.prefix, it.prefix));
            if let Some((other_network, other)) = other {
                let rule = RoutingRule::Overlap {
                    router: name.clone(),
                    subnet: subnet.prefix,
                    network: network_name(),
                    other: other.prefix,
                    other_network: (*other_network).clone(),
                };
                refusals.push(path.clone(), rule);
            }
            before.push((network, subnet));
        }
    }
}

fn check_routes(router: &RouterEntry, file: &StackFile, path: &FieldPath, refusals: &mut Refusals) {
    if router.routes.len() > MAX_ROUTES {
        let rule = Rule::TooMany {
            what: "routes",
            count: router.routes.len(),
            max: MAX_ROUTES,
        };
        refusals.push(path.clone(), rule);
        return;
    }
    let mut destinations = BTreeSet::new();
    for (index, route) in router.routes.iter().enumerate() {
        let path = path.item(index);
        if !destinations.insert(route.to) {
            let to = route.to;
            refusals.push(path.key("to"), RoutingRule::RouteTwice { to });
        }
        if let Err((field, rule)) = check_route(route, router, file) {
            refusals.push(path.key(field), rule);
        }
    }
}

fn check_route(
    route: &Route,
    router: &RouterEntry,
    file: &StackFile,
) -> Result<(), (&'static str, Rule)> {
    let Route { to, via } = *route;
    let inside = subnets(router, file).find(|(_, subnet)| subnet.prefix.contains(&to));
    if to != to.trunc() {
        return Err(("to", Rule::SubnetHostBits { subnet: to }));
    }
    if let Some((network, subnet)) = inside {
        let (network, subnet) = (network.clone(), subnet.prefix);
        let rule = RoutingRule::RouteToJoined {
            to,
            subnet,
            network,
        };
        return Err(("to", rule.into()));
    }
    if matches!(to, IpNet::V4(_)) != matches!(via, IpAddr::V4(_)) {
        return Err(("via", RoutingRule::RouteFamily { to, via }.into()));
    }
    match subnets(router, file).find(|(_, subnet)| subnet.prefix.contains(&via)) {
        None => {
            let subnets = subnets(router, file).map(|(_, subnet)| subnet.prefix);
            let subnets = subnets.collect();
            Err(("via", RoutingRule::NextHopOutside { via, subnets }.into()))
        }
        Some((_, subnet)) if subnet.gateway == via => {
            Err(("via", RoutingRule::NextHopIsGateway { via }.into()))
        }
        Some(_) => Ok(()),
    }
}
