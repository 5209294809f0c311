//! Maps as typed tables: rows go in and out as the bytes that they are.

use super::failed;
use super::index_map::IndexMap;
use super::prefix_map::PrefixMap;
use super::routes::RouteMap;
use super::shared::Shared;
use super::typed_map::{TypedMap, bytes, map_of, value};
use crate::connections::{self, ConnectionTable};
use crate::{Capacity, DataPlaneError, SlotCounters, Table};
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf};
use coax_tables::{
    AddressKey, AddressRow, ClassKey, ClassRow, ConnectionBucket, Counters, DomainId, DomainRow,
    DropReason, FragmentBucket, HostRow, Limit, MacKey, MacRow, NetworkId, NetworkRow, PolicyKey,
    PolicyRow, PortKey, PortRow, ReplicaKey, ReplicaRow, RuleCounters, ServiceKey, ShutRow,
    SourceKey, SourceRow, Tag, TunnelKey, TunnelRow, drop_index,
};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

const COUNTER_BYTES: usize = size_of::<Counters>();
const HOST_BYTES: usize = size_of::<HostRow>();
const SHUT_BYTES: usize = size_of::<ShutRow>();
const RULE_BYTES: usize = size_of::<RuleCounters>();

/// Bytes of the ring buffer of flow records.
const FLOW_BYTES: u32 = 1 << 20;

/// Keys of the two prefix tables that count as a whole.
const WHOLE_CLASSES: &str = "WHOLE_CLASSES";
const WHOLE_SERVICES: &str = "WHOLE_SERVICES";

/// Name of a table's map in the program object.
pub(super) const fn map_name(table: Table) -> &'static str {
    match table {
        Table::Host => "HOST",
        Table::Tunnels => "TUNNELS",
        Table::Macs => "MACS",
        Table::Addresses => "ADDRESSES",
        Table::Replicas => "REPLICAS",
        Table::Sources => "SOURCES",
        Table::Routes => "ROUTES",
        Table::Networks => "NETWORKS",
        Table::Ports => "PORTS",
        Table::Classes => "CLASSES",
        Table::Services => "SERVICES",
        Table::Policies => "POLICIES",
        Table::Domains => "DOMAINS",
    }
}

/// Bytes of the ring buffer for the agent: five hundred frames, a second of the most that five busy
/// ports may send.
const PUNT_RING_BYTES: u32 = 1 << 20;

/// Every map of the program object that is pinned, with the number of entries that `capacity` gives it.
/// The ring buffer's entries are bytes.
pub fn map_names(capacity: &Capacity) -> Vec<(&'static str, u32)> {
    let slots = capacity.ports + 1;
    let tables = Table::ALL
        .iter()
        .map(|table| (map_name(*table), capacity.of(*table)));
    tables
        .chain([
            ("LAYOUT", 1),
            ("COUNTERS", slots),
            ("DROPS", slots * DropReason::COUNT),
            ("SHUT", slots),
            ("LIMITS", slots * Limit::COUNT),
            ("PUNTS", PUNT_RING_BYTES),
            (WHOLE_CLASSES, capacity.classes),
            (WHOLE_SERVICES, capacity.services),
            // Every rule has a row of its own.
            ("RULES", capacity.policies),
            ("CONNECTIONS", capacity.connection_buckets()),
            ("FRAGMENTS", capacity.fragment_buckets()),
            ("USAGE", capacity.domains),
            ("FLOWS", FLOW_BYTES),
        ])
        .collect()
}

/// The memory of an array map.
fn shared<T>(ebpf: &mut aya::Ebpf, name: &str) -> Result<Shared<T>, DataPlaneError> {
    match map_of(ebpf, name)? {
        Map::Array(data) => Shared::map(&data, name),
        _ => Err(failed(format!("open the map {name}"))(
            "it is of another kind",
        )),
    }
}

type Typed<K, V, const KB: usize, const VB: usize> = TypedMap<K, V, KB, VB>;

/// All maps of a vSwitch.
pub(super) struct Maps {
    host: Array<MapData, [u8; HOST_BYTES]>,
    pub(super) tunnels: Typed<TunnelKey, TunnelRow, 20, 8>,
    pub(super) macs: Typed<MacKey, MacRow, 12, 44>,
    pub(super) addresses: Typed<AddressKey, AddressRow, 20, 8>,
    pub(super) replicas: Typed<ReplicaKey, ReplicaRow, 12, 28>,
    pub(super) sources: Typed<SourceKey, SourceRow, 20, 8>,
    pub(super) routes: RouteMap,
    pub(super) networks: Typed<NetworkId, NetworkRow, 4, 64>,
    pub(super) ports: Typed<PortKey, PortRow, 8, 64>,
    pub(super) classes: PrefixMap<ClassKey, ClassRow, 28, 24, 4>,
    pub(super) services: PrefixMap<ServiceKey, ClassRow, 12, 8, 4>,
    pub(super) policies: Typed<PolicyKey, PolicyRow, 16, 12>,
    pub(super) domains: IndexMap<DomainRow, 20>,
    rules: HashMap<MapData, u32, [u8; RULE_BYTES]>,
    connections: Shared<ConnectionBucket>,
    usage: Shared<AtomicU64>,
    fragments: Shared<FragmentBucket>,
    counters: PerCpuArray<MapData, [u8; COUNTER_BYTES]>,
    drops: PerCpuArray<MapData, u64>,
    shut: Array<MapData, [u8; SHUT_BYTES]>,
    limits: Array<MapData, u64>,
    punts: Option<RingBuf<MapData>>,
    flows: Option<RingBuf<MapData>>,
}

