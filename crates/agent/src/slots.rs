//! Slots: small numbers under which the counters of local ports are kept.
//!
//! Slot 0 counts the fabric side. A port keeps its slot across restarts of the agent, and gets the same one back when it
//! returns to this host soon after it left, with its counters going on: so sums over all slots stay exact. Only
//! a slot that has to serve another port starts from zero.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use coax_tables::FABRIC_SLOT;

/// Ports that left and whose counters are still kept.
const REMEMBERED: usize = 256;

/// Whose frames a slot counts: a port's in one of its networks. What guards remember of a port, they remember by slot, too: what
/// a trunk may send in one network must not be sent in another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The port's full name.
    pub port: String,
    /// The VLAN of the network on the port's device; 0: untagged.
    pub vlan: u32,
}

impl Owner {
    /// The port in the network that has this VLAN there.
    pub fn new(port: &str, vlan: u32) -> Self {
        let port = port.to_owned();
        Self { port, vlan }
    }

    /// Reads what was written with `Display`. No name of a port has an `@`.
    pub fn parse(text: &str) -> Self {
        let split = text.rsplit_once('@');
        match split.and_then(|(port, vlan)| Some((port, vlan.parse().ok()?))) {
            Some((port, vlan)) => Self::new(port, vlan),
            None => Self::new(text, 0),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.vlan {
            0 => f.write_str(&self.port),
            vlan => write!(f, "{}@{vlan}", self.port),
        }
    }
}

/// Which port has which slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// The highest slot that there are counters for.
    highest: u32,
    by_owner: BTreeMap<Owner, u32>,
    by_slot: BTreeMap<u32, Owner>,
    /// Owners that left, the longest gone first. All of them are in `by_owner`, too.
    gone: VecDeque<Owner>,
    /// Slots seen in port rows whose port is not known yet.
    reserved: BTreeSet<u32>,
}

