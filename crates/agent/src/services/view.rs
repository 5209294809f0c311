//! What the responders are told, made of slices and of what is in the data plane.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use coax_compile::{Member, NetworkParams, NetworkSlice};
use coax_model::GATEWAY_MAC;
use coax_services::{Dhcp, Dns, Holder, Names, Network, Port, Route, Subnet, domain};
use coax_wire::{Mtu, VlanId};
use ipnet::IpNet;

use super::Services;

/// An address of a slice.
pub(crate) fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

fn prefix(bytes: &[u8], length: u32) -> Option<IpNet> {
    let length = u8::try_from(length).ok()?;
    IpNet::new(address(bytes)?, length).ok()
}

/// A port's name in its project.
pub(crate) fn short_name(full: &str) -> &str {
    full.split_once('/').map_or(full, |(_, name)| name)
}

/// The port that asks. Nothing: its slice is of a version that cannot be understood.
pub(crate) fn port(member: &Member, vlan: u32) -> Option<Port> {
    let mac = <[u8; 6]>::try_from(member.mac.as_slice()).ok()?;
    let addresses = member.addresses.iter().filter_map(|bytes| address(bytes));
    Some(Port {
        name: short_name(&member.port).to_owned(),
        mac: coax_wire::MacAddress(mac),
        addresses: addresses.collect(),
        vlan: VlanId::try_from(vlan).ok(),
    })
}

/// Its network. `is_gateway` tells whether hosts have a gateway's address: without a router, a port may have it.
pub(crate) fn network(
    params: &NetworkParams,
    is_gateway: impl Fn(IpAddr) -> bool,
) -> Option<Network> {
    let served = !params.own_servers;
    let dhcp = params.dhcp.as_ref().filter(|_| served);
    let routes = dhcp.iter().flat_map(|dhcp| &dhcp.routes);
    let routes = routes.filter_map(|route| {
        Some(Route {
            destination: prefix(&route.address, route.length)?,
            gateway: address(&route.via)?,
        })
    });
    let resolvers = params.dns_servers.iter();
    Some(Network {
        project: params.project.clone(),
        name: params.name.clone(),
        mtu: Mtu::try_from(params.mtu).ok()?,
        subnets: subnets(params, is_gateway).collect(),
        routed: params.router != 0 || params.routed,
        gateway_mac: GATEWAY_MAC,
        routes: routes.collect(),
        dhcp: dhcp.map(|dhcp| Dhcp {
            lease: Duration::from_secs(dhcp.lease_seconds.into()),
        }),
        router_advertisements: params.router_advertisements && served,
        dns: Dns {
            answered: served && params.has_gateway(),
            domain: domain(&params.dns_domain),
            servers: resolvers.filter_map(|bytes| address(bytes)).collect(),
        },
    })
}

fn subnets(
    params: &NetworkParams,
    is_gateway: impl Fn(IpAddr) -> bool,
) -> impl Iterator<Item = Subnet> {
    params.subnets.iter().filter_map(move |subnet| {
        Some(Subnet {
            prefix: prefix(&subnet.address, subnet.length)?,
            gateway: address(&subnet.gateway).filter(|gateway| is_gateway(*gateway)),
            dhcp: subnet.dhcp,
        })
    })
}

/// The names that a port can look up.
pub(crate) struct Directory<'a> {
    /// The slices of the networks in reach, the port's own first.
    pub(crate) reach: Vec<&'a NetworkSlice>,
    /// With an index of each.
    pub(crate) services: &'a Services,
}

impl Directory<'_> {
    fn slice(&self, network: &str) -> Option<(&NetworkSlice, &NetworkParams)> {
        let with_params = self.reach.iter();
        let mut with_params =
            with_params.filter_map(|slice| Some((*slice, slice.params.as_ref()?)));
        with_params.find(|(_, params)| params.name == network)
    }
}

fn gateways(params: &NetworkParams) -> impl Iterator<Item = IpAddr> {
    let subnets = params.subnets.iter().filter(|_| params.has_gateway());
    subnets.filter_map(|subnet| address(&subnet.gateway))
}

impl Names for Directory<'_> {
    fn port(&self, network: &str, port: &str) -> Option<Vec<IpAddr>> {
        let (slice, params) = self.slice(network)?;
        let member = slice.member(&format!("{}/{port}", params.project))?;
        Some(
            member
                .addresses
                .iter()
                .filter_map(|bytes| address(bytes))
                .collect(),
        )
    }

    fn network(&self, network: &str) -> Option<Vec<IpAddr>> {
        let (slice, params) = self.slice(network)?;
        let unless_a_port_has_it =
            |gateway: &IpAddr| self.services.holder(slice, *gateway).is_none();
        Some(gateways(params).filter(unless_a_port_has_it).collect())
    }

    fn holder(&self, asked: IpAddr) -> Holder {
        for slice in &self.reach {
            let Some(params) = &slice.params else {
                continue;
            };
            let mut prefixes = params
                .subnets
                .iter()
                .filter_map(|subnet| prefix(&subnet.address, subnet.length));
            let Some(prefix) = prefixes.find(|prefix| prefix.contains(&asked)) else {
                continue;
            };
            let network = params.name.clone();
            return match self.services.holder(slice, asked) {
                Some(port) => Holder::Port {
                    prefix,
                    network,
                    port: port.to_owned(),
                },
                None if gateways(params).any(|gateway| gateway == asked) => {
                    Holder::Gateway { prefix, network }
                }
                None => Holder::Nobody { prefix },
            };
        }
        Holder::Elsewhere
    }

    fn serial(&self) -> u32 {
        // RFC 1982: serial numbers wrap.
        let newest = self.reach.iter().map(|slice| slice.revision).max();
        newest.unwrap_or(0) as u32
    }
}
