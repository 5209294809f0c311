//! What the controller told about networks, with the indexes that make one changed port cost one port's work.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use coax_compile::{DeltaError, Member, NetworkSlice, SliceDelta};

/// All slices.
#[derive(Clone, Debug, Default)]
pub struct Slices {
    networks: BTreeMap<u32, Arc<NetworkSlice>>,
    port_networks: HashMap<String, u32>,
    /// For each network how many members name which host, as the one that has or gets them: who gets copies follows from it.
    reach: HashMap<u32, BTreeMap<String, u32>>,
}

/// What a change of a slice means for rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Only rows of these members, as they were before, and as they are now under the same names.
    Members(Vec<Member>, BTreeSet<String>),
    /// Rows that members share as well, or everything.
    Network,
}

impl Slices {
    /// The slice of a network.
    pub fn get(&self, network: u32) -> Option<&NetworkSlice> {
        self.networks.get(&network).map(AsRef::as_ref)
    }

    /// All slices, to be kept.
    pub fn all(&self) -> &BTreeMap<u32, Arc<NetworkSlice>> {
        &self.networks
    }

    /// The network of a port.
    pub fn network_of(&self, port: &str) -> Option<u32> {
        self.port_networks.get(port).copied()
    }

    /// The member with this full name, of whatever network.
    pub fn member(&self, port: &str) -> Option<&Member> {
        self.get(self.network_of(port)?)?.member(port)
    }

    /// Takes a slice in, in the place of the one of the same network.
    pub fn replace(&mut self, slice: Arc<NetworkSlice>) {
        let network = slice.network_id;
        self.remove(network);
        for member in &slice.members {
            self.enter(network, member);
        }
        self.networks.insert(network, slice);
    }

    /// Forgets a network.
    pub fn remove(&mut self, network: u32) {
        if let Some(former) = self.networks.remove(&network) {
            for member in &former.members {
                self.leave(network, &member.port);
            }
        }
        self.reach.remove(&network);
    }

    /// Takes a step of a network. One that does not fit changes nothing.
    pub fn apply(&mut self, delta: &SliceDelta) -> Result<Effect, DeltaError> {
        let network = delta.network_id;
        let mut slice = match self.networks.remove(&network) {
            Some(slice) => slice,
            None => Arc::new(NetworkSlice::empty(network)),
        };
        if delta.from_revision == 0 {
            let outcome = Arc::make_mut(&mut slice).apply(delta);
            if outcome.is_ok() || slice.revision != 0 {
                self.replace(slice);
            }
            return outcome.map(|()| Effect::Network);
        }
        let changed = delta.upsert_members.iter().map(|member| &member.port);
        let changed: BTreeSet<String> = changed.chain(&delta.remove_members).cloned().collect();
        let former = changed
            .iter()
            .filter_map(|port| slice.member(port))
            .cloned();
        let former: Vec<Member> = former.collect();
        let outcome = Arc::make_mut(&mut slice).apply(delta);
        if outcome.is_err() {
            if slice.revision != 0 {
                self.networks.insert(network, slice);
            }
            return outcome.map(|()| Effect::Network);
        }
        let mut same_hosts = true;
        for member in &former {
            same_hosts &= self.count(network, member, -1);
            self.leave(network, &member.port);
        }
        for member in &delta.upsert_members {
            same_hosts &= self.count(network, member, 1);
            self.port_networks.insert(member.port.clone(), network);
        }
        self.networks.insert(network, slice);
        let only_members = delta.params.is_none()
            && delta.upsert_hosts.is_empty()
            && delta.remove_hosts.is_empty()
            && delta.upsert_foreign.is_empty()
            && delta.remove_foreign.is_empty();
        match only_members && same_hosts {
            true => Ok(Effect::Members(former, changed)),
            false => Ok(Effect::Network),
        }
    }

    fn enter(&mut self, network: u32, member: &Member) {
        self.count(network, member, 1);
        self.port_networks.insert(member.port.clone(), network);
    }

    /// The port may be in another network already.
    fn leave(&mut self, network: u32, port: &str) {
        if self.port_networks.get(port) == Some(&network) {
            self.port_networks.remove(port);
        }
    }

    /// Counts a member's hosts up or down. False if a host became known by it, or unknown.
    fn count(&mut self, network: u32, member: &Member, step: i32) -> bool {
        let reach = self.reach.entry(network).or_default();
        let mut same = true;
        for host in [&member.host, &member.moving_to] {
            if host.is_empty() {
                continue;
            }
            let count = reach.entry(host.clone()).or_insert(0);
            same &= *count != 0;
            *count = count.saturating_add_signed(step);
            if *count == 0 {
                reach.remove(host);
                same = false;
            }
        }
        same
    }
}
