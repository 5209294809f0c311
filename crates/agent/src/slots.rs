//! Slots: small numbers under which the counters of local ports are kept.
//!
//! Slot 0 counts the fabric side. A port keeps its slot across restarts of the agent, and gets the same one back when it
//! returns to this host soon after it left, with its counters going on: so sums over all slots stay exact. Only
//! a slot that has to serve another port starts from zero.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use coax_tables::FABRIC_SLOT;

/// Ports that left and whose counters are still kept.
const REMEMBERED: usize = 256;

/// Which port has which slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// The highest slot that there are counters for.
    highest: u32,
    by_port: BTreeMap<String, u32>,
    by_slot: BTreeMap<u32, String>,
    /// Ports that left, the longest gone first. All of them are in `by_port`, too.
    gone: VecDeque<String>,
    /// Slots seen in port rows whose port is not known yet.
    reserved: BTreeSet<u32>,
}

impl Slots {
    /// Slots from 1 to `highest`, all free.
    pub fn new(highest: u32) -> Self {
        Self {
            highest,
            by_port: BTreeMap::new(),
            by_slot: BTreeMap::new(),
            gone: VecDeque::new(),
            reserved: BTreeSet::new(),
        }
    }

    /// Keeps a slot from being given away until it is clear whose it is.
    pub fn reserve(&mut self, slot: u32) {
        self.reserved.insert(slot);
    }

    /// Ends [`Slots::reserve`].
    pub fn release(&mut self, slot: u32) {
        self.reserved.remove(&slot);
    }

    /// Takes over that `port` has `slot`, from the cache or from a port row; whoever had it according to older knowledge loses it.
    pub fn adopt(&mut self, port: &str, slot: u32) {
        if slot == FABRIC_SLOT || slot > self.highest {
            return;
        }
        self.reserved.remove(&slot);
        self.gone.retain(|name| name != port);
        if self.by_port.get(port) == Some(&slot) {
            return;
        }
        self.forget(port);
        if let Some(former) = self.by_slot.get(&slot).cloned() {
            self.forget(&former);
        }
        self.give(port, slot);
    }

    /// Takes over from the cache that `port` has `slot`, unless a port row has that slot: the row is newer, and its port will be known.
    pub fn adopt_unless_reserved(&mut self, port: &str, slot: u32) {
        if !self.reserved.contains(&slot) {
            self.adopt(port, slot);
        }
    }

    /// The slot of `port`, and whether its counters have to start from zero because it served (or may have served) another
    /// port. None if as many ports are here as there are counters for.
    pub fn assign(&mut self, port: &str) -> Option<(u32, bool)> {
        if let Some(slot) = self.by_port.get(port) {
            self.gone.retain(|name| name != port);
            return Some((*slot, false));
        }
        let slot = self.free_slot().or_else(|| {
            let oldest = self.gone.front()?.clone();
            self.forget(&oldest)
        })?;
        self.give(port, slot);
        Some((slot, true))
    }

    fn free_slot(&self) -> Option<u32> {
        (FABRIC_SLOT + 1..=self.highest)
            .find(|slot| !self.by_slot.contains_key(slot) && !self.reserved.contains(slot))
    }

    /// The port left. Its counters are kept for a while.
    pub fn retire(&mut self, port: &str) {
        if self.by_port.contains_key(port) && !self.gone.iter().any(|name| name == port) {
            self.gone.push_back(port.to_owned());
        }
        while self.gone.len() > REMEMBERED {
            if let Some(oldest) = self.gone.front().cloned() {
                self.forget(&oldest);
            }
        }
    }

    /// All slots with the port that they count for, also those of ports that left.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.by_port
            .iter()
            .map(|(port, slot)| (port.as_str(), *slot))
    }

    fn give(&mut self, port: &str, slot: u32) {
        self.by_port.insert(port.to_owned(), slot);
        self.by_slot.insert(slot, port.to_owned());
    }

    fn forget(&mut self, port: &str) -> Option<u32> {
        self.gone.retain(|name| name != port);
        let slot = self.by_port.remove(port)?;
        self.by_slot.remove(&slot);
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_dense_and_never_the_fabrics() {
        let mut slots = Slots::new(1000);
        assert_eq!(slots.assign("p/a"), Some((1, true)));
        assert_eq!(slots.assign("p/b"), Some((2, true)));
        assert_eq!(slots.assign("p/a"), Some((1, false)));
        slots.adopt("p/c", FABRIC_SLOT);
        assert_eq!(slots.assign("p/c"), Some((3, true)));
    }

    #[test]
    fn a_port_that_returns_gets_its_slot_back_with_its_counters() {
        let mut slots = Slots::new(1000);
        slots.assign("p/a");
        slots.retire("p/a");
        assert_eq!(slots.assign("p/b"), Some((2, true)));
        assert_eq!(slots.assign("p/a"), Some((1, false)));
    }

    #[test]
    fn the_longest_gone_port_loses_its_slot_first() {
        let mut slots = Slots::new(1000);
        for number in 0..=REMEMBERED {
            let port = format!("p/{number}");
            slots.assign(&port);
            slots.retire(&port);
            slots.retire(&port);
        }
        assert_eq!(slots.assign("p/new"), Some((1, true)));
        assert_eq!(slots.assign("p/1"), Some((2, false)));
    }

    #[test]
    fn what_a_port_row_says_wins_over_older_knowledge() {
        let mut slots = Slots::new(1000);
        slots.adopt("p/old", 1);
        slots.reserve(1);
        slots.reserve(2);
        assert_eq!(slots.assign("p/new"), Some((3, true)));
        slots.adopt("p/a", 1);
        assert_eq!(slots.iter().collect::<Vec<_>>(), [("p/a", 1), ("p/new", 3)]);
        slots.release(2);
        assert_eq!(slots.assign("p/b"), Some((2, true)));
    }

    #[test]
    fn without_free_slots_the_longest_gone_port_makes_room() {
        let mut slots = Slots::new(2);
        slots.assign("p/a");
        slots.assign("p/b");
        assert_eq!(slots.assign("p/c"), None);
        slots.retire("p/b");
        assert_eq!(slots.assign("p/c"), Some((2, true)));
        assert_eq!(slots.assign("p/b"), None);
    }
}
