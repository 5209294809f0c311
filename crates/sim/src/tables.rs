//! Rows and routes of one simulated host, as the pipeline sees them.

use crate::{SimRows, SimState};
use coax_pipeline::{Clock, Family, Memory, Path, PathQuery, PathState, Repeat, Tables};
use coax_tables::{
    AddressKey, AddressRow, ClassKey, ClassRow, ConnectionBucket, DomainId, DomainRow,
    FragmentBucket, HostRow, MacKey, MacRow, NetworkId, NetworkRow, PolicyKey, PolicyRow, PortKey,
    PortRow, ReplicaKey, ReplicaRow, RouteKey, RouteRow, ServiceKey, ShutRow, SourceKey, SourceRow,
    TunnelKey, TunnelRow,
};
use coax_wire::ip;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use zerocopy::{Immutable, IntoBytes};

/// One way to a VTEP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// Uplink and MAC addresses.
    pub path: Path,
    /// The next hop's MAC address is known.
    pub resolved: bool,
    /// Largest IP packet that the uplink takes.
    pub mtu: u32,
}

impl Way {
    /// Whether a packet of `length` bytes from its IP header on can take it.
    pub const fn state(&self, length: u32) -> PathState {
        if length > self.mtu {
            PathState::TooSmall
        } else if self.resolved {
            PathState::Ready
        } else {
            PathState::Unresolved
        }
    }
}

/// Routes that never change.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Underlay {
    ways: HashMap<[u8; 16], Way>,
    otherwise: Option<Way>,
}

impl Underlay {
    /// No route to anywhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// One way to every VTEP.
    pub fn everywhere(way: Way) -> Self {
        Self {
            otherwise: Some(way),
            ..Self::default()
        }
    }

    /// Adds the way to one VTEP, IPv4 in mapped form.
    pub fn add(&mut self, vtep: [u8; 16], way: Way) {
        self.ways.insert(vtep, way);
    }

    fn find(&self, query: &PathQuery<'_>, path: &mut Path) -> PathState {
        // Routes over IPv4 know nothing but the last four bytes.
        let [.., a, b, c, d] = *query.destination;
        let destination = match query.family {
            Family::Ipv4 => ip::mapped([a, b, c, d]),
            Family::Ipv6 => *query.destination,
        };
        let Some(way) = self.ways.get(&destination).or(self.otherwise.as_ref()) else {
            *path = Path::default();
            return PathState::Missing;
        };
        *path = way.path;
        way.state(query.length)
    }
}

/// Rows and routes of one host.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SimTables {
    /// The rows.
    pub rows: SimRows,
    /// The routes.
    pub underlay: Underlay,
    /// The time, in nanoseconds.
    pub now: u64,
    /// Ports that guards have shut, by their counters.
    pub shut: RefCell<BTreeMap<u32, ShutRow>>,
    /// What the pipeline has noted of shared addresses, until `take_notes` makes rows of it.
    pub notes: RefCell<Vec<Note>>,
    /// What is remembered between frames.
    pub state: SimState,
}

/// A row that the pipeline writes by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    /// The owner of a shared address.
    Address(AddressKey, AddressRow),
    /// Where a virtual MAC address lives.
    Mac(MacKey, MacRow),
}

impl SimTables {
    /// Makes rows of what was noted while the last frame was worked on.
    pub fn take_notes(&mut self) {
        for note in self.notes.take() {
            match note {
                Note::Address(key, row) => drop(self.rows.addresses.insert(key, row)),
                Note::Mac(key, row) => drop(self.rows.macs.insert(key, row)),
            }
        }
    }
}

impl Memory for SimTables {
    fn load(&self, word: &AtomicU64) -> u64 {
        word.load(Relaxed)
    }

    fn store(&self, word: &AtomicU64, value: u64) {
        word.store(value, Relaxed);
    }

    fn publish(&self, word: &AtomicU64, value: u64) {
        word.store(value, Relaxed);
    }

    fn add(&self, word: &AtomicU64, value: u64) -> u64 {
        word.fetch_add(value, Relaxed)
    }

    fn replace(&self, word: &AtomicU64, old: u64, new: u64) -> u64 {
        match word.compare_exchange(old, new, Relaxed, Relaxed) {
            Ok(found) | Err(found) => found,
        }
    }
}

impl Clock for SimTables {
    fn now(&self) -> u64 {
        self.now
    }
}

