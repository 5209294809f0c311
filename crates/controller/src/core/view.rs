//! The objects as users see them: what is stored, where it is, and what is wrong with it.
//!
//! In a list, `realized` names only the hosts that are behind: a network of a thousand hosts would
//! otherwise repeat all of them at each of its ports.

mod policy;
mod port;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use coax_api as api;
use coax_api::{Condition, ObjectStatus, PortState};
use coax_model::{
    Binding, Counted, File, HostName, Intent, Name, Network, NetworkName, ObjectName, PortName,
    Quota, Vtep, VtepName, export, export_rails,
};
use coax_store::Revision;

use self::policy::route;
use super::Core;

/// Memberships that are counted without being asked for.
const MOST_MEMBERSHIPS: usize = 1 << 20;

/// What hosts could not do, by the object that it is about.
type Complaints<'a> = BTreeMap<&'a str, Vec<Condition>>;

/// Makes many objects from one state.
pub struct Listing<'a> {
    core: &'a Core,
    complaints: Complaints<'a>,
    /// Ports per network; only for lists.
    sizes: Option<BTreeMap<NetworkName, usize>>,
}

impl<'a> Listing<'a> {
    /// For lists.
    pub fn new(core: &'a Core) -> Self {
        let mut sizes = BTreeMap::new();
        for (name, port) in &core.intent.ports {
            for (_, network, _) in port.networks() {
                let network = NetworkName::new(name.project.clone(), network.clone());
                *sizes.entry(network).or_default() += 1;
            }
        }
        Self {
            sizes: Some(sizes),
            ..Self::single(core)
        }
    }

    /// For objects by themselves.
    pub fn single(core: &'a Core) -> Self {
        let mut complaints = Complaints::new();
        for (host, state) in &core.hosts {
            for problem in &state.problems {
                complaints
                    .entry(&problem.object)
                    .or_default()
                    .push(Condition {
                        code: problem.code.clone(),
                        host: Some(host.to_string()),
                        message: problem.reason.clone(),
                    });
            }
        }
        Self {
            core,
            complaints,
            sizes: None,
        }
    }

