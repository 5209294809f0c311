//! The rows of a network that spans two hosts, written by hand.

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

/// Counters of the first tenant's local port.
pub const SLOT: u32 = 1;

/// One of two projects that share the hosts: a network with a VM on each host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tenant {
    /// Whose traffic is measured.
    First,
    /// Who may be there beside it.
    Neighbour,
}

impl Tenant {
    /// Its network's number.
    pub const fn network(self) -> NetworkId {
        match self {
            Self::First => NETWORK,
            Self::Neighbour => NetworkId(NETWORK.0 + 1000),
        }
    }

    /// Its VM on host 0 or 1.
    pub const fn vm(self, place: usize) -> Vm {
        let number = place as u8 + 1;
        match self {
            Self::First => Vm::number(number),
            Self::Neighbour => Vm::neighbour(number),
        }
    }

    /// The domain of its firewall.
    pub const fn domain(self) -> DomainId {
        match self {
            Self::First => DomainId(1),
            Self::Neighbour => DomainId(2),
        }
    }

    /// Counters of its local port.
    pub const fn slot(self) -> u32 {
        match self {
            Self::First => SLOT,
            Self::Neighbour => SLOT + 1,
        }
    }

    /// The host's device of its local port.
    pub const fn device(self) -> &'static str {
        match self {
            Self::First => "port0",
            Self::Neighbour => "port1",
        }
    }
}

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
    /// Whose network it is.
    pub tenant: Tenant,
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
            MacKey::new(site.tenant.network(), site.local.mac),
            MacRow {
                ifindex: site.ifindex,
                slot: site.tenant.slot(),
                mtu: site.mtu,
                flags: MacRow::LOCAL | MacRow::TO_PEER,
                policy: domain(site),
                scope: site.tenant.network().0,
                ..MacRow::default()
            },
        ),
        replica_of(
            site.tenant.network(),
            0,
            ReplicaRow {
                ifindex: site.ifindex,
                slot: site.tenant.slot(),
                ..ReplicaRow::default()
            },
        ),
        replica_of(
            site.tenant.network(),
            1,
            ReplicaRow {
                vtep: remote_vtep(site),
                ..ReplicaRow::default()
            },
        ),
        Row::Network(site.tenant.network(), network(site)),
        Row::Port(
            PortKey {
                ifindex: site.ifindex,
                vlan: 0,
            },
            PortRow {
                network: site.tenant.network(),
                slot: site.tenant.slot(),
                mtu: site.mtu,
                mac: site.local.mac,
                flags: chosen(!site.guarded, PortRow::ANY_ADDRESS)
                    | chosen(site.vlan_transparent, PortRow::VLAN_TRANSPARENT),
                policy: domain(site),
                scope: site.tenant.network().0,
                ipv4: site.local.ipv4.octets(),
                ipv6: site.local.ipv6.octets(),
                ..PortRow::default()
            },
        ),
    ];
    rows.extend(addresses(&site.local, site.tenant.network()));
    if site.peer != Peer::ForeignUnknown {
        rows.push(remote_mac(site));
        rows.extend(addresses(&site.remote, site.tenant.network()));
    }
    rows
}

pub(crate) fn chosen<T: Default>(wanted: bool, flag: T) -> T {
    if wanted { flag } else { T::default() }
}

fn domain(site: &Site) -> DomainId {
    chosen(site.filtered, site.tenant.domain())
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
            vni: site.tenant.network().0,
        },
        TunnelRow {
            network: site.tenant.network(),
            flags: foreign | tagged,
        },
    )
}

fn remote_mac(site: &Site) -> Row {
    Row::Mac(
        MacKey::new(site.tenant.network(), site.remote.mac),
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

fn addresses(vm: &Vm, network: NetworkId) -> [Row; 3] {
    [
        IpAddr::V4(vm.ipv4),
        IpAddr::V6(vm.ipv6),
        IpAddr::V6(vm.link_local()),
    ]
    .map(|address| {
        Row::Address(
            AddressKey {
                address: key_address(address),
                network,
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
