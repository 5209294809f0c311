//! How far one misbehaving member of a network gets: its failure domain as lists and numbers.
//!
//! Whoever floods, loops or lies in a network reaches what is plugged into the same virtual cable, at once and
//! whatever a firewall says of connections: every port of the network, every host that has one (it makes and takes the
//! copies), every foreign tunnel endpoint, and the fabric between them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::intent::Intent;
use crate::name::{HostName, NetworkName, PortName, RouterName, VtepName};

/// What a member of a network reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlastRadius {
    /// The network.
    pub network: NetworkName,
    /// Hosts with at least one port of the network, or that are about to get one.
    pub hosts: BTreeMap<HostName, HostReach>,
    /// Ports that are on no host: they are reached as soon as they are plugged in.
    pub unplugged: Vec<PortName>,
    /// Foreign tunnel endpoints, and whatever is behind them.
    pub foreign: BTreeMap<VtepName, IpAddr>,
    /// The router that joins the network to others, with the ports of those: they get its packets, not its broadcasts.
    pub router: Option<(RouterName, BTreeMap<NetworkName, usize>)>,
}

/// What is reached on one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostReach {
    /// The network's ports there.
    pub ports: Vec<PortName>,
    /// Where its uplinks enter the fabric.
    pub endpoints: Vec<IpAddr>,
}

impl BlastRadius {
    /// The blast radius of a network; nothing if there is no such network.
    pub fn of(intent: &Intent, network: &NetworkName) -> Option<Self> {
        intent.networks.get(network)?;
        let mut radius = Self {
            network: network.clone(),
            hosts: BTreeMap::new(),
            unplugged: Vec::new(),
            foreign: BTreeMap::new(),
            router: router(intent, network),
        };
        let ports = intent.ports_of(&network.project);
        for (name, _) in ports.filter(|(_, port)| port.network == network.name) {
            radius.add(intent, name);
        }
        for (name, vtep) in intent.vteps_of(&network.project) {
            if vtep.networks.contains(&network.name) {
                radius.foreign.insert(name.clone(), vtep.address);
            }
        }
        Some(radius)
    }

    fn add(&mut self, intent: &Intent, port: &PortName) {
        let Some(binding) = intent.bindings.get(port) else {
            return self.unplugged.push(port.clone());
        };
        if binding.host.is_none() {
            self.unplugged.push(port.clone());
        }
        for host in binding.hosts() {
            let endpoints = || {
                let known = intent.hosts.get(host).into_iter();
                known.flat_map(|host| {
                    let ipv4 = host.ipv4.map(IpAddr::from);
                    ipv4.into_iter().chain(host.ipv6.map(IpAddr::from))
                })
            };
            let reach = self.hosts.entry(host.clone()).or_insert_with(|| HostReach {
                endpoints: endpoints().collect(),
                ports: Vec::new(),
            });
            if binding.host.as_ref() == Some(host) {
                reach.ports.push(port.clone());
            }
        }
    }

    /// Ports that are reached now.
    pub fn ports(&self) -> usize {
        self.hosts.values().map(|host| host.ports.len()).sum()
    }

    /// Pairs of endpoints between which the network's frames pass the fabric: every two hosts, and each host with each
    /// foreign endpoint.
    pub fn tunnels(&self) -> usize {
        let hosts = self.hosts.len();
        hosts * hosts.saturating_sub(1) / 2 + hosts * self.foreign.len()
    }
}

/// The router of a network, and how many ports each other network of it has.
fn router(
    intent: &Intent,
    network: &NetworkName,
) -> Option<(RouterName, BTreeMap<NetworkName, usize>)> {
    let (name, router) = intent.router_of(network)?;
    let others = router
        .networks
        .iter()
        .filter(|other| **other != network.name);
    let others = others.map(|other| {
        let ports = intent.ports_of(&network.project);
        let ports = ports.filter(|(_, port)| port.network == *other).count();
        (
            NetworkName::new(network.project.clone(), other.clone()),
            ports,
        )
    });
    Some((name.clone(), others.collect()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::intent::{Binding, Change, Host};
    use crate::{StackFile, plan};

    const STACK: &str = "
version: 1
project: shop
networks:
  web: { subnets: [10.0.1.0/24] }
  db: { subnets: [10.0.2.0/24] }
ports:
  web-1: { network: web }
  web-2: { network: web }
  web-3: { network: web }
  db-1: { network: db }
routers:
  gw: { networks: [web, db] }
vteps:
  legacy: { address: 192.0.2.99, networks: [web] }
";

    fn host(name: &str) -> HostName {
        name.parse().unwrap()
    }

    fn intent() -> Intent {
        let mut intent = Intent::new(1600);
        let planned = plan(&StackFile::parse(STACK).unwrap(), &intent).unwrap();
        planned
            .steps
            .iter()
            .for_each(|step| intent.apply(&step.change));
        for number in 1..=3 {
            let value = Host {
                ipv4: Some([192, 0, 2, number].into()),
                ipv6: None,
                underlay_mtu: 1600,
            };
            let name = host(&format!("hv{number}"));
            intent.apply(&Change::PutHost { name, host: value });
        }
        for (port, at) in [
            ("shop/web-1", "hv1"),
            ("shop/web-2", "hv2"),
            ("shop/db-1", "hv3"),
        ] {
            let port = port.parse().unwrap();
            let binding = Binding::at(host(at));
            intent.apply(&Change::PutBinding { port, binding });
        }
        intent
    }

    #[test]
    fn a_member_reaches_its_own_network_and_nothing_else() {
        let radius = BlastRadius::of(&intent(), &"shop/web".parse().unwrap()).unwrap();
        let hosts: Vec<String> = radius.hosts.keys().map(ToString::to_string).collect();
        assert_eq!(hosts, ["hv1", "hv2"]);
        assert_eq!(radius.ports(), 2);
        assert_eq!(radius.unplugged, ["shop/web-3".parse().unwrap()]);
        let foreign: Vec<String> = radius.foreign.keys().map(ToString::to_string).collect();
        assert_eq!(foreign, ["shop/legacy"]);
        // hv1 - hv2, and each of them with the foreign endpoint.
        assert_eq!(radius.tunnels(), 3);
        let (router, others) = radius.router.unwrap();
        assert_eq!(router.to_string(), "shop/gw");
        assert_eq!(others, BTreeMap::from([("shop/db".parse().unwrap(), 1)]));
        let reach = &radius.hosts[&host("hv1")];
        assert_eq!(reach.endpoints, [IpAddr::from([192, 0, 2, 1])]);
    }

    #[test]
    fn a_host_that_a_port_moves_to_is_reached_already() {
        let mut intent = intent();
        let binding = Binding {
            moving_to: Some(host("hv3")),
            ..Binding::at(host("hv1"))
        };
        let port = "shop/web-1".parse().unwrap();
        intent.apply(&Change::PutBinding { port, binding });
        let radius = BlastRadius::of(&intent, &"shop/web".parse().unwrap()).unwrap();
        assert_eq!(radius.hosts[&host("hv3")].ports, []);
        assert_eq!(radius.ports(), 2);
    }

    #[test]
    fn a_network_that_does_not_exist_has_none() {
        let none = BlastRadius::of(&intent(), &"shop/nothing".parse().unwrap());
        assert_eq!(none, None);
    }
}