    fn intent(&self) -> &'a Intent {
        &self.core.intent
    }

    /// Of these objects those of a project, or all.
    fn of<'b, T>(
        objects: &'b BTreeMap<ObjectName, T>,
        project: Option<&'b Name>,
    ) -> impl Iterator<Item = (&'b ObjectName, &'b T)> {
        let wanted =
            move |name: &ObjectName| project.is_none_or(|project| name.project == *project);
        objects.iter().filter(move |(name, _)| wanted(name))
    }

    /// Projects that own something, or have a quota of their own.
    pub fn projects(&self) -> Vec<api::Project> {
        let mut names: BTreeSet<Name> = self.intent().projects().into_iter().collect();
        names.extend(self.intent().quotas.keys().cloned());
        names.iter().map(|name| self.project(name)).collect()
    }

    /// One project that owns something, or has a quota of its own.
    pub fn project_named(&self, name: &Name) -> Option<api::Project> {
        let intent = self.intent();
        let known = intent.quotas.contains_key(name) || intent.projects().contains(name);
        known.then(|| self.project(name))
    }

    /// A project, whether it owns something or not.
    pub fn project(&self, name: &Name) -> api::Project {
        let intent = self.intent();
        let count = |counted| intent.count(name, counted);
        let quota = intent.quota_of(name);
        let (groups, ports) = (count(Counted::Groups), count(Counted::Ports));
        let few = groups.saturating_mul(ports) <= MOST_MEMBERSHIPS;
        let counted = few || quota.members.is_some();
        api::Project {
            id: name.to_string(),
            networks: count(Counted::Networks),
            ports,
            vteps: count(Counted::Vteps),
            routers: count(Counted::Routers),
            groups,
            members: counted.then(|| count(Counted::Members)),
            prefixes: count(Counted::Prefixes),
            rules: count(Counted::Rules),
            checks: count(Counted::Checks),
            firewall: intent.firewalls.contains_key(name),
            quota: quota_view(quota),
            own_quota: intent.quotas.contains_key(name),
            name: name.to_string(),
        }
    }

    /// Networks.
    pub fn networks(&self, project: Option<&Name>) -> Vec<api::Network> {
        let found = Self::of(&self.intent().networks, project);
        found
            .map(|(name, network)| self.network(name, network))
            .collect()
    }

    /// One network.
    pub fn network_named(&self, name: &NetworkName) -> Option<api::Network> {
        Some(self.network(name, self.intent().networks.get(name)?))
    }

    fn network(&self, name: &NetworkName, network: &Network) -> api::Network {
        api::Network {
            id: name.to_string(),
            name: name.name.to_string(),
            project: name.project.to_string(),
            revision: self.core.revisions.of("network", name),
            vni: network.vni.get(),
            mtu: network.mtu.get().into(),
            subnets: network.prefixes().map(|it| it.to_string()).collect(),
            vlan_transparent: network.vlan_transparent,
            flood_unknown: network.flood_unknown,
            kind: network.kind.to_string(),
            router: self.router_joining(name),
            dhcp: network.dhcp.as_ref().map(|dhcp| api::Dhcp {
                lease_seconds: dhcp.lease_time.seconds(),
                routes: dhcp.routes.iter().map(route).collect(),
            }),
            router_advertisements: network.router_advertisements,
            dns: dns(name, network),
            own_servers: network.own_servers,
            isolated: network.isolated,
            max_endpoints: network.max_endpoints,
            storm_control: api::StormControl {
                broadcast: network.storm_control.broadcast.get(),
                multicast: network.storm_control.multicast.get(),
                unknown: network.storm_control.unknown.get(),
            },
            shut_seconds: network.shut_time.seconds(),
            ports: self.ports_on(name),
            status: self.status(name, [name].into_iter(), Vec::new()),
        }
    }

    /// The name of the router that joins a network.
    fn router_joining(&self, network: &NetworkName) -> Option<String> {
        let (router, _) = self.intent().router_of(network)?;
        Some(router.name.to_string())
    }

    fn ports_on(&self, network: &NetworkName) -> usize {
        if let Some(sizes) = &self.sizes {
            return sizes.get(network).copied().unwrap_or(0);
        }
        let ports = self.intent().ports_of(&network.project);
        ports
            .filter(|(_, port)| port.networks().any(|(_, name, _)| *name == network.name))
            .count()
    }

    /// Subnets.
    pub fn subnets(&self, project: Option<&Name>) -> Vec<api::Subnet> {
        let mut used: BTreeMap<(NetworkName, ipnet::IpNet), usize> = BTreeMap::new();
        for (name, port) in Self::of(&self.intent().ports, project) {
            for (_, network, addresses) in port.networks() {
                let network_name = NetworkName::new(name.project.clone(), network.clone());
                for address in addresses {
                    if let Some(subnet) = self.subnet_of(&network_name, *address) {
                        *used.entry((network_name.clone(), subnet)).or_default() += 1;
                    }
                }
            }
        }
        let mut subnets = Vec::new();
        for (name, network) in Self::of(&self.intent().networks, project) {
            let router = self.router_joining(name);
            subnets.extend(network.subnets.iter().map(|subnet| {
                api::Subnet {
                    id: format!("{name}/{}", subnet.prefix),
                    name: subnet.prefix.to_string(),
                    project: name.project.to_string(),
                    network: name.name.to_string(),
                    gateway: subnet.gateway.to_string(),
                    router: router.clone(),
                    dhcp: subnet.dhcp && network.dhcp.is_some(),
                    used: used
                        .get(&(name.clone(), subnet.prefix))
                        .copied()
                        .unwrap_or(0),
                    revision: self.core.revisions.of("network", name),
                }
            }));
        }
        subnets
    }

    fn subnet_of(&self, network: &NetworkName, address: IpAddr) -> Option<ipnet::IpNet> {
        let subnet = self.intent().networks.get(network)?.subnet_of(address)?;
        Some(subnet.prefix)
    }

    /// Foreign tunnel endpoints.
    pub fn vteps(&self, project: Option<&Name>) -> Vec<api::Vtep> {
        let found = Self::of(&self.intent().vteps, project);
        found.map(|(name, vtep)| self.vtep(name, vtep)).collect()
    }

    /// One foreign tunnel endpoint.
    pub fn vtep_named(&self, name: &VtepName) -> Option<api::Vtep> {
        Some(self.vtep(name, self.intent().vteps.get(name)?))
    }

    fn vtep(&self, name: &VtepName, vtep: &Vtep) -> api::Vtep {
        let full = |network: &Name| NetworkName::new(name.project.clone(), network.clone());
        let networks: Vec<NetworkName> = vtep.networks.iter().map(full).collect();
        api::Vtep {
            id: name.to_string(),
            name: name.name.to_string(),
            project: name.project.to_string(),
            revision: self.core.revisions.of("vtep", name),
            address: vtep.address.to_string(),
            networks: vtep.networks.iter().map(ToString::to_string).collect(),
            macs: vtep.macs.iter().map(ToString::to_string).collect(),
            udp6_zero_checksum: vtep.udp6_zero_checksum,
            status: self.status(name, networks.iter(), Vec::new()),
        }
    }

    /// Progress of an object that lives in these networks.
    fn status<'b>(
        &self,
        name: &ObjectName,
        networks: impl Iterator<Item = &'b NetworkName>,
        mut conditions: Vec<Condition>,
    ) -> ObjectStatus {
        let mut status = ObjectStatus::default();
        let intent = self.intent();
        for network in networks {
            let number = intent
                .networks
                .get(network)
                .map(|network| network.vni.get());
            let revision = number.and_then(|number| self.core.compiler.revision(number));
            let desired = revision.unwrap_or(0);
            status.desired_revision = status.desired_revision.max(desired);
            for host in self.core.reach().hosts(network) {
                self.progress(host, desired, &mut status);
            }
        }
        let id = name.to_string();
        conditions.extend(
            self.complaints
                .get(id.as_str())
                .into_iter()
                .flatten()
                .cloned(),
        );
        status.conditions.extend(conditions);
        status
    }

    fn progress(&self, host: &HostName, desired: Revision, status: &mut ObjectStatus) {
        let Some(state) = self.core.hosts.get(host) else {
            return;
        };
        let has = state.has(desired);
        if self.sizes.is_none() || !has {
            let reached = if has {
                desired.max(state.realised)
            } else {
                state.realised
            };
            status.realized.insert(host.to_string(), reached);
        }
        if !has && state.session.is_none() {
            let away = self.core.away(host);
            if !status.conditions.contains(&away) {
                status.conditions.push(away);
            }
        }
    }
}

