//! A table whose keys are small numbers: an array, which the kernel reads without a call. A row of
//! zeros is one that is not there.

use super::failed;
use super::typed_map::{bytes, map_of, value};
use crate::{DataPlaneError, Table};
use aya::maps::{Array, MapData};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// One array with values of `VB` bytes.
pub(super) struct IndexMap<V, const VB: usize> {
    table: Table,
    map: Array<MapData, [u8; VB]>,
    types: PhantomData<V>,
}

impl<V, const VB: usize> IndexMap<V, VB>
where
    V: FromBytes + IntoBytes + Immutable,
{
    pub(super) fn take(
        ebpf: &mut aya::Ebpf,
        table: Table,
        name: &str,
    ) -> Result<Self, DataPlaneError> {
        let map = Array::try_from(map_of(ebpf, name)?)
            .map_err(failed(format!("open the map of table `{table}`")))?;
        Ok(Self {
            table,
            map,
            types: PhantomData,
        })
    }

    pub(super) fn put(&mut self, index: u32, row: &V) -> Result<(), DataPlaneError> {
        let capacity = self.map.len();
        let table = self.table;
        if index >= capacity {
            return Err(DataPlaneError::TableFull { table, capacity });
        }
        self.map
            .set(index, bytes::<V, VB>(row), 0)
            .map_err(failed(format!("write a row of table `{table}`")))
    }

    pub(super) fn delete(&mut self, index: u32) -> Result<(), DataPlaneError> {
        if index >= self.map.len() {
            return Ok(());
        }
        self.map
            .set(index, [0; VB], 0)
            .map_err(failed(format!("remove a row of table `{}`", self.table)))
    }

    pub(super) fn all(&self) -> Result<BTreeMap<u32, V>, DataPlaneError> {
        let mut all = BTreeMap::new();
        for index in 0..self.map.len() {
            let row = self
                .map
                .get(&index, 0)
                .map_err(failed(format!("read table `{}`", self.table)))?;
            if row != [0; VB] {
                all.insert(index, value::<V, VB>(&row));
            }
        }
        Ok(all)
    }

    pub(super) fn entries(&self) -> Result<usize, DataPlaneError> {
        Ok(self.all()?.len())
    }
}
