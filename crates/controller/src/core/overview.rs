//! Hosts and the whole system as users see them.

use std::collections::BTreeSet;

use coax_api as api;
use coax_api::finding::{Severity, severity_of};
use coax_api::{Condition, HostTotals, ObjectStatus, PortState, PortTotals};
use coax_model::{Host, HostName, OVERHEAD, PortName};

use super::host::HostState;
use super::{Core, events};

/// The uplinks of a host carry less than they should.
const UNDERLAY_MTU: &str = "underlay-mtu";

impl Core {
    /// All hosts.
    pub fn host_views(&self) -> Vec<api::Host> {
        self.intent
            .hosts
            .iter()
            .map(|(name, host)| self.host_view(name, host))
            .collect()
    }

    /// Whether a host's agent is attached.
    pub fn is_attached(&self, name: &HostName) -> bool {
        let state = self.hosts.get(name);
        state.is_some_and(|state| state.session.is_some())
    }

    /// One host.
    pub fn host_named(&self, name: &HostName) -> Option<api::Host> {
        Some(self.host_view(name, self.intent.hosts.get(name)?))
    }

    fn host_view(&self, name: &HostName, host: &Host) -> api::Host {
        let state = self.hosts.get(name);
        let (owed, realised) = state.map_or((0, 0), |state| (state.owed, state.realised));
        let bound = self.reach().ports(name).filter(|port| {
            let binding = self.intent.bindings.get(*port);
            binding.is_some_and(|binding| binding.host.as_ref() == Some(name))
        });
        // A trunk is named once for each of its networks.
        let bound: BTreeSet<&PortName> = bound.collect();
        let conditions = state
            .map(|state| self.host_conditions(name, host, state))
            .unwrap_or_default();
        let connected = state.is_some_and(|state| state.session.is_some());
        api::Host {
            id: name.to_string(),
            name: name.to_string(),
            revision: self.revisions.of("host", name),
            vtep_ipv4: host.ipv4.map(|address| address.to_string()),
            vtep_ipv6: host.ipv6.map(|address| address.to_string()),
            underlay_mtu: host.underlay_mtu,
            connected,
            ready: connected && !conditions.iter().any(blocks),
            version: state.map(|state| state.version.clone()).unwrap_or_default(),
            ports: bound.len(),
            networks: self.reach().networks(name).count(),
            lag: owed.saturating_sub(realised),
            status: ObjectStatus {
                desired_revision: owed,
                realized: [(name.to_string(), realised)].into(),
                conditions,
            },
        }
    }

    fn host_conditions(&self, name: &HostName, host: &Host, state: &HostState) -> Vec<Condition> {
        let condition = |code: &str, message: String| Condition {
            code: code.to_owned(),
            host: Some(name.to_string()),
            message,
        };
        let mut conditions = Vec::new();
        if state.session.is_none() {
            conditions.push(self.away(name));
        } else if !state.is_current() {
            let message = format!(
                "{name} has revision {} and needs {}",
                state.realised, state.owed
            );
            conditions.push(condition("host-behind", message));
        }
        if host.underlay_mtu < self.intent.underlay_mtu {
            let message = format!(
                "the uplinks of {name} carry {} bytes, the controller was started for {}: networks \
                 with an MTU above {} lose packets there",
                host.underlay_mtu,
                self.intent.underlay_mtu,
                host.underlay_mtu.saturating_sub(OVERHEAD)
            );
            conditions.push(condition(UNDERLAY_MTU, message));
        }
        for (port, device) in &state.claims {
            if !self.intent.ports.contains_key(port) {
                let message = format!(
                    "{name} has the device {} for {port}, which does not exist",
                    device.name
                );
                conditions.push(condition("claim-unknown", message));
            }
        }
        conditions.extend(of_host(name, state, false));
        conditions
    }

    /// The whole system at a glance.
    pub fn status(&self) -> api::Status {
        let mut ports = PortTotals {
            total: self.intent.ports.len(),
            ..PortTotals::default()
        };
        for name in self.intent.ports.keys() {
            let binding = self.intent.bindings.get(name).cloned().unwrap_or_default();
            match self.port_state(name, &binding).0 {
                PortState::Active => ports.active += 1,
                PortState::Down => ports.down += 1,
                PortState::Moving => ports.moving += 1,
                PortState::Unbound => ports.unbound += 1,
            }
        }
        let connected = |state: &&HostState| state.session.is_some();
        let hosts = HostTotals {
            total: self.hosts.len(),
            connected: self.hosts.values().filter(connected).count(),
            current: self
                .hosts
                .values()
                .filter(connected)
                .filter(|state| state.is_current())
                .count(),
        };
        let mut conditions = Vec::new();
        let mut guards = Vec::new();
        for (name, host) in &self.intent.hosts {
            let state = self.hosts.get(name);
            guards.extend(
                state
                    .into_iter()
                    .flat_map(|state| of_host(name, state, true)),
            );
            conditions.extend(
                state
                    .into_iter()
                    .flat_map(|state| self.host_conditions(name, host, state)),
            );
        }
        for (port, hosts) in &self.refused {
            conditions.extend(hosts.iter().map(|host| Condition {
                code: "claim-refused".to_owned(),
                host: Some(host.to_string()),
                message: self.why_refused(port),
            }));
        }
        api::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: self.revision,
            generation: self.generation,
            projects: self.intent.projects().len(),
            networks: self.intent.networks.len(),
            ports,
            hosts,
            vteps: self.intent.vteps.len(),
            conditions,
            guards,
        }
    }

    /// What every host has and needs: name, revision that it has, revisions that it lacks.
    pub fn host_lags(&self) -> impl Iterator<Item = (&HostName, bool, u64)> {
        self.hosts.iter().map(|(name, state)| {
            (
                name,
                state.session.is_some(),
                state.owed.saturating_sub(state.realised),
            )
        })
    }
}

/// What a host says: of what its guards drop, or of everything else.
fn of_host<'a>(
    name: &'a HostName,
    state: &'a HostState,
    guards: bool,
) -> impl Iterator<Item = Condition> + 'a {
    let problems = state.problems.iter();
    let wanted = problems.filter(move |problem| events::drops(&problem.code) == guards);
    wanted.map(|problem| Condition {
        code: problem.code.clone(),
        host: Some(name.to_string()),
        message: format!("{}: {}", problem.object, problem.reason),
    })
}

/// Whether a host is not ready for this.
fn blocks(condition: &Condition) -> bool {
    condition.code == UNDERLAY_MTU || severity_of(&condition.code) == Some(Severity::Blocking)
}
