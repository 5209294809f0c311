//! A file made whole: what it leaves out is taken from what is stored, and chosen if nothing is.
//! Only values that have no meaning at all are refused here; whether the result keeps the rules is
//! [`crate::validate`]'s question.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use coax_wire::{Mtu, Vni};
use ipnet::IpNet;

use crate::allocate::{StationPool, VniPool};
use crate::diagnostic::FieldPath;
use crate::file::{NetworkEntry, PortEntry, StackFile, VtepEntry};
use crate::intent::{Intent, Network, Port, Vtep};
use crate::name::{Name, NetworkName, ObjectName, PortName, VtepName};
use crate::rule::{Refusals, Rule};
use crate::suggest::nearest;

/// A project as it will be stored.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Its networks.
    pub networks: BTreeMap<NetworkName, Network>,
    /// Its ports.
    pub ports: BTreeMap<PortName, Port>,
    /// Its foreign tunnel endpoints.
    pub vteps: BTreeMap<VtepName, Vtep>,
}

/// Makes a file whole.
pub fn resolve(file: &StackFile, intent: &Intent, refusals: &mut Refusals) -> Resolved {
    let full = |name: &Name| ObjectName::new(file.project.clone(), name.clone());
    let mut resolved = Resolved {
        networks: networks(file, intent, refusals),
        ..Resolved::default()
    };
    for (name, entry) in &file.vteps {
        let path = || FieldPath::keys(&["vteps", name.as_str(), "networks"]);
        for (index, network) in entry.networks.iter().enumerate() {
            if !file.networks.contains_key(network) {
                refusals.push(path().item(index), unknown_network(network, file));
            }
        }
        resolved.vteps.insert(full(name), vtep(entry));
    }
    let mut pools = pools(file, intent);
    for (name, entry) in &file.ports {
        let Some(network) = file.networks.get(&entry.network) else {
            let path = FieldPath::keys(&["ports", name.as_str(), "network"]);
            refusals.push(path, unknown_network(&entry.network, file));
            continue;
        };
        let name = full(name);
        let pool = pools.entry(&entry.network).or_default();
        let port = port(
            &name,
            entry,
            &network.subnets,
            intent.ports.get(&name),
            pool,
            refusals,
        );
        resolved.ports.insert(name, port);
    }
    resolved
}

fn networks(
    file: &StackFile,
    intent: &Intent,
    refusals: &mut Refusals,
) -> BTreeMap<NetworkName, Network> {
    let stored = intent.networks.values().map(|network| network.vni.get());
    let written = file.networks.values().filter_map(|entry| entry.vni);
    let mut pool = VniPool::without(stored.chain(written));
    let mut networks = BTreeMap::new();
    for (name, entry) in &file.networks {
        let path = FieldPath::keys(&["networks", name.as_str()]);
        let full = ObjectName::new(file.project.clone(), name.clone());
        let stored = intent.networks.get(&full);
        let vni = vni(entry, stored, &mut pool).map_err(|rule| (path.key("vni"), rule));
        let mtu = mtu(entry, stored, intent).map_err(|rule| (path.key("mtu"), rule));
        match (vni, mtu) {
            (Ok(vni), Ok(mtu)) => {
                let mut subnets = entry.subnets.clone();
                subnets.sort();
                let NetworkEntry {
                    vlan_transparent,
                    flood_unknown,
                    ..
                } = *entry;
                let network = Network {
                    vni,
                    mtu,
                    subnets,
                    vlan_transparent,
                    flood_unknown,
                };
                networks.insert(full, network);
            }
            (vni, mtu) => {
                for (path, rule) in [vni.err(), mtu.err()].into_iter().flatten() {
                    refusals.push(path, rule);
                }
            }
        }
    }
    networks
}

