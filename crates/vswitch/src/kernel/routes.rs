//! The routes of routers: a table with longest-prefix match.

use super::typed_map::{bytes, map_of, value};
use super::{failed, typed_map::is_full};
use crate::{DataPlaneError, Table};
use aya::maps::lpm_trie::Key;
use aya::maps::{LpmTrie, MapData, MapError};
use coax_tables::{RouteKey, RouteRow};
use std::collections::BTreeMap;

const LENGTH: usize = size_of::<u32>();
const KEY: usize = size_of::<RouteKey>();
const DATA: usize = KEY - LENGTH;
const ROW: usize = size_of::<RouteRow>();

/// The table as a trie in the kernel.
pub(super) struct RouteMap(LpmTrie<MapData, [u8; DATA], [u8; ROW]>);

impl RouteMap {
    pub(super) fn take(ebpf: &mut aya::Ebpf, name: &str) -> Result<Self, DataPlaneError> {
        let map = LpmTrie::try_from(map_of(ebpf, name)?);
        map.map(Self)
            .map_err(failed(format!("open the map of table `{}`", Table::Routes)))
    }

    pub(super) fn put(
        &mut self,
        key: &RouteKey,
        row: &RouteRow,
        capacity: u32,
    ) -> Result<(), DataPlaneError> {
        let table = Table::Routes;
        match self
            .0
            .insert(&trie_key(key), bytes::<RouteRow, ROW>(row), 0)
        {
            Ok(()) => Ok(()),
            Err(error) if is_full(&error) => Err(DataPlaneError::TableFull { table, capacity }),
            Err(error) => Err(failed(format!("write a row of table `{table}`"))(error)),
        }
    }

    pub(super) fn delete(&mut self, key: &RouteKey) -> Result<(), DataPlaneError> {
        match self.0.remove(&trie_key(key)) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(MapError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(nix::libc::ENOENT) =>
            {
                Ok(())
            }
            Err(error) => {
                let what = format!("remove a row of table `{}`", Table::Routes);
                Err(failed(what)(error))
            }
        }
    }

    pub(super) fn all(&self) -> Result<BTreeMap<RouteKey, RouteRow>, DataPlaneError> {
        let rows = self.0.iter().map(|row| {
            let (key, row) = row?;
            let mut whole = [0; KEY];
            let (length, data) = whole.split_at_mut(LENGTH);
            length.copy_from_slice(&key.prefix_len().to_ne_bytes());
            data.copy_from_slice(&key.data());
            Ok((value::<RouteKey, KEY>(&whole), value::<RouteRow, ROW>(&row)))
        });
        let rows = rows.collect::<Result<_, MapError>>();
        rows.map_err(failed(format!("read table `{}`", Table::Routes)))
    }
}

fn trie_key(key: &RouteKey) -> Key<[u8; DATA]> {
    let whole = bytes::<RouteKey, KEY>(key);
    let mut data = [0; DATA];
    data.copy_from_slice(&whole[LENGTH..]);
    Key::new(key.prefix_length, data)
}
