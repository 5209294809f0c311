//! The data plane in the kernel: maps and programs that outlive the agent.
//!
//! Everything that forwarding needs is pinned in bpffs, so an agent that dies takes nothing with
//! it, and the next one finds maps, rows and counters where they are.

mod attach;
mod bpffs;
mod features;
mod flows;
mod index_map;
mod inject;
mod maps;
mod open;
mod prefix_map;
mod programs;
mod punts;
mod routes;
mod shared;
mod typed_map;

pub use maps::map_names;

use crate::{
    Attachment, Capacity, Connection, ConnectionCopy, DataPlane, DataPlaneError, Flows, Punts, Row,
    RowKey, RowOperation, Rows, SlotCounters, Table, TableUsage,
};
use attach::Attachments;
use coax_tables::{DomainId, DropReason, RuleCounters, ShutRow};
use maps::Maps;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Where the pins are and how large the tables are to be.
#[derive(Clone, Debug)]
pub struct KernelOptions {
    /// Folder in bpffs that belongs to this vSwitch alone.
    pub pins: PathBuf,
    /// Table sizes.
    pub capacity: Capacity,
    /// Pins of another layout or other sizes are replaced by new maps instead of refused. Programs
    /// that are attached go on with the old maps until `attach` is called for their devices, so
    /// the caller writes all rows first.
    pub take_over_layout: bool,
}

/// The data plane in the kernel.
pub struct KernelDataPlane {
    ebpf: aya::Ebpf,
    maps: Maps,
    attachments: Attachments,
    array: programs::Pins,
    capacity: Capacity,
    injector: Option<aya::programs::tc::SchedClassifierLink>,
}

impl std::fmt::Debug for KernelDataPlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelDataPlane")
            .field("capacity", &self.capacity)
            .field("attachments", &self.attachments)
            .finish_non_exhaustive()
    }
}

/// An error of the kernel or of the loader, with what was tried.
fn failed<E>(what: impl Into<String>) -> impl FnOnce(E) -> DataPlaneError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let what = what.into();
    move |source| DataPlaneError::Kernel {
        what,
        source: source.into(),
    }
}

impl KernelDataPlane {
    /// Opens what is pinned in the folder, or makes it. Programs that are attached are not touched
    /// before `attach` is called for their devices.
    ///
    /// # Errors
    /// `Layout` for pins of another version or size, `Kernel` when bpffs cannot be mounted or the
    /// kernel refuses a program or map.
    pub fn open(options: &KernelOptions) -> Result<Self, DataPlaneError> {
        open::open(options)
    }

    /// Takes all programs off their devices and removes all pins in the folder: the vSwitch stops.
    /// A folder that is not there is no error.
    ///
    /// # Errors
    /// `Kernel` when something cannot be removed.
    pub fn remove(pins: &std::path::Path) -> Result<(), DataPlaneError> {
        Attachments::new(pins).remove_all()?;
        match std::fs::remove_dir_all(pins) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(failed(format!("remove {}", pins.display()))(error))
            }
            _ => Ok(()),
        }
    }

    /// A loaded program, for inspection and test runs: `coax_port` or `coax_uplink`.
    pub fn program(&self, side: Attachment) -> Option<&aya::programs::SchedClassifier> {
        self.ebpf
            .program(attach::program_name(side))?
            .try_into()
            .ok()
    }

    /// The state of the last frame on each processor, for inspection after test runs. It is not pinned:
    /// it belongs to the programs of this process alone, and may have another size in the next one.
    ///
    /// # Errors
    /// `Kernel` when the map cannot be opened once more.
    pub fn last_frame(&self) -> Result<aya::maps::MapData, DataPlaneError> {
        let map = self.ebpf.map("META");
        let aya::maps::Map::PerCpuArray(data) =
            map.ok_or_else(|| failed("find the map META")("the program object lacks it"))?
        else {
            return Err(failed("open the map META")("it is of another kind"));
        };
        let id = data.info().map_err(failed("read about the map META"))?.id();
        aya::maps::MapData::from_id(id).map_err(failed("open the map META"))
    }

    /// Makes everything that is remembered of connections and fragments so much older: time passes for
    /// tests, who cannot change the kernel's clock.
    pub fn age(&self, time: std::time::Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.maps.age(coax_tables::connection::ticks(nanoseconds));
    }

    /// Forgets all connections and fragments, whatever programs do at the time: for tests, which begin
    /// from nothing.
    pub fn forget_connections(&self) {
        self.maps.clear();
    }

    /// Instructions that the verifier walked through for each program, where the kernel tells.
    pub fn verified_instructions(&self) -> Vec<(&'static str, u32)> {
        programs::names()
            .filter_map(|name| {
                let info = self.ebpf.program(name)?.info().ok()?;
                Some((name, info.verified_instruction_count()?))
            })
            .collect()
    }
}

