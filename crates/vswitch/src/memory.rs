//! A data plane in memory: rows are kept and read back, nothing is forwarded.

use crate::{
    Attachment, Connection, ConnectionCopy, DataPlane, DataPlaneError, Flows, Punts, Row,
    RowOperation, Rows, SlotCounters, Table, TableUsage,
};
use crate::{connection_copy, connections};
use coax_tables::{DomainId, DropReason, RuleCounters, ShutRow};
use std::collections::{BTreeMap, BTreeSet};

/// Rows that one table of a `MemoryDataPlane` takes unless told otherwise.
const DEFAULT_CAPACITY: u32 = 1 << 20;

/// Buckets of its table of connections, and domains that have a number.
const CONNECTION_BUCKETS: u32 = 32;
const DOMAINS: u32 = 64;

/// A data plane in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryDataPlane {
    rows: Rows,
    attached: BTreeSet<(u32, Attachment)>,
    counters: BTreeMap<u32, SlotCounters>,
    shut: BTreeMap<u32, ShutRow>,
    rules: BTreeMap<u32, RuleCounters>,
    connections: Vec<Connection>,
    capacity: BTreeMap<Table, u32>,
    operations: Vec<RowOperation>,
}

impl MemoryDataPlane {
    /// An empty data plane.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits `table` to `rows` rows.
    #[must_use]
    pub fn with_capacity(mut self, table: Table, rows: u32) -> Self {
        self.capacity.insert(table, rows);
        self
    }

    /// Sets the connections that stand.
    pub fn set_connections(&mut self, connections: Vec<Connection>) {
        self.connections = connections;
    }

    /// Every operation carried out so far, in order.
    pub fn operations(&self) -> &[RowOperation] {
        &self.operations
    }

    /// Sets what `counters` answers for `slot`.
    pub fn set_counters(&mut self, slot: u32, counters: SlotCounters) {
        self.counters.insert(slot, counters);
    }

    /// Sets what `rule_counters` answers for `rule`.
    pub fn set_rule_counters(&mut self, rule: u32, counters: RuleCounters) {
        self.rules.insert(rule, counters);
    }

    fn capacity(&self, table: Table) -> u32 {
        self.capacity
            .get(&table)
            .copied()
            .unwrap_or(DEFAULT_CAPACITY)
    }

    fn holds(&self, row: &Row) -> bool {
        match row {
            Row::Host(_) => true,
            Row::Tunnel(key, _) => self.rows.tunnels.contains_key(key),
            Row::Mac(key, _) => self.rows.macs.contains_key(key),
            Row::Address(key, _) => self.rows.addresses.contains_key(key),
            Row::Replica(key, _) => self.rows.replicas.contains_key(key),
            Row::Source(key, _) => self.rows.sources.contains_key(key),
            Row::Route(key, _) => self.rows.routes.contains_key(key),
            Row::Network(key, _) => self.rows.networks.contains_key(key),
            Row::Port(key, _) => self.rows.ports.contains_key(key),
            Row::Class(key, _) => self.rows.classes.contains_key(key),
            Row::Service(key, _) => self.rows.services.contains_key(key),
            Row::Policy(key, _) => self.rows.policies.contains_key(key),
            Row::Domain(key, _) => self.rows.domains.contains_key(key),
        }
    }
}

impl DataPlane for MemoryDataPlane {
    fn apply(&mut self, operation: &RowOperation) -> Result<(), DataPlaneError> {
        if let RowOperation::Put(row) = operation {
            let table = row.key().table();
            let capacity = self.capacity(table);
            if !self.holds(row) && self.rows.len(table) >= capacity as usize {
                return Err(DataPlaneError::TableFull { table, capacity });
            }
        }
        self.rows.apply(operation);
        self.operations.push(*operation);
        Ok(())
    }

    fn rows(&self) -> Result<Rows, DataPlaneError> {
        Ok(self.rows.clone())
    }

    fn attach(&mut self, ifindex: u32, side: Attachment) -> Result<(), DataPlaneError> {
        self.attached.insert((ifindex, side));
        Ok(())
    }

    fn detach(&mut self, ifindex: u32, side: Attachment) -> Result<(), DataPlaneError> {
        self.attached.remove(&(ifindex, side));
        Ok(())
    }

    fn attached(&self) -> Result<Vec<(u32, Attachment)>, DataPlaneError> {
        Ok(self.attached.iter().copied().collect())
    }

