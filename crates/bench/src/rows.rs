//! The rows of a network that spans two hosts, written by hand.

use crate::filter::DOMAIN;
use crate::plan::Peer;
use crate::vm::Vm;
use coax_tables::{
    AddressKey, AddressRow, DomainId, HostRow, MacKey, MacRow, NetworkId, NetworkRow, PortKey,
    PortRow, ReplicaKey, ReplicaRow, TunnelKey, TunnelRow,
};
use coax_vswitch::Row;
use coax_wire::{MacAddress, ip};
use std::net::{IpAddr, Ipv4Addr};

/// The network's number.
pub const NETWORK: NetworkId = NetworkId(5001);

/// Counters of the one local port.
pub const SLOT: u32 = 1;

/// An address as keys of tables have it.
pub fn key_address(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => ip::mapped(address.octets()),
        IpAddr::V6(address) => address.octets(),
    }
}

/// One host of the network, as its rows see it.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// The VM on this host.
    pub local: Vm,
    /// The VM on the other host.
    pub remote: Vm,
    /// How the other host is known.
    pub peer: Peer,
    /// Kernel index of the local VM's device on this host.
    pub ifindex: u32,
    /// Largest packet of the network.
    pub mtu: u32,
    /// The tunnels go over IPv6.
    pub over_ipv6: bool,
    /// Frames may carry VLAN tags.
    pub vlan_transparent: bool,
    /// UDP port of the tunnels.
    pub udp_port: u16,
    /// The local port has a firewall.
    pub filtered: bool,
    /// The local VM sends with its own addresses only.
    pub guarded: bool,
}

/// All rows that the host needs.
pub fn rows(site: &Site) -> Vec<Row> {
    let mut rows = vec![
        Row::Host(host(&site.local, site.udp_port)),
        tunnel(site),
        Row::Mac(
            MacKey::new(NETWORK, site.local.mac),
            MacRow {
                ifindex: site.ifindex,
                slot: SLOT,
                mtu: site.mtu,
                flags: MacRow::LOCAL | MacRow::TO_PEER,
                policy: domain(site),
                scope: NETWORK.0,
                ..MacRow::default()
            },
        ),
        replica(
            0,
            ReplicaRow {
                ifindex: site.ifindex,
                slot: SLOT,
                ..ReplicaRow::default()
            },
        ),
        replica(
            1,
            ReplicaRow {
                vtep: remote_vtep(site),
                ..ReplicaRow::default()
            },
        ),
        Row::Network(NETWORK, network(site)),
        Row::Port(
            PortKey {
                ifindex: site.ifindex,
                vlan: 0,
            },
            PortRow {
                network: NETWORK,
                slot: SLOT,
                mtu: site.mtu,
                mac: site.local.mac,
                flags: chosen(!site.guarded, PortRow::ANY_ADDRESS)
                    | chosen(site.vlan_transparent, PortRow::VLAN_TRANSPARENT),
                policy: domain(site),
                scope: NETWORK.0,
                ipv4: site.local.ipv4.octets(),
                ipv6: site.local.ipv6.octets(),
                ..PortRow::default()
            },
        ),
    ];
    rows.extend(addresses(&site.local));
    if site.peer != Peer::ForeignUnknown {
        rows.push(remote_mac(site));
        rows.extend(addresses(&site.remote));
    }
    rows
}

pub(crate) fn chosen<T: Default>(wanted: bool, flag: T) -> T {
    if wanted { flag } else { T::default() }
}

fn domain(site: &Site) -> DomainId {
    chosen(site.filtered, DOMAIN)
}

pub(crate) fn remote_vtep(site: &Site) -> [u8; 16] {
    key_address(site.remote.vtep(site.over_ipv6))
}

fn tunnel(site: &Site) -> Row {
    let foreign = chosen(site.peer.is_foreign(), TunnelRow::FOREIGN);
    let tagged = chosen(site.vlan_transparent, TunnelRow::VLAN_TRANSPARENT);
    Row::Tunnel(
        TunnelKey {
            vtep: remote_vtep(site),
            vni: NETWORK.0,
        },
        TunnelRow {
            network: NETWORK,
            flags: foreign | tagged,
        },
    )
}

fn remote_mac(site: &Site) -> Row {
    Row::Mac(
        MacKey::new(NETWORK, site.remote.mac),
        MacRow {
            vtep: remote_vtep(site),
            mtu: site.mtu,
            flags: chosen(site.over_ipv6, MacRow::IPV6),
            ..MacRow::default()
        },
    )
}

fn network(site: &Site) -> NetworkRow {
    let foreign = site.peer.is_foreign();
    NetworkRow {
        local: 1,
        coax_ipv4: u32::from(!foreign && !site.over_ipv6),
        foreign_ipv4: u32::from(foreign && !site.over_ipv6),
        foreign_ipv6: u32::from(foreign && site.over_ipv6),
        coax_ipv6: u32::from(!foreign && site.over_ipv6),
        mtu: site.mtu,
        flags: chosen(site.vlan_transparent, NetworkRow::VLAN_TRANSPARENT),
        ..NetworkRow::default()
    }
}

fn addresses(vm: &Vm) -> [Row; 3] {
    [
        IpAddr::V4(vm.ipv4),
        IpAddr::V6(vm.ipv6),
        IpAddr::V6(vm.link_local()),
    ]
    .map(|address| {
        Row::Address(
            AddressKey {
                address: key_address(address),
                network: NETWORK,
            },
            AddressRow::new(vm.mac),
        )
    })
}

/// The host row of a VM's host.
pub fn host(vm: &Vm, udp_port: u16) -> HostRow {
    HostRow {
        vtep_ipv6: vm.vtep_ipv6.octets(),
        vtep_ipv4: vm.vtep_ipv4.octets(),
        udp_port: udp_port.to_be_bytes(),
        flags: 0,
        ..HostRow::default()
    }
}

/// The replica row of place `slot`.
pub fn replica(slot: u32, row: ReplicaRow) -> Row {
    replica_of(NETWORK, slot, row)
}

/// The replica row of place `slot` in any network.
pub(crate) fn replica_of(network: NetworkId, slot: u32, row: ReplicaRow) -> Row {
    Row::Replica(
        ReplicaKey {
            network,
            generation: 0,
            slot,
        },
        row,
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
