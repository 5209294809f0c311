//! The objects as users see them: what is stored, where it is, and what is wrong with it.
//!
//! In a list, `realized` names only the hosts that are behind: a network of a thousand hosts would
//! otherwise repeat all of them at each of its ports.

use std::collections::BTreeMap;
use std::net::IpAddr;

use coax_api as api;
use coax_api::{Condition, ObjectStatus, PortState};
use coax_model::{
    Binding, HostName, Intent, Name, Network, NetworkName, ObjectName, Port, PortName, StackFile,
    Vtep, VtepName, export,
};
use coax_store::Revision;

use super::Core;

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
            *sizes.entry(network_of(name, port)).or_default() += 1;
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

    /// Projects that own something.
    pub fn projects(&self) -> Vec<api::Project> {
        let intent = self.intent();
        let project = |name: Name| api::Project {
            id: name.to_string(),
            networks: intent.networks_of(&name).count(),
            ports: intent.ports_of(&name).count(),
            vteps: intent.vteps_of(&name).count(),
            name: name.to_string(),
        };
        intent.projects().into_iter().map(project).collect()
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
            ports: self.ports_on(name),
            status: self.status(name, [name].into_iter(), Vec::new()),
        }
    }

    fn ports_on(&self, network: &NetworkName) -> usize {
        if let Some(sizes) = &self.sizes {
            return sizes.get(network).copied().unwrap_or(0);
        }
        let ports = self.intent().ports_of(&network.project);
        ports
            .filter(|(_, port)| port.network == network.name)
            .count()
    }

    /// Subnets.
    pub fn subnets(&self, project: Option<&Name>) -> Vec<api::Subnet> {
        let mut used: BTreeMap<(NetworkName, ipnet::IpNet), usize> = BTreeMap::new();
        for (name, port) in Self::of(&self.intent().ports, project) {
            let network_name = network_of(name, port);
            for subnet in port
                .addresses
                .iter()
                .filter_map(|address| self.subnet_of(&network_name, *address))
            {
                *used.entry((network_name.clone(), subnet)).or_default() += 1;
            }
        }
        let mut subnets = Vec::new();
        for (name, network) in Self::of(&self.intent().networks, project) {
            subnets.extend(network.subnets.iter().map(|subnet| {
                api::Subnet {
                    id: format!("{name}/{}", subnet.prefix),
                    name: subnet.prefix.to_string(),
                    project: name.project.to_string(),
                    network: name.name.to_string(),
                    gateway: subnet.gateway.to_string(),
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

    /// Ports.
    pub fn ports(&self, project: Option<&Name>) -> Vec<api::Port> {
        let found = Self::of(&self.intent().ports, project);
        found.map(|(name, port)| self.port(name, port)).collect()
    }

    /// One port.
    pub fn port_named(&self, name: &PortName) -> Option<api::Port> {
        Some(self.port(name, self.intent().ports.get(name)?))
    }

    fn port(&self, name: &PortName, port: &Port) -> api::Port {
        let network_name = network_of(name, port);
        let prefixes = port.addresses.iter().map(|address| {
            let subnet = self.subnet_of(&network_name, *address);
            subnet.map_or_else(
                || address.to_string(),
                |net| format!("{address}/{}", net.prefix_len()),
            )
        });
        let network = self.intent().networks.get(&network_name);
        let binding = self
            .intent()
            .bindings
            .get(name)
            .cloned()
            .unwrap_or_default();
        let (state, device) = self.core.port_state(name, &binding);
        let text = |host: Option<&HostName>| host.map(ToString::to_string);
        let revisions = &self.core.revisions;
        let conditions = self
            .core
            .refused
            .get(name)
            .into_iter()
            .flatten()
            .map(|host| Condition {
                code: "claim-refused".to_owned(),
                host: Some(host.to_string()),
                message: self.core.why_refused(name),
            });
        api::Port {
            id: name.to_string(),
            name: name.name.to_string(),
            project: name.project.to_string(),
            revision: revisions
                .of("port", name)
                .max(revisions.of("binding", name)),
            network: port.network.to_string(),
            mac: port.mac.to_string(),
            addresses: port.addresses.iter().map(ToString::to_string).collect(),
            prefixes: prefixes.collect(),
            gateways: self.gateways(&network_name, port),
            mtu: network.map_or(0, |network| network.mtu.get().into()),
            host_wanted: text(port.host.as_ref()),
            host: text(binding.host.as_ref()),
            moving_to: text(binding.moving_to.as_ref()),
            moved_from: text(binding.moved_from.as_ref()),
            state,
            device,
            status: self.status(name, [&network_name].into_iter(), conditions.collect()),
        }
    }

    /// The addresses at which a port finds its network's router, of the families that it has.
    fn gateways(&self, network: &NetworkName, port: &Port) -> Vec<String> {
        if self.intent().router_of(network).is_none() {
            return Vec::new();
        }
        let subnets = self.intent().networks.get(network).map(|it| &it.subnets);
        let subnets = subnets.into_iter().flatten();
        let of_port = subnets.filter(|subnet| {
            let mut addresses = port.addresses.iter();
            addresses.any(|address| subnet.prefix.contains(address))
        });
        of_port.map(|subnet| subnet.gateway.to_string()).collect()
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

    /// A project as a file.
    pub fn stack(&self, project: &Name) -> Option<StackFile> {
        let file = export(project, &self.intent);
        (!file.is_empty()).then_some(file)
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

fn network_of(name: &PortName, port: &Port) -> NetworkName {
    NetworkName::new(name.project.clone(), port.network.clone())
}
