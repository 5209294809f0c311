//! What the controller told about networks and routers, with the indexes that make one changed port cost one port's work.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use coax_compile::{DeltaError, HostVtep, Member, NetworkSlice, RouterSlice, SliceDelta};

/// All slices.
#[derive(Clone, Debug, Default)]
pub struct Slices {
    networks: BTreeMap<u32, Arc<NetworkSlice>>,
    routers: BTreeMap<u32, Arc<RouterSlice>>,
    /// The networks of a port: one, or more for a trunk. Never empty.
    port_networks: HashMap<String, BTreeSet<u32>>,
    /// For each network how many members name which host, as the one that has or gets them: who gets copies follows from it.
    reach: HashMap<u32, BTreeMap<String, u32>>,
    /// For each network how many members share addresses: whether all its hosts hear announcements follows from it.
    sharing: HashMap<u32, u32>,
}

/// What a change of a slice means for rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Only rows of some members and hosts, and who gets copies.
    Part(Part),
    /// Anything.
    Network,
}

/// A part of a network that is different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Names of members that are new, different or gone.
    pub ports: BTreeSet<String>,
    /// What they were before.
    pub former: Vec<Member>,
    /// Names of hosts that are new or gone.
    pub hosts: BTreeSet<String>,
    /// What they were before.
    pub former_hosts: Vec<HostVtep>,
    /// Other hosts get copies than before.
    pub copies: bool,
}

impl Part {
    /// Takes in what became different later.
    pub fn merge(&mut self, later: Self) {
        self.ports.extend(later.ports);
        self.former.extend(later.former);
        self.hosts.extend(later.hosts);
        self.former_hosts.extend(later.former_hosts);
        self.copies |= later.copies;
    }
}

impl Slices {
    /// The slice of a network.
    pub fn get(&self, network: u32) -> Option<&NetworkSlice> {
        self.networks.get(&network).map(AsRef::as_ref)
    }

    /// All slices of networks, to be kept.
    pub fn all(&self) -> &BTreeMap<u32, Arc<NetworkSlice>> {
        &self.networks
    }

    /// The slice of a router.
    pub fn router(&self, number: u32) -> Option<&RouterSlice> {
        self.routers.get(&number).map(AsRef::as_ref)
    }

    /// All slices of routers, to be kept.
    pub fn routers(&self) -> &BTreeMap<u32, Arc<RouterSlice>> {
        &self.routers
    }

