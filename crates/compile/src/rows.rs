//! Slices to rows: what one host looks up of a network, from the network's slice and the devices of
//! this host. Pure, and without a memory: the same slice and devices give the same rows.
//!
//! Where a port is, as seen from here, in this order:
//!
//! | the port's device | its binding | its MAC row |
//! | --- | --- | --- |
//! | is here | elsewhere, after it had been here | remote: only a leftover is plugged in here |
//! | is here | anything else | local, also before the controller knows |
//! | is not here | to this host, moving on | remote, at the host it moves to, stragglers are sent on |
//! | is not here | to this host | none: frames for it are dropped and counted |
//! | is not here | to another host | remote; stragglers are sent on if this host had it |
//! | is not here | to nobody | none |
//!
//! An address is answered for as long as its owner has a MAC row. Copies of broadcasts go to every
//! host that has or gets a member, so that a VM misses none while it moves; announcements of shared addresses
//! go to every host that may send to their owner. Frames are taken from every
//! address of every host that the slice names, because each host chooses its family itself: also from
//! hosts that have no member, but send through a router.
//!
//! | module | makes |
//! | --- | --- |
//! | [`mod@copies`] | the list of those who get copies, and the network's row |
//! | `guard` | the port's row, and what its guards let it send |
//! | [`mod@router`] | gateways, and the routes of a router |

pub mod copies;
mod guard;
pub mod router;
mod values;

use std::collections::{BTreeSet, HashMap};

use coax_tables::{AddressKey, AddressRow, MacKey, MacRow, NetworkId, TunnelKey, TunnelRow};
use coax_wire::{MacAddress, ip};

pub use values::{Here, LocalPort, NetworkRows, RowProblem, Underlay};

use crate::slice::{HostVtep, Member, NetworkParams, NetworkSlice};

/// Makes the rows of a network on one host.
pub fn network(slice: &NetworkSlice, here: &Here, local: &[LocalPort]) -> NetworkRows {
    let Some(params) = &slice.params else {
        return NetworkRows::default();
    };
    let mut making = Making::new(slice.network_id, params, here, local);
    making.hosts(&slice.hosts);
    making.members(&slice.members);
    making.foreign(&slice.foreign);
    making.gateways();
    let members = slice.members.iter();
    let hosts: BTreeSet<&str> = members
        .flat_map(|member| [member.host.as_str(), member.moving_to.as_str()])
        .collect();
    let named = hosts.iter().filter_map(|host| slice.host(host));
    let shares = slice.members.iter().any(Member::shares);
    let announced = slice.hosts.iter().filter(|_| shares);
    let ports = &making.rows.ports;
    let copies = copies::copies(params, here, ports, named, announced, &slice.foreign);
    let mut rows = making.rows;
    rows.replicas = copies.replicas;
    rows.network = Some(copies.network);
    rows
}

/// Makes the rows of some members of a network, as far as they follow from these members and the hosts
/// that they name: no copies, no row of the network, no endpoints but those of `hosts`.
pub fn some_members<'a>(
    slice: &'a NetworkSlice,
    here: &'a Here,
    local: &'a [LocalPort],
    members: impl IntoIterator<Item = &'a Member>,
    hosts: impl IntoIterator<Item = &'a HostVtep>,
) -> NetworkRows {
    let Some(params) = &slice.params else {
        return NetworkRows::default();
    };
    let mut making = Making::new(slice.network_id, params, here, local);
    making.hosts(hosts);
    making.members(members);
    making.rows
}

/// An endpoint as tables name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Endpoint {
    ipv6: bool,
    address: [u8; 16],
}

impl Endpoint {
    fn ipv4(&self) -> Option<[u8; 4]> {
        let [.., a, b, c, d] = self.address;
        (!self.ipv6).then_some([a, b, c, d])
    }
}

struct Making<'a> {
    id: NetworkId,
    params: &'a NetworkParams,
    here: &'a Here,
    devices: HashMap<&'a str, &'a LocalPort>,
    /// The endpoint at which each other host is reached.
    reached: HashMap<&'a str, Endpoint>,
    rows: NetworkRows,
}

