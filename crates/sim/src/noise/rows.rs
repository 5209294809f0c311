//! Rows from noise.

use super::{
    CANARY, FURTHER4, FURTHER6, GATEWAY, NETWORKS, Noise, ROUTER, VIRTUAL, VLAN, VMS, ipv4, ipv6,
    link_local, mac, routed,
};
use crate::rows::Receiver;
use crate::stand::{Vtep, host_row};
use crate::{Device, SimRows, Stand};
use coax_tables::{
    AddressKey, AddressRow, HostRow, Limit, MacRow, NetworkId, NetworkRow, PortKey, PortRow,
    ReplicaRow, SourceRow, TunnelRow,
};
use coax_wire::{MacAddress, ip};

const VTEPS: [Vtep; 6] = [
    Vtep::PEER,
    Vtep::FOREIGN,
    Vtep::JUMBO,
    Vtep::UNRESOLVED,
    Vtep::NARROW,
    Vtep::NOWHERE,
];

/// The routers that networks are joined to.
pub(super) const ROUTERS: [u32; 2] = [1 << 24, 1 << 24 | 1];

const MTUS: [u32; 5] = [1280, 9000, 300, 60, 0];

pub(super) fn rows(noise: &mut Noise<'_>, stand: &Stand) -> SimRows {
    let mut rows = SimRows::new(host(noise));
    ports(noise, stand, &mut rows);
    for id in NETWORKS {
        network(noise, stand, &mut rows, id);
        macs(noise, stand, &mut rows, id);
        addresses(noise, &mut rows, id);
        gateway(noise, &mut rows, id);
        shared(noise, &mut rows, id);
        tunnels(noise, &mut rows, id);
    }
    routed::routes(noise, &mut rows);
    rows
}

fn host(noise: &mut Noise<'_>) -> HostRow {
    let mut row = host_row();
    match noise.below(16) {
        12 => row.vtep_ipv4 = [0; 4],
        13 => row.vtep_ipv6 = [0; 16],
        14 => row.udp_port = 8472u16.to_be_bytes(),
        15 => row = HostRow::default(),
        other if other % 4 == 3 => row.flags = HostRow::PIPE_DSCP,
        _ => {}
    }
    row.canary = CANARY;
    row
}

fn ports(noise: &mut Noise<'_>, stand: &Stand, rows: &mut SimRows) {
    for (vm, device) in (1..).zip([Device::Vm1, Device::Vm2, Device::Vm3]) {
        if noise.one_in(12) {
            continue;
        }
        let flags = noise.pick(
            0,
            &[
                PortRow::VLAN_TRANSPARENT,
                0,
                PortRow::VLAN_TRANSPARENT | PortRow::ANY_SOURCE,
                PortRow::ANY_SOURCE,
            ],
        );
        let routed = noise.pick(0, &[0, 0, 0, PortRow::ROUTED]);
        let served = noise.pick(
            0,
            &[
                0,
                PortRow::DHCP_IPV4 | PortRow::DHCP_IPV6 | PortRow::DNS,
                PortRow::DHCP_IPV6,
            ],
        );
        let row = PortRow {
            network: noise.pick(NETWORKS[0], &[NETWORKS[0], NETWORKS[1]]),
            slot: u32::from(vm),
            mtu: noise.pick(1500, &MTUS),
            mac: mac(vm),
            flags: flags | served | routed | guards(noise),
            scope: noise.pick(ROUTERS[0], &[ROUTERS[0], ROUTERS[1]]),
            ipv4: noise.pick(ipv4(vm).octets(), &[ipv4(vm).octets(), [0; 4]]),
            ipv6: noise.pick(ipv6(vm).octets(), &[ipv6(vm).octets(), [0; 16]]),
            shut_seconds: noise.pick(1000, &[1000, 0]),
            broadcast_rate: noise.pick(0, &[RATE, 0, 0]),
            multicast_rate: noise.pick(0, &[RATE, 0, 0]),
            unknown_rate: noise.pick(0, &[RATE, 0, 0]),
            ..PortRow::default()
        };
        rows.port(stand.index(device), row);
        if row.has(PortRow::TRUNK) {
            let key = PortKey {
                ifindex: stand.index(device),
                vlan: VLAN.into(),
            };
            let tagged = PortRow {
                network: noise.pick(NETWORKS[1], &NETWORKS),
                slot: trunk_slot(vm),
                flags: row.flags & !PortRow::TRUNK,
                ..row
            };
            rows.ports.insert(key, tagged);
        }
        sources(noise, rows, vm);
    }
}

