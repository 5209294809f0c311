//! The form of each row in a golden file: devices by name, addresses as text, flags as words.

use crate::{Device, Stand};
use coax_tables::{
    AddressKey, AddressRow, DomainId, HostRow, MacKey, MacRow, NetworkId, NetworkRow, PortKey,
    PortRow, ReplicaKey, ReplicaRow, RouteKey, RouteRow, SourceRow, TunnelRow,
};
use coax_wire::MacAddress;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Words for the bits of a row's flags.
pub(super) type Words = &'static [(&'static str, u32)];

const HOST_FLAGS: Words = &[("pipe-dscp", HostRow::PIPE_DSCP as u32)];
const PORT_FLAGS: Words = &[
    ("vlan-transparent", PortRow::VLAN_TRANSPARENT as u32),
    ("any-source", PortRow::ANY_SOURCE as u32),
    ("any-address", PortRow::ANY_ADDRESS as u32),
    ("trunk", PortRow::TRUNK as u32),
    ("isolated", PortRow::ISOLATED as u32),
    ("server", PortRow::SERVER as u32),
    ("dhcp-ipv4", PortRow::DHCP_IPV4 as u32),
    ("dhcp-ipv6", PortRow::DHCP_IPV6 as u32),
    ("dns", PortRow::DNS as u32),
    ("routed", PortRow::ROUTED as u32),
];
pub(super) const ADDRESS_FLAGS: Words = &[
    ("router", AddressRow::ROUTER as u32),
    ("shared", AddressRow::SHARED as u32),
];
pub(super) const SOURCE_FLAGS: Words = &[("shared", SourceRow::SHARED as u32)];
pub(super) const REPLICA_FLAGS: Words = &[
    ("isolated", ReplicaRow::ISOLATED as u32),
    ("announced", ReplicaRow::ANNOUNCED as u32),
];
const NETWORK_FLAGS: Words = &[
    ("vlan-transparent", NetworkRow::VLAN_TRANSPARENT),
    ("flood-unknown", NetworkRow::FLOOD_UNKNOWN),
    ("routed", NetworkRow::ROUTED),
];
const MAC_FLAGS: Words = &[
    ("local", MacRow::LOCAL),
    ("ipv6", MacRow::IPV6),
    ("forward", MacRow::FORWARD),
    ("to-peer", MacRow::TO_PEER),
    ("router", MacRow::ROUTER),
    ("isolated", MacRow::ISOLATED),
    ("learned", MacRow::LEARNED),
];
const ROUTE_FLAGS: Words = &[("unreachable", RouteRow::UNREACHABLE)];
pub(super) const TUNNEL_FLAGS: Words = &[
    ("foreign", TunnelRow::FOREIGN),
    ("vlan-transparent", TunnelRow::VLAN_TRANSPARENT),
];

pub(super) fn words(flags: u32, known: Words) -> String {
    let set = known.iter().filter(|(_, bit)| flags & bit != 0);
    set.map(|(word, _)| *word).collect::<Vec<_>>().join(" ")
}

pub(super) fn flags(words: &str, known: Words) -> Result<u32, String> {
    words.split_whitespace().try_fold(0, |flags, word| {
        let (_, bit) = known
            .iter()
            .find(|(own, _)| *own == word)
            .ok_or_else(|| format!("no flag `{word}`"))?;
        Ok(flags | bit)
    })
}

pub(super) fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}

pub(super) fn row_address(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

pub(super) fn device(stand: &Stand, index: u32) -> String {
    stand
        .device(index)
        .map_or_else(|| "none".to_owned(), |device| device.name().to_owned())
}

pub(super) fn index(stand: &Stand, name: &str) -> Result<u32, String> {
    if name == "none" {
        return Ok(0);
    }
    let device = Device::named(name).ok_or_else(|| format!("no device `{name}`"))?;
    Ok(stand.index(device))
}

/// Fields behind the semicolon are left out where they are zero.
macro_rules! text_rows {
    ($($(#[$doc:meta])* $name:ident {
        $($field:ident: $type:ty),+; $($sparse:ident: $sparse_type:ty),* $(,)?
    })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            #[allow(missing_docs)]
            pub struct $name {
                $(pub $field: $type,)+
                $(
                    #[serde(default, skip_serializing_if = "Option::is_none")]
                    pub $sparse: Option<$sparse_type>,
                )*
            }
        )+
    };
}

/// Nothing for zero.
pub(super) fn sparse<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

fn sparse_ipv4(bytes: [u8; 4]) -> Option<Ipv4Addr> {
    sparse(bytes).map(Ipv4Addr::from)
}

fn sparse_ipv6(bytes: [u8; 16]) -> Option<Ipv6Addr> {
    sparse(bytes).map(Ipv6Addr::from)
}