impl Core {
    /// One port as users see it.
    pub(super) fn view_port(&self, name: &PortName) -> Option<api::Port> {
        Listing::single(self).port_named(name)
    }

    /// A project as a file; the operator's rails as theirs, also if there are none.
    pub fn stack(&self, project: &Name) -> Option<File> {
        if project.is_rails() {
            return Some(File::Rails(export_rails(&self.intent)));
        }
        let file = export(project, &self.intent);
        (!file.is_empty()).then_some(File::Stack(file))
    }

    /// What a port is doing, and its device.
    pub(super) fn port_state(
        &self,
        name: &PortName,
        binding: &Binding,
    ) -> (PortState, Option<String>) {
        let host = binding.host.as_ref().and_then(|host| self.hosts.get(host));
        let device = host
            .and_then(|state| state.claims.get(name))
            .map(|device| device.name.clone());
        let state = match (&binding.moving_to, &binding.host, &device) {
            (Some(_), _, _) => PortState::Moving,
            (None, None, _) => PortState::Unbound,
            (None, Some(_), Some(_)) => PortState::Active,
            (None, Some(_), None) => PortState::Down,
        };
        (state, device)
    }

    /// The condition of a host that is not attached.
    pub(super) fn away(&self, host: &HostName) -> Condition {
        Condition {
            code: "host-away".to_owned(),
            host: Some(host.to_string()),
            message: format!(
                "the agent of {host} is not attached to the controller; it forwards by what it has"
            ),
        }
    }
}

/// Limits as users see them.
pub fn quota_view(quota: Quota) -> api::Quota {
    api::Quota {
        networks: quota.networks,
        ports: quota.ports,
        vteps: quota.vteps,
        routers: quota.routers,
        groups: quota.groups,
        members: quota.members,
        prefixes: quota.prefixes,
        rules: quota.rules,
        checks: quota.checks,
    }
}

fn dns(name: &NetworkName, network: &Network) -> api::Dns {
    let own = || format!("{}.{}", name.name, name.project);
    let domain = network.dns.domain.as_ref();
    api::Dns {
        domain: domain.map_or_else(own, ToString::to_string),
        servers: network
            .dns
            .servers
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}