fn vni(entry: &NetworkEntry, stored: Option<&Network>, pool: &mut VniPool) -> Result<Vni, Rule> {
    match (entry.vni, stored) {
        (Some(written), _) => Vni::try_from(written).map_err(Rule::VniRange),
        (None, Some(stored)) => Ok(stored.vni),
        (None, None) => pool.take().ok_or(Rule::VnisExhausted),
    }
}

/// A stored MTU that the underlay no longer carries is not kept: leaving `mtu` out must be a way out.
fn mtu(entry: &NetworkEntry, stored: Option<&Network>, intent: &Intent) -> Result<Mtu, Rule> {
    if let Some(written) = entry.mtu {
        return Mtu::try_from(written).map_err(Rule::MtuRange);
    }
    let underlay = intent.underlay_mtu;
    let largest = intent
        .largest_mtu(entry.vlan_transparent)
        .ok_or(Rule::UnderlayTooSmall { underlay })?;
    Ok(stored.map_or(largest, |stored| stored.mtu.min(largest)))
}

fn vtep(entry: &VtepEntry) -> Vtep {
    let networks: BTreeSet<Name> = entry.networks.iter().cloned().collect();
    let macs: BTreeSet<_> = entry.macs.iter().copied().collect();
    Vtep {
        address: entry.address,
        networks: networks.into_iter().collect(),
        macs: macs.into_iter().collect(),
        udp6_zero_checksum: entry.udp6_zero_checksum,
    }
}

/// For each network the addresses that are spoken for before anything is chosen: what the file
/// says, and what ports have that the file says nothing about.
fn pools<'a>(file: &'a StackFile, intent: &Intent) -> HashMap<&'a Name, StationPool> {
    let mut pools: HashMap<&Name, StationPool> = HashMap::new();
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
        let stored = intent
            .ports
            .get(&full)
            .filter(|stored| stored.network == entry.network);
        let pool = pools.entry(&entry.network).or_default();
        if let Some(mac) = entry.mac.or(stored.map(|stored| stored.mac)) {
            pool.use_mac(mac);
        }
        let kept = || stored.map(|stored| stored.addresses.clone());
        for address in entry.addresses.clone().or_else(kept).unwrap_or_default() {
            pool.use_address(address);
        }
    }
    pools
}

fn port(
    name: &PortName,
    entry: &PortEntry,
    subnets: &[IpNet],
    stored: Option<&Port>,
    pool: &mut StationPool,
    refusals: &mut Refusals,
) -> Port {
    let stays = stored.is_some_and(|stored| stored.network == entry.network);
    let kept_mac = stored
        .map(|stored| stored.mac)
        .filter(|&mac| stays || pool.use_mac(mac));
    let mac = entry
        .mac
        .or(kept_mac)
        .unwrap_or_else(|| pool.take_mac(name));
    let mut addresses = match (&entry.addresses, stored) {
        (Some(written), _) => written.clone(),
        (None, stored) => {
            let had = stored.map_or(&[][..], |stored| &stored.addresses);
            let inside = |address| subnets.iter().any(|subnet| subnet.contains(address));
            let kept = had.iter().filter(|address| inside(*address));
            let mut addresses: Vec<_> = kept
                .copied()
                .filter(|&address| stays || pool.use_address(address))
                .collect();
            for subnet in subnets {
                if addresses.iter().any(|address| subnet.contains(address)) {
                    continue;
                }
                match pool.take_address(subnet.trunc()) {
                    Some(address) => addresses.push(address),
                    None => refusals.push(
                        FieldPath::keys(&["ports", name.name.as_str()]),
                        Rule::AddressesExhausted { subnet: *subnet },
                    ),
                }
            }
            addresses
        }
    };
    addresses.sort();
    Port {
        network: entry.network.clone(),
        mac,
        addresses,
        host: entry.host.clone(),
    }
}

fn unknown_network(name: &Name, file: &StackFile) -> Rule {
    Rule::UnknownNetwork {
        name: name.clone(),
        nearest: nearest(name.as_str(), file.networks.keys()).cloned(),
        known: file.networks.keys().take(8).cloned().collect(),
    }
}
