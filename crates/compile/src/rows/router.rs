//! The rows of routers: the gateway in each network, and where packets of a prefix go.
//!
//! A gateway is on every host at once, under one MAC address, so that a VM that moves finds it where it
//! was. A routed network that no router joins is its own router, under its own number: its hosts look
//! packets up as they would between networks.

use std::collections::BTreeMap;

use coax_model::GATEWAY_MAC;
use coax_tables::{
    AddressKey, AddressRow, MacKey, MacRow, NetworkId, RouteKey, RouteRow, SourceKey,
};
use coax_wire::MacAddress;

use super::{Making, endpoint, flag};
use crate::slice::{NetworkParams, Route, RouterSlice};

/// The gateway of a network as its row names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Gateway {
    pub(super) router: u32,
    pub(super) ipv4: [u8; 4],
    pub(super) ipv6: [u8; 16],
    pub(super) mac: MacAddress,
}

/// What hosts answer on a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) dhcp_ipv4: bool,
    /// Also router solicitations.
    pub(super) dhcp_ipv6: bool,
    pub(super) dns: bool,
}

/// The number of the router that packets of a network are routed by; 0: none.
fn router_of(params: &NetworkParams) -> u32 {
    match params.router {
        0 if params.routed => params.vni,
        router => router,
    }
}

/// The gateway of a network; none has zeros.
pub(super) fn gateway_of(params: &NetworkParams) -> Gateway {
    if !params.has_gateway() {
        return Gateway::default();
    }
    let gateways = params.subnets.iter();
    let gateways = gateways.filter_map(|subnet| endpoint(&subnet.gateway));
    let (ipv6, ipv4): (Vec<_>, Vec<_>) = gateways.partition(|gateway| gateway.ipv6);
    let ipv4 = ipv4.first().and_then(|gateway| gateway.ipv4());
    Gateway {
        router: router_of(params),
        ipv4: ipv4.unwrap_or_default(),
        ipv6: ipv6.first().map_or([0; 16], |gateway| gateway.address),
        mac: GATEWAY_MAC,
    }
}

/// What hosts answer, of what the network's settings ask for and its subnets allow.
pub(super) fn answers(params: &NetworkParams) -> Answers {
    let dhcp = |ipv6: bool| {
        let length = if ipv6 { 16 } else { 4 };
        let mut offered = params.subnets.iter().filter(|subnet| subnet.dhcp);
        params.dhcp.is_some() && offered.any(|subnet| subnet.address.len() == length)
    };
    let coax = !params.own_servers;
    Answers {
        dhcp_ipv4: coax && dhcp(false),
        dhcp_ipv6: coax && (dhcp(true) || params.router_advertisements),
        dns: coax && params.has_gateway(),
    }
}

/// The addresses at which a network's gateway is found: one for each subnet, and the link-local one
/// from which it advertises itself.
pub fn gateways(params: &NetworkParams) -> Vec<[u8; 16]> {
    if !params.has_gateway() {
        return Vec::new();
    }
    let gateways = params.subnets.iter();
    let mut addresses: Vec<[u8; 16]> = gateways
        .filter_map(|subnet| endpoint(&subnet.gateway))
        .map(|gateway| gateway.address)
        .collect();
    if params
        .subnets
        .iter()
        .any(|subnet| subnet.gateway.len() == 16)
    {
        addresses.push(SourceKey::of_mac(0, GATEWAY_MAC).address);
    }
    addresses
}

impl Making<'_> {
    pub(super) fn gateways(&mut self) {
        let addresses = gateways(self.params);
        if addresses.is_empty() {
            return;
        }
        let row = MacRow {
            mtu: self.params.mtu,
            flags: MacRow::ROUTER,
            ..MacRow::default()
        };
        let key = MacKey::new(self.id, GATEWAY_MAC);
        self.rows.macs.insert(key, row);
        for address in addresses {
            let network = self.id;
            let key = AddressKey { address, network };
            let row = AddressRow {
                mac: GATEWAY_MAC,
                flags: AddressRow::ROUTER,
            };
            // Without a router a port may have the address, and keeps it.
            match router_of(self.params) {
                0 => drop(self.rows.addresses.entry(key).or_insert(row)),
                _ => drop(self.rows.addresses.insert(key, row)),
            }
        }
        if self.params.router == 0 && self.params.routed {
            let own = self.params.subnets.iter().filter_map(|subnet| {
                let key = route_key(self.params.vni, &subnet.address, subnet.length)?;
                let row = RouteRow {
                    network: self.id,
                    ..RouteRow::default()
                };
                Some((key, row))
            });
            let own: Vec<_> = own.collect();
            self.rows.routes.extend(own);
        }
    }
}

/// The rows of a router. A route that cannot be read is left out; of a prefix on a network and a written
/// route to the very same one, the network counts.
pub fn routes(slice: &RouterSlice) -> BTreeMap<RouteKey, RouteRow> {
    let (connected, written): (Vec<&Route>, Vec<&Route>) =
        slice.routes.iter().partition(|route| route.via.is_empty());
    let routes = written.into_iter().chain(connected);
    routes
        .filter_map(|route| route_row(slice.router, route))
        .collect()
}

fn route_row(router: u32, route: &Route) -> Option<(RouteKey, RouteRow)> {
    let key = route_key(router, &route.address, route.length)?;
    let gateway = match route.via.as_slice() {
        _ if route.network == 0 => [0; 16],
        [] => [0; 16],
        via => endpoint(via)?.address,
    };
    let row = RouteRow {
        gateway,
        network: NetworkId(route.network),
        flags: flag(route.network == 0, RouteRow::UNREACHABLE),
    };
    Some((key, row))
}

fn route_key(router: u32, address: &[u8], length: u32) -> Option<RouteKey> {
    let endpoint = endpoint(address)?;
    let bits = if endpoint.ipv6 { length } else { length + 96 };
    (bits <= 128).then(|| RouteKey::new(router, endpoint.address, bits))
}
