//! The steps from one intent to the next, and how an intent takes one.

use serde::{Deserialize, Serialize};

use crate::check::Checks;
use crate::firewall::{Firewall, FirewallRule};
use crate::group::{AddressGroup, Group};
use crate::intent::{Binding, Host, Intent, Vtep};
use crate::name::{
    AddressGroupName, GroupName, HostName, Name, NetworkName, PortName, RouterName, RuleName,
    VtepName,
};
use crate::network::Network;
use crate::port::Port;
use crate::quota::Quota;
use crate::router::Router;

/// One step from an intent to the next: puts or deletes one object. Putting what is there already and
/// deleting what is not there are no errors, so a change can be applied twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// Creates or replaces a network.
    PutNetwork {
        /// Its full name.
        name: NetworkName,
        /// Its new state.
        network: Network,
    },
    /// Removes a network.
    DeleteNetwork {
        /// Its full name.
        name: NetworkName,
    },
    /// Creates or replaces a port.
    PutPort {
        /// Its full name.
        name: PortName,
        /// Its new state.
        port: Port,
    },
    /// Removes a port, and its binding with it.
    DeletePort {
        /// Its full name.
        name: PortName,
    },
    /// Creates or replaces a foreign tunnel endpoint.
    PutVtep {
        /// Its full name.
        name: VtepName,
        /// Its new state.
        vtep: Vtep,
    },
    /// Removes a foreign tunnel endpoint.
    DeleteVtep {
        /// Its full name.
        name: VtepName,
    },
    /// Creates or replaces a host.
    PutHost {
        /// Its name.
        name: HostName,
        /// Its new state.
        host: Host,
    },
    /// Removes a host.
    DeleteHost {
        /// Its name.
        name: HostName,
    },
    /// Says where a port is.
    PutBinding {
        /// The port's full name.
        port: PortName,
        /// Where it is.
        binding: Binding,
    },
    /// The port is nowhere.
    DeleteBinding {
        /// The port's full name.
        port: PortName,
    },
    /// Creates or replaces a group of ports.
    PutGroup {
        /// Its full name.
        name: GroupName,
        /// Its new state.
        group: Group,
    },
    /// Removes a group of ports.
    DeleteGroup {
        /// Its full name.
        name: GroupName,
    },
    /// Creates or replaces a group of addresses.
    PutAddressGroup {
        /// Its full name.
        name: AddressGroupName,
        /// Its new state.
        group: AddressGroup,
    },
    /// Removes a group of addresses.
    DeleteAddressGroup {
        /// Its full name.
        name: AddressGroupName,
    },
    /// Creates or replaces a router.
    PutRouter {
        /// Its full name.
        name: RouterName,
        /// Its new state.
        router: Router,
    },
    /// Removes a router.
    DeleteRouter {
        /// Its full name.
        name: RouterName,
    },
    /// Creates or replaces a firewall rule.
    PutRule {
        /// Its full name.
        name: RuleName,
        /// Its new state.
        rule: FirewallRule,
    },
    /// Removes a firewall rule.
    DeleteRule {
        /// Its full name.
        name: RuleName,
    },
    /// Gives a project a firewall, or changes its default and mode.
    PutFirewall {
        /// The project.
        project: Name,
        /// Its new state.
        firewall: Firewall,
    },
    /// Takes a project's firewall away.
    DeleteFirewall {
        /// The project.
        project: Name,
    },
    /// Replaces the checks of a project.
    PutChecks {
        /// The project.
        project: Name,
        /// All of them.
        checks: Checks,
    },
    /// Takes the checks of a project away.
    DeleteChecks {
        /// The project.
        project: Name,
    },
    /// Says how much a project may have.
    PutQuota {
        /// The project; nothing: all that have no quota of their own.
        project: Option<Name>,
        /// The limits; nothing: as all that have none of their own.
        quota: Option<Quota>,
    },
}

impl Intent {
    /// Takes one step.
    pub fn apply(&mut self, change: &Change) {
        match change.clone() {
            Change::PutNetwork { name, network } => drop(self.networks.insert(name, network)),
            Change::DeleteNetwork { name } => drop(self.networks.remove(&name)),
            Change::PutPort { name, port } => drop(self.ports.insert(name, port)),
            Change::DeletePort { name } => {
                self.ports.remove(&name);
                self.bindings.remove(&name);
            }
            Change::PutVtep { name, vtep } => drop(self.vteps.insert(name, vtep)),
            Change::DeleteVtep { name } => drop(self.vteps.remove(&name)),
            Change::PutHost { name, host } => drop(self.hosts.insert(name, host)),
            Change::DeleteHost { name } => drop(self.hosts.remove(&name)),
            Change::PutBinding { port, binding } => drop(self.bindings.insert(port, binding)),
            Change::DeleteBinding { port } => drop(self.bindings.remove(&port)),
            Change::PutGroup { name, group } => drop(self.groups.insert(name, group)),
            Change::DeleteGroup { name } => drop(self.groups.remove(&name)),
            Change::PutAddressGroup { name, group } => {
                drop(self.address_groups.insert(name, group));
            }
            Change::DeleteAddressGroup { name } => drop(self.address_groups.remove(&name)),
            Change::PutRouter { name, router } => drop(self.routers.insert(name, router)),
            Change::DeleteRouter { name } => drop(self.routers.remove(&name)),
            Change::PutRule { name, rule } => drop(self.rules.insert(name, rule)),
            Change::DeleteRule { name } => drop(self.rules.remove(&name)),
            Change::PutFirewall { project, firewall } => {
                self.firewalls.insert(project, firewall);
            }
            Change::DeleteFirewall { project } => {
                self.firewalls.remove(&project);
            }
            Change::PutChecks { project, checks } => {
                self.checks.insert(project, checks);
            }
            Change::DeleteChecks { project } => {
                self.checks.remove(&project);
            }
            Change::PutQuota {
                project: None,
                quota,
            } => {
                self.default_quota = quota.unwrap_or_default();
            }
            Change::PutQuota {
                project: Some(project),
                quota,
            } => {
                match quota {
                    Some(quota) => self.quotas.insert(project, quota),
                    None => self.quotas.remove(&project),
                };
            }
        }
    }
}
