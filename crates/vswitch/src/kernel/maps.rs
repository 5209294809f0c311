//! Maps as typed tables: rows go in and out as the bytes that they are.

use super::failed;
use super::routes::RouteMap;
use crate::{Capacity, DataPlaneError, SlotCounters, Table};
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf};
use coax_tables::{
    AddressKey, AddressRow, Counters, DropReason, HostRow, Limit, MacKey, MacRow, NetworkId,
    NetworkRow, PortKey, PortRow, ReplicaKey, ReplicaRow, ShutRow, SourceKey, SourceRow, TunnelKey,
    TunnelRow, drop_index,
};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use zerocopy::{FromBytes, Immutable, IntoBytes};

const COUNTER_BYTES: usize = size_of::<Counters>();
const HOST_BYTES: usize = size_of::<HostRow>();
const SHUT_BYTES: usize = size_of::<ShutRow>();

/// Name of a table's map in the program object.
const fn map_name(table: Table) -> &'static str {
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
        ])
        .collect()
}

/// One hash map with keys of `KB` and values of `VB` bytes.
pub(super) struct TypedMap<K, V, const KB: usize, const VB: usize> {
    table: Table,
    map: HashMap<MapData, [u8; KB], [u8; VB]>,
    types: PhantomData<(K, V)>,
}

pub(super) fn bytes<T: IntoBytes + Immutable, const N: usize>(value: &T) -> [u8; N] {
    const { assert!(size_of::<T>() == N) };
    let mut bytes = [0; N];
    bytes.copy_from_slice(value.as_bytes());
    bytes
}

pub(super) fn value<T: FromBytes, const N: usize>(bytes: &[u8; N]) -> T {
    const { assert!(size_of::<T>() == N) };
    match T::read_from_bytes(bytes) {
        Ok(value) => value,
        Err(_) => unreachable!("the sizes are equal, which is all that can go wrong"),
    }
}

impl<K, V, const KB: usize, const VB: usize> TypedMap<K, V, KB, VB>
where
    K: FromBytes + IntoBytes + Immutable + Ord,
    V: FromBytes + IntoBytes + Immutable,
{
    fn take(ebpf: &mut aya::Ebpf, table: Table) -> Result<Self, DataPlaneError> {
        let map = HashMap::try_from(take(ebpf, map_name(table))?)
            .map_err(failed(format!("open the map of table `{table}`")))?;
        Ok(Self {
            table,
            map,
            types: PhantomData,
        })
    }

    pub(super) fn put(&mut self, key: &K, row: &V, capacity: u32) -> Result<(), DataPlaneError> {
        match self.map.insert(bytes::<K, KB>(key), bytes::<V, VB>(row), 0) {
            Ok(()) => Ok(()),
            Err(error) if is_full(&error) => Err(DataPlaneError::TableFull {
                table: self.table,
                capacity,
            }),
            Err(error) => Err(failed(format!("write a row of table `{}`", self.table))(
                error,
            )),
        }
    }

    pub(super) fn delete(&mut self, key: &K) -> Result<(), DataPlaneError> {
        match self.map.remove(&bytes::<K, KB>(key)) {
            Ok(()) => Ok(()),
            Err(MapError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(nix::libc::ENOENT) =>
            {
                Ok(())
            }
            Err(MapError::KeyNotFound) => Ok(()),
            Err(error) => Err(failed(format!("remove a row of table `{}`", self.table))(
                error,
            )),
        }
    }

    pub(super) fn all(&self) -> Result<BTreeMap<K, V>, DataPlaneError> {
        self.map
            .iter()
            .map(|row| row.map(|(key, row)| (value::<K, KB>(&key), value::<V, VB>(&row))))
            .collect::<Result<_, _>>()
            .map_err(failed(format!("read table `{}`", self.table)))
    }

    fn entries(&self) -> Result<usize, DataPlaneError> {
        let mut entries = 0;
        for key in self.map.keys() {
            key.map_err(failed(format!("read table `{}`", self.table)))?;
            entries += 1;
        }
        Ok(entries)
    }
}

/// Whether a row was refused because the table has no room.
pub(super) fn is_full(error: &MapError) -> bool {
    let MapError::SyscallError(error) = error else {
        return false;
    };
    // A hash map says the one, a trie the other.
    let errno = error.io_error.raw_os_error();
    matches!(errno, Some(nix::libc::E2BIG | nix::libc::ENOSPC))
}

pub(super) fn take(ebpf: &mut aya::Ebpf, name: &str) -> Result<Map, DataPlaneError> {
    ebpf.take_map(name)
        .ok_or_else(|| failed(format!("find the map {name}"))("the program object lacks it"))
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
    counters: PerCpuArray<MapData, [u8; COUNTER_BYTES]>,
    drops: PerCpuArray<MapData, u64>,
    shut: Array<MapData, [u8; SHUT_BYTES]>,
    limits: Array<MapData, u64>,
    punts: Option<RingBuf<MapData>>,
}

impl Maps {
    pub(super) fn take(ebpf: &mut aya::Ebpf) -> Result<Self, DataPlaneError> {
        Ok(Self {
            host: Array::try_from(take(ebpf, "HOST")?).map_err(failed("open the host row"))?,
            tunnels: TypedMap::take(ebpf, Table::Tunnels)?,
            macs: TypedMap::take(ebpf, Table::Macs)?,
            addresses: TypedMap::take(ebpf, Table::Addresses)?,
            replicas: TypedMap::take(ebpf, Table::Replicas)?,
            sources: TypedMap::take(ebpf, Table::Sources)?,
            routes: RouteMap::take(ebpf, map_name(Table::Routes))?,
            networks: TypedMap::take(ebpf, Table::Networks)?,
            ports: TypedMap::take(ebpf, Table::Ports)?,
            counters: PerCpuArray::try_from(take(ebpf, "COUNTERS")?)
                .map_err(failed("open the counters"))?,
            drops: PerCpuArray::try_from(take(ebpf, "DROPS")?)
                .map_err(failed("open the drop counters"))?,
            shut: Array::try_from(take(ebpf, "SHUT")?).map_err(failed("open the shut ports"))?,
            limits: Array::try_from(take(ebpf, "LIMITS")?).map_err(failed("open the limits"))?,
            punts: Some(
                RingBuf::try_from(take(ebpf, "PUNTS")?)
                    .map_err(failed("open the ring buffer of punts"))?,
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
        let mut sum = SlotCounters::default();
        let total = &mut sum.counters;
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
        for reason in DropReason::ALL {
            let values = self
                .drops
                .get(&drop_index(slot, *reason), 0)
                .map_err(failed("read drop counters"))?;
            let drops = values.iter().sum::<u64>();
            if drops > 0 {
                sum.drops.push((*reason, drops));
            }
        }
        Ok(sum)
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
        }
    }
}