impl Maps {
    pub(super) fn take(ebpf: &mut aya::Ebpf) -> Result<Self, DataPlaneError> {
        Ok(Self {
            host: Array::try_from(map_of(ebpf, "HOST")?).map_err(failed("open the host row"))?,
            tunnels: TypedMap::take(ebpf, Table::Tunnels)?,
            macs: TypedMap::take(ebpf, Table::Macs)?,
            addresses: TypedMap::take(ebpf, Table::Addresses)?,
            replicas: TypedMap::take(ebpf, Table::Replicas)?,
            sources: TypedMap::take(ebpf, Table::Sources)?,
            routes: RouteMap::take(ebpf, map_name(Table::Routes))?,
            networks: TypedMap::take(ebpf, Table::Networks)?,
            ports: TypedMap::take(ebpf, Table::Ports)?,
            classes: PrefixMap::take(ebpf, Table::Classes, WHOLE_CLASSES, "CLASSES")?,
            services: PrefixMap::take(ebpf, Table::Services, WHOLE_SERVICES, "SERVICES")?,
            policies: TypedMap::take(ebpf, Table::Policies)?,
            domains: IndexMap::take(ebpf, Table::Domains, map_name(Table::Domains))?,
            rules: HashMap::try_from(map_of(ebpf, "RULES")?)
                .map_err(failed("open the counters of rules"))?,
            connections: shared(ebpf, "CONNECTIONS")?,
            usage: shared(ebpf, "USAGE")?,
            fragments: shared(ebpf, "FRAGMENTS")?,
            counters: PerCpuArray::try_from(map_of(ebpf, "COUNTERS")?)
                .map_err(failed("open the counters"))?,
            drops: PerCpuArray::try_from(map_of(ebpf, "DROPS")?)
                .map_err(failed("open the drop counters"))?,
            shut: Array::try_from(map_of(ebpf, "SHUT")?).map_err(failed("open the shut ports"))?,
            limits: Array::try_from(map_of(ebpf, "LIMITS")?).map_err(failed("open the limits"))?,
            punts: Some(
                RingBuf::try_from(map_of(ebpf, "PUNTS")?)
                    .map_err(failed("open the ring buffer of punts"))?,
            ),
            flows: Some(
                RingBuf::try_from(map_of(ebpf, "FLOWS")?)
                    .map_err(failed("open the ring buffer of flows"))?,
            ),
        })
    }

    pub(super) fn host(&self) -> Result<HostRow, DataPlaneError> {
        let row = self.host.get(&0, 0).map_err(failed("read the host row"))?;
        Ok(value::<HostRow, HOST_BYTES>(&row))
    }

    pub(super) fn set_host(&mut self, row: &HostRow) -> Result<(), DataPlaneError> {
        self.host
            .set(0, bytes::<HostRow, HOST_BYTES>(row), 0)
            .map_err(failed("write the host row"))
    }

    pub(super) fn counters(&self, slot: u32) -> Result<SlotCounters, DataPlaneError> {
        let mut sum = SlotCounters {
            counters: self.totals(slot)?,
            drops: Vec::new(),
        };
        for reason in DropReason::ALL {
            let drops = self.dropped(slot, *reason)?;
            if drops > 0 {
                sum.drops.push((*reason, drops));
            }
        }
        Ok(sum)
    }

    pub(super) fn dropped(&self, slot: u32, reason: DropReason) -> Result<u64, DataPlaneError> {
        let values = self
            .drops
            .get(&drop_index(slot, reason), 0)
            .map_err(failed("read drop counters"))?;
        Ok(values.iter().sum())
    }

    pub(super) fn totals(&self, slot: u32) -> Result<Counters, DataPlaneError> {
        let mut total = Counters::default();
        let values = self
            .counters
            .get(&slot, 0)
            .map_err(failed("read counters"))?;
        for on_cpu in values.iter().map(value::<Counters, COUNTER_BYTES>) {
            total.received_frames += on_cpu.received_frames;
            total.received_bytes += on_cpu.received_bytes;
            total.sent_frames += on_cpu.sent_frames;
            total.sent_bytes += on_cpu.sent_bytes;
            total.answered += on_cpu.answered;
            total.flooded += on_cpu.flooded;
            total.copies += on_cpu.copies;
            total.unknown_unicast += on_cpu.unknown_unicast;
            total.punted += on_cpu.punted;
        }
        Ok(total)
    }

