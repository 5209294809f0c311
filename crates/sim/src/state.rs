//! What a simulated host remembers between frames: connections, fragments, and how many connections each
//! domain has.

use coax_tables::{ConnectionBucket, FragmentBucket};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The memory of a host. Copies are copies of what is in it.
#[derive(Debug)]
pub struct SimState {
    /// Buckets of connections; their number is a power of two.
    pub connections: Vec<ConnectionBucket>,
    /// Buckets of fragments; their number is a power of two.
    pub fragments: Vec<FragmentBucket>,
    /// Connections by number of the domain.
    pub usage: Vec<AtomicU64>,
}

impl SimState {
    /// Connections that fit by default.
    pub const CONNECTIONS: u32 = 128;
    /// Datagrams in fragments that fit by default.
    pub const FRAGMENTS: u32 = 32;
    /// Domains by default, one of which is none.
    pub const DOMAINS: u32 = 8;

    /// An empty memory for so many connections, datagrams in fragments and domains.
    pub fn new(connections: u32, fragments: u32, domains: u32) -> Self {
        let buckets = |places: u32| places.div_ceil(8).next_power_of_two();
        Self {
            connections: empty(buckets(connections)),
            fragments: empty(buckets(fragments)),
            usage: empty(domains),
        }
    }

    fn words(&self) -> impl Iterator<Item = &AtomicU64> {
        let connections = self.connections.iter().flat_map(ConnectionBucket::words);
        let fragments = self.fragments.iter().flat_map(FragmentBucket::words);
        connections.chain(fragments).chain(&self.usage)
    }
}

fn empty<T: Default>(number: u32) -> Vec<T> {
    (0..number).map(|_| T::default()).collect()
}

impl Default for SimState {
    fn default() -> Self {
        Self::new(Self::CONNECTIONS, Self::FRAGMENTS, Self::DOMAINS)
    }
}

impl Clone for SimState {
    fn clone(&self) -> Self {
        let copy = Self {
            connections: empty(self.connections.len() as u32),
            fragments: empty(self.fragments.len() as u32),
            usage: empty(self.usage.len() as u32),
        };
        for (from, to) in self.words().zip(copy.words()) {
            to.store(from.load(Relaxed), Relaxed);
        }
        copy
    }
}

impl PartialEq for SimState {
    fn eq(&self, other: &Self) -> bool {
        let values =
            |state: &Self| -> Vec<u64> { state.words().map(|word| word.load(Relaxed)).collect() };
        self.connections.len() == other.connections.len() && values(self) == values(other)
    }
}

impl Eq for SimState {}
