//! Hash maps as typed tables.

use super::failed;
use super::maps::map_name;
use crate::{DataPlaneError, Table};
use aya::maps::{HashMap, Map, MapData, MapError};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use zerocopy::{FromBytes, Immutable, IntoBytes};

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
    pub(super) fn take(ebpf: &mut aya::Ebpf, table: Table) -> Result<Self, DataPlaneError> {
        let map = HashMap::try_from(map_of(ebpf, map_name(table))?)
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

    pub(super) fn entries(&self) -> Result<usize, DataPlaneError> {
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

pub(super) fn map_of(ebpf: &mut aya::Ebpf, name: &str) -> Result<Map, DataPlaneError> {
    ebpf.take_map(name)
        .ok_or_else(|| failed(format!("find the map {name}"))("the program object lacks it"))
}