    pub(super) fn reset_counters(&mut self, slot: u32) -> Result<(), DataPlaneError> {
        let cpus = aya::util::nr_cpus().map_err(|(what, error)| failed(what)(error))?;
        let zero = || aya::maps::PerCpuValues::try_from(vec![[0; COUNTER_BYTES]; cpus]);
        let values = zero().map_err(failed("make zeros"))?;
        self.counters
            .set(slot, values, 0)
            .map_err(failed("reset counters"))?;
        for reason in DropReason::ALL {
            let values = aya::maps::PerCpuValues::try_from(vec![0u64; cpus])
                .map_err(failed("make zeros"))?;
            self.drops
                .set(drop_index(slot, *reason), values, 0)
                .map_err(failed("reset drop counters"))?;
        }
        for limit in Limit::ALL {
            self.limits
                .set(limit.index(slot), 0, 0)
                .map_err(failed("reset limits"))?;
        }
        Ok(())
    }

    pub(super) fn shut(&self, slot: u32) -> Result<ShutRow, DataPlaneError> {
        let row = self
            .shut
            .get(&slot, 0)
            .map_err(failed("read whether a port is shut"))?;
        Ok(value::<ShutRow, SHUT_BYTES>(&row))
    }

    pub(super) fn set_shut(&mut self, slot: u32, row: &ShutRow) -> Result<(), DataPlaneError> {
        self.shut
            .set(slot, bytes::<ShutRow, SHUT_BYTES>(row), 0)
            .map_err(failed("write whether a port is shut"))
    }

    /// The ring buffer of punts; it has one reader.
    pub(super) const fn take_punts(&mut self) -> Option<RingBuf<MapData>> {
        self.punts.take()
    }

    /// The ring buffer of flow records; it has one reader.
    pub(super) const fn take_flows(&mut self) -> Option<RingBuf<MapData>> {
        self.flows.take()
    }

    pub(super) fn domains(&self) -> Result<BTreeMap<DomainId, DomainRow>, DataPlaneError> {
        let rows = self.domains.all()?.into_iter();
        Ok(rows.map(|(number, row)| (DomainId(number), row)).collect())
    }

    pub(super) fn rule_counters(&self) -> Result<BTreeMap<u32, RuleCounters>, DataPlaneError> {
        self.rules
            .iter()
            .map(|entry| {
                let (rule, counters) = entry.map_err(failed("read the counters of rules"))?;
                Ok((rule, value::<RuleCounters, RULE_BYTES>(&counters)))
            })
            .collect()
    }

    /// The connections, at this moment.
    pub(super) fn connection_table(&self) -> ConnectionTable<'_> {
        ConnectionTable {
            buckets: self.connections.entries(),
            usage: self.usage.entries(),
            now: connections::now(),
        }
    }

    /// Makes everything that is remembered of connections and fragments so much older.
    pub(super) fn age(&self, ticks: u32) {
        let connections = self.connections.entries().iter().flat_map(|one| &one.tags);
        let fragments = self.fragments.entries().iter().flat_map(|one| &one.tags);
        for tag in connections.chain(fragments) {
            let old = Tag(tag.load(Relaxed));
            let new = old.with(old.state(), old.deadline().wrapping_sub(ticks));
            if old != Tag(0) {
                tag.store(new.0, Relaxed);
            }
        }
        // The last sweep for connections whose time is over is long ago, too: its moment is the upper half.
        if let (Some(sweeps), 1..) = (self.usage.entries().first(), ticks) {
            sweeps.fetch_and(u32::MAX.into(), Relaxed);
        }
    }

    /// Forgets all connections and fragments.
    pub(super) fn clear(&self) {
        let connections = self.connections.entries().iter();
        let fragments = self.fragments.entries().iter();
        for word in connections.flat_map(ConnectionBucket::words) {
            word.store(0, Relaxed);
        }
        for word in fragments.flat_map(FragmentBucket::words) {
            word.store(0, Relaxed);
        }
        for used in self.usage.entries() {
            used.store(0, Relaxed);
        }
    }

    pub(super) fn forget_rule(&mut self, rule: u32) -> Result<(), DataPlaneError> {
        match self.rules.remove(&rule) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(MapError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(nix::libc::ENOENT) =>
            {
                Ok(())
            }
            Err(error) => Err(failed("remove the counters of a rule")(error)),
        }
    }

    pub(super) fn entries(&self, table: Table) -> Result<usize, DataPlaneError> {
        match table {
            Table::Host => Ok(1),
            Table::Tunnels => self.tunnels.entries(),
            Table::Macs => self.macs.entries(),
            Table::Addresses => self.addresses.entries(),
            Table::Replicas => self.replicas.entries(),
            Table::Sources => self.sources.entries(),
            Table::Routes => self.routes.all().map(|rows| rows.len()),
            Table::Networks => self.networks.entries(),
            Table::Ports => self.ports.entries(),
            Table::Classes => self.classes.entries(),
            Table::Services => self.services.entries(),
            Table::Policies => self.policies.entries(),
            Table::Domains => self.domains.entries(),
        }
    }
}