impl Slots {
    /// Slots from 1 to `highest`, all free.
    pub fn new(highest: u32) -> Self {
        Self {
            highest,
            by_owner: BTreeMap::new(),
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

    /// Takes over that `owner` has `slot`, from the cache or from a port row; whoever had it according to older knowledge loses it.
    pub fn adopt(&mut self, owner: &Owner, slot: u32) {
        if slot == FABRIC_SLOT || slot > self.highest {
            return;
        }
        self.reserved.remove(&slot);
        self.gone.retain(|name| name != owner);
        if self.by_owner.get(owner) == Some(&slot) {
            return;
        }
        self.forget(owner);
        if let Some(former) = self.by_slot.get(&slot).cloned() {
            self.forget(&former);
        }
        self.give(owner, slot);
    }

    /// Takes over from the cache that `owner` has `slot`, unless a port row has that slot: the row is newer, and its port will be known.
    pub fn adopt_unless_reserved(&mut self, owner: &Owner, slot: u32) {
        if !self.reserved.contains(&slot) {
            self.adopt(owner, slot);
        }
    }

    /// The slot of `owner`, and whether its counters have to start from zero because it served (or may have served) another
    /// port. None if as many ports are here as there are counters for.
    pub fn assign(&mut self, owner: &Owner) -> Option<(u32, bool)> {
        if let Some(slot) = self.by_owner.get(owner) {
            self.gone.retain(|name| name != owner);
            return Some((*slot, false));
        }
        let slot = self.free_slot().or_else(|| {
            let oldest = self.gone.front()?.clone();
            self.forget(&oldest)
        })?;
        self.give(owner, slot);
        Some((slot, true))
    }

    fn free_slot(&self) -> Option<u32> {
        (FABRIC_SLOT + 1..=self.highest)
            .find(|slot| !self.by_slot.contains_key(slot) && !self.reserved.contains(slot))
    }

    /// The port left. Its counters are kept for a while.
    pub fn retire(&mut self, port: &str) {
        let first = Owner::new(port, 0);
        let owners = self.by_owner.range(first..).map(|(owner, _)| owner);
        let owners: Vec<Owner> = owners
            .take_while(|owner| owner.port == port)
            .cloned()
            .collect();
        for owner in owners {
            if !self.gone.contains(&owner) {
                self.gone.push_back(owner);
            }
        }
        while self.gone.len() > REMEMBERED {
            if let Some(oldest) = self.gone.front().cloned() {
                self.forget(&oldest);
            }
        }
    }

    /// All slots with those that they count for, also those of ports that left.
    pub fn iter(&self) -> impl Iterator<Item = (&Owner, u32)> {
        self.by_owner.iter().map(|(owner, slot)| (owner, *slot))
    }

    /// All slots that count for somebody, also where it is not known yet for whom.
    pub fn counting(&self) -> impl Iterator<Item = u32> {
        let known = self.by_slot.keys();
        known.chain(&self.reserved).copied()
    }

    /// Whose frames a slot counts.
    pub fn owner(&self, slot: u32) -> Option<&Owner> {
        self.by_slot.get(&slot)
    }

    fn give(&mut self, owner: &Owner, slot: u32) {
        self.by_owner.insert(owner.clone(), slot);
        self.by_slot.insert(slot, owner.clone());
    }

    fn forget(&mut self, owner: &Owner) -> Option<u32> {
        self.gone.retain(|name| name != owner);
        let slot = self.by_owner.remove(owner)?;
        self.by_slot.remove(&slot);
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(port: &str) -> Owner {
        Owner::new(port, 0)
    }

    #[test]
    fn slots_are_dense_and_never_the_fabrics() {
        let mut slots = Slots::new(1000);
        assert_eq!(slots.assign(&own("p/a")), Some((1, true)));
        assert_eq!(slots.assign(&own("p/b")), Some((2, true)));
        assert_eq!(slots.assign(&own("p/a")), Some((1, false)));
        slots.adopt(&own("p/c"), FABRIC_SLOT);
        assert_eq!(slots.assign(&own("p/c")), Some((3, true)));
    }

    #[test]
    fn a_port_that_returns_gets_its_slot_back_with_its_counters() {
        let mut slots = Slots::new(1000);
        slots.assign(&own("p/a"));
        slots.retire("p/a");
        assert_eq!(slots.assign(&own("p/b")), Some((2, true)));
        assert_eq!(slots.assign(&own("p/a")), Some((1, false)));
    }

    #[test]
    fn the_longest_gone_port_loses_its_slot_first() {
        let mut slots = Slots::new(1000);
        for number in 0..=REMEMBERED {
            let port = format!("p/{number}");
            slots.assign(&own(&port));
            slots.retire(&port);
            slots.retire(&port);
        }
        assert_eq!(slots.assign(&own("p/new")), Some((1, true)));
        assert_eq!(slots.assign(&own("p/1")), Some((2, false)));
    }

    #[test]
    fn what_a_port_row_says_wins_over_older_knowledge() {
        let mut slots = Slots::new(1000);
        slots.adopt(&own("p/old"), 1);
        slots.reserve(1);
        slots.reserve(2);
        assert_eq!(slots.assign(&own("p/new")), Some((3, true)));
        slots.adopt(&own("p/a"), 1);
        assert_eq!(
            slots.iter().collect::<Vec<_>>(),
            [(&own("p/a"), 1), (&own("p/new"), 3)]
        );
        slots.release(2);
        assert_eq!(slots.assign(&own("p/b")), Some((2, true)));
    }

    #[test]
    fn without_free_slots_the_longest_gone_port_makes_room() {
        let mut slots = Slots::new(2);
        slots.assign(&own("p/a"));
        slots.assign(&own("p/b"));
        assert_eq!(slots.assign(&own("p/c")), None);
        slots.retire("p/b");
        assert_eq!(slots.assign(&own("p/c")), Some((2, true)));
        assert_eq!(slots.assign(&own("p/b")), None);
    }

    #[test]
    fn a_trunk_has_a_slot_for_each_of_its_networks_and_loses_all_at_once() {
        let mut slots = Slots::new(3);
        let vlans = [0, 10, 20].map(|vlan| Owner::new("p/trunk", vlan));
        let given: Vec<_> = vlans.iter().map(|owner| slots.assign(owner)).collect();
        assert_eq!(given, [Some((1, true)), Some((2, true)), Some((3, true))]);
        assert_eq!(slots.owner(2), Some(&vlans[1]));
        assert_eq!(slots.assign(&own("p/trunk-2")), None);
        slots.retire("p/trunk");
        assert_eq!(slots.assign(&own("p/trunk-2")), Some((1, true)));
        for owner in vlans {
            assert_eq!(Owner::parse(&owner.to_string()), owner);
        }
    }
}
