//! The rows of the hosts of a world, but for those of policies.

use super::world::{
    GATE, NETWORKS, STRANGERS, World, address, device_of, domain_of, host_of, mac_of, network_id,
    project_of, scope_of, vlan_of, vm_of,
};
use crate::SimRows;
use crate::noise::GATEWAY;
use crate::rows::Receiver;
use crate::stand::{Stand, Vtep, host_row};
use coax_tables::{
    AddressKey, AddressRow, MacRow, NetworkRow, PortKey, PortRow, ReplicaRow, RouteRow, SourceRow,
    TunnelRow,
};
use coax_wire::{MacAddress, ip};
use std::net::IpAddr;

const MTU: u32 = 1500;

fn key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => ip::mapped(address.octets()),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Index of the counters of a port on its host.
const fn slot_of(port: u8) -> u32 {
    match vlan_of(port) {
        0 => (port as u32 - 1) % 3 + 1,
        10 => 4,
        _ => 5,
    }
}

impl World {
    /// The rows of a host, but for those of policies.
    pub fn rows(&self, host: usize, seed: u64, stand: &Stand) -> SimRows {
        let mut rows = SimRows::new(host_row());
        rows.host.seed = seed;
        let other = Vtep::PEER.row(false);
        for network in 0..NETWORKS {
            let mut receivers = Vec::new();
            for port in self.members(network) {
                let isolated = self.isolated.contains(&port);
                if host_of(port) == host {
                    let ifindex = stand.index(device_of(port));
                    self.port(&mut rows, port, ifindex);
                    receivers.push(Receiver::Local(ReplicaRow {
                        ifindex,
                        slot: slot_of(port),
                        vlan: vlan_of(port),
                        flags: if isolated { ReplicaRow::ISOLATED } else { 0 },
                        ..ReplicaRow::default()
                    }));
                } else {
                    let row = MacRow {
                        vtep: other,
                        mtu: MTU,
                        flags: if isolated { MacRow::ISOLATED } else { 0 },
                        ..MacRow::default()
                    };
                    rows.mac(network_id(network), mac_of(port), row);
                    if !receivers.contains(&Receiver::Host(other)) {
                        receivers.push(Receiver::Host(other));
                    }
                }
                for ipv6 in [false, true] {
                    let address = key(self.address(port, ipv6));
                    rows.address(network_id(network), address, mac_of(port));
                }
            }
            rows.tunnel(other, network_id(network), 0);
            let routed = self.routed.contains(&network);
            if routed || !receivers.contains(&Receiver::Host(other)) {
                receivers.retain(|receiver| !routed || matches!(receiver, Receiver::Announced(_)));
                receivers.push(Receiver::Announced(other));
            }
            if self.foreign.contains(&network) {
                receivers.push(self.endpoint(&mut rows, network));
            }
            let flags = if routed { NetworkRow::ROUTED } else { 0 };
            rows.network(network_id(network), MTU, flags, &receivers);
            if routed || project_of(network) == 0 {
                gateway(&mut rows, network);
            }
            self.shared(&mut rows, host, network);
        }
        rows
    }

    /// The foreign endpoint of a network, and where the first stranger behind it is.
    fn endpoint(&self, rows: &mut SimRows, network: u8) -> Receiver {
        let vtep = Vtep::FOREIGN.row(false);
        rows.tunnel(vtep, network_id(network), TunnelRow::FOREIGN);
        let row = MacRow {
            vtep,
            mtu: MTU,
            ..MacRow::default()
        };
        let listed = STRANGERS.start() + 2 * network;
        rows.mac(network_id(network), mac_of(listed), row);
        Receiver::Foreign(vtep)
    }

    fn port(&self, rows: &mut SimRows, port: u8, ifindex: u32) {
        let network = self.home(port);
        let project = project_of(network);
        let (policy, scope) = (domain_of(project), scope_of(project));
        let [.., a, b, c, d] = key(self.address(port, false));
        let slot = slot_of(port);
        let flags = [
            (
                vlan_of(port) == 0 && self.is_trunk(vm_of(port)),
                PortRow::TRUNK,
            ),
            (self.isolated.contains(&port), PortRow::ISOLATED),
            (self.routed.contains(&network), PortRow::ROUTED),
        ];
        let set = flags.into_iter().filter(|(set, _)| *set);
        let vlan = vlan_of(port).into();
        let row = PortRow {
            network: network_id(network),
            slot,
            mtu: MTU,
            mac: mac_of(port),
            flags: set.fold(0, |flags, (_, flag)| flags | flag),
            ipv4: [a, b, c, d],
            ipv6: key(self.address(port, true)),
            policy,
            scope,
            ..PortRow::default()
        };
        rows.ports.insert(PortKey { ifindex, vlan }, row);
        let row = MacRow {
            ifindex,
            slot,
            mtu: MTU,
            flags: if self.isolated.contains(&port) {
                MacRow::LOCAL | MacRow::ISOLATED
            } else {
                MacRow::LOCAL
            },
            policy,
            scope,
            vlan,
            ..MacRow::default()
        };
        rows.mac(network_id(network), mac_of(port), row);
    }

    /// Addresses that several ports share have no owner yet.
    fn shared(&self, rows: &mut SimRows, host: usize, network: u8) {
        for ipv6 in [false, true] {
            let address = key(super::neighbours::shared(network, ipv6));
            let owner = AddressRow {
                mac: MacAddress::default(),
                flags: AddressRow::SHARED,
            };
            let row = AddressKey {
                address,
                network: network_id(network),
            };
            rows.addresses.insert(row, owner);
            for port in self.members(network) {
                if host_of(port) == host && super::neighbours::shares(port) {
                    let row = SourceRow {
                        mac: mac_of(port),
                        flags: SourceRow::SHARED,
                    };
                    rows.source(slot_of(port), address, row);
                }
            }
        }
    }
}

/// The gateway of a network, and the way into it. A routed network without a router is its own one.
fn gateway(rows: &mut SimRows, network: u8) {
    let id = network_id(network);
    let router = scope_of(project_of(network));
    let flags = MacRow::ROUTER;
    let row = MacRow {
        flags,
        ..MacRow::default()
    };
    rows.mac(id, GATEWAY, row);
    let row = rows.networks.entry(id).or_default();
    (row.router, row.gateway_mac) = (router, GATEWAY);
    for ipv6 in [false, true] {
        let gate = address(network, ipv6, GATE);
        match gate {
            IpAddr::V4(gate) => row.gateway_ipv4 = gate.octets(),
            IpAddr::V6(gate) => row.gateway_ipv6 = gate.octets(),
        }
    }
    for ipv6 in [false, true] {
        let owner = AddressRow {
            mac: GATEWAY,
            flags: AddressRow::ROUTER,
        };
        let address_key = AddressKey {
            address: key(address(network, ipv6, GATE)),
            network: id,
        };
        rows.addresses.insert(address_key, owner);
        let to = RouteRow {
            network: id,
            ..RouteRow::default()
        };
        let bits = if ipv6 { 64 } else { 96 + 24 };
        rows.route(router, key(address(network, ipv6, 0)), bits, to);
    }
}