    /// The networks of a port.
    pub fn networks_of(&self, port: &str) -> impl Iterator<Item = u32> + use<'_> {
        self.port_networks.get(port).into_iter().flatten().copied()
    }

    /// The member with this full name, of a network.
    pub fn member(&self, network: u32, port: &str) -> Option<&Member> {
        self.get(network)?.member(port)
    }

    /// The hosts that have or get a member of a network, sorted by name.
    pub fn hosts_with_members(&self, network: u32) -> impl Iterator<Item = &HostVtep> {
        let slice = self.get(network);
        let names = self
            .reach
            .get(&network)
            .into_iter()
            .flat_map(BTreeMap::keys);
        names.filter_map(move |name| slice?.host(name))
    }

    /// The hosts that are to hear who has a shared address of a network, sorted by name: all, if it has such addresses.
    pub fn hosts_announced_to(&self, network: u32) -> impl Iterator<Item = &HostVtep> {
        let shares = self.shares(network);
        let slice = self.get(network).filter(|_| shares);
        slice.into_iter().flat_map(|slice| &slice.hosts)
    }

    fn shares(&self, network: u32) -> bool {
        self.sharing.get(&network).is_some_and(|count| *count > 0)
    }

    /// Whatever the controller sends next is newer than what is here.
    pub fn forget_revisions(&mut self) {
        for slice in self.networks.values_mut() {
            Arc::make_mut(slice).revision = 0;
        }
        for slice in self.routers.values_mut() {
            Arc::make_mut(slice).revision = 0;
        }
    }

    /// Takes a slice in, in the place of the one of the same network.
    pub fn replace(&mut self, slice: Arc<NetworkSlice>) {
        let network = slice.network_id;
        self.remove(network);
        for member in &slice.members {
            self.count(network, member, 1);
            self.enter(network, &member.port);
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
        self.sharing.remove(&network);
    }

    /// Takes a router in, in the place of the one with the same number.
    pub fn replace_router(&mut self, slice: Arc<RouterSlice>) {
        self.routers.insert(slice.router, slice);
    }

    /// Forgets a router.
    pub fn remove_router(&mut self, number: u32) {
        self.routers.remove(&number);
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
        let mut part = part_of(&slice, delta);
        let counts = self.counts(network, &delta.upsert_hosts);
        let outcome = Arc::make_mut(&mut slice).apply(delta);
        if outcome.is_err() {
            if slice.revision != 0 {
                self.networks.insert(network, slice);
            }
            return outcome.map(|()| Effect::Network);
        }
        for member in &part.former {
            part.copies |= self.count(network, member, -1);
            self.leave(network, &member.port);
        }
        for member in &delta.upsert_members {
            part.copies |= self.count(network, member, 1);
            self.enter(network, &member.port);
        }
        part.copies |= self.shares(network) && !part.hosts.is_empty();
        // A host with members that are not part of the step has rows that are not part of it, either.
        let named_after = delta.remove_hosts.iter();
        let reach = self.reach.get(&network);
        let mut named_after =
            named_after.filter(|host| reach.is_some_and(|reach| reach.contains_key(*host)));
        let alone = counts == 0 && named_after.next().is_none();
        let known = delta.upsert_hosts.iter();
        let changed = known.filter(|host| part.former_hosts.iter().any(|it| it.host == host.host));
        let only_parts = delta.params.is_none()
            && delta.upsert_foreign.is_empty()
            && delta.remove_foreign.is_empty()
            && changed.count() == 0
            && alone;
        self.networks.insert(network, slice);
        match only_parts {
            true => Ok(Effect::Part(part)),
            false => Ok(Effect::Network),
        }
    }

    /// How many members name one of these hosts.
    fn counts(&self, network: u32, hosts: &[HostVtep]) -> u32 {
        let reach = self.reach.get(&network);
        let counts = hosts.iter().filter_map(|host| reach?.get(&host.host));
        counts.sum()
    }

    fn enter(&mut self, network: u32, port: &str) {
        let networks = self.port_networks.entry(port.to_owned()).or_default();
        networks.insert(network);
    }

    fn leave(&mut self, network: u32, port: &str) {
        if let Some(networks) = self.port_networks.get_mut(port) {
            networks.remove(&network);
            if networks.is_empty() {
                self.port_networks.remove(port);
            }
        }
    }

    /// Counts a member's hosts up or down. True if a host became known by it, or unknown.
    fn count(&mut self, network: u32, member: &Member, step: i32) -> bool {
        if member.shares() {
            let sharing = self.sharing.entry(network).or_default();
            *sharing = sharing.saturating_add_signed(step);
        }
        let reach = self.reach.entry(network).or_default();
        let mut turned = false;
        for host in [&member.host, &member.moving_to] {
            if host.is_empty() {
                continue;
            }
            let count = reach.entry(host.clone()).or_insert(0);
            turned |= *count == 0;
            *count = count.saturating_add_signed(step);
            if *count == 0 {
                reach.remove(host);
                turned = true;
            }
        }
        turned
    }
}

/// What a step is about, as it was before.
fn part_of(slice: &NetworkSlice, delta: &SliceDelta) -> Part {
    let ports = delta.upsert_members.iter().map(|member| &member.port);
    let ports: BTreeSet<String> = ports.chain(&delta.remove_members).cloned().collect();
    let hosts = delta.upsert_hosts.iter().map(|host| &host.host);
    let hosts: BTreeSet<String> = hosts.chain(&delta.remove_hosts).cloned().collect();
    let former = ports.iter().filter_map(|port| slice.member(port));
    let former_hosts = hosts.iter().filter_map(|host| slice.host(host));
    Part {
        former: former.cloned().collect(),
        former_hosts: former_hosts.cloned().collect(),
        ports,
        hosts,
        copies: false,
    }
}
