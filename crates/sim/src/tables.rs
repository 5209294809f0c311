//! Rows and routes of one simulated host, as the pipeline sees them.

use crate::SimRows;
use coax_pipeline::{Clock, Family, Path, PathQuery, PathState, Repeat, Tables};
use coax_tables::{
    AddressKey, AddressRow, HostRow, MacKey, MacRow, NetworkId, NetworkRow, PortKey, PortRow,
    ReplicaKey, ReplicaRow, RouteKey, RouteRow, ShutRow, SourceKey, SourceRow, TunnelKey,
    TunnelRow,
};
use coax_wire::ip;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

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
