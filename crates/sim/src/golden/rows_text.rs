//! The form of rows in a golden file: devices by name, addresses as text, flags as words.

use crate::{Device, SimRows, Stand};
use coax_tables::{
    AddressKey, AddressRow, HostRow, MacRow, NetworkId, NetworkRow, PortRow, ReplicaKey,
    ReplicaRow, TunnelKey, TunnelRow,
};
use coax_wire::MacAddress;
use serde::{Deserialize, Serialize};
use serde_saphyr::FlowMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Words for the bits of a row's flags.
type Words = &'static [(&'static str, u32)];

const HOST_FLAGS: Words = &[("pipe-dscp", HostRow::PIPE_DSCP as u32)];
const PORT_FLAGS: Words = &[
    ("vlan-transparent", PortRow::VLAN_TRANSPARENT as u32),
    ("any-source", PortRow::ANY_SOURCE as u32),
];
const NETWORK_FLAGS: Words = &[
    ("vlan-transparent", NetworkRow::VLAN_TRANSPARENT),
    ("flood-unknown", NetworkRow::FLOOD_UNKNOWN),
];
const MAC_FLAGS: Words = &[
    ("local", MacRow::LOCAL),
    ("ipv6", MacRow::IPV6),
    ("forward", MacRow::FORWARD),
    ("to-peer", MacRow::TO_PEER),
];
const TUNNEL_FLAGS: Words = &[
    ("foreign", TunnelRow::FOREIGN),
    ("vlan-transparent", TunnelRow::VLAN_TRANSPARENT),
];

fn words(flags: u32, known: Words) -> String {
    let set = known.iter().filter(|(_, bit)| flags & bit != 0);
    set.map(|(word, _)| *word).collect::<Vec<_>>().join(" ")
}

fn flags(words: &str, known: Words) -> Result<u32, String> {
    words.split_whitespace().try_fold(0, |flags, word| {
        let (_, bit) = known
            .iter()
            .find(|(own, _)| *own == word)
            .ok_or_else(|| format!("no flag `{word}`"))?;
        Ok(flags | bit)
    })
}

fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}

fn row_address(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn device(stand: &Stand, index: u32) -> String {
    stand
        .device(index)
        .map_or_else(|| "none".to_owned(), |device| device.name().to_owned())
}

fn index(stand: &Stand, name: &str) -> Result<u32, String> {
    if name == "none" {
        return Ok(0);
    }
    let device = Device::named(name).ok_or_else(|| format!("no device `{name}`"))?;
    Ok(stand.index(device))
}

macro_rules! text_rows {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),+ $(,)? })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            #[allow(missing_docs)]
            pub struct $name { $(pub $field: $type),+ }
        )+
    };
}

text_rows! {
    /// The host row.
    HostText { vtep_ipv4: Ipv4Addr, vtep_ipv6: Ipv6Addr, udp_port: u16, flags: String }
    /// A port.
    PortText {
        device: String, network: u32, slot: u32, mtu: u32, mac: MacAddress, flags: String,
    }
    /// A network.
    NetworkText {
        network: u32, generation: u32, local: u32, coax_ipv4: u32, foreign_ipv4: u32,
        foreign_ipv6: u32, coax_ipv6: u32, mtu: u32, flags: String,
    }
    /// Where a MAC address lives.
    MacText {
        network: u32, mac: MacAddress, vtep: IpAddr, device: String, slot: u32, mtu: u32,
        flags: String,
    }
    /// Who owns an address.
    AddressText { network: u32, address: IpAddr, mac: MacAddress }
    /// A VTEP that is a member of a VNI.
    TunnelText { vtep: IpAddr, vni: u32, network: u32, flags: String }
    /// A receiver of copies; `counters` is the slot of a local port.
    ReplicaText {
        network: u32, generation: u32, slot: u32, vtep: IpAddr, device: String, counters: u32,
    }
}

/// All rows, each in one line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RowsText {
    pub host: FlowMap<HostText>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<FlowMap<PortText>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<FlowMap<NetworkText>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub macs: Vec<FlowMap<MacText>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<FlowMap<AddressText>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tunnels: Vec<FlowMap<TunnelText>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<FlowMap<ReplicaText>>,
}

/// Rows of a table in the order of their keys, as text.
fn sorted<K: Ord + Copy, V, T>(
    table: &std::collections::HashMap<K, V>,
    text: impl Fn(&K, &V) -> T,
) -> Vec<FlowMap<T>> {
    let mut rows: Vec<_> = table.iter().collect();
    rows.sort_by_key(|(key, _)| **key);
    rows.into_iter()
        .map(|(key, row)| FlowMap(text(key, row)))
        .collect()
}

