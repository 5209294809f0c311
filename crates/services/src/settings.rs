//! What is known of the port that asks and of its network. The agent makes these from its slices; nothing here is read from a wire.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use coax_wire::{MacAddress, Mtu, VlanId};
use hickory_proto::rr::Name;
use ipnet::IpNet;

/// The server's IPv4 address in subnets where a port has the gateway's (RFC 3927: it means the same wherever the VM is).
pub const LINK_LOCAL_SERVER: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);

/// The port that asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Port {
    /// Its name in its project, a DNS label: the VM's host name.
    pub name: String,
    /// Its MAC address.
    pub mac: MacAddress,
    /// Its IP addresses. DHCPv4 leases the first one of its family, DHCPv6 all of its.
    pub addresses: Vec<IpAddr>,
    /// The tag that frames of this network carry on the device: a trunk's.
    pub vlan: Option<VlanId>,
}

/// The network that it is in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Network {
    /// The project, a DNS label.
    pub project: String,
    /// The network's name in its project, a DNS label.
    pub name: String,
    /// The largest IP packet.
    pub mtu: Mtu,
    /// Its IP prefixes.
    pub subnets: Vec<Subnet>,
    /// Packets to elsewhere are routed by the gateways. Without a router they only serve.
    pub routed: bool,
    /// The MAC address of gateways.
    pub gateway_mac: MacAddress,
    /// Static routes that VMs are told of.
    pub routes: Vec<Route>,
    /// DHCPv4 and DHCPv6, if the host answers them.
    pub dhcp: Option<Dhcp>,
    /// The host sends router advertisements.
    pub router_advertisements: bool,
    /// What VMs are told about names.
    pub dns: Dns,
}

/// An IP prefix of a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subnet {
    /// The prefix.
    pub prefix: IpNet,
    /// The address at which hosts answer: as a router where there is one, as a server anyway. Nothing: a port has it.
    pub gateway: Option<IpAddr>,
    /// Its addresses are leased, where the network has DHCP.
    pub dhcp: bool,
}

/// A static route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// Where to.
    pub destination: IpNet,
    /// By which router, of the same family, in one of the network's subnets.
    pub gateway: IpAddr,
}

/// How addresses are leased.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dhcp {
    /// For how long; clients ask again after half of it.
    pub lease: Duration,
}

/// What VMs are told about names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Dns {
    /// The host answers for names of ports.
    pub answered: bool,
    /// The domain below which `port.network.project` is a name, too.
    pub domain: Option<Name>,
    /// Resolvers for all other names. VMs ask them directly.
    pub servers: Vec<IpAddr>,
}

/// Who holds an address that somebody looks up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Holder {
    /// It is in no subnet of a network in reach.
    Elsewhere,
    /// It is in this subnet, and nobody has it.
    Nobody {
        /// The subnet.
        prefix: IpNet,
    },
    /// The gateway of the network.
    Gateway {
        /// The subnet.
        prefix: IpNet,
        /// The network.
        network: String,
    },
    /// A port.
    Port {
        /// The subnet.
        prefix: IpNet,
        /// The network.
        network: String,
        /// The port's name in its project.
        port: String,
    },
}

/// The names of a project, as far as the asking port's packets reach: its own network and those joined to the same router.
/// Names that cannot be reached are not told, so the answer is the same on every host.
pub trait Names {
    /// Addresses of a port. Nothing: there is no such port in that network.
    fn port(&self, network: &str, port: &str) -> Option<Vec<IpAddr>>;

    /// Gateway addresses of a network, maybe none. Nothing: no such network is in reach.
    fn network(&self, network: &str) -> Option<Vec<IpAddr>>;

    /// Who has an address.
    fn holder(&self, address: IpAddr) -> Holder;

    /// A number that grows with changes (RFC 1035 section 3.3.13).
    fn serial(&self) -> u32;
}

/// Everything that is known of who asks.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The port.
    pub port: &'a Port,
    /// Its network.
    pub network: &'a Network,
    /// The names that it can look up.
    pub names: &'a dyn Names,
}

impl Asker<'_> {
    /// The port's addresses that are leased, in their order.
    fn leased(&self) -> impl Iterator<Item = IpAddr> {
        self.port.addresses.iter().copied().filter(|address| {
            let subnet = self.network.subnet_of(*address);
            subnet.is_some_and(|subnet| subnet.dhcp)
        })
    }

    /// The address that DHCPv4 leases.
    pub(crate) fn leased_ipv4(&self) -> Option<Ipv4Addr> {
        self.leased().find_map(|address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }

    /// The addresses that DHCPv6 leases.
    pub(crate) fn leased_ipv6(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.leased().filter_map(|address| match address {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        })
    }
}

impl Network {
    /// The subnet that an address is in.
    pub fn subnet_of(&self, address: IpAddr) -> Option<&Subnet> {
        self.subnets
            .iter()
            .find(|subnet| subnet.prefix.contains(&address))
    }

    /// The DHCPv4 server's address, as the port with this address sees it.
    pub(crate) fn server_ipv4(&self, address: Ipv4Addr) -> Ipv4Addr {
        match self.subnet_of(address.into()).map(|subnet| subnet.gateway) {
            Some(Some(IpAddr::V4(gateway))) => gateway,
            _ => LINK_LOCAL_SERVER,
        }
    }

    /// The link-local address of gateways and servers.
    pub(crate) fn server_ipv6(&self) -> Ipv6Addr {
        link_local_of(self.gateway_mac)
    }

    /// True if the host's DNS listens at this address.
    pub(crate) fn is_server(&self, address: IpAddr) -> bool {
        let gateway = self
            .subnets
            .iter()
            .any(|subnet| subnet.gateway == Some(address));
        gateway || address == LINK_LOCAL_SERVER || address == self.server_ipv6()
    }

    /// Resolvers that a VM is told by DHCPv4: the host's own, then the others. A resolver that is told "refused" by the
    /// first one asks the next one.
    pub(crate) fn resolvers_ipv4(&self, server: Ipv4Addr) -> Vec<Ipv4Addr> {
        let own = self.dns.answered.then_some(server);
        let others = self.dns.servers.iter().filter_map(|server| match server {
            IpAddr::V4(server) => Some(*server),
            IpAddr::V6(_) => None,
        });
        own.into_iter().chain(others).collect()
    }

    /// The same for IPv6. The host's own has the address of a gateway if there is one, because not every resolver takes a
    /// link-local address.
    pub(crate) fn resolvers_ipv6(&self) -> Vec<Ipv6Addr> {
        let gateway = self.subnets.iter().find_map(|subnet| match subnet.gateway {
            Some(IpAddr::V6(gateway)) => Some(gateway),
            _ => None,
        });
        let own = self
            .dns
            .answered
            .then(|| gateway.unwrap_or_else(|| self.server_ipv6()));
        let others = self.dns.servers.iter().filter_map(|server| match server {
            IpAddr::V6(server) => Some(*server),
            IpAddr::V4(_) => None,
        });
        own.into_iter().chain(others).collect()
    }
}

/// A domain as it is written in settings, with or without a dot behind it. Nothing: it is empty, or none.
pub fn domain(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok().filter(|_| !text.is_empty())?;
    name.set_fqdn(true);
    (!name.is_root()).then_some(name)
}

/// The link-local address that a NIC makes of its MAC address (RFC 4291 appendix A).
pub const fn link_local_of(mac: MacAddress) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    Ipv6Addr::from_octets([
        0xfe,
        0x80,
        0,
        0,
        0,
        0,
        0,
        0,
        a ^ 2,
        b,
        c,
        0xff,
        0xfe,
        d,
        e,
        f,
    ])
}