impl DataPlane for KernelDataPlane {
    fn apply(&mut self, operation: &RowOperation) -> Result<(), DataPlaneError> {
        match operation {
            RowOperation::Put(row) => self.put(row),
            RowOperation::Delete(key) => self.delete(key),
        }
    }

    fn rows(&self) -> Result<Rows, DataPlaneError> {
        Ok(Rows {
            host: self.maps.host()?,
            tunnels: self.maps.tunnels.all()?,
            macs: self.maps.macs.all()?,
            addresses: self.maps.addresses.all()?,
            replicas: self.maps.replicas.all()?,
            sources: self.maps.sources.all()?,
            routes: self.maps.routes.all()?,
            networks: self.maps.networks.all()?,
            ports: self.maps.ports.all()?,
            classes: self.maps.classes.all()?,
            services: self.maps.services.all()?,
            policies: self.maps.policies.all()?,
            domains: self.maps.domains()?,
        })
    }

    fn attach(&mut self, ifindex: u32, side: Attachment) -> Result<(), DataPlaneError> {
        self.attachments
            .attach(&mut self.ebpf, &self.array, ifindex, side)
    }

    fn detach(&mut self, ifindex: u32, side: Attachment) -> Result<(), DataPlaneError> {
        self.attachments.detach(ifindex, side)
    }

    fn attached(&self) -> Result<Vec<(u32, Attachment)>, DataPlaneError> {
        self.attachments.all()
    }

    fn counters(&self, slot: u32) -> Result<SlotCounters, DataPlaneError> {
        self.maps.counters(slot)
    }

    fn received(&self, slot: u32) -> Result<u64, DataPlaneError> {
        Ok(self.maps.totals(slot)?.received_frames)
    }

    fn dropped(&self, slot: u32, reason: DropReason) -> Result<u64, DataPlaneError> {
        self.maps.dropped(slot, reason)
    }

    fn take_punts(&mut self) -> Option<Box<dyn Punts>> {
        let ring = self.maps.take_punts()?;
        Some(Box::new(punts::KernelPunts::new(ring)))
    }

    fn take_flows(&mut self) -> Option<Box<dyn Flows>> {
        let ring = self.maps.take_flows()?;
        Some(Box::new(flows::KernelFlows::new(ring)))
    }

    fn reset_counters(&mut self, slot: u32) -> Result<(), DataPlaneError> {
        self.maps.set_shut(slot, &ShutRow::default())?;
        self.maps.reset_counters(slot)
    }

    fn shut(&self, slot: u32) -> Result<ShutRow, DataPlaneError> {
        self.maps.shut(slot)
    }

    fn set_shut(&mut self, slot: u32, row: &ShutRow) -> Result<(), DataPlaneError> {
        self.maps.set_shut(slot, row)
    }

    fn prepare_injection(&mut self, device: &str) -> Result<(), DataPlaneError> {
        self.put_injector(device)
    }

    fn rule_counters(&self) -> Result<BTreeMap<u32, RuleCounters>, DataPlaneError> {
        self.maps.rule_counters()
    }

