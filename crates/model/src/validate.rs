//! Whether what is to be stored keeps the rules. Everything wrong is reported at once, each at the
//! field that a user would have to change: of two that clash, the one that was written by hand.

mod policy;
mod quota;
mod routing;
mod settings;
mod stations;

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::diagnostic::FieldPath;
use crate::file::{FILE_VERSION, RailsFile, StackFile};
use crate::intent::{Host, Intent, Vtep};
use crate::name::{HostName, ObjectName};
use crate::resolve::Resolved;
use crate::rule::{MAX_SUBNETS, Refusals, Rule};
use stations::Owners;

/// Checks a file, made whole, against itself and against the rest of the intent.
pub fn check(file: &StackFile, resolved: &Resolved, intent: &Intent, refusals: &mut Refusals) {
    if file.version != FILE_VERSION {
        let rule = Rule::FileVersion {
            found: file.version,
        };
        refusals.push(FieldPath::keys(&["version"]), rule);
    }
    check_networks(file, resolved, intent, refusals);
    for (name, entry) in &file.networks {
        let path = FieldPath::keys(&["networks", name.as_str(), "subnets"]);
        let prefixes: Vec<IpNet> = entry.subnets.iter().map(|subnet| subnet.prefix).collect();
        check_subnets(&prefixes, &path, refusals);
    }
    let joined = routing::joined(file);
    stations::check(file, resolved, &joined, refusals);
    check_vteps(resolved, intent, refusals);
    settings::check(file, intent, refusals);
    routing::check(file, &joined, refusals);
    policy::check(file, refusals);
    quota::check(file, resolved, intent, refusals);
}

/// Checks the operator's file.
pub fn check_rails(file: &RailsFile, refusals: &mut Refusals) {
    if file.version != FILE_VERSION {
        let found = file.version;
        refusals.push(FieldPath::keys(&["version"]), Rule::FileVersion { found });
    }
    policy::check_rails(&file.rails, refusals);
}

/// Checks what a host's agent says of it.
pub fn check_host(name: &HostName, host: &Host, intent: &Intent) -> Result<(), Refusals> {
    let mut refusals = Refusals::default();
    let path = FieldPath::keys(&["hosts", name.as_str()]);
    let ipv4 = host.ipv4.map(|address| ("ipv4", IpAddr::from(address)));
    let ipv6 = host.ipv6.map(|address| ("ipv6", IpAddr::from(address)));
    if ipv4.is_none() && ipv6.is_none() {
        refusals.push(path.clone(), Rule::HostWithoutAddress);
    }
    for (field, address) in ipv4.into_iter().chain(ipv6) {
        let path = path.key(field);
        if !is_endpoint(address) {
            refusals.push(path.clone(), Rule::EndpointUnusable { address });
        }
        let other = intent
            .hosts
            .iter()
            .find(|(other, host)| *other != name && has(host, address));
        if let Some((by, _)) = other {
            refusals.push(
                path.clone(),
                Rule::EndpointIsHost {
                    address,
                    by: by.clone(),
                },
            );
        }
        if let Some((by, _)) = intent
            .vteps
            .iter()
            .find(|(_, vtep)| vtep.address == address)
        {
            refusals.push(
                path,
                Rule::HostIsEndpoint {
                    address,
                    by: by.clone(),
                },
            );
        }
    }
    refusals.or(())
}

fn has(host: &Host, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => host.ipv4 == Some(address),
        IpAddr::V6(address) => host.ipv6 == Some(address),
    }
}

