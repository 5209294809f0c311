//! All rows of a golden file.

use super::policy_text::PolicyTexts;
use super::row_text::*;
use crate::{SimRows, Stand};
use coax_tables::{NetworkId, PortKey, SourceKey, SourceRow, TunnelKey, TunnelRow};
use serde::{Deserialize, Serialize};
use serde_saphyr::FlowMap;

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
    pub routes: Vec<FlowMap<RouteText>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tunnels: Vec<FlowMap<TunnelText>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<FlowMap<ReplicaText>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<FlowMap<SourceText>>,
    #[serde(default, skip_serializing_if = "PolicyTexts::is_empty")]
    pub firewall: PolicyTexts,
}

/// Rows of a table in the order of their keys, as text.
pub(super) fn sorted<K: Ord + Copy, V, T>(
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
        Self {
            host: FlowMap(host_text(&rows.host)),
            ports: sorted(&rows.ports, |key, row| port_text(key, row, stand)),
            networks: sorted(&rows.networks, network_text),
            macs: sorted(&rows.macs, |key, row| mac_text(key, row, stand)),
            addresses: sorted(&rows.addresses, |key, row| AddressText {
                network: key.network.0,
                address: address(key.address),
                mac: row.mac,
                flags: sparse(words(row.flags.into(), ADDRESS_FLAGS)),
            }),
            routes: sorted(&rows.routes, route_text),
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
                vlan: sparse(row.vlan),
                flags: sparse(words(row.flags.into(), REPLICA_FLAGS)),
            }),
            sources: sorted(&rows.sources, |key, row| SourceText {
                address: address(key.address),
                counters: key.slot,
                mac: row.mac,
                flags: words(row.flags.into(), SOURCE_FLAGS),
            }),
            firewall: PolicyTexts::of(rows),
        }
    }

    /// The rows for a stand.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn rows(&self, stand: &Stand) -> Result<SimRows, String> {
        let mut rows = SimRows::new(self.host.0.row()?);
        for FlowMap(text) in &self.ports {
            let key = PortKey {
                ifindex: index(stand, &text.device)?,
                vlan: text.vlan.unwrap_or_default(),
            };
            rows.ports.insert(key, text.row()?);
        }
        for FlowMap(text) in &self.networks {
            rows.networks.insert(NetworkId(text.network), text.row()?);
        }
        for FlowMap(text) in &self.macs {
            rows.mac(NetworkId(text.network), text.mac, text.row(stand)?);
        }
        for FlowMap(text) in &self.addresses {
            let (key, row) = text.row()?;
            rows.addresses.insert(key, row);
        }
        for FlowMap(text) in &self.routes {
            let (key, row) = text.row()?;
            rows.routes.insert(key, row);
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
            let (key, row) = text.row(stand)?;
            rows.replicas.insert(key, row);
        }
        for FlowMap(text) in &self.sources {
            let key = SourceKey {
                address: row_address(text.address),
                slot: text.counters,
            };
            let row = SourceRow {
                mac: text.mac,
                flags: flags(&text.flags, SOURCE_FLAGS)? as u16,
            };
            rows.sources.insert(key, row);
        }
        self.firewall.put(&mut rows)?;
        Ok(rows)
    }
}