/// A rate that no scenario reaches, however fast it is played: only limits that are exhausted from the
/// beginning are met, because time passes in the kernel and stands still in the simulator.
const RATE: u32 = 1_000;

/// What the guards of a port let pass.
fn guards(noise: &mut Noise<'_>) -> u16 {
    let mut flags = noise.pick(0, &[PortRow::ANY_ADDRESS]);
    for (flag, rarely) in [
        (PortRow::SERVER, 4),
        (PortRow::ISOLATED, 3),
        (PortRow::TRUNK, 4),
    ] {
        if noise.one_in(rarely) {
            flags |= flag;
        }
    }
    flags
}

/// Counters of the VLAN of a VM's trunk.
const fn trunk_slot(vm: u8) -> u32 {
    vm as u32 + 3
}

/// Further addresses of a port, of which several ports may share some.
fn sources(noise: &mut Noise<'_>, rows: &mut SimRows, vm: u8) {
    for address in [ip::mapped(FURTHER4.octets()), FURTHER6.octets()] {
        let row = SourceRow {
            mac: noise.pick(mac(vm), &[mac(vm), VIRTUAL, mac(3)]),
            flags: noise.pick(0, &[SourceRow::SHARED]),
        };
        if noise.one_in(2) {
            rows.source(vm.into(), address, row);
        }
    }
    if noise.one_in(3) {
        let row = SourceRow {
            mac: VIRTUAL,
            flags: 0,
        };
        rows.source(vm.into(), ip::link_local(VIRTUAL), row);
    }
}

fn network(noise: &mut Noise<'_>, stand: &Stand, rows: &mut SimRows, id: NetworkId) {
    if noise.one_in(10) {
        return;
    }
    let mut receivers = Vec::new();
    for (vm, device) in (1u8..).zip([Device::Vm1, Device::Vm2, Device::Vm3, Device::Down]) {
        let rarely = !device.is_up();
        if noise.one_in(if rarely { 8 } else { 2 }) {
            let ifindex = stand.index(device);
            receivers.push(match noise.below(8) {
                6 => Receiver::Local(ReplicaRow {
                    ifindex,
                    slot: trunk_slot(vm),
                    vlan: VLAN,
                    ..ReplicaRow::default()
                }),
                7 => Receiver::Local(ReplicaRow {
                    ifindex,
                    slot: vm.into(),
                    flags: ReplicaRow::ISOLATED,
                    ..ReplicaRow::default()
                }),
                _ => Receiver::Port {
                    ifindex,
                    slot: vm.into(),
                },
            });
        }
    }
    for vtep in VTEPS {
        let choice = noise.below(12);
        let family = choice % 2 == 1;
        match choice {
            6..=8 => receivers.push(Receiver::Host(vtep.row(family))),
            9 => receivers.push(Receiver::Announced(vtep.row(family))),
            10 | 11 => receivers.push(Receiver::Foreign(vtep.row(family))),
            _ => {}
        }
    }
    let flags = noise.pick(
        0,
        &[
            NetworkRow::FLOOD_UNKNOWN,
            NetworkRow::VLAN_TRANSPARENT,
            3,
            0,
            NetworkRow::ROUTED,
        ],
    );
    rows.network(id, noise.pick(1500, &MTUS), flags, &receivers);
    // A list that is not there, or with a hole in it.
    if let Some(row) = rows.networks.get_mut(&id) {
        match noise.below(16) {
            14 => row.generation += 1,
            15 => row.local += 1,
            _ => {}
        }
    }
}

