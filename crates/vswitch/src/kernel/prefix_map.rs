//! A table with longest-prefix match: a trie for prefixes and a hash map for whole keys.
//!
//! Most keys that firewall rules name are single addresses. A trie finds one of many in as many steps
//! as it is deep, a hash map in one; a key that is there as a whole is the longest match.

use super::typed_map::{bytes, map_of, value};
use super::{failed, typed_map::is_full};
use crate::{DataPlaneError, Table};
use aya::maps::lpm_trie::Key;
use aya::maps::{HashMap, LpmTrie, MapData, MapError};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A key that begins with the number of its bits that count.
pub(super) trait Prefix: FromBytes + IntoBytes + Immutable + Ord {
    /// Bits of a whole key.
    const WHOLE: u32;

    /// Bits that count.
    fn length(&self) -> u32;
}

/// A table with keys of `KB` bytes, `DB` of them behind the length, and values of `VB` bytes.
pub(super) struct PrefixMap<K, V, const KB: usize, const DB: usize, const VB: usize> {
    table: Table,
    whole: HashMap<MapData, [u8; KB], [u8; VB]>,
    prefixes: LpmTrie<MapData, [u8; DB], [u8; VB]>,
    types: PhantomData<(K, V)>,
}

impl<K, V, const KB: usize, const DB: usize, const VB: usize> PrefixMap<K, V, KB, DB, VB>
where
    K: Prefix,
    V: FromBytes + IntoBytes + Immutable,
{
    pub(super) fn take(
        ebpf: &mut aya::Ebpf,
        table: Table,
        whole: &str,
        prefixes: &str,
    ) -> Result<Self, DataPlaneError> {
        let open = || failed(format!("open the maps of table `{table}`"));
        Ok(Self {
            table,
            whole: HashMap::try_from(map_of(ebpf, whole)?).map_err(open())?,
            prefixes: LpmTrie::try_from(map_of(ebpf, prefixes)?).map_err(open())?,
            types: PhantomData,
        })
    }

    pub(super) fn put(&mut self, key: &K, row: &V, capacity: u32) -> Result<(), DataPlaneError> {
        let row = bytes::<V, VB>(row);
        let written = if key.length() == K::WHOLE {
            self.whole.insert(bytes::<K, KB>(key), row, 0)
        } else {
            self.prefixes.insert(&trie_key(key), row, 0)
        };
        let table = self.table;
        match written {
            Ok(()) => Ok(()),
            Err(error) if is_full(&error) => Err(DataPlaneError::TableFull { table, capacity }),
            Err(error) => Err(failed(format!("write a row of table `{table}`"))(error)),
        }
    }

    pub(super) fn delete(&mut self, key: &K) -> Result<(), DataPlaneError> {
        let removed = if key.length() == K::WHOLE {
            self.whole.remove(&bytes::<K, KB>(key))
        } else {
            self.prefixes.remove(&trie_key(key))
        };
        match removed {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(MapError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(nix::libc::ENOENT) =>
            {
                Ok(())
            }
            Err(error) => Err(failed(format!("remove a row of table `{}`", self.table))(
                error,
            )),
        }
    }

    pub(super) fn all(&self) -> Result<BTreeMap<K, V>, DataPlaneError> {
        let read = || failed(format!("read table `{}`", self.table));
        let mut all = BTreeMap::new();
        for row in self.whole.iter() {
            let (key, row) = row.map_err(read())?;
            all.insert(value::<K, KB>(&key), value::<V, VB>(&row));
        }
        for row in self.prefixes.iter() {
            let (key, row) = row.map_err(read())?;
            let mut whole = [0; KB];
            let (length, data) = whole.split_at_mut(KB - DB);
            length.copy_from_slice(&key.prefix_len().to_ne_bytes());
            data.copy_from_slice(&key.data());
            all.insert(value::<K, KB>(&whole), value::<V, VB>(&row));
        }
        Ok(all)
    }

    pub(super) fn entries(&self) -> Result<usize, DataPlaneError> {
        let read = || failed(format!("read table `{}`", self.table));
        let mut entries = 0;
        for key in self.whole.keys() {
            key.map_err(read())?;
            entries += 1;
        }
        for key in self.prefixes.keys() {
            key.map_err(read())?;
            entries += 1;
        }
        Ok(entries)
    }
}

fn trie_key<K: Prefix, const DB: usize>(key: &K) -> Key<[u8; DB]> {
    let mut data = [0; DB];
    let bytes = key.as_bytes();
    data.copy_from_slice(&bytes[bytes.len() - DB..]);
    Key::new(key.length(), data)
}

impl Prefix for coax_tables::ClassKey {
    const WHOLE: u32 = Self::SCOPE_BITS + 128;

    fn length(&self) -> u32 {
        self.prefix_length
    }
}

impl Prefix for coax_tables::ServiceKey {
    const WHOLE: u32 = Self::PROTOCOL_BITS + 16;

    fn length(&self) -> u32 {
        self.prefix_length
    }
}