fn check_networks(file: &StackFile, resolved: &Resolved, intent: &Intent, refusals: &mut Refusals) {
    let others = intent
        .networks
        .iter()
        .filter(|(name, _)| name.project != file.project);
    let mut owners: HashMap<u32, &ObjectName> = others
        .map(|(name, network)| (network.vni.get(), name))
        .collect();
    let written = |name: &ObjectName| {
        file.networks
            .get(&name.name)
            .is_some_and(|entry| entry.vni.is_some())
    };
    for by_hand in [false, true] {
        let networks = resolved
            .networks
            .iter()
            .filter(|(name, _)| written(name) == by_hand);
        for (name, network) in networks {
            let path = FieldPath::keys(&["networks", name.name.as_str()]);
            let vni = network.vni.get();
            if let Some(by) = owners.insert(vni, name) {
                refusals.push(
                    path.key("vni"),
                    Rule::VniTaken {
                        vni,
                        by: by.clone(),
                    },
                );
            }
            let largest = intent.largest_mtu(network.vlan_transparent);
            if largest.is_none_or(|largest| network.mtu > largest) {
                let largest = largest.map_or(0, |largest| largest.get().into());
                let (mtu, underlay) = (network.mtu.get().into(), intent.underlay_mtu);
                let rule = Rule::MtuTooLarge {
                    mtu,
                    largest,
                    underlay,
                };
                refusals.push(path.key("mtu"), rule);
            }
        }
    }
}

fn check_subnets(subnets: &[IpNet], path: &FieldPath, refusals: &mut Refusals) {
    if subnets.len() > MAX_SUBNETS {
        let count = subnets.len();
        refusals.push(
            path.clone(),
            Rule::TooMany {
                what: "subnets",
                count,
                max: MAX_SUBNETS,
            },
        );
        return;
    }
    for (index, &subnet) in subnets.iter().enumerate() {
        let room = subnet.max_prefix_len() - subnet.prefix_len();
        let rule = if subnet != subnet.trunc() {
            Some(Rule::SubnetHostBits { subnet })
        } else if room < 2 {
            Some(Rule::SubnetTooSmall { subnet })
        } else if RESERVED
            .iter()
            .any(|text| overlaps(subnet, text.parse().ok()))
        {
            Some(Rule::SubnetUnusable { subnet })
        } else {
            let other = subnets[..index]
                .iter()
                .find(|other| overlaps(subnet, Some(**other)));
            other.map(|&other| Rule::SubnetOverlap { subnet, other })
        };
        if let Some(rule) = rule {
            refusals.push(path.item(index), rule);
        }
    }
}

/// This network, loopback, groups, the reserved rest; for IPv6 also what every station makes for
/// itself, and the forms of IPv4 addresses.
const RESERVED: [&str; 7] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/8",
    "fe80::/10",
    "ff00::/8",
];

fn overlaps(subnet: IpNet, other: Option<IpNet>) -> bool {
    other.is_some_and(|other| overlap(subnet, other))
}

/// Whether two subnets share addresses.
fn overlap(subnet: IpNet, other: IpNet) -> bool {
    subnet.contains(&other) || other.contains(&subnet)
}

fn check_vteps(resolved: &Resolved, intent: &Intent, refusals: &mut Refusals) {
    let mut owners = Owners::new();
    for (name, vtep) in &resolved.vteps {
        let path = FieldPath::keys(&["vteps", name.name.as_str(), "address"]);
        let Vtep {
            address,
            udp6_zero_checksum,
            ..
        } = *vtep;
        if !is_endpoint(address) {
            refusals.push(path.clone(), Rule::EndpointUnusable { address });
        } else if address.is_ipv6() && !udp6_zero_checksum {
            refusals.push(path.clone(), Rule::ZeroChecksum { address });
        }
        if let Some((by, _)) = intent.hosts.iter().find(|(_, host)| has(host, address)) {
            refusals.push(
                path.clone(),
                Rule::EndpointIsHost {
                    address,
                    by: by.clone(),
                },
            );
        }
        for network in &vtep.networks {
            if let Some(by) = owners.enter(network, address, name) {
                refusals.push(path.clone(), Rule::EndpointTaken { address, by });
            }
        }
    }
}

/// Whether tunnel packets can be sent to, and come from, an address.
fn is_endpoint(address: IpAddr) -> bool {
    let ordinary = !address.is_unspecified() && !address.is_multicast() && !address.is_loopback();
    ordinary
        && match address {
            IpAddr::V4(address) => address.octets()[0] != 0 && address.octets()[0] < 240,
            IpAddr::V6(address) => {
                address.to_ipv4_mapped().is_none() && !address.is_unicast_link_local()
            }
        }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod zones;