fn octets4(address: Option<Ipv4Addr>) -> [u8; 4] {
    address.map(|address| address.octets()).unwrap_or_default()
}

fn octets6(address: Option<Ipv6Addr>) -> [u8; 16] {
    address.map(|address| address.octets()).unwrap_or_default()
}

text_rows! {
    /// The host row.
    HostText {
        vtep_ipv4: Ipv4Addr, vtep_ipv6: Ipv6Addr, udp_port: u16, flags: String;
        seed: u64, canary: u64,
    }
    /// A port; `vlan` is that of a trunk.
    PortText {
        device: String, network: u32, slot: u32, mtu: u32, mac: MacAddress, flags: String;
        vlan: u32, policy: u32, scope: u32, ipv4: Ipv4Addr, ipv6: Ipv6Addr, broadcast_rate: u32,
        multicast_rate: u32, unknown_rate: u32, shut_seconds: u32,
    }
    /// A network.
    NetworkText {
        network: u32, generation: u32, local: u32, coax_ipv4: u32, foreign_ipv4: u32,
        foreign_ipv6: u32, coax_ipv6: u32, mtu: u32, flags: String;
        router: u32, gateway_ipv4: Ipv4Addr, gateway_ipv6: Ipv6Addr, gateway_mac: MacAddress,
    }
    /// Where a MAC address lives.
    MacText {
        network: u32, mac: MacAddress, vtep: IpAddr, device: String, slot: u32, mtu: u32,
        flags: String;
        policy: u32, scope: u32, vlan: u32,
    }
    /// Who owns an address.
    AddressText { network: u32, address: IpAddr, mac: MacAddress; flags: String }
    /// A route; `bits` of an IPv4 prefix have 96 more in front.
    RouteText {
        router: u32, address: IpAddr, bits: u32, network: u32;
        gateway: IpAddr, flags: String,
    }
    /// A VTEP that is a member of a VNI.
    TunnelText { vtep: IpAddr, vni: u32, network: u32, flags: String; }
    /// A receiver of copies; `counters` is the slot of a local port.
    ReplicaText {
        network: u32, generation: u32, slot: u32, vtep: IpAddr, device: String, counters: u32;
        vlan: u16, flags: String,
    }
    /// An address that a port may send from; `counters` is the slot of the port.
    SourceText { address: IpAddr, counters: u32, mac: MacAddress, flags: String; }
}

pub(super) fn host_text(row: &HostRow) -> HostText {
    HostText {
        vtep_ipv4: row.vtep_ipv4.into(),
        vtep_ipv6: row.vtep_ipv6.into(),
        udp_port: u16::from_be_bytes(row.udp_port),
        flags: words(row.flags.into(), HOST_FLAGS),
        seed: sparse(row.seed),
        canary: sparse(row.canary),
    }
}

pub(super) fn port_text(key: &PortKey, row: &PortRow, stand: &Stand) -> PortText {
    PortText {
        device: device(stand, key.ifindex),
        network: row.network.0,
        slot: row.slot,
        mtu: row.mtu,
        mac: row.mac,
        flags: words(row.flags.into(), PORT_FLAGS),
        vlan: sparse(key.vlan),
        policy: sparse(row.policy.0),
        scope: sparse(row.scope),
        ipv4: sparse_ipv4(row.ipv4),
        ipv6: sparse_ipv6(row.ipv6),
        broadcast_rate: sparse(row.broadcast_rate),
        multicast_rate: sparse(row.multicast_rate),
        unknown_rate: sparse(row.unknown_rate),
        shut_seconds: sparse(row.shut_seconds),
    }
}

pub(super) fn network_text(key: &NetworkId, row: &NetworkRow) -> NetworkText {
    NetworkText {
        network: key.0,
        generation: row.generation,
        local: row.local,
        coax_ipv4: row.coax_ipv4,
        foreign_ipv4: row.foreign_ipv4,
        foreign_ipv6: row.foreign_ipv6,
        coax_ipv6: row.coax_ipv6,
        mtu: row.mtu,
        flags: words(row.flags, NETWORK_FLAGS),
        router: sparse(row.router),
        gateway_ipv4: sparse_ipv4(row.gateway_ipv4),
        gateway_ipv6: sparse_ipv6(row.gateway_ipv6),
        gateway_mac: sparse(row.gateway_mac),
    }
}

pub(super) fn mac_text(key: &MacKey, row: &MacRow, stand: &Stand) -> MacText {
    MacText {
        network: key.network.0,
        mac: key.mac,
        vtep: address(row.vtep),
        device: device(stand, row.ifindex),
        slot: row.slot,
        mtu: row.mtu,
        flags: words(row.flags, MAC_FLAGS),
        policy: sparse(row.policy.0),
        scope: sparse(row.scope),
        vlan: sparse(row.vlan),
    }
}