/// Where a port is, as seen from here.
enum Location<'a> {
    Local(&'a LocalPort),
    Remote { host: &'a str, forward: bool },
    Nowhere,
}

impl<'a> Making<'a> {
    fn new(
        network_id: u32,
        params: &'a NetworkParams,
        here: &'a Here,
        local: &'a [LocalPort],
    ) -> Self {
        let devices = local.iter().map(|device| (device.port.as_str(), device));
        Self {
            id: NetworkId(network_id),
            params,
            here,
            devices: devices.collect(),
            reached: HashMap::new(),
            rows: NetworkRows::default(),
        }
    }

    /// Takes in the other hosts: frames from any of their addresses, to the one that suits both.
    fn hosts(&mut self, hosts: impl IntoIterator<Item = &'a HostVtep>) {
        let others = hosts.into_iter();
        for host in others.filter(|host| host.host != self.here.host) {
            self.check_lengths(host);
            for endpoint in [&host.ipv4, &host.ipv6]
                .into_iter()
                .filter_map(|at| endpoint(at))
            {
                self.tunnel(endpoint, 0);
            }
            match reached(host, self.here) {
                Some(endpoint) => drop(self.reached.insert(&host.host, endpoint)),
                None => self.problem(RowProblem::Unreachable {
                    host: host.host.clone(),
                }),
            }
        }
    }

    fn check_lengths(&mut self, host: &HostVtep) {
        let wrong = !matches!(host.ipv4.len(), 0 | 4) || !matches!(host.ipv6.len(), 0 | 16);
        if wrong {
            self.problem(RowProblem::BadAddress {
                object: host.host.clone(),
            });
        }
    }

    fn tunnel(&mut self, endpoint: Endpoint, flags: u32) {
        let transparent = flag(self.params.vlan_transparent, TunnelRow::VLAN_TRANSPARENT);
        let key = TunnelKey {
            vtep: endpoint.address,
            vni: self.params.vni,
        };
        let row = TunnelRow {
            network: self.id,
            flags: flags | transparent,
        };
        self.rows.tunnels.insert(key, row);
    }

    /// Takes in the members. An address belongs to whom it was given; one that several may use belongs to
    /// whom announced it last, which the data plane notes by itself.
    fn members(&mut self, members: impl IntoIterator<Item = &'a Member>) {
        let mut sharing = Vec::new();
        for member in members {
            if self.member(member).is_some() && member.shares() {
                sharing.push(member);
            }
        }
        for (member, allowed) in sharing
            .into_iter()
            .flat_map(|member| member.allowed.iter().map(move |allowed| (member, allowed)))
        {
            let Some(endpoint) = endpoint(&allowed.address) else {
                self.bad_address(&member.port);
                continue;
            };
            let key = AddressKey {
                address: endpoint.address,
                network: self.id,
            };
            self.rows.addresses.entry(key).or_insert(AddressRow {
                mac: MacAddress([0; 6]),
                flags: AddressRow::SHARED,
            });
            match mac(&allowed.mac) {
                Some(mac) => drop(self.rows.learnable.insert(MacKey::new(self.id, mac))),
                None if allowed.mac.is_empty() => {}
                None => self.bad_address(&member.port),
            }
        }
    }

    /// A member's own rows; answers where it lives, if it lives anywhere.
    fn member(&mut self, member: &'a Member) -> Option<MacRow> {
        let Some(mac) = mac(&member.mac) else {
            self.bad_address(&member.port);
            return None;
        };
        let isolated = flag(member.isolated, MacRow::ISOLATED);
        let row = match self.locate(member) {
            Location::Nowhere => return None,
            Location::Local(device) => {
                self.port(member, device, mac);
                MacRow {
                    ifindex: device.ifindex,
                    slot: device.slot,
                    mtu: self.params.mtu,
                    flags: MacRow::LOCAL | isolated | flag(device.peer_redirect, MacRow::TO_PEER),
                    policy: self.here.policy,
                    scope: self.params.scope(),
                    vlan: member.vlan,
                    ..MacRow::default()
                }
            }
            Location::Remote { host, forward } => {
                // A host that cannot be reached has been reported, once.
                let endpoint = self.reached.get(host).copied()?;
                self.remote(endpoint, flag(forward, MacRow::FORWARD) | isolated)
            }
        };
        self.rows.macs.insert(MacKey::new(self.id, mac), row);
        for address in &member.addresses {
            match endpoint(address) {
                Some(Endpoint { address, .. }) => {
                    let key = AddressKey {
                        address,
                        network: self.id,
                    };
                    self.rows.addresses.insert(key, AddressRow::new(mac));
                }
                None => self.bad_address(&member.port),
            }
        }
        Some(row)
    }

    fn locate(&self, member: &'a Member) -> Location<'a> {
        let here = self.here.host.as_str();
        let Member {
            host,
            moving_to,
            moved_from,
            ..
        } = member;
        let bound_elsewhere = !host.is_empty() && host != here;
        if let Some(device) = self.devices.get(member.port.as_str()) {
            let leftover = bound_elsewhere && moved_from == here && moving_to != here;
            if !leftover {
                return Location::Local(device);
            }
        }
        if bound_elsewhere {
            return Location::Remote {
                host,
                forward: moved_from == here,
            };
        }
        if host == here && !moving_to.is_empty() && moving_to != here {
            return Location::Remote {
                host: moving_to,
                forward: true,
            };
        }
        Location::Nowhere
    }

    fn remote(&self, endpoint: Endpoint, flags: u32) -> MacRow {
        MacRow {
            vtep: endpoint.address,
            mtu: self.params.mtu,
            flags: flags | flag(endpoint.ipv6, MacRow::IPV6),
            ..MacRow::default()
        }
    }

    /// Takes in the endpoints that no agent runs.
    fn foreign(&mut self, foreign: &'a [crate::ForeignVtep]) {
        for vtep in foreign {
            let Some(endpoint) = endpoint(&vtep.address) else {
                self.bad_address(&vtep.name);
                continue;
            };
            if !self.here.has(endpoint.ipv6) {
                self.problem(RowProblem::NoFamily {
                    vtep: vtep.name.clone(),
                });
                continue;
            }
            self.tunnel(endpoint, TunnelRow::FOREIGN);
            for bytes in &vtep.macs {
                match mac(bytes) {
                    Some(mac) => {
                        let row = self.remote(endpoint, 0);
                        self.rows.macs.insert(MacKey::new(self.id, mac), row);
                    }
                    None => self.bad_address(&vtep.name),
                }
            }
        }
    }

    fn bad_address(&mut self, object: &str) {
        self.problem(RowProblem::BadAddress {
            object: object.to_owned(),
        });
    }

    fn problem(&mut self, problem: RowProblem) {
        self.rows.problems.insert(problem);
    }
}

/// The endpoint at which another host is reached: of the family that this one prefers, if both have it.
fn reached(host: &HostVtep, here: &Here) -> Option<Endpoint> {
    let ipv4 = endpoint(&host.ipv4).filter(|_| here.ipv4);
    let ipv6 = endpoint(&host.ipv6).filter(|_| here.ipv6);
    match here.prefer {
        Underlay::Ipv4 => ipv4.or(ipv6),
        Underlay::Ipv6 => ipv6.or(ipv4),
    }
}

fn flag(set: bool, bit: u32) -> u32 {
    if set { bit } else { 0 }
}

fn mac(bytes: &[u8]) -> Option<MacAddress> {
    bytes.try_into().ok().map(MacAddress)
}

/// An address of 4 or 16 bytes in the one form that tables have.
fn endpoint(bytes: &[u8]) -> Option<Endpoint> {
    if let Ok(ipv4) = <[u8; 4]>::try_from(bytes) {
        return Some(Endpoint {
            ipv6: false,
            address: ip::mapped(ipv4),
        });
    }
    let address = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Endpoint {
        ipv6: true,
        address,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
