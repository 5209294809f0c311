//! Intent to slices, change by change. The compiler keeps what it needs indexed by network, router and
//! host, so that a change costs what it touches and nothing for networks that it does not.
//!
//! A batch of changes is taken as one step: everything a change might have made different is noted
//! with its state before, and at the end one delta for each network is made of what really is
//! different. So the order of changes inside a batch does not matter, intermediate states never
//! leave the compiler, and a batch that changes nothing sends nothing.

mod members;
mod routers;
mod view;

use std::collections::{BTreeSet, HashMap};

use coax_model::{
    Binding, Change, Host, HostName, Intent, Name, Network, NetworkName, ObjectName, Port,
    PortName, Router, RouterName, Vtep, VtepName,
};

use crate::message;
use crate::reach::{Needed, Reach, Turn};
use crate::slice::{RouterSlice, SliceDelta};
use crate::touched::Touched;

/// What is known of one network. It may be there before its network is, and stay after it.
#[derive(Debug, Default)]
struct State {
    network: Option<Network>,
    members: BTreeSet<PortName>,
    foreign: BTreeSet<VtepName>,
    /// Under which number and revision subscribers know it.
    published: Option<(u32, u64)>,
}

/// What is known of one router.
#[derive(Debug)]
struct RouterState {
    router: Option<Router>,
    /// Under which number and revision subscribers know it.
    published: Option<(u32, u64)>,
}

/// A port and where it is; either can be known before the other.
#[derive(Debug, Default)]
struct Station {
    port: Option<Port>,
    binding: Binding,
}

/// What a batch of changes made different.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Steps {
    /// Networks: deletions first.
    pub networks: Vec<NetworkStep>,
    /// Routers: deletions first.
    pub routers: Vec<RouterStep>,
    /// Hosts that start or cease to need a network or a router.
    pub turns: Vec<Turn>,
}

/// A network that became different.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkStep {
    /// The network.
    pub name: NetworkName,
    /// From what subscribers have to what they need.
    pub delta: SliceDelta,
}

/// A router that became different.
#[derive(Debug, Clone, PartialEq)]
pub struct RouterStep {
    /// The router.
    pub name: RouterName,
    /// The number by which slices call it.
    pub number: u32,
    /// What it is now; nothing: it is gone.
    pub slice: Option<RouterSlice>,
}

/// Holds the slices of all networks and routers and turns changes of the intent into steps of slices.
#[derive(Debug, Default)]
pub struct Compiler {
    networks: HashMap<NetworkName, State>,
    routers: HashMap<RouterName, RouterState>,
    stations: HashMap<PortName, Station>,
    vteps: HashMap<VtepName, Vtep>,
    hosts: HashMap<HostName, Host>,
    reach: Reach,
    names: HashMap<u32, NetworkName>,
    router_names: HashMap<u32, RouterName>,
}

impl Compiler {
    /// Compiles a whole intent, every network and router at this revision.
    pub fn full(intent: &Intent, revision: u64) -> Self {
        let mut compiler = Self::default();
        let mut touched = Touched::default();
        for (name, host) in &intent.hosts {
            compiler.hosts.insert(name.clone(), host.clone());
        }
        for (name, network) in &intent.networks {
            compiler.set_network(name, Some(network), &mut touched);
        }
        for (name, router) in &intent.routers {
            compiler.set_router(name, Some(router), &mut touched);
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
        for name in intent.routers.keys() {
            compiler.publish_router(name, revision);
        }
        compiler
    }

    /// Takes the changes of one revision and gives the steps of what becomes different by them. The
    /// revision must be higher than that of any earlier call, and all changes of a revision belong
    /// into one call.
    pub fn apply(&mut self, revision: u64, changes: &[Change]) -> Steps {
        let mut touched = Touched::default();
        for change in changes {
            self.take(change, &mut touched);
        }
        let mut steps = Steps::default();
        for ((host, what), needed) in touched.needs {
            let needs = self.reach.needs(&host, &what);
            if needs != needed {
                steps.turns.push(Turn { host, what, needs });
            }
        }
        let (mut deletions, mut rest) = (Vec::new(), Vec::new());
        for (name, parts) in touched.networks {
            let step = |delta| NetworkStep {
                name: name.clone(),
                delta,
            };
            let Some(state) = self.networks.get(&name) else {
                continue;
            };
            let vni = state.network.as_ref().map(|network| network.vni.get());
            match state.published {
                Some((id, from)) if vni == Some(id) => {
                    let delta = self.difference(&name, parts);
                    if delta != SliceDelta::default() {
                        self.publish(&name, revision);
                        rest.push(step(SliceDelta {
                            network_id: id,
                            from_revision: from,
                            to_revision: revision,
                            ..delta
                        }));
                    }
                }
                published => {
                    if let Some((id, from)) = published {
                        deletions.push(step(message::deleted(id, from, revision)));
                        self.withdraw(&name, id);
                    }
                    if vni.is_some() {
                        self.publish(&name, revision);
                        rest.push(step(message::complete(self.build(&name))));
                    }
                }
            }
            self.forget_empty_network(&name);
        }
        deletions.append(&mut rest);
        steps.networks = deletions;
        steps.routers = self.router_steps(touched.routers, revision);
        steps
    }

    fn take(&mut self, change: &Change, touched: &mut Touched) {
        match change {
            Change::PutNetwork { name, network } => self.set_network(name, Some(network), touched),
            Change::DeleteNetwork { name } => self.set_network(name, None, touched),
            Change::PutRouter { name, router } => self.set_router(name, Some(router), touched),
            Change::DeleteRouter { name } => self.set_router(name, None, touched),
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
            | Change::PutRule { .. }
            | Change::DeleteRule { .. }
            | Change::PutFirewall { .. }
            | Change::DeleteFirewall { .. }
            | Change::PutChecks { .. }
            | Change::DeleteChecks { .. }
            | Change::PutQuota { .. } => {}
        }
    }

    fn set_network(
        &mut self,
        name: &NetworkName,
        network: Option<&Network>,
        touched: &mut Touched,
    ) {
        touched.of(name).params(|| self.params(name));
        self.touch_routers_of(name, touched);
        self.networks.entry(name.clone()).or_default().network = network.cloned();
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
        for network in self.reach.networks(name) {
            touched
                .of(network)
                .host(name, || old.as_ref().map(|old| message::host(name, old)));
        }
    }

    /// Notes what turned in the slices: whom frames of a network come from.
    fn turned(&mut self, turns: Vec<Turn>, touched: &mut Touched) {
        for turn in turns {
            if let Needed::Network(network) = &turn.what {
                let before = self.hosts.get(&turn.host).filter(|_| !turn.needs);
                touched.of(network).host(&turn.host, || {
                    before.map(|before| message::host(&turn.host, before))
                });
            }
            touched.turn(turn);
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

/// The full name of what a port, router or VTEP calls by its short name.
fn sibling(object: &ObjectName, name: &Name) -> ObjectName {
    ObjectName::new(object.project.clone(), name.clone())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
