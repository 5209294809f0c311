//! Intent to slices, change by change. The compiler keeps what it needs indexed by network and by host,
//! so that a change costs what it touches and nothing for networks that it does not.
//!
//! A batch of changes is taken as one step: everything a change might have made different is noted
//! with its state before, and at the end one delta for each network is made of what really is
//! different. So the order of changes inside a batch does not matter, intermediate states never
//! leave the compiler, and a batch that changes nothing sends nothing.

mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use coax_model::{
    Binding, Change, Host, HostName, Intent, Name, Network, NetworkName, ObjectName, Port,
    PortName, Vtep, VtepName,
};

use crate::message;
use crate::slice::SliceDelta;
use crate::touched::Touched;

/// What is known of one network. It may be there before its network is, and stay after it.
#[derive(Debug, Default)]
struct State {
    network: Option<Network>,
    members: BTreeSet<PortName>,
    /// How many roles (has, gets, had) members give to each host.
    hosts: BTreeMap<HostName, usize>,
    foreign: BTreeSet<VtepName>,
    /// Under which number and revision subscribers know it.
    published: Option<(u32, u64)>,
}

/// A port and where it is; either can be known before the other.
#[derive(Debug, Default)]
struct Station {
    port: Option<Port>,
    binding: Binding,
}

/// Holds the slices of all networks and turns changes of the intent into steps of slices.
#[derive(Debug, Default)]
pub struct Compiler {
    networks: HashMap<NetworkName, State>,
    stations: HashMap<PortName, Station>,
    vteps: HashMap<VtepName, Vtep>,
    hosts: HashMap<HostName, Host>,
    /// The networks whose members name a host.
    reach: HashMap<HostName, BTreeSet<NetworkName>>,
    names: HashMap<u32, NetworkName>,
}

impl Compiler {
    /// Compiles a whole intent, every network at this revision.
    pub fn full(intent: &Intent, revision: u64) -> Self {
        let mut compiler = Self::default();
        let mut touched = Touched::default();
        for (name, host) in &intent.hosts {
            compiler.hosts.insert(name.clone(), host.clone());
        }
        for (name, network) in &intent.networks {
            compiler.set_network(name, Some(network), &mut touched);
        }
        for (name, binding) in &intent.bindings {
            compiler.stations.entry(name.clone()).or_default().binding = binding.clone();
        }
        for (name, port) in &intent.ports {
            compiler.set_port(name, Some(port), &mut touched);
        }
        for (name, vtep) in &intent.vteps {
            compiler.set_vtep(name, Some(vtep), &mut touched);
        }
        for name in intent.networks.keys() {
            compiler.publish(name, revision);
        }
        compiler
    }

    /// Takes the changes of one revision and gives the steps of the networks that become different:
    /// deletions first, then the rest. The revision must be higher than that of any earlier call,
    /// and all changes of a revision belong into one call.
    pub fn apply(&mut self, revision: u64, changes: &[Change]) -> Vec<SliceDelta> {
        let mut touched = Touched::default();
        for change in changes {
            self.take(change, &mut touched);
        }
        let (mut deletions, mut steps) = (Vec::new(), Vec::new());
        for (name, parts) in touched.networks {
            let Some(state) = self.networks.get(&name) else {
                continue;
            };
            let vni = state.network.as_ref().map(|network| network.vni.get());
            match state.published {
                Some((id, from)) if vni == Some(id) => {
                    let step = self.difference(&name, parts);
                    if step != SliceDelta::default() {
                        self.publish(&name, revision);
                        let (network_id, from_revision, to_revision) = (id, from, revision);
                        steps.push(SliceDelta {
                            network_id,
                            from_revision,
                            to_revision,
                            ..step
                        });
                    }
                }
                published => {
                    if let Some((id, from)) = published {
                        deletions.push(message::deleted(id, from, revision));
                        self.withdraw(&name, id);
                    }
                    if vni.is_some() {
                        self.publish(&name, revision);
                        steps.push(message::complete(self.build(&name)));
                    }
                }
            }
            self.forget_empty_network(&name);
        }
        deletions.append(&mut steps);
        deletions
    }

    fn take(&mut self, change: &Change, touched: &mut Touched) {
        match change {
            Change::PutNetwork { name, network } => self.set_network(name, Some(network), touched),
            Change::DeleteNetwork { name } => self.set_network(name, None, touched),
            Change::PutPort { name, port } => self.set_port(name, Some(port), touched),
            Change::DeletePort { name } => {
                self.set_binding(name, &Binding::default(), touched);
                self.set_port(name, None, touched);
            }
            Change::PutVtep { name, vtep } => self.set_vtep(name, Some(vtep), touched),
            Change::DeleteVtep { name } => self.set_vtep(name, None, touched),
            Change::PutHost { name, host } => self.set_host(name, Some(host), touched),
            Change::DeleteHost { name } => self.set_host(name, None, touched),
            Change::PutBinding { port, binding } => self.set_binding(port, binding, touched),
            Change::DeleteBinding { port } => {
                self.set_binding(port, &Binding::default(), touched);
            }
            Change::PutGroup { .. }
            | Change::DeleteGroup { .. }
            | Change::PutAddressGroup { .. }
            | Change::DeleteAddressGroup { .. }
            | Change::PutRouter { .. }
            | Change::DeleteRouter { .. }
            | Change::PutRule { .. }
            | Change::DeleteRule { .. }
            | Change::PutFirewall { .. }
            | Change::DeleteFirewall { .. } => {}
        }
    }

