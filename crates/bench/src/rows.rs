//! The rows of a network that spans two hosts, written by hand.

use crate::pair::{UDP_PORT, Vm};
use coax_tables::{
    AddressKey, AddressRow, HostRow, MacKey, MacRow, NetworkId, NetworkRow, PortKey, PortRow,
    ReplicaKey, ReplicaRow, TunnelKey, TunnelRow,
};
use coax_vswitch::Row;
use coax_wire::{MacAddress, ip};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network's number.
pub const NETWORK: NetworkId = NetworkId(5001);

/// Counters of the one local port.
pub const SLOT: u32 = 1;

fn key_address(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => ip::mapped(address.octets()),
        IpAddr::V6(address) => address.octets(),
    }
}

/// All rows that the host of `local` needs, with `ifindex` as the VM's device on the host.
pub fn rows(local: &Vm, remote: &Vm, ifindex: u32, mtu: u32, over_ipv6: bool) -> Vec<Row> {
    let remote_vtep = remote.vtep(over_ipv6);
    let mut rows = vec![
        Row::Host(host(local)),
        Row::Tunnel(
            TunnelKey {
                vtep: key_address(remote_vtep),
                vni: NETWORK.0,
            },
            TunnelRow {
                network: NETWORK,
                flags: TunnelRow::VLAN_TRANSPARENT,
            },
        ),
        Row::Mac(
            MacKey::new(NETWORK, local.mac),
            MacRow {
                ifindex,
                slot: SLOT,
                mtu,
                flags: MacRow::LOCAL | MacRow::TO_PEER,
                ..MacRow::default()
            },
        ),
        Row::Mac(
            MacKey::new(NETWORK, remote.mac),
            MacRow {
                vtep: key_address(remote_vtep),
                mtu,
                flags: if over_ipv6 { MacRow::IPV6 } else { 0 },
                ..MacRow::default()
            },
        ),
        replica(
            0,
            ReplicaRow {
                ifindex,
                slot: SLOT,
                ..ReplicaRow::default()
            },
        ),
        replica(
            1,
            ReplicaRow {
                vtep: key_address(remote_vtep),
                ..ReplicaRow::default()
            },
        ),
        Row::Network(
            NETWORK,
            NetworkRow {
                local: 1,
                coax_ipv4: u32::from(!over_ipv6),
                coax_ipv6: u32::from(over_ipv6),
                mtu,
                flags: NetworkRow::VLAN_TRANSPARENT,
                ..NetworkRow::default()
            },
        ),
        Row::Port(
            PortKey { ifindex, vlan: 0 },
            PortRow {
                network: NETWORK,
                slot: SLOT,
                mtu,
                mac: local.mac,
                flags: PortRow::VLAN_TRANSPARENT,
            },
        ),
    ];
    for vm in [local, remote] {
        for address in [
            IpAddr::V4(vm.ipv4),
            IpAddr::V6(vm.ipv6),
            IpAddr::V6(link_local(vm.mac)),
        ] {
            rows.push(Row::Address(
                AddressKey {
                    address: key_address(address),
                    network: NETWORK,
                },
                AddressRow::new(vm.mac),
            ));
        }
    }
    rows
}

fn host(vm: &Vm) -> HostRow {
    HostRow {
        vtep_ipv6: vm.vtep_ipv6.octets(),
        vtep_ipv4: vm.vtep_ipv4.octets(),
        udp_port: UDP_PORT.to_be_bytes(),
        flags: 0,
    }
}

fn replica(slot: u32, row: ReplicaRow) -> Row {
    Row::Replica(
        ReplicaKey {
            network: NETWORK,
            generation: 0,
            slot,
        },
        row,
    )
}

/// The link-local address that a VM makes of its MAC address (RFC 4291 appendix A).
pub fn link_local(mac: MacAddress) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        pair(a ^ 2, b),
        pair(c, 0xff),
        pair(0xfe, d),
        pair(e, f),
    )
}

/// A row for a VM that does not exist, to fill tables with.
pub fn filler(number: u32) -> [Row; 2] {
    let [_, a, b, c] = number.to_be_bytes();
    let mac = MacAddress([0x06, 0, 0, a, b, c]);
    let address = Ipv4Addr::new(100, a, b, c);
    [
        Row::Mac(
            MacKey::new(NETWORK, mac),
            MacRow {
                vtep: ip::mapped([198, 51, 100, 1]),
                mtu: 1500,
                ..MacRow::default()
            },
        ),
        Row::Address(
            AddressKey {
                address: ip::mapped(address.octets()),
                network: NETWORK,
            },
            AddressRow::new(mac),
        ),
    ]
}
