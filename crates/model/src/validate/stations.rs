//! Whether MAC and IP addresses keep the rules: usable, inside their subnets, and with one owner in
//! each network. Of two that clash, the one that was written by hand is blamed.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use coax_wire::{MacAddress, VlanId};
use ipnet::IpNet;

use super::routing::Joined;
use crate::allocate::last_usable;
use crate::diagnostic::FieldPath;
use crate::file::{PortEntry, StackFile};
use crate::intent::Port;
use crate::name::{Name, ObjectName};
use crate::network::Subnet;
use crate::port::AllowedAddress;
use crate::resolve::Resolved;
use crate::router::GATEWAY_MAC;
use crate::rule::{MAX_ADDRESSES, MAX_ALLOWED, Refusals, RoutingRule, Rule, SettingRule};

/// Who has what in which network. What was chosen or kept is entered first, so that a clash is
/// reported where somebody wrote something.
pub struct Owners<'a, K>(HashMap<(&'a Name, K), &'a ObjectName>);

impl<'a, K: Hash + Eq> Owners<'a, K> {
    /// Nobody has anything.
    pub fn new() -> Self {
        Self(HashMap::new())
    }

    /// Notes an owner, and says who was it before.
    pub fn enter(
        &mut self,
        network: &'a Name,
        key: K,
        owner: &'a ObjectName,
    ) -> Option<ObjectName> {
        self.0.insert((network, key), owner).cloned()
    }
}

/// Checks all MAC and IP addresses.
pub fn check(file: &StackFile, resolved: &Resolved, joined: &Joined, refusals: &mut Refusals) {
    check_macs(file, resolved, refusals);
    check_addresses(file, resolved, joined, refusals);
}

fn check_macs(file: &StackFile, resolved: &Resolved, refusals: &mut Refusals) {
    let mut owners = Owners::new();
    let written = |name: &ObjectName| {
        let entry = file.ports.get(&name.name);
        entry.is_some_and(|entry| entry.mac.is_some())
    };
    for by_hand in [false, true] {
        let ports = resolved.ports.iter();
        for (name, port) in ports.filter(|(name, _)| written(name) == by_hand) {
            let path = || FieldPath::keys(&["ports", name.name.as_str(), "mac"]);
            check_mac(port.mac, path, refusals);
            for (_, network, _) in port.networks() {
                if let Some(by) = owners
                    .enter(network, port.mac, name)
                    .filter(|by| by != name)
                {
                    refusals.push(path(), Rule::MacTaken { mac: port.mac, by });
                }
            }
        }
    }
    for (name, vtep) in &resolved.vteps {
        let list = file
            .vteps
            .get(&name.name)
            .map_or(&[][..], |entry| &entry.macs);
        for &mac in &vtep.macs {
            let index = list
                .iter()
                .position(|&other| other == mac)
                .unwrap_or_default();
            let path = || FieldPath::keys(&["vteps", name.name.as_str(), "macs"]).item(index);
            check_mac(mac, path, refusals);
            for network in &vtep.networks {
                if let Some(by) = owners.enter(network, mac, name) {
                    refusals.push(path(), Rule::MacTaken { mac, by });
                }
            }
        }
    }
}

fn check_mac(mac: MacAddress, path: impl Fn() -> FieldPath, refusals: &mut Refusals) {
    if mac.is_group() || mac == MacAddress::default() {
        refusals.push(path(), Rule::MacUnusable { mac });
    }
    if mac == GATEWAY_MAC {
        refusals.push(path(), RoutingRule::MacIsGateway { mac });
    }
}

