//! What is in the data plane's tables, as far as the agent knows: read once at the start, then kept by noting every step.

use std::collections::{BTreeMap, BTreeSet};

use coax_tables::{
    AddressKey, AddressRow, DomainId, DomainRow, HostRow, MacKey, MacRow, NetworkId, NetworkRow,
    PortKey, PortRow, ReplicaKey, ReplicaRow, RouteKey, RouteRow, SourceKey, SourceRow, TunnelKey,
    TunnelRow,
};
use coax_vswitch::{Attachment, Row, RowKey, RowOperation, Rows};

use crate::input::Step;

/// The rows of one network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldNetwork {
    /// Endpoints that frames are taken from.
    pub tunnels: BTreeMap<TunnelKey, TunnelRow>,
    /// Where MAC addresses live.
    pub macs: BTreeMap<MacKey, MacRow>,
    /// Who owns an address.
    pub addresses: BTreeMap<AddressKey, AddressRow>,
    /// Replica lists of all generations that are there.
    pub replicas: BTreeMap<ReplicaKey, ReplicaRow>,
    /// The network itself.
    pub network: Option<NetworkRow>,
}

impl HeldNetwork {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Everything in the tables, by network, and the devices that have a program.
///
/// Port rows are kept apart: a device can pass from one network to another, its key stays the same.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    /// The host's own row.
    pub host: HostRow,
    /// Rows by network.
    pub networks: BTreeMap<NetworkId, HeldNetwork>,
    /// Port rows of all networks.
    pub ports: BTreeMap<PortKey, PortRow>,
    /// Addresses that ports may send from, by the ports' slots.
    pub sources: BTreeMap<u32, BTreeMap<SourceKey, SourceRow>>,
    /// Routes, by router.
    pub routes: BTreeMap<u32, BTreeMap<RouteKey, RouteRow>>,
    /// Domains of policies.
    pub domains: BTreeMap<DomainId, DomainRow>,
    /// What policy tables hold, by number of the table.
    pub policy_tables: BTreeMap<u32, BTreeSet<RowKey>>,
    /// Devices with a program.
    pub attached: BTreeSet<(u32, Attachment)>,
    tunnel_networks: BTreeMap<TunnelKey, NetworkId>,
}

impl Mirror {
    /// Takes over what was read from the data plane.
    pub fn new(rows: &Rows, attached: &[(u32, Attachment)]) -> Self {
        let mut mirror = Self {
            attached: attached.iter().copied().collect(),
            ..Self::default()
        };
        for row in rows.iter() {
            mirror.put(row);
        }
        mirror
    }

    /// Notes a step that was done.
    pub fn note(&mut self, step: &Step) {
        match step {
            Step::Row(RowOperation::Put(row)) => self.put(*row),
            Step::Row(RowOperation::Delete(key)) => self.delete(key),
            Step::Attach(ifindex, side) => drop(self.attached.insert((*ifindex, *side))),
            Step::Detach(ifindex, side) => drop(self.attached.remove(&(*ifindex, *side))),
            Step::ResetCounters(_) | Step::ForgetRule(_) => {}
        }
    }

    /// The rows of `network`, if there are any.
    pub fn network(&self, network: NetworkId) -> Option<&HeldNetwork> {
        self.networks.get(&network)
    }

    /// Port rows that point to `network`.
    pub fn ports_of(&self, network: NetworkId) -> impl Iterator<Item = (&PortKey, &PortRow)> {
        self.ports
            .iter()
            .filter(move |(_, row)| row.network == network)
    }

    /// What the port with this slot may send from.
    pub fn sources_of(&self, slot: u32) -> impl Iterator<Item = (&SourceKey, &SourceRow)> {
        self.sources.get(&slot).into_iter().flatten()
    }

