//! Ports as users see them.

use std::net::IpAddr;

use coax_api as api;
use coax_api::Condition;
use coax_model::{HostName, Name, NetworkName, Port, PortName};

use super::Listing;
use super::policy::texts;

impl Listing<'_> {
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
            prefixes: self.prefixes(&network_name, &port.addresses),
            gateways: self.gateways(&network_name, port),
            mtu: network.map_or(0, |network| network.mtu.get().into()),
            host_wanted: text(port.host.as_ref()),
            host: text(binding.host.as_ref()),
            moving_to: text(binding.moving_to.as_ref()),
            moved_from: text(binding.moved_from.as_ref()),
            state,
            device,
            labels: texts(&port.labels),
            groups: self.groups_with(name, port),
            allowed_addresses: allowed_addresses(port),
            isolated: port.isolated,
            trunk: self.trunk(name, port),
            any_address: port.any_address,
            any_mac: port.any_mac,
            may_serve: port.may_serve,
            status: self.status(name, [&network_name].into_iter(), conditions.collect()),
        }
    }

    /// Addresses with the prefix length of their subnet.
    fn prefixes(&self, network: &NetworkName, addresses: &[IpAddr]) -> Vec<String> {
        let prefix = |address: &IpAddr| match self.subnet_of(network, *address) {
            Some(subnet) => format!("{address}/{}", subnet.prefix_len()),
            None => address.to_string(),
        };
        addresses.iter().map(prefix).collect()
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

    fn trunk(&self, name: &PortName, port: &Port) -> Vec<api::TrunkVlan> {
        let vlans = port.trunk.iter().map(|(vlan, trunk)| {
            let network = NetworkName::new(name.project.clone(), trunk.network.clone());
            api::TrunkVlan {
                vlan: vlan.get(),
                network: trunk.network.to_string(),
                prefixes: self.prefixes(&network, &trunk.addresses),
            }
        });
        vlans.collect()
    }
}

fn network_of(name: &PortName, port: &Port) -> NetworkName {
    NetworkName::new(name.project.clone(), port.network.clone())
}

fn allowed_addresses(port: &Port) -> Vec<api::AllowedAddress> {
    let allowed = port.allowed_addresses.iter().map(|it| api::AllowedAddress {
        ip: it.ip.to_string(),
        mac: it.mac.map(|mac| mac.to_string()),
    });
    allowed.collect()
}