    fn set_network(
        &mut self,
        name: &NetworkName,
        network: Option<&Network>,
        touched: &mut Touched,
    ) {
        let state = self.networks.entry(name.clone()).or_default();
        touched.of(name).params(|| {
            let network = state.network.as_ref()?;
            Some(message::params(name, network))
        });
        state.network = network.cloned();
    }

    fn set_port(&mut self, name: &PortName, port: Option<&Port>, touched: &mut Touched) {
        self.leave(name, touched);
        self.stations.entry(name.clone()).or_default().port = port.cloned();
        self.join(name, touched);
        self.forget_empty_station(name);
    }

    fn set_binding(&mut self, name: &PortName, binding: &Binding, touched: &mut Touched) {
        self.leave(name, touched);
        self.stations.entry(name.clone()).or_default().binding = binding.clone();
        self.join(name, touched);
        self.forget_empty_station(name);
    }

    fn forget_empty_station(&mut self, name: &PortName) {
        let empty =
            |station: &Station| station.port.is_none() && station.binding == Binding::default();
        if self.stations.get(name).is_some_and(empty) {
            self.stations.remove(name);
        }
    }

    /// Takes a port, as it is, out of its network.
    fn leave(&mut self, name: &PortName, touched: &mut Touched) {
        let Some(Station {
            port: Some(port),
            binding,
        }) = self.stations.get(name)
        else {
            return;
        };
        let network = sibling(name, &port.network);
        let parts = touched.of(&network);
        parts.member(name, || Some(message::member(name, port, binding)));
        let Some(state) = self.networks.get_mut(&network) else {
            return;
        };
        state.members.remove(name);
        for host in binding.hosts() {
            parts.host(host, || Some(message::host(host, self.hosts.get(host)?)));
            let Some(roles) = state.hosts.get_mut(host) else {
                continue;
            };
            *roles -= 1;
            if *roles == 0 {
                state.hosts.remove(host);
                forget(&mut self.reach, host, &network);
            }
        }
    }

    /// Puts a port, as it is, into its network.
    fn join(&mut self, name: &PortName, touched: &mut Touched) {
        let Some(Station {
            port: Some(port),
            binding,
        }) = self.stations.get(name)
        else {
            return;
        };
        let network = sibling(name, &port.network);
        let parts = touched.of(&network);
        parts.member(name, || None);
        let state = self.networks.entry(network.clone()).or_default();
        state.members.insert(name.clone());
        for host in binding.hosts() {
            let roles = state.hosts.entry(host.clone()).or_default();
            let seen = self.hosts.get(host).filter(|_| *roles > 0);
            parts.host(host, || seen.map(|seen| message::host(host, seen)));
            *roles += 1;
            if *roles == 1 {
                self.reach
                    .entry(host.clone())
                    .or_default()
                    .insert(network.clone());
            }
        }
    }

    fn set_vtep(&mut self, name: &VtepName, vtep: Option<&Vtep>, touched: &mut Touched) {
        let old = self.vteps.remove(name);
        for network in old.iter().flat_map(|old| &old.networks) {
            let network = sibling(name, network);
            touched
                .of(&network)
                .foreign(name, || old.as_ref().map(|old| message::foreign(name, old)));
            if let Some(state) = self.networks.get_mut(&network) {
                state.foreign.remove(name);
            }
        }
        for network in vtep.into_iter().flat_map(|vtep| &vtep.networks) {
            let network = sibling(name, network);
            touched.of(&network).foreign(name, || None);
            self.networks
                .entry(network)
                .or_default()
                .foreign
                .insert(name.clone());
        }
        if let Some(vtep) = vtep {
            self.vteps.insert(name.clone(), vtep.clone());
        }
    }

    fn set_host(&mut self, name: &HostName, host: Option<&Host>, touched: &mut Touched) {
        let old = match host {
            Some(host) => self.hosts.insert(name.clone(), host.clone()),
            None => self.hosts.remove(name),
        };
        for network in self.reach.get(name).into_iter().flatten() {
            touched
                .of(network)
                .host(name, || old.as_ref().map(|old| message::host(name, old)));
        }
    }

    fn publish(&mut self, name: &NetworkName, revision: u64) {
        let Some(state) = self.networks.get_mut(name) else {
            return;
        };
        let Some(network) = &state.network else {
            return;
        };
        let id = network.vni.get();
        state.published = Some((id, revision));
        self.names.insert(id, name.clone());
    }

    /// The number may already have passed to another network of the same batch.
    fn withdraw(&mut self, name: &NetworkName, id: u32) {
        if self.names.get(&id) == Some(name) {
            self.names.remove(&id);
        }
        if let Some(state) = self.networks.get_mut(name) {
            state.published = None;
        }
    }

    fn forget_empty_network(&mut self, name: &NetworkName) {
        let empty = |state: &State| {
            state.network.is_none() && state.members.is_empty() && state.foreign.is_empty()
        };
        if self.networks.get(name).is_some_and(empty) {
            self.networks.remove(name);
        }
    }
}

/// The full name of what a port or VTEP calls by its short name.
fn sibling(object: &ObjectName, name: &Name) -> ObjectName {
    ObjectName::new(object.project.clone(), name.clone())
}

/// Takes a network out of those that a host is named by.
fn forget(
    reach: &mut HashMap<HostName, BTreeSet<NetworkName>>,
    host: &HostName,
    network: &NetworkName,
) {
    let Some(reached) = reach.get_mut(host) else {
        return;
    };
    reached.remove(network);
    if reached.is_empty() {
        reach.remove(host);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