fn check_addresses(
    file: &StackFile,
    resolved: &Resolved,
    joined: &Joined,
    refusals: &mut Refusals,
) {
    let mut owners = Owners::new();
    for by_hand in [false, true] {
        for (name, port) in &resolved.ports {
            let Some(entry) = file.ports.get(&name.name) else {
                continue;
            };
            for (vlan, network, addresses) in port.networks() {
                let written = written(entry, vlan);
                if written.is_some() != by_hand {
                    continue;
                }
                let list = written.unwrap_or(addresses);
                let path = path_of(name, vlan);
                if list.len() > MAX_ADDRESSES {
                    let rule = Rule::TooMany {
                        what: "addresses",
                        count: list.len(),
                        max: MAX_ADDRESSES,
                    };
                    refusals.push(path.clone(), rule);
                }
                for (index, &address) in list.iter().enumerate() {
                    if let Err(rule) = check_address(address, network, file, joined) {
                        refusals.push(path.item(index), rule);
                    }
                    if let Some(by) = owners.enter(network, address, name) {
                        refusals.push(path.item(index), Rule::AddressTaken { address, by });
                    }
                }
            }
        }
    }
    for (name, port) in &resolved.ports {
        let list = file.ports.get(&name.name);
        let list = list.map_or(&[][..], |entry| &entry.allowed_addresses);
        check_allowed(name, port, list, file, joined, &owners, refusals);
    }
}

/// What the file says of a port's addresses, in the network of untagged frames or of a VLAN.
fn written(entry: &PortEntry, vlan: Option<VlanId>) -> Option<&[IpAddr]> {
    match vlan {
        None => entry.addresses.as_deref(),
        Some(vlan) => entry.trunk.get(&vlan)?.addresses.as_deref(),
    }
}

fn path_of(name: &ObjectName, vlan: Option<VlanId>) -> FieldPath {
    let port = FieldPath::keys(&["ports", name.name.as_str()]);
    let station = match vlan {
        None => port,
        Some(vlan) => port.key("trunk").key(&vlan.to_string()),
    };
    station.key("addresses")
}

fn check_allowed(
    name: &ObjectName,
    port: &Port,
    list: &[AllowedAddress],
    file: &StackFile,
    joined: &Joined,
    owners: &Owners<IpAddr>,
    refusals: &mut Refusals,
) {
    let path = FieldPath::keys(&["ports", name.name.as_str(), "allowed_addresses"]);
    if list.len() > MAX_ALLOWED {
        let rule = Rule::TooMany {
            what: "allowed addresses",
            count: list.len(),
            max: MAX_ALLOWED,
        };
        refusals.push(path.clone(), rule);
    }
    for (index, AllowedAddress { ip, mac }) in list.iter().enumerate() {
        let path = path.item(index);
        if let Err(rule) = check_address(*ip, &port.network, file, joined) {
            refusals.push(path.clone(), rule);
        }
        let owner = owners.0.get(&(&port.network, *ip)).copied();
        if let Some(by) = owner.filter(|by| *by != name) {
            let (address, by) = (*ip, by.clone());
            refusals.push(path.clone(), SettingRule::AllowedTaken { address, by });
        }
        if let Some(mac) = *mac {
            check_mac(mac, || path.key("mac"), refusals);
        }
    }
}

/// Whether a port of a network can have an address.
fn check_address(
    address: IpAddr,
    network: &Name,
    file: &StackFile,
    joined: &Joined,
) -> Result<(), Rule> {
    let subnets = file.networks.get(network);
    let subnets = subnets.map_or(&[][..], |entry| &entry.subnets);
    let inside = |subnet: &&Subnet| subnet.prefix.contains(&address);
    let Some(subnet) = subnets.iter().find(inside) else {
        let subnets: Vec<IpNet> = subnets.iter().map(|subnet| subnet.prefix).collect();
        let network = network.clone();
        return Err(Rule::AddressOutside {
            address,
            network,
            subnets,
        });
    };
    if address == subnet.prefix.network() || address > last_usable(subnet.prefix) {
        let subnet = subnet.prefix;
        return Err(Rule::AddressReserved { address, subnet });
    }
    match joined.get(network) {
        Some(router) if subnet.gateway == address => {
            let (network, router) = (network.clone(), (*router).clone());
            let rule = RoutingRule::AddressIsGateway {
                address,
                network,
                router,
            };
            Err(rule.into())
        }
        _ => Ok(()),
    }
}
