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
//! host that has or gets a member, so that a VM misses none while it moves. Frames are taken from every
//! address of every host that the slice names, because each host chooses its family itself.

mod values;

use std::collections::{BTreeSet, HashMap};

use coax_tables::{
    AddressKey, AddressRow, MacKey, MacRow, NetworkId, NetworkRow, PortKey, PortRow, ReplicaRow,
    TunnelKey, TunnelRow,
};
use coax_wire::{MacAddress, ip};

pub use values::{Here, LocalPort, NetworkRows, RowProblem, Underlay};

use crate::slice::{HostVtep, Member, NetworkParams, NetworkSlice};

/// Makes the rows of a network on one host.
pub fn network(slice: &NetworkSlice, here: &Here, local: &[LocalPort]) -> NetworkRows {
    let Some(params) = &slice.params else {
        return NetworkRows::default();
    };
    let devices = local
        .iter()
        .map(|device| (device.port.as_str(), device))
        .collect();
    let mut making = Making {
        id: NetworkId(slice.network_id),
        params,
        here,
        devices,
        reached: HashMap::new(),
        rows: NetworkRows::default(),
    };
    making.hosts(slice);
    for member in &slice.members {
        making.member(member);
    }
    let replicas = making.replicas(slice);
    making.network(replicas);
    making.rows
}

/// An endpoint as tables name it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Endpoint {
    ipv6: bool,
    address: [u8; 16],
}