impl RowsText {
    /// The text of rows on a stand.
    pub fn of(rows: &SimRows, stand: &Stand) -> Self {
        let SimRows { host, .. } = rows;
        Self {
            host: FlowMap(HostText {
                vtep_ipv4: host.vtep_ipv4.into(),
                vtep_ipv6: host.vtep_ipv6.into(),
                udp_port: u16::from_be_bytes(host.udp_port),
                flags: words(host.flags.into(), HOST_FLAGS),
            }),
            ports: sorted(&rows.ports, |key, row| PortText {
                device: device(stand, key.ifindex),
                network: row.network.0,
                slot: row.slot,
                mtu: row.mtu,
                mac: row.mac,
                flags: words(row.flags.into(), PORT_FLAGS),
            }),
            networks: sorted(&rows.networks, network_text),
            macs: sorted(&rows.macs, |key, row| MacText {
                network: key.network.0,
                mac: key.mac,
                vtep: address(row.vtep),
                device: device(stand, row.ifindex),
                slot: row.slot,
                mtu: row.mtu,
                flags: words(row.flags, MAC_FLAGS),
            }),
            addresses: sorted(&rows.addresses, |key, row| AddressText {
                network: key.network.0,
                address: address(key.address),
                mac: row.mac,
            }),
            tunnels: sorted(&rows.tunnels, |key, row| TunnelText {
                vtep: address(key.vtep),
                vni: key.vni,
                network: row.network.0,
                flags: words(row.flags, TUNNEL_FLAGS),
            }),
            replicas: sorted(&rows.replicas, |key, row| ReplicaText {
                network: key.network.0,
                generation: key.generation,
                slot: key.slot,
                vtep: address(row.vtep),
                device: device(stand, row.ifindex),
                counters: row.slot,
            }),
        }
    }

    /// The rows for a stand.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn rows(&self, stand: &Stand) -> Result<SimRows, String> {
        let mut rows = SimRows::new(self.host.0.row()?);
        for FlowMap(text) in &self.ports {
            rows.port(index(stand, &text.device)?, text.row()?);
        }
        for FlowMap(text) in &self.networks {
            rows.networks.insert(NetworkId(text.network), text.row()?);
        }
        for FlowMap(text) in &self.macs {
            rows.mac(NetworkId(text.network), text.mac, text.row(stand)?);
        }
        for FlowMap(text) in &self.addresses {
            let key = AddressKey {
                address: row_address(text.address),
                network: NetworkId(text.network),
            };
            rows.addresses.insert(key, AddressRow::new(text.mac));
        }
        for FlowMap(text) in &self.tunnels {
            let key = TunnelKey {
                vtep: row_address(text.vtep),
                vni: text.vni,
            };
            let row = TunnelRow {
                network: NetworkId(text.network),
                flags: flags(&text.flags, TUNNEL_FLAGS)?,
            };
            rows.tunnels.insert(key, row);
        }
        for FlowMap(text) in &self.replicas {
            let key = ReplicaKey {
                network: NetworkId(text.network),
                generation: text.generation,
                slot: text.slot,
            };
            let row = ReplicaRow {
                vtep: row_address(text.vtep),
                ifindex: index(stand, &text.device)?,
                slot: text.counters,
                ..ReplicaRow::default()
            };
            rows.replicas.insert(key, row);
        }
        Ok(rows)
    }
}

fn network_text(key: &NetworkId, row: &NetworkRow) -> NetworkText {
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
    }
}

impl HostText {
    fn row(&self) -> Result<HostRow, String> {
        Ok(HostRow {
            vtep_ipv6: self.vtep_ipv6.octets(),
            vtep_ipv4: self.vtep_ipv4.octets(),
            udp_port: self.udp_port.to_be_bytes(),
            flags: flags(&self.flags, HOST_FLAGS)? as u16,
            ..HostRow::default()
        })
    }
}

impl PortText {
    fn row(&self) -> Result<PortRow, String> {
        Ok(PortRow {
            network: NetworkId(self.network),
            slot: self.slot,
            mtu: self.mtu,
            mac: self.mac,
            flags: flags(&self.flags, PORT_FLAGS)? as u16,
            ..PortRow::default()
        })
    }
}

impl NetworkText {
    fn row(&self) -> Result<NetworkRow, String> {
        Ok(NetworkRow {
            generation: self.generation,
            local: self.local,
            coax_ipv4: self.coax_ipv4,
            foreign_ipv4: self.foreign_ipv4,
            foreign_ipv6: self.foreign_ipv6,
            coax_ipv6: self.coax_ipv6,
            mtu: self.mtu,
            flags: flags(&self.flags, NETWORK_FLAGS)?,
            ..NetworkRow::default()
        })
    }
}

impl MacText {
    fn row(&self, stand: &Stand) -> Result<MacRow, String> {
        Ok(MacRow {
            vtep: row_address(self.vtep),
            ifindex: index(stand, &self.device)?,
            slot: self.slot,
            mtu: self.mtu,
            flags: flags(&self.flags, MAC_FLAGS)?,
            ..MacRow::default()
        })
    }
}
