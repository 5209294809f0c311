//! Answers about the whole system, for callers who may see one project of it.

use coax_api::{Condition, Counters, Drops, Firewall, PortState, PortTotals, Project, Status};
use coax_model::Name;

use crate::core::{Core, Listing, events};
use crate::identity::Caller;

/// Whether a full name, or what has one at its beginning, is of this project.
fn is_of(name: &str, project: &Name) -> bool {
    let rest = name.strip_prefix(project.as_str());
    rest.is_some_and(|rest| rest.starts_with('/'))
}

impl Caller {
    /// Projects that he may see.
    pub fn own_projects(&self, mut projects: Vec<Project>) -> Vec<Project> {
        if let Some(project) = &self.project {
            projects.retain(|known| known.name == project.as_str());
        }
        projects
    }

    /// Firewalls that he may see.
    pub fn own_firewalls(&self, mut firewalls: Vec<Firewall>) -> Vec<Firewall> {
        if let Some(project) = &self.project {
            firewalls.retain(|known| known.project == project.as_str());
        }
        firewalls
    }

    /// What his project lost.
    pub fn own_drops(&self, mut drops: Drops) -> Drops {
        if let Some(project) = &self.project {
            drops.drops.retain(|drop| is_of(&drop.port, project));
        }
        drops
    }

    /// What his project counted. How full a host's tables are says something about others.
    pub fn own_counters(&self, mut counters: Counters) -> Counters {
        if let Some(project) = &self.project {
            counters
                .ports
                .retain(|port| is_of(&port.counters.port, project));
            counters
                .rules
                .retain(|rule| rule.hits.project == project.as_str());
            counters.tables.clear();
        }
        counters
    }

    /// How his project is.
    pub fn own_status(&self, core: &Core) -> Status {
        let status = core.status();
        let Some(project) = &self.project else {
            return status;
        };
        let listing = Listing::new(core);
        let ports = listing.ports(Some(project));
        let count = |state| ports.iter().filter(|port| port.state == state).count();
        let said = ports.iter().flat_map(|port| {
            let conditions = port.status.conditions.iter();
            conditions.map(|said| (port.id.as_str(), said))
        });
        let (guards, conditions): (Vec<_>, Vec<_>) =
            said.partition(|(_, said)| events::drops(&said.code));
        // Of one port as well as of a host, the sentence begins with the port.
        let guards = guards.into_iter().map(|(port, said)| Condition {
            message: format!("{port}: {}", said.message),
            ..said.clone()
        });
        let conditions = conditions.into_iter().map(|(_, said)| said.clone());
        Status {
            projects: usize::from(core.intent().projects().contains(project)),
            networks: core.intent().networks_of(project).count(),
            vteps: core.intent().vteps_of(project).count(),
            conditions: conditions.collect(),
            guards: guards.collect(),
            ports: PortTotals {
                total: ports.len(),
                active: count(PortState::Active),
                down: count(PortState::Down),
                moving: count(PortState::Moving),
                unbound: count(PortState::Unbound),
            },
            ..status
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_project_whose_name_begins_alike_is_another() {
        let shop: Name = "shop".parse().unwrap();
        assert!(is_of("shop/web-1", &shop));
        for other in ["shop2/web-1", "shop", "fabric", "sho/web-1", "lab/shop/x"] {
            assert!(!is_of(other, &shop), "{other}");
        }
    }
}