pub(super) fn route_text(key: &RouteKey, row: &RouteRow) -> RouteText {
    RouteText {
        router: u32::from_be_bytes(key.router),
        address: address(key.address),
        bits: key.prefix_length - RouteKey::ROUTER_BITS,
        network: row.network.0,
        gateway: sparse(row.gateway).map(address),
        flags: sparse(words(row.flags, ROUTE_FLAGS)),
    }
}

impl RouteText {
    pub(super) fn row(&self) -> Result<(RouteKey, RouteRow), String> {
        let key = RouteKey::new(self.router, row_address(self.address), self.bits);
        let row = RouteRow {
            gateway: self.gateway.map(row_address).unwrap_or_default(),
            network: NetworkId(self.network),
            flags: flags(self.flags.as_deref().unwrap_or_default(), ROUTE_FLAGS)?,
        };
        Ok((key, row))
    }
}

impl HostText {
    pub(super) fn row(&self) -> Result<HostRow, String> {
        Ok(HostRow {
            vtep_ipv6: self.vtep_ipv6.octets(),
            vtep_ipv4: self.vtep_ipv4.octets(),
            udp_port: self.udp_port.to_be_bytes(),
            flags: flags(&self.flags, HOST_FLAGS)? as u16,
            seed: self.seed.unwrap_or_default(),
            canary: self.canary.unwrap_or_default(),
        })
    }
}

impl PortText {
    pub(super) fn row(&self) -> Result<PortRow, String> {
        Ok(PortRow {
            network: NetworkId(self.network),
            slot: self.slot,
            mtu: self.mtu,
            mac: self.mac,
            flags: flags(&self.flags, PORT_FLAGS)? as u16,
            policy: DomainId(self.policy.unwrap_or_default()),
            scope: self.scope.unwrap_or_default(),
            ipv4: octets4(self.ipv4),
            ipv6: octets6(self.ipv6),
            broadcast_rate: self.broadcast_rate.unwrap_or_default(),
            multicast_rate: self.multicast_rate.unwrap_or_default(),
            unknown_rate: self.unknown_rate.unwrap_or_default(),
            shut_seconds: self.shut_seconds.unwrap_or_default(),
        })
    }
}

impl NetworkText {
    pub(super) fn row(&self) -> Result<NetworkRow, String> {
        Ok(NetworkRow {
            generation: self.generation,
            local: self.local,
            coax_ipv4: self.coax_ipv4,
            foreign_ipv4: self.foreign_ipv4,
            foreign_ipv6: self.foreign_ipv6,
            coax_ipv6: self.coax_ipv6,
            mtu: self.mtu,
            flags: flags(&self.flags, NETWORK_FLAGS)?,
            router: self.router.unwrap_or_default(),
            gateway_ipv4: octets4(self.gateway_ipv4),
            gateway_ipv6: octets6(self.gateway_ipv6),
            gateway_mac: self.gateway_mac.unwrap_or_default(),
            zero: [0; 2],
        })
    }
}

impl MacText {
    pub(super) fn row(&self, stand: &Stand) -> Result<MacRow, String> {
        Ok(MacRow {
            vtep: row_address(self.vtep),
            ifindex: index(stand, &self.device)?,
            slot: self.slot,
            mtu: self.mtu,
            flags: flags(&self.flags, MAC_FLAGS)?,
            policy: DomainId(self.policy.unwrap_or_default()),
            scope: self.scope.unwrap_or_default(),
            vlan: self.vlan.unwrap_or_default(),
        })
    }
}

impl AddressText {
    pub(super) fn row(&self) -> Result<(AddressKey, AddressRow), String> {
        let key = AddressKey {
            address: row_address(self.address),
            network: NetworkId(self.network),
        };
        let words = self.flags.as_deref().unwrap_or_default();
        let row = AddressRow {
            mac: self.mac,
            flags: flags(words, ADDRESS_FLAGS)? as u16,
        };
        Ok((key, row))
    }
}

impl ReplicaText {
    pub(super) fn row(&self, stand: &Stand) -> Result<(ReplicaKey, ReplicaRow), String> {
        let key = ReplicaKey {
            network: NetworkId(self.network),
            generation: self.generation,
            slot: self.slot,
        };
        let words = self.flags.as_deref().unwrap_or_default();
        let row = ReplicaRow {
            vtep: row_address(self.vtep),
            ifindex: index(stand, &self.device)?,
            slot: self.counters,
            vlan: self.vlan.unwrap_or_default(),
            flags: flags(words, REPLICA_FLAGS)? as u16,
        };
        Ok((key, row))
    }
}
