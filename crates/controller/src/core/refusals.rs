//! Claims that are refused: a host has a device for a port that is, or is wanted, elsewhere. The host
//! is told once, and the port shows it as a condition until the claim or its reason is gone.

use std::collections::BTreeSet;

use coax_api::agent::Refused;
use coax_api::agent::controller_message::Body as ToAgent;
use coax_model::{Binding, HostName, PortName};

use super::Core;
use super::host::HostState;
use super::message::Command;

impl Core {
    /// Finds out which attached hosts claim a port and do not get it, and tells those that were not
    /// told.
    pub(super) fn say_refusals(&mut self, name: &PortName, out: &mut Vec<Command>) {
        let refused = self.refused_hosts(name);
        let before = if refused.is_empty() {
            self.refused.remove(name)
        } else {
            self.refused.insert(name.clone(), refused.clone())
        };
        let before = before.unwrap_or_default();
        for host in refused.difference(&before) {
            let reason = self.why_refused(name);
            self.note_refusal(name, host, &reason, out);
            let refused = Refused {
                port: name.to_string(),
                reason,
            };
            // Its own controller says it.
            if self.hosts.get(host).is_some_and(HostState::is_obedient) {
                self.send(host, ToAgent::Refused(refused), out);
            }
        }
    }

    /// Forgets the refusals of claims that are granted, or gone.
    pub(super) fn end_refusals(&mut self, name: &PortName) {
        let refused = self.refused_hosts(name);
        if let Some(before) = self.refused.get_mut(name) {
            before.retain(|host| refused.contains(host));
            if before.is_empty() {
                self.refused.remove(name);
            }
        }
    }

    fn refused_hosts(&self, name: &PortName) -> BTreeSet<HostName> {
        if !self.intent.ports.contains_key(name) {
            return BTreeSet::new();
        }
        let binding = self.intent.bindings.get(name);
        let part: Vec<&HostName> = binding.into_iter().flat_map(Binding::hosts).collect();
        let claimants = self.claimants.get(name).into_iter().flatten();
        let refused = claimants.filter(|host| {
            let attached = self
                .hosts
                .get(*host)
                .is_some_and(|state| state.session.is_some());
            attached && !part.contains(host)
        });
        refused.cloned().collect()
    }

    /// A host that goes away is told again when it is back.
    pub(super) fn forget_refusals(&mut self, host: &HostName) {
        let Some(state) = self.hosts.get(host) else {
            return;
        };
        for port in state.claims.keys() {
            if let Some(hosts) = self.refused.get_mut(port) {
                hosts.remove(host);
                if hosts.is_empty() {
                    self.refused.remove(port);
                }
            }
        }
    }

    /// Why a host that claims a port does not get it.
    pub(super) fn why_refused(&self, name: &PortName) -> String {
        let binding = self.intent.bindings.get(name);
        let wish = self
            .intent
            .ports
            .get(name)
            .and_then(|port| port.host.as_ref());
        match (binding.and_then(|binding| binding.host.as_ref()), wish) {
            (Some(host), _) => {
                format!("{name} is plugged in on {host}; move it, or unplug it there")
            }
            (None, Some(wish)) => {
                format!("{name} is wanted on {wish}; move it, or plug it in there")
            }
            (None, None) => format!("{name} waits for its host"),
        }
    }
}