    fn put(&mut self, row: Row) {
        match row {
            Row::Host(row) => self.host = row,
            Row::Tunnel(key, row) => {
                self.delete(&RowKey::Tunnel(key));
                self.tunnel_networks.insert(key, row.network);
                self.held(row.network).tunnels.insert(key, row);
            }
            Row::Mac(key, row) => drop(self.held(key.network).macs.insert(key, row)),
            Row::Address(key, row) => drop(self.held(key.network).addresses.insert(key, row)),
            Row::Replica(key, row) => drop(self.held(key.network).replicas.insert(key, row)),
            Row::Network(network, row) => self.held(network).network = Some(row),
            Row::Port(key, row) => drop(self.ports.insert(key, row)),
            Row::Source(key, row) => {
                self.sources.entry(key.slot).or_default().insert(key, row);
            }
            Row::Route(key, row) => {
                let router = u32::from_be_bytes(key.router);
                self.routes.entry(router).or_default().insert(key, row);
            }
            Row::Domain(id, row) => drop(self.domains.insert(id, row)),
            Row::Class(..) | Row::Service(..) | Row::Policy(..) => {
                let key = row.key();
                if let Some(table) = policy_table(&key) {
                    self.policy_tables.entry(table).or_default().insert(key);
                }
            }
        }
    }

    fn delete(&mut self, key: &RowKey) {
        let network = match key {
            RowKey::Host => {
                self.host = HostRow::default();
                return;
            }
            RowKey::Port(key) => {
                self.ports.remove(key);
                return;
            }
            RowKey::Source(key) => {
                remove_from(&mut self.sources, key.slot, key);
                return;
            }
            RowKey::Route(key) => {
                remove_from(&mut self.routes, u32::from_be_bytes(key.router), key);
                return;
            }
            RowKey::Tunnel(key) => match self.tunnel_networks.remove(key) {
                Some(network) => network,
                None => return,
            },
            RowKey::Mac(key) => key.network,
            RowKey::Address(key) => key.network,
            RowKey::Replica(key) => key.network,
            RowKey::Network(network) => *network,
            RowKey::Domain(id) => {
                self.domains.remove(id);
                return;
            }
            RowKey::Class(_) | RowKey::Service(_) | RowKey::Policy(_) => {
                let Some(table) = policy_table(key) else {
                    return;
                };
                if let Some(keys) = self.policy_tables.get_mut(&table) {
                    keys.remove(key);
                    if keys.is_empty() {
                        self.policy_tables.remove(&table);
                    }
                }
                return;
            }
        };
        let Some(held) = self.networks.get_mut(&network) else {
            return;
        };
        match key {
            RowKey::Tunnel(key) => drop(held.tunnels.remove(key)),
            RowKey::Mac(key) => drop(held.macs.remove(key)),
            RowKey::Address(key) => drop(held.addresses.remove(key)),
            RowKey::Replica(key) => drop(held.replicas.remove(key)),
            RowKey::Network(_) => held.network = None,
            RowKey::Host
            | RowKey::Port(_)
            | RowKey::Source(_)
            | RowKey::Route(_)
            | RowKey::Class(_)
            | RowKey::Service(_)
            | RowKey::Policy(_)
            | RowKey::Domain(_) => {}
        }
        if held.is_empty() {
            self.networks.remove(&network);
        }
    }

    fn held(&mut self, network: NetworkId) -> &mut HeldNetwork {
        self.networks.entry(network).or_default()
    }
}

/// Removes a row from its group, and the group when it is empty.
fn remove_from<K: Ord, V>(groups: &mut BTreeMap<u32, BTreeMap<K, V>>, group: u32, key: &K) {
    if let Some(rows) = groups.get_mut(&group) {
        rows.remove(key);
        if rows.is_empty() {
            groups.remove(&group);
        }
    }
}

/// The policy table that a row is in.
fn policy_table(key: &RowKey) -> Option<u32> {
    match key {
        RowKey::Class(key) => Some(u32::from_be_bytes(key.table)),
        RowKey::Service(key) => Some(u32::from_be_bytes(key.table)),
        RowKey::Policy(key) => Some(key.table),
        _ => None,
    }
}