    fn counters(&self, slot: u32) -> Result<SlotCounters, DataPlaneError> {
        Ok(self.counters.get(&slot).cloned().unwrap_or_default())
    }

    fn received(&self, slot: u32) -> Result<u64, DataPlaneError> {
        Ok(self.counters(slot)?.counters.received_frames)
    }

    fn dropped(&self, slot: u32, reason: DropReason) -> Result<u64, DataPlaneError> {
        let counters = self.counters(slot)?;
        let mut drops = counters.drops.iter();
        Ok(drops
            .find(|(known, _)| *known == reason)
            .map_or(0, |(_, count)| *count))
    }

    fn take_punts(&mut self) -> Option<Box<dyn Punts>> {
        None
    }

    fn take_flows(&mut self) -> Option<Box<dyn Flows>> {
        None
    }

    fn reset_counters(&mut self, slot: u32) -> Result<(), DataPlaneError> {
        self.counters.remove(&slot);
        self.shut.remove(&slot);
        Ok(())
    }

    fn shut(&self, slot: u32) -> Result<ShutRow, DataPlaneError> {
        Ok(self.shut.get(&slot).copied().unwrap_or_default())
    }

    fn set_shut(&mut self, slot: u32, row: &ShutRow) -> Result<(), DataPlaneError> {
        self.shut.insert(slot, *row);
        Ok(())
    }

    fn prepare_injection(&mut self, _device: &str) -> Result<(), DataPlaneError> {
        Err(DataPlaneError::Kernel {
            what: "send frames as a VM".to_owned(),
            source: "rows in memory forward nothing".into(),
        })
    }

    fn rule_counters(&self) -> Result<BTreeMap<u32, RuleCounters>, DataPlaneError> {
        Ok(self.rules.clone())
    }

    fn forget_rule(&mut self, rule: u32) -> Result<(), DataPlaneError> {
        self.rules.remove(&rule);
        Ok(())
    }

    fn connections(&self) -> Result<Vec<Connection>, DataPlaneError> {
        Ok(self.connections.clone())
    }

    fn connections_used(&self) -> Result<(u64, u64), DataPlaneError> {
        let capacity = crate::Capacity::default().connections;
        Ok((self.connections.len() as u64, capacity.into()))
    }

    fn connection_buckets(&self, wanted: &BTreeSet<u32>) -> Result<ConnectionCopy, DataPlaneError> {
        Ok(connection_copy::of(
            &self.connections,
            (CONNECTION_BUCKETS, DOMAINS),
            (self.rows.host.seed, connections::now()),
            wanted,
        ))
    }

    fn end_connections(
        &mut self,
        wanted: &dyn Fn(&Connection) -> bool,
    ) -> Result<usize, DataPlaneError> {
        let before = self.connections.len();
        self.connections.retain(|connection| !wanted(connection));
        Ok(before - self.connections.len())
    }

    fn adopt_connections(
        &mut self,
        connections: &[Connection],
        domain: DomainId,
    ) -> Result<usize, DataPlaneError> {
        let adopted = connections.iter().map(|connection| Connection {
            domain,
            rule: 0,
            ..connection.clone()
        });
        self.connections.extend(adopted);
        Ok(connections.len())
    }

    fn usage(&self) -> Result<Vec<TableUsage>, DataPlaneError> {
        Ok(Table::ALL
            .iter()
            .map(|table| TableUsage {
                table: *table,
                entries: u32::try_from(self.rows.len(*table)).unwrap_or(u32::MAX),
                capacity: self.capacity(*table),
            })
            .collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use coax_tables::{NetworkId, NetworkRow};

    #[test]
    fn a_full_table_refuses_and_keeps_what_it_has() {
        let mut plane = MemoryDataPlane::new().with_capacity(Table::Networks, 1);
        let put = |id, mtu| {
            RowOperation::Put(Row::Network(
                NetworkId(id),
                NetworkRow {
                    mtu,
                    ..Default::default()
                },
            ))
        };
        plane.apply(&put(1, 1500)).unwrap();
        plane.apply(&put(1, 1400)).unwrap();
        let error = plane.apply(&put(2, 1500)).unwrap_err();
        assert!(matches!(
            error,
            DataPlaneError::TableFull {
                table: Table::Networks,
                capacity: 1
            }
        ));
        assert_eq!(plane.rows().unwrap().networks[&NetworkId(1)].mtu, 1400);
    }
}
