//! Rows from noise.

use super::{GATEWAY, NETWORKS, Noise, ROUTER, VMS, ipv4, ipv6, link_local, mac};
use crate::rows::Receiver;
use crate::stand::{Vtep, host_row};
use crate::{Device, SimRows, Stand};
use coax_tables::{
    AddressKey, AddressRow, HostRow, Limit, MacRow, NetworkId, NetworkRow, PortRow, TunnelRow,
};
use coax_wire::ip;

const VTEPS: [Vtep; 6] = [
    Vtep::PEER,
    Vtep::FOREIGN,
    Vtep::JUMBO,
    Vtep::UNRESOLVED,
    Vtep::NARROW,
    Vtep::NOWHERE,
];

const MTUS: [u32; 5] = [1280, 9000, 300, 60, 0];

pub(super) fn rows(noise: &mut Noise<'_>, stand: &Stand) -> SimRows {
    let mut rows = SimRows::new(host(noise));
    ports(noise, stand, &mut rows);
    for id in NETWORKS {
        network(noise, stand, &mut rows, id);
        macs(noise, stand, &mut rows, id);
        addresses(noise, &mut rows, id);
        gateway(noise, &mut rows, id);
        tunnels(noise, &mut rows, id);
    }
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
            flags: flags | served,
            ..PortRow::default()
        };
        rows.port(stand.index(device), row);
    }
}

fn network(noise: &mut Noise<'_>, stand: &Stand, rows: &mut SimRows, id: NetworkId) {
    if noise.one_in(10) {
        return;
    }
    let mut receivers = Vec::new();
    for (vm, device) in (1..).zip([Device::Vm1, Device::Vm2, Device::Vm3, Device::Down]) {
        let rarely = !device.is_up();
        if noise.one_in(if rarely { 8 } else { 2 }) {
            let ifindex = stand.index(device);
            receivers.push(Receiver::Port { ifindex, slot: vm });
        }
    }
    for vtep in VTEPS {
        let choice = noise.below(12);
        let family = choice % 2 == 1;
        match choice {
            6..=9 => receivers.push(Receiver::Host(vtep.row(family))),
            10 | 11 => receivers.push(Receiver::Foreign(vtep.row(family))),
            _ => {}
        }
    }
    let flags = noise.pick(
        0,
        &[NetworkRow::FLOOD_UNKNOWN, NetworkRow::VLAN_TRANSPARENT, 3],
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
        if choice >= 8 {
            rows.address(id, link_local(vm).octets(), owner);
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

/// The gateway's addresses are the router's own.
fn gateway(noise: &mut Noise<'_>, rows: &mut SimRows, id: NetworkId) {
    if noise.one_in(3) {
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
}

/// What ports did too often already.
pub(super) fn exhausted(noise: &mut Noise<'_>) -> Vec<(u32, Limit)> {
    let mut exhausted = Vec::new();
    for limit in Limit::ALL {
        for slot in 0..4 {
            if noise.one_in(16) {
                exhausted.push((slot, limit));
            }
        }
    }
    exhausted
}
