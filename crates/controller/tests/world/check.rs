//! What must be true when everything is delivered and everybody is attached.

use std::collections::{BTreeMap, BTreeSet};

use coax_compile::policy::Policies;
use coax_compile::{Compiler, NetworkSlice, RouterSlice};
use coax_controller::core::Core;
use coax_controller::{audit, records};
use coax_model::{HostName, Intent, Name, ObjectName};
use coax_store::Store;

use super::{Agent, UNDERLAY_MTU, World};

impl World {
    /// What must be true whenever everything is delivered and everybody is attached.
    pub fn check(&self) {
        let stored = records::load(&self.store, UNDERLAY_MTU).unwrap();
        assert_eq!(
            &stored.intent,
            self.core.intent(),
            "what is stored is what is"
        );
        assert_eq!(stored.revision, self.core.revision());
        let anew = Core::new(0, 0, stored, self.clock());
        // Why something was not taken back is not stored: it is found out again.
        let history = |core: &Core| {
            let all = core.revisions(None);
            all.map(|it| coax_api::Revision {
                trouble: None,
                ..it
            })
            .collect::<Vec<_>>()
        };
        assert_eq!(history(&anew), history(&self.core));
        check_audit_log(&self.store, &self.core);
        let stored = anew.intent();
        let full = Compiler::full(stored, 1);
        for agent in &self.agents {
            check_slices(agent, stored, &full);
        }
        for host in self.core.host_views() {
            assert_eq!(host.lag, 0, "{host:?}");
        }
        for port in stored.ports.keys() {
            self.check_place(port, stored);
        }
    }

    /// A port is where somebody who may have it has its device.
    fn check_place(&self, name: &ObjectName, intent: &Intent) {
        let binding = intent.bindings.get(name).cloned().unwrap_or_default();
        let wish = intent.ports[name].host.as_ref();
        let plugged = |agent: &&Agent| agent.devices.contains(&name.to_string());
        let mut claimants = self.agents.iter().filter(plugged);
        let has = |host: &HostName| {
            let mut claimants = self.agents.iter().filter(plugged);
            claimants.any(|agent| agent.name == host.as_str())
        };
        match &binding.host {
            None => {
                let permitted = claimants
                    .find(|agent| wish.is_none_or(|wish| wish.as_str() == agent.name))
                    .map(|agent| &agent.name);
                assert_eq!(permitted, None, "{name} is claimed and nowhere");
            }
            Some(host) => assert!(
                has(host) || binding.moving_to.is_some(),
                "{name} is bound to {host}, which does not have it: {binding:?}"
            ),
        }
        let arrived = binding.moving_to.as_ref().is_some_and(has);
        assert!(!arrived, "{name} arrived and is not bound");
        assert_eq!(binding.moved_from, None, "{name} has arrived for everybody");
    }
}

/// The audit log is one chain, and has one entry for each change that the history has, of the same transaction.
pub fn check_audit_log(store: &dyn Store, core: &Core) {
    let verdict = audit::verify(store).unwrap();
    assert_eq!(verdict.broken_at, None, "{verdict:?}");
    let entries = audit::entries(store, usize::MAX).unwrap();
    let entries = entries.iter().filter(|entry| entry.decided_on.is_some());
    let mut entries: Vec<_> = entries.map(|it| (it.revision.unwrap(), &*it.who)).collect();
    entries.reverse();
    let history: Vec<_> = core.revisions(None).collect();
    let history: Vec<_> = history
        .iter()
        .map(|it| (it.revision, &*it.author))
        .collect();
    // The history forgets, the log does not.
    assert!(entries.len() >= history.len(), "a change without its entry");
    entries.truncate(history.len());
    assert_eq!(entries, history, "changes and their entries");
}

/// An agent has the slices of the networks whose ports name it, and of the routers and networks behind them, as a full compile
/// makes them.
pub(super) fn check_slices(agent: &Agent, intent: &Intent, full: &Compiler) {
    let host: HostName = agent.name.parse().unwrap();
    let sibling =
        |name: &ObjectName, network: &Name| ObjectName::new(name.project.clone(), network.clone());
    let mut networks = BTreeSet::new();
    for (name, port) in &intent.ports {
        let binding = intent.bindings.get(name);
        if binding.is_some_and(|binding| binding.hosts().any(|other| *other == host)) {
            networks.extend(
                port.networks()
                    .map(|(_, network, _)| sibling(name, network)),
            );
        }
    }
    let mut routers = BTreeMap::new();
    for (name, router) in &intent.routers {
        let joined: BTreeSet<ObjectName> = router
            .networks
            .iter()
            .map(|network| sibling(name, network))
            .collect();
        if !joined.is_disjoint(&networks) {
            let number = router.number.get();
            routers.insert(number, full.router(number).unwrap());
        }
    }
    for (name, router) in &intent.routers {
        if routers.contains_key(&router.number.get()) {
            networks.extend(router.networks.iter().map(|network| sibling(name, network)));
        }
    }
    let needed = networks.iter().map(|network| {
        let id = intent.networks[network].vni.get();
        (id, full.slice(id).unwrap())
    });
    let held = agent.slices.iter().map(|(id, slice)| {
        let slice = NetworkSlice {
            revision: 1,
            ..slice.clone()
        };
        (*id, slice)
    });
    assert_eq!(
        held.collect::<BTreeMap<_, _>>(),
        needed.collect::<BTreeMap<_, _>>(),
        "slices of {host}"
    );
    let held = agent.routers.iter().map(|(number, slice)| {
        let slice = RouterSlice {
            revision: 1,
            ..slice.clone()
        };
        (*number, slice)
    });
    assert_eq!(
        held.collect::<BTreeMap<_, _>>(),
        routers,
        "routers of {host}"
    );
    check_policies(agent, intent, &networks);
}

/// An agent has the policies of the projects of its networks, and no others.
fn check_policies(agent: &Agent, intent: &Intent, networks: &BTreeSet<ObjectName>) {
    let full = Policies::full(intent, 1);
    let projects: BTreeSet<&Name> = networks.iter().map(|network| &network.project).collect();
    let needed = projects.into_iter().filter_map(|project| {
        let policy = full.policy(project)?;
        Some((project.to_string(), policy.clone()))
    });
    let held = agent.policies.values();
    let held = held.map(|held| (held.project.clone(), held.policy.clone()));
    assert_eq!(
        held.collect::<BTreeMap<_, _>>(),
        needed.collect::<BTreeMap<_, _>>(),
        "policies of {}",
        agent.name
    );
}
