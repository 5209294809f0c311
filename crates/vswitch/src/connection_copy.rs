//! Parts of the connection table as they stood at one moment, for whoever plays frames beside the kernel.

use crate::connections::{Connection, ConnectionTable, TICK};
use coax_tables::connection::{WAYS, buckets};
use coax_tables::{ConnectionBucket, Tag};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// How often a bucket is read at most, until two readings agree in every word. Of one that programs change all the time, whoever
/// plays a frame on it may see two moments of one connection, as another processor's program may.
const TRIES: usize = 4;

/// A part of the connection table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConnectionCopy {
    /// Buckets of the whole table, a power of two; 0: nothing was read.
    pub number: u32,
    /// Connections by number of the domain.
    pub usage: Vec<u64>,
    /// The words of the buckets that were asked for, in the order of `ConnectionBucket::words`.
    pub buckets: BTreeMap<u32, Vec<u64>>,
}

impl ConnectionTable<'_> {
    /// The buckets with these indexes.
    pub(crate) fn copy(&self, wanted: &BTreeSet<u32>) -> ConnectionCopy {
        let buckets = wanted.iter().filter_map(|index| {
            let bucket = self.buckets.get(*index as usize)?;
            Some((*index, steady(bucket)))
        });
        ConnectionCopy {
            number: self.buckets.len() as u32,
            usage: self.usage.iter().map(|used| used.load(Relaxed)).collect(),
            buckets: buckets.collect(),
        }
    }
}

fn steady(bucket: &ConnectionBucket) -> Vec<u64> {
    let read = || -> Vec<u64> { bucket.words().map(|word| word.load(Acquire)).collect() };
    let mut words = read();
    for _ in 1..TRIES {
        let again = read();
        if again == words {
            break;
        }
        words = again;
    }
    words
}

/// A table in which these connections stand, for rows in memory.
pub(crate) fn of(
    connections: &[Connection],
    (number, domains): (u32, u32),
    (seed, now): (u64, u32),
    wanted: &BTreeSet<u32>,
) -> ConnectionCopy {
    let empty = |number: u32| (0..number).map(|_| ConnectionBucket::default());
    let table: Vec<ConnectionBucket> = empty(number).collect();
    let usage: Vec<AtomicU64> = (0..domains).map(|_| AtomicU64::new(0)).collect();
    for connection in connections {
        let hash = connection.key().hash(seed);
        let places = buckets(hash, number - 1).into_iter().flat_map(|index| {
            let bucket = &table[index as usize];
            (0..WAYS).map(move |way| (&bucket.tags[way], &bucket.places[way]))
        });
        let mut free = places.filter(|(tag, _)| tag.load(Relaxed) == 0);
        let Some((tag, place)) = free.next() else {
            continue;
        };
        for (word, value) in place.words().zip(connection.memory.0) {
            word.store(value, Relaxed);
        }
        let left = connection.expires_in.as_nanos() / u128::from(TICK);
        let deadline = now.wrapping_add(left as u32);
        tag.store(Tag::new(hash, connection.state, deadline).0, Relaxed);
        if let Some(used) = usage.get(connection.domain.0 as usize) {
            used.fetch_add(1, Relaxed);
        }
    }
    let table = ConnectionTable {
        buckets: &table,
        usage: &usage,
        now,
    };
    table.copy(wanted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_copied_word_by_word() {
        let table: Vec<ConnectionBucket> = (0..4).map(|_| ConnectionBucket::default()).collect();
        for (index, word) in table[2].words().enumerate() {
            word.store(index as u64 + 7, Relaxed);
        }
        let usage = [AtomicU64::new(0), AtomicU64::new(5)];
        let table = ConnectionTable {
            buckets: &table,
            usage: &usage,
            now: 0,
        };
        // The last one is not there.
        let copy = table.copy(&BTreeSet::from([1, 2, 9]));
        assert_eq!((copy.number, copy.usage.as_slice()), (4, &[0, 5][..]));
        assert_eq!(copy.buckets.keys().copied().collect::<Vec<_>>(), [1, 2]);
        assert!(copy.buckets[&1].iter().all(|word| *word == 0));
        let words: Vec<u64> = (7..7 + 8 + 96).collect();
        assert_eq!(copy.buckets[&2], words);
    }
}
