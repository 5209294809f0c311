//! Ports made whole: their MAC and IP addresses, in the network of their untagged frames and in those
//! of their trunk.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use coax_wire::MacAddress;

use super::unknown_network;
use crate::allocate::{StationPool, choose_mac};
use crate::diagnostic::FieldPath;
use crate::file::{PortEntry, StackFile};
use crate::intent::{Intent, Port};
use crate::name::{Name, ObjectName, PortName};
use crate::network::Subnet;
use crate::port::TrunkVlan;
use crate::router::GATEWAY_MAC;
use crate::rule::{Refusals, Rule};

/// For each network the addresses that are spoken for.
type Pools<'a> = HashMap<&'a Name, StationPool>;

/// Makes all ports of a file whole that name networks of it.
pub fn ports(
    file: &StackFile,
    intent: &Intent,
    refusals: &mut Refusals,
) -> BTreeMap<PortName, Port> {
    let mut pools = pools(file, intent);
    let mut ports = BTreeMap::new();
    for (name, entry) in &file.ports {
        let path = FieldPath::keys(&["ports", name.as_str()]);
        let mut known = true;
        for (path, network) in networks_of(entry, &path) {
            if !file.networks.contains_key(network) {
                refusals.push(path, unknown_network(network, file));
                known = false;
            }
        }
        if known {
            let full = ObjectName::new(file.project.clone(), name.clone());
            let stored = intent.ports.get(&full);
            let port = port(&full, entry, stored, file, &mut pools, refusals);
            ports.insert(full, port);
        }
    }
    ports
}

/// The networks that an entry names, and where.
fn networks_of<'a>(entry: &'a PortEntry, path: &FieldPath) -> Vec<(FieldPath, &'a Name)> {
    let mut networks = vec![(path.key("network"), &entry.network)];
    for (vlan, trunk) in &entry.trunk {
        networks.push((path.key("trunk").key(&vlan.to_string()), &trunk.network));
    }
    networks
}

/// What is known of a port's addresses in one network before they are chosen.
struct Station<'a> {
    network: &'a Name,
    written: Option<&'a [IpAddr]>,
    /// What the port had there, if it was there.
    had: Option<&'a [IpAddr]>,
}

/// The networks of a port.
fn stations<'a>(entry: &'a PortEntry, stored: Option<&'a Port>) -> Vec<Station<'a>> {
    let had = |network: &Name| {
        let mut networks = stored?.networks();
        let (_, _, addresses) = networks.find(|(_, had, _)| *had == network)?;
        Some(addresses)
    };
    let untagged = (&entry.network, entry.addresses.as_deref());
    let tagged = entry
        .trunk
        .values()
        .map(|trunk| (&trunk.network, trunk.addresses.as_deref()));
    let all = std::iter::once(untagged).chain(tagged);
    all.map(|(network, written)| Station {
        network,
        written,
        had: had(network),
    })
    .collect()
}

/// For each network what is taken before anything is chosen: what the file says, and what ports have
/// that the file says nothing about.
fn pools<'a>(file: &'a StackFile, intent: &Intent) -> Pools<'a> {
    let mut pools: Pools = HashMap::new();
    for (name, entry) in &file.networks {
        let pool = pools.entry(name).or_default();
        pool.use_mac(GATEWAY_MAC);
        for subnet in &entry.subnets {
            pool.use_address(subnet.gateway);
        }
    }
    for entry in file.vteps.values() {
        for network in &entry.networks {
            let pool = pools.entry(network).or_default();
            for &mac in &entry.macs {
                pool.use_mac(mac);
            }
        }
    }
    for (name, entry) in &file.ports {
        let full = ObjectName::new(file.project.clone(), name.clone());
        let stored = intent.ports.get(&full);
        for station in stations(entry, stored) {
            let Some(pool) = pools.get_mut(station.network) else {
                continue;
            };
            let kept = stored.filter(|_| station.had.is_some());
            if let Some(mac) = entry.mac.or(kept.map(|stored| stored.mac)) {
                pool.use_mac(mac);
            }
            for &address in station.written.or(station.had).unwrap_or_default() {
                pool.use_address(address);
            }
        }
        if let Some(pool) = pools.get_mut(&entry.network) {
            for allowed in &entry.allowed_addresses {
                pool.use_address(allowed.ip);
            }
        }
    }
    pools
}