/// Replicas by the runs in which the network row counts them.
#[derive(Default)]
struct Replicas {
    local: Vec<ReplicaRow>,
    coax_ipv4: Vec<ReplicaRow>,
    foreign_ipv4: Vec<ReplicaRow>,
    foreign_ipv6: Vec<ReplicaRow>,
    coax_ipv6: Vec<ReplicaRow>,
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
    /// Takes in the other hosts: frames from any of their addresses, to the one that suits both.
    fn hosts(&mut self, slice: &'a NetworkSlice) {
        for host in slice
            .hosts
            .iter()
            .filter(|host| host.host != self.here.host)
        {
            let (ipv4, ipv6) = (endpoint(&host.ipv4), endpoint(&host.ipv6));
            self.check_lengths(host);
            for endpoint in [ipv4, ipv6].into_iter().flatten() {
                self.tunnel(endpoint, 0);
            }
            let ipv4 = ipv4.filter(|_| self.here.ipv4);
            let ipv6 = ipv6.filter(|_| self.here.ipv6);
            let chosen = match self.here.prefer {
                Underlay::Ipv4 => ipv4.or(ipv6),
                Underlay::Ipv6 => ipv6.or(ipv4),
            };
            match chosen {
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

    fn member(&mut self, member: &'a Member) {
        let Some(mac) = mac(&member.mac) else {
            return self.problem(RowProblem::BadAddress {
                object: member.port.clone(),
            });
        };
        let row = match self.locate(member) {
            Location::Nowhere => return,
            Location::Local(device) => {
                self.port(device, mac);
                MacRow {
                    vtep: [0; 16],
                    ifindex: device.ifindex,
                    slot: device.slot,
                    mtu: self.params.mtu,
                    flags: MacRow::LOCAL | flag(device.peer_redirect, MacRow::TO_PEER),
                    ..MacRow::default()
                }
            }
            Location::Remote { host, forward } => {
                // A host that cannot be reached has been reported, once.
                let Some(&endpoint) = self.reached.get(host) else {
                    return;
                };
                self.remote(endpoint, flag(forward, MacRow::FORWARD))
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
                None => self.problem(RowProblem::BadAddress {
                    object: member.port.clone(),
                }),
            }
        }
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

    fn port(&mut self, device: &LocalPort, mac: MacAddress) {
        let flags = if self.params.vlan_transparent {
            PortRow::VLAN_TRANSPARENT | PortRow::ANY_ADDRESS
        } else {
            PortRow::ANY_ADDRESS
        };
        let row = PortRow {
            network: self.id,
            slot: device.slot,
            mtu: self.params.mtu,
            mac,
            flags,
            ..PortRow::default()
        };
        self.rows.ports.insert(
            PortKey {
                ifindex: device.ifindex,
                vlan: 0,
            },
            row,
        );
    }

    fn remote(&self, endpoint: Endpoint, flags: u32) -> MacRow {
        MacRow {
            vtep: endpoint.address,
            ifindex: 0,
            slot: 0,
            mtu: self.params.mtu,
            flags: flags | flag(endpoint.ipv6, MacRow::IPV6),
            ..MacRow::default()
        }
    }

    /// Who gets copies. Takes in the foreign endpoints on the way.
    fn replicas(&mut self, slice: &'a NetworkSlice) -> Replicas {
        let mut replicas = Replicas::default();
        for (key, row) in &self.rows.ports {
            let vtep = [0; 16];
            replicas.local.push(ReplicaRow {
                vtep,
                ifindex: key.ifindex,
                slot: row.slot,
                ..ReplicaRow::default()
            });
        }
        let hosts: BTreeSet<&str> = slice
            .members
            .iter()
            .flat_map(|member| [member.host.as_str(), member.moving_to.as_str()])
            .collect();
        for endpoint in hosts.iter().filter_map(|host| self.reached.get(host)) {
            let list = match endpoint.ipv6 {
                false => &mut replicas.coax_ipv4,
                true => &mut replicas.coax_ipv6,
            };
            list.push(replica(*endpoint));
        }
        for foreign in &slice.foreign {
            let object = || foreign.name.clone();
            let Some(endpoint) = endpoint(&foreign.address) else {
                self.problem(RowProblem::BadAddress { object: object() });
                continue;
            };
            let possible = if endpoint.ipv6 {
                self.here.ipv6
            } else {
                self.here.ipv4
            };
            if !possible {
                self.problem(RowProblem::NoFamily { vtep: object() });
                continue;
            }
            self.tunnel(endpoint, TunnelRow::FOREIGN);
            let list = match endpoint.ipv6 {
                false => &mut replicas.foreign_ipv4,
                true => &mut replicas.foreign_ipv6,
            };
            list.push(replica(endpoint));
            for bytes in &foreign.macs {
                match mac(bytes) {
                    Some(mac) => {
                        let row = self.remote(endpoint, 0);
                        self.rows.macs.insert(MacKey::new(self.id, mac), row);
                    }
                    None => self.problem(RowProblem::BadAddress { object: object() }),
                }
            }
        }
        replicas
    }

    fn network(&mut self, replicas: Replicas) {
        let Replicas {
            local,
            coax_ipv4,
            foreign_ipv4,
            foreign_ipv6,
            coax_ipv6,
        } = replicas;
        let transparent = flag(self.params.vlan_transparent, NetworkRow::VLAN_TRANSPARENT);
        let flood = flag(self.params.flood_unknown, NetworkRow::FLOOD_UNKNOWN);
        self.rows.network = Some(NetworkRow {
            generation: 0,
            local: count(&local),
            coax_ipv4: count(&coax_ipv4),
            foreign_ipv4: count(&foreign_ipv4),
            foreign_ipv6: count(&foreign_ipv6),
            coax_ipv6: count(&coax_ipv6),
            mtu: self.params.mtu,
            flags: transparent | flood,
            ..NetworkRow::default()
        });
        self.rows.replicas = [local, coax_ipv4, foreign_ipv4, foreign_ipv6, coax_ipv6].concat();
    }

    fn problem(&mut self, problem: RowProblem) {
        self.rows.problems.insert(problem);
    }
}

fn flag(set: bool, bit: u32) -> u32 {
    if set { bit } else { 0 }
}

fn count(list: &[ReplicaRow]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

fn replica(endpoint: Endpoint) -> ReplicaRow {
    ReplicaRow {
        vtep: endpoint.address,
        ifindex: 0,
        slot: 0,
        ..ReplicaRow::default()
    }
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