fn macs(noise: &mut Noise<'_>, stand: &Stand, rows: &mut SimRows, id: NetworkId) {
    for (vm, device) in VMS.into_iter().zip([
        Device::Vm1,
        Device::Vm2,
        Device::Vm3,
        Device::Up1,
        Device::Down,
    ]) {
        let local = MacRow {
            ifindex: stand.index(device),
            slot: u32::from(vm),
            mtu: 1500,
            flags: MacRow::LOCAL,
            ..MacRow::default()
        };
        let choice = noise.below(16);
        let row = match choice {
            0..=4 if vm < 4 => local,
            5 | 6 if vm < 4 => MacRow {
                flags: MacRow::LOCAL | MacRow::TO_PEER,
                ..local
            },
            7 => continue,
            _ if vm == 5 => continue,
            _ => {
                let family = choice % 2 == 1;
                let vtep = noise.pick(VTEPS[0], &VTEPS);
                let forward = if choice >= 12 { MacRow::FORWARD } else { 0 };
                MacRow {
                    vtep: vtep.row(family),
                    mtu: 1500,
                    flags: if family { MacRow::IPV6 } else { 0 } | forward,
                    ..MacRow::default()
                }
            }
        };
        let row = match noise.below(12) {
            9 if vm < 4 => MacRow {
                slot: trunk_slot(vm),
                vlan: VLAN.into(),
                ..row
            },
            10 | 11 => MacRow {
                flags: row.flags | MacRow::ISOLATED,
                ..row
            },
            _ => row,
        };
        rows.mac(id, mac(vm), row);
    }
}

fn addresses(noise: &mut Noise<'_>, rows: &mut SimRows, id: NetworkId) {
    for vm in VMS {
        let choice = noise.below(16);
        // Address 5 is nobody's; two may claim one address after a mistake.
        let owner = match choice {
            14 => continue,
            15 => mac(1),
            _ if vm == 5 => continue,
            _ => mac(vm),
        };
        rows.address(id, ip::mapped(ipv4(vm).octets()), owner);
        rows.address(id, ipv6(vm).octets(), owner);
        if choice % 4 == 3 {
            rows.address(id, ip::link_local(mac(vm)), owner);
        }
        if choice >= 8 {
            rows.address(id, link_local(vm).octets(), owner);
        }
    }
}

/// Addresses that move by themselves.
fn shared(noise: &mut Noise<'_>, rows: &mut SimRows, id: NetworkId) {
    for address in [ip::mapped(FURTHER4.octets()), FURTHER6.octets()] {
        let row = AddressRow {
            mac: noise.pick(MacAddress::default(), &[mac(1), mac(4), VIRTUAL]),
            flags: noise.pick(AddressRow::SHARED, &[0]),
        };
        if noise.one_in(2) {
            let key = AddressKey {
                address,
                network: id,
            };
            rows.addresses.insert(key, row);
        }
    }
}

fn tunnels(noise: &mut Noise<'_>, rows: &mut SimRows, id: NetworkId) {
    for vtep in VTEPS {
        let flags = noise.pick(
            0,
            &[
                TunnelRow::VLAN_TRANSPARENT,
                TunnelRow::FOREIGN,
                TunnelRow::FOREIGN | TunnelRow::VLAN_TRANSPARENT,
                u32::MAX,
            ],
        );
        if flags != u32::MAX {
            rows.tunnel(vtep.row(false), id, flags);
            rows.tunnel(vtep.row(true), id, flags);
        }
    }
}

/// The gateway: its addresses, its MAC address, and what the network knows of it.
fn gateway(noise: &mut Noise<'_>, rows: &mut SimRows, id: NetworkId) {
    if noise.one_in(4) {
        return;
    }
    let row = AddressRow {
        mac: GATEWAY,
        flags: AddressRow::ROUTER,
    };
    for address in [
        ip::mapped(ipv4(ROUTER).octets()),
        ipv6(ROUTER).octets(),
        link_local(ROUTER).octets(),
    ] {
        let key = AddressKey {
            address,
            network: id,
        };
        rows.addresses.insert(key, row);
    }
    if !noise.one_in(8) {
        let row = MacRow {
            flags: MacRow::ROUTER,
            ..MacRow::default()
        };
        rows.mac(id, GATEWAY, row);
    }
    if let Some(row) = rows.networks.get_mut(&id) {
        row.gateway_mac = GATEWAY;
        if !noise.one_in(8) {
            row.gateway_ipv4 = ipv4(ROUTER).octets();
            row.gateway_ipv6 = ipv6(ROUTER).octets();
        }
    }
}

/// What ports did too often already.
pub(super) fn exhausted(noise: &mut Noise<'_>) -> Vec<(u32, Limit)> {
    let mut exhausted = Vec::new();
    for limit in Limit::ALL {
        let rarely = if limit == Limit::IcmpError { 3 } else { 8 };
        for slot in 0..4 {
            if noise.one_in(rarely) {
                exhausted.push((slot, limit));
            }
        }
    }
    exhausted
}
