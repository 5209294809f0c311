//! What a simulated host remembers of a project's connections, counted in its memory.

use super::world::domain_of;
use crate::SimTables;
use coax_tables::connection::ticks;
use coax_tables::{ConnectionState, Tag};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Connections of a project.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Census {
    /// Those that a packet would find.
    pub alive: usize,
    /// Places that they take, also when their time is over.
    pub kept: usize,
    /// What stands in the project's count.
    pub used: usize,
}

impl Census {
    /// Counts all places of a host.
    pub fn take(tables: &SimTables, project: usize) -> Self {
        let domain = domain_of(project).0;
        let now = ticks(tables.now);
        let read = |word: &AtomicU64| word.load(Relaxed);
        let state = &tables.state;
        let places = state.connections.iter();
        let places = places.flat_map(|bucket| bucket.tags.iter().zip(&bucket.places));
        let own = places
            .map(|(tag, words)| (Tag(read(tag)), read(&words.judged) as u32))
            .filter(|(tag, owner)| *owner == domain && tag.state() != ConnectionState::EMPTY);
        let own: Vec<Tag> = own.map(|(tag, _)| tag).collect();
        Self {
            alive: own.iter().filter(|tag| tag.is_alive(now)).count(),
            kept: own.len(),
            used: state.usage.get(domain as usize).map_or(0, read) as usize,
        }
    }
}