/// True when the bits that count of `prefix` are those of `key`.
fn begins_with(key: &RouteKey, prefix: &RouteKey) -> bool {
    let bits = |key: &RouteKey| [&key.router[..], &key.address].concat();
    let (key, bytes) = (bits(key), bits(prefix));
    (0..prefix.prefix_length as usize).all(|bit| {
        let mask = 0x80 >> (bit % 8);
        key[bit / 8] & mask == bytes[bit / 8] & mask
    })
}

/// The row of the longest prefix that `key` begins with, found by looking at all of them. Keys are a
/// length, then the bytes that it counts the bits of.
fn longest<'a, K: IntoBytes + Immutable, V>(
    rows: &'a HashMap<K, V>,
    key: &K,
    length: impl Fn(&K) -> u32,
) -> Option<&'a V> {
    let data = &key.as_bytes()[4..];
    let fits = |row: &K| {
        (0..length(row) as usize).all(|bit| {
            let at = |bytes: &[u8]| bytes[bit / 8] & 0x80 >> (bit % 8);
            at(&row.as_bytes()[4..]) == at(data)
        })
    };
    rows.iter()
        .filter(|(row, _)| fits(row))
        .max_by_key(|(row, _)| length(row))
        .map(|(_, value)| value)
}

impl Tables for SimTables {
    fn host(&self) -> Option<&HostRow> {
        Some(&self.rows.host)
    }

    fn port(&self, key: &PortKey) -> Option<&PortRow> {
        self.rows.ports.get(key)
    }

    fn network(&self, key: &NetworkId) -> Option<&NetworkRow> {
        self.rows.networks.get(key)
    }

    fn mac(&self, key: &MacKey) -> Option<&MacRow> {
        self.rows.macs.get(key)
    }

    fn address(&self, key: &AddressKey) -> Option<&AddressRow> {
        self.rows.addresses.get(key)
    }

    fn route(&self, key: &RouteKey) -> Option<&RouteRow> {
        let rows = self.rows.routes.iter();
        rows.filter(|(row, _)| begins_with(key, row))
            .max_by_key(|(row, _)| row.prefix_length)
            .map(|(_, row)| row)
    }

    fn tunnel(&self, key: &TunnelKey) -> Option<&TunnelRow> {
        self.rows.tunnels.get(key)
    }

    fn replica(&self, key: &ReplicaKey) -> Option<&ReplicaRow> {
        self.rows.replicas.get(key)
    }

    fn source(&self, key: &SourceKey) -> Option<&SourceRow> {
        self.rows.sources.get(key)
    }

    fn shut(&self, slot: u32) -> ShutRow {
        self.shut.borrow().get(&slot).copied().unwrap_or_default()
    }

    fn set_shut(&self, slot: u32, row: &ShutRow) {
        self.shut.borrow_mut().insert(slot, *row);
    }

    fn set_address(&self, key: &AddressKey, row: &AddressRow) {
        self.notes.borrow_mut().push(Note::Address(*key, *row));
    }

    fn set_mac(&self, key: &MacKey, row: &MacRow) {
        self.notes.borrow_mut().push(Note::Mac(*key, *row));
    }

    fn domain(&self, key: &DomainId) -> Option<&DomainRow> {
        self.rows.domains.get(key)
    }

    fn class(&self, key: &ClassKey) -> Option<&ClassRow> {
        longest(&self.rows.classes, key, |row| row.prefix_length)
    }

    fn service(&self, key: &ServiceKey) -> Option<&ClassRow> {
        longest(&self.rows.services, key, |row| row.prefix_length)
    }

    fn policy(&self, key: &PolicyKey) -> Option<&PolicyRow> {
        self.rows.policies.get(key)
    }

    fn connection_mask(&self) -> u32 {
        self.state.connections.len() as u32 - 1
    }

    fn connections(&self, index: u32) -> Option<&ConnectionBucket> {
        self.state.connections.get(index as usize)
    }

    fn usage(&self, key: &DomainId) -> Option<&AtomicU64> {
        self.state.usage.get(key.0 as usize)
    }

    fn fragment_mask(&self) -> u32 {
        self.state.fragments.len() as u32 - 1
    }

    fn fragments(&self, index: u32) -> Option<&FragmentBucket> {
        self.state.fragments.get(index as usize)
    }

    fn path(&self, query: &PathQuery<'_>, path: &mut Path) -> PathState {
        self.underlay.find(query, path)
    }

    fn repeat<R: Repeat>(&self, times: u32, steps: &mut R) {
        for index in 0..times {
            if !steps.step(index) {
                return;
            }
        }
    }
}
