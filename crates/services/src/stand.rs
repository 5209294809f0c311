//! A project to answer for, for tests, judges and fuzz targets: what the agent makes of its slices, as plain values.

use std::net::IpAddr;
use std::time::Duration;

use coax_wire::{MacAddress, Mtu};
use ipnet::IpNet;

use crate::settings::{Asker, Dhcp, Dns, Holder, Names, Network, Port, Route, Subnet};

/// A port, its network and the names in reach.
#[derive(Clone, Debug)]
pub struct Stand {
    /// The port that asks: `web-1`.
    pub port: Port,
    /// Its network: `web` of project `shop`.
    pub network: Network,
    /// The names in reach: those of `web` and, with a router, `app`.
    pub directory: Directory,
}

/// Names from a list.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// Networks by name, each with its ports.
    pub networks: Vec<(String, Vec<Subnet>, Vec<Port>)>,
}

impl Stand {
    /// Networks joined by a router, with a domain and a resolver elsewhere.
    pub fn routed() -> Self {
        let mut stand = Self::new(true);
        stand.network.dns.domain = crate::domain("cloud.example");
        stand.network.dns.servers = vec![address("192.0.2.53"), address("2001:db8::53")];
        stand
    }

    /// A network without a router and without a domain.
    pub fn isolated() -> Self {
        let mut stand = Self::new(false);
        stand.directory.networks.truncate(1);
        stand
    }

    fn new(routed: bool) -> Self {
        let subnet = |prefix: &str, gateway: &str| Subnet {
            prefix: net(prefix),
            gateway: Some(address(gateway)),
            dhcp: true,
        };
        let web = vec![
            subnet("10.10.1.0/24", "10.10.1.1"),
            subnet("fd00:10:1::/64", "fd00:10:1::1"),
        ];
        let app = vec![subnet("10.10.2.0/23", "10.10.2.1")];
        let web_1 = port("web-1", 1, &["10.10.1.11", "fd00:10:1::11"]);
        let web_2 = port("web-2", 2, &["10.10.1.12"]);
        let bare = port("bare", 3, &[]);
        let app_1 = port("app-1", 4, &["10.10.3.7"]);
        let network = Network {
            project: "shop".into(),
            name: "web".into(),
            mtu: Mtu::try_from(1442u32).unwrap_or(Mtu::LEAST),
            subnets: web.clone(),
            routed,
            gateway_mac: MacAddress([2, 0xc0, 0xa0, 0, 0, 1]),
            routes: Vec::new(),
            dhcp: Some(Dhcp {
                lease: Duration::from_secs(3600),
            }),
            router_advertisements: true,
            dns: Dns {
                answered: true,
                ..Dns::default()
            },
        };
        let directory = Directory {
            networks: vec![
                ("web".into(), web, vec![web_1.clone(), web_2, bare]),
                ("app".into(), app, vec![app_1]),
            ],
        };
        Self {
            port: web_1,
            network,
            directory,
        }
    }

    /// The stand where ports have the gateways' addresses.
    pub fn without_gateways(mut self) -> Self {
        let known = self.directory.networks.iter_mut();
        let subnets = known.flat_map(|(_, subnets, _)| subnets);
        for subnet in subnets.chain(&mut self.network.subnets) {
            subnet.gateway = None;
        }
        self
    }

    /// The stand with one more static route that VMs are told of.
    pub fn with_route(mut self, destination: &str, gateway: &str) -> Self {
        self.network.routes.push(Route {
            destination: net(destination),
            gateway: address(gateway),
        });
        self
    }

    /// Who asks.
    pub fn asker(&self) -> Asker<'_> {
        Asker {
            port: &self.port,
            network: &self.network,
            names: &self.directory,
        }
    }
}

impl Names for Directory {
    fn port(&self, network: &str, port: &str) -> Option<Vec<IpAddr>> {
        let (_, _, ports) = self.networks.iter().find(|(name, ..)| name == network)?;
        let port = ports.iter().find(|known| known.name == port)?;
        Some(port.addresses.clone())
    }

    fn network(&self, network: &str) -> Option<Vec<IpAddr>> {
        let (_, subnets, _) = self.networks.iter().find(|(name, ..)| name == network)?;
        Some(subnets.iter().filter_map(|subnet| subnet.gateway).collect())
    }

    fn holder(&self, address: IpAddr) -> Holder {
        for (name, subnets, ports) in &self.networks {
            let inside = subnets
                .iter()
                .find(|subnet| subnet.prefix.contains(&address));
            let Some(Subnet {
                prefix, gateway, ..
            }) = inside.copied()
            else {
                continue;
            };
            let network = name.clone();
            let port = ports.iter().find(|port| port.addresses.contains(&address));
            return match port {
                Some(port) => Holder::Port {
                    prefix,
                    network,
                    port: port.name.clone(),
                },
                None if gateway == Some(address) => Holder::Gateway { prefix, network },
                None => Holder::Nobody { prefix },
            };
        }
        Holder::Elsewhere
    }

    fn serial(&self) -> u32 {
        17
    }
}

fn port(name: &str, number: u8, addresses: &[&str]) -> Port {
    Port {
        name: name.into(),
        mac: MacAddress([2, 0, 0, 0, 0, number]),
        addresses: addresses.iter().map(|text| address(text)).collect(),
        vlan: None,
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or(IpAddr::from([0; 4]))
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap_or_default()
}