fn port(
    name: &PortName,
    entry: &PortEntry,
    stored: Option<&Port>,
    file: &StackFile,
    pools: &mut Pools,
    refusals: &mut Refusals,
) -> Port {
    let stations = stations(entry, stored);
    let mac = mac(name, entry, stored, &stations, pools);
    let elsewhere = stored.map_or(&[][..], |stored| &stored.addresses);
    let mut addresses = stations.iter().map(|station| {
        let subnets = file.networks.get(station.network);
        let subnets = subnets.map_or(&[][..], |entry| &entry.subnets);
        let pool = pools.get_mut(station.network);
        pool.map_or_else(Vec::new, |pool| {
            station.addresses(name, elsewhere, subnets, pool, refusals)
        })
    });
    let untagged = addresses.next().unwrap_or_default();
    let trunk = entry.trunk.iter().zip(addresses);
    let trunk = trunk.map(|((vlan, trunk), addresses)| {
        let network = trunk.network.clone();
        (*vlan, TrunkVlan { network, addresses })
    });
    let mut allowed_addresses = entry.allowed_addresses.clone();
    allowed_addresses.sort();
    allowed_addresses.dedup();
    let network = file.networks.get(&entry.network);
    Port {
        network: entry.network.clone(),
        mac,
        trunk: trunk.collect(),
        addresses: untagged,
        host: entry.host.clone(),
        labels: entry.labels.clone(),
        allowed_addresses,
        isolated: entry
            .isolated
            .unwrap_or(network.is_some_and(|network| network.isolated)),
        any_address: entry.any_address,
        any_mac: entry.any_mac,
        may_serve: entry.may_serve,
    }
}

/// The MAC address that is written, the one that the port had if it is free wherever the port is new,
/// or one made from its name.
fn mac(
    name: &PortName,
    entry: &PortEntry,
    stored: Option<&Port>,
    stations: &[Station],
    pools: &mut Pools,
) -> MacAddress {
    let is_free_at = |station: &Station, mac| {
        let pool = pools.get(station.network);
        pool.is_none_or(|pool| pool.is_free(mac))
    };
    let is_kept = |&mac: &MacAddress| {
        let mut new = stations.iter().filter(|station| station.had.is_none());
        new.all(|station| is_free_at(station, mac))
    };
    let is_free = |mac| stations.iter().all(|station| is_free_at(station, mac));
    let kept = || stored.map(|stored| stored.mac).filter(is_kept);
    let mac = entry
        .mac
        .or_else(kept)
        .unwrap_or_else(|| choose_mac(name, is_free));
    for station in stations {
        if let Some(pool) = pools.get_mut(station.network) {
            pool.use_mac(mac);
        }
    }
    mac
}

impl Station<'_> {
    /// Those that are written, or one for each subnet: the one that the port had, here or where it
    /// was, or a free one.
    fn addresses(
        &self,
        name: &PortName,
        elsewhere: &[IpAddr],
        subnets: &[Subnet],
        pool: &mut StationPool,
        refusals: &mut Refusals,
    ) -> Vec<IpAddr> {
        let mut addresses = match self.written {
            Some(written) => written.to_vec(),
            None => {
                let inside = |address: &&IpAddr| {
                    let mut subnets = subnets.iter();
                    subnets.any(|subnet| subnet.prefix.contains(*address))
                };
                let had = self.had.unwrap_or(elsewhere).iter().filter(inside);
                had.copied()
                    .filter(|&address| self.had.is_some() || pool.use_address(address))
                    .collect()
            }
        };
        for subnet in subnets.iter().map(|subnet| subnet.prefix) {
            let has = addresses.iter().any(|address| subnet.contains(address));
            if has || self.written.is_some() {
                continue;
            }
            match pool.take_address(subnet.trunc()) {
                Some(address) => addresses.push(address),
                None => refusals.push(
                    FieldPath::keys(&["ports", name.name.as_str()]),
                    Rule::AddressesExhausted { subnet },
                ),
            }
        }
        addresses.sort();
        addresses
    }
}