    fn forget_rule(&mut self, rule: u32) -> Result<(), DataPlaneError> {
        self.maps.forget_rule(rule)
    }

    fn connections(&self) -> Result<Vec<Connection>, DataPlaneError> {
        Ok(self.maps.connection_table().all())
    }

    fn connections_used(&self) -> Result<(u64, u64), DataPlaneError> {
        Ok(self.maps.connection_table().used())
    }

    fn connection_buckets(&self, wanted: &BTreeSet<u32>) -> Result<ConnectionCopy, DataPlaneError> {
        Ok(self.maps.connection_table().copy(wanted))
    }

    fn end_connections(
        &mut self,
        wanted: &dyn Fn(&Connection) -> bool,
    ) -> Result<usize, DataPlaneError> {
        Ok(self.maps.connection_table().end(wanted))
    }

    fn adopt_connections(
        &mut self,
        connections: &[Connection],
        domain: DomainId,
    ) -> Result<usize, DataPlaneError> {
        let seed = self.maps.host()?.seed;
        let quota = self.maps.domains()?.get(&domain).map_or(0, |row| row.quota);
        let table = self.maps.connection_table();
        let adopted = connections.iter();
        Ok(adopted
            .filter(|connection| table.adopt(connection, domain, quota, seed))
            .count())
    }

    fn usage(&self) -> Result<Vec<TableUsage>, DataPlaneError> {
        Table::ALL
            .iter()
            .map(|table| {
                let entries = u32::try_from(self.maps.entries(*table)?).unwrap_or(u32::MAX);
                Ok(TableUsage {
                    table: *table,
                    entries,
                    capacity: self.capacity.of(*table),
                })
            })
            .collect()
    }
}

impl KernelDataPlane {
    fn put(&mut self, row: &Row) -> Result<(), DataPlaneError> {
        let capacity = self.capacity.of(row.key().table());
        match row {
            Row::Host(row) => self.maps.set_host(row),
            Row::Tunnel(key, row) => self.maps.tunnels.put(key, row, capacity),
            Row::Mac(key, row) => self.maps.macs.put(key, row, capacity),
            Row::Address(key, row) => self.maps.addresses.put(key, row, capacity),
            Row::Replica(key, row) => self.maps.replicas.put(key, row, capacity),
            Row::Source(key, row) => self.maps.sources.put(key, row, capacity),
            Row::Route(key, row) => self.maps.routes.put(key, row, capacity),
            Row::Network(key, row) => self.maps.networks.put(key, row, capacity),
            Row::Port(key, row) => self.maps.ports.put(key, row, capacity),
            Row::Class(key, row) => self.maps.classes.put(key, row, capacity),
            Row::Service(key, row) => self.maps.services.put(key, row, capacity),
            Row::Policy(key, row) => self.maps.policies.put(key, row, capacity),
            Row::Domain(key, row) => self.maps.domains.put(key.0, row),
        }
    }

    fn delete(&mut self, key: &RowKey) -> Result<(), DataPlaneError> {
        match key {
            RowKey::Host => self.maps.set_host(&coax_tables::HostRow::default()),
            RowKey::Tunnel(key) => self.maps.tunnels.delete(key),
            RowKey::Mac(key) => self.maps.macs.delete(key),
            RowKey::Address(key) => self.maps.addresses.delete(key),
            RowKey::Replica(key) => self.maps.replicas.delete(key),
            RowKey::Source(key) => self.maps.sources.delete(key),
            RowKey::Route(key) => self.maps.routes.delete(key),
            RowKey::Network(key) => self.maps.networks.delete(key),
            RowKey::Port(key) => self.maps.ports.delete(key),
            RowKey::Class(key) => self.maps.classes.delete(key),
            RowKey::Service(key) => self.maps.services.delete(key),
            RowKey::Policy(key) => self.maps.policies.delete(key),
            RowKey::Domain(key) => self.maps.domains.delete(key.0),
        }
    }
}
