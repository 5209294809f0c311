//! What a machine has that Coax needs to know: a name, devices that lead to other hosts, addresses
//! that tunnels can end at. Everything is a proposal that a flag overrides.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use coax_model::HostName;
use coax_netlink::{Link, Netlink};

use crate::error::CliError;

/// Kinds of virtual devices that lead to no other machine.
const LOCAL_KINDS: [&str; 6] = ["bridge", "tun", "dummy", "vxlan", "geneve", "wireguard"];
/// What a machine is called whose own name cannot be that of a host.
const FALLBACK: &str = "host-1";

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub name: HostName,
    /// Devices that seem to lead to other hosts.
    pub uplinks: Vec<String>,
    /// An IPv4 address for tunnels.
    pub ipv4: Option<Ipv4Addr>,
    /// An IPv6 address for tunnels.
    pub ipv6: Option<Ipv6Addr>,
    /// The smallest MTU of all devices, by name.
    pub mtus: Vec<(String, u32)>,
}

impl Machine {
    /// Looks around.
    pub async fn detect() -> Result<Self, CliError> {
        let netlink = Netlink::open()?;
        let links = netlink.links().await?;
        let addresses: Vec<(u32, IpAddr)> = netlink
            .addresses(None)
            .await?
            .into_iter()
            .map(|(link, net)| (link, net.addr()))
            .filter(|(_, address)| is_global(address))
            .collect();
        let routes = netlink.routes().await?;
        let defaults: BTreeSet<u32> = routes
            .iter()
            .filter(|route| route.destination.prefix_len() == 0)
            .flat_map(|route| route.next_hops.iter().filter_map(|hop| hop.link))
            .collect();
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Ok(Self::of(&hostname, &links, &addresses, &defaults))
    }

    fn of(
        hostname: &str,
        links: &[Link],
        addresses: &[(u32, IpAddr)],
        defaults: &BTreeSet<u32>,
    ) -> Self {
        let outward: Vec<&Link> = links.iter().filter(|link| leads_out(link)).collect();
        let has_address = |link: &&&Link| addresses.iter().any(|(index, _)| *index == link.index);
        let mut uplinks: Vec<&Link> = outward
            .iter()
            .filter(|link| defaults.contains(&link.index))
            .copied()
            .collect();
        if uplinks.is_empty() {
            uplinks = outward.iter().filter(has_address).copied().collect();
        }
        let loopback = links.iter().filter(|link| link.name == "lo");
        let places: Vec<u32> = loopback
            .chain(uplinks.iter().copied())
            .map(|link| link.index)
            .collect();
        let mut candidates: Vec<IpAddr> = Vec::new();
        for place in &places {
            let here = addresses.iter().filter(|(index, _)| index == place);
            candidates.extend(here.map(|(_, address)| *address));
        }
        Self {
            name: host_name(hostname),
            uplinks: uplinks.iter().map(|link| link.name.clone()).collect(),
            ipv4: candidates.iter().find_map(|address| match address {
                IpAddr::V4(address) => Some(*address),
                IpAddr::V6(_) => None,
            }),
            ipv6: candidates.iter().find_map(|address| match address {
                IpAddr::V6(address) => Some(*address),
                IpAddr::V4(_) => None,
            }),
            mtus: links
                .iter()
                .map(|link| (link.name.clone(), link.mtu))
                .collect(),
        }
    }

    /// The first address for tunnels.
    pub fn address(&self) -> Option<IpAddr> {
        let ipv4 = self.ipv4.map(IpAddr::from);
        ipv4.or(self.ipv6.map(IpAddr::from))
    }

    /// The largest packet that all of these devices carry.
    pub fn mtu(&self, devices: &[String]) -> Option<u32> {
        let chosen = self.mtus.iter().filter(|(name, _)| devices.contains(name));
        chosen.map(|(_, mtu)| *mtu).min()
    }
}

fn leads_out(link: &Link) -> bool {
    let local = link
        .kind
        .as_deref()
        .is_some_and(|kind| LOCAL_KINDS.contains(&kind));
    let port = link
        .alias
        .as_deref()
        .is_some_and(|alias| alias.starts_with("coax:"));
    link.up && link.name != "lo" && link.master.is_none() && !local && !port
}

fn is_global(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    }
}

fn host_name(hostname: &str) -> HostName {
    let plain = hostname.trim().to_ascii_lowercase();
    let fallback = || FALLBACK.parse::<HostName>();
    match plain.parse().or_else(|_| fallback()) {
        Ok(name) => name,
        Err(_) => unreachable!("a name that is written here is one"),
    }
}

#[cfg(test)]
mod tests {
    use coax_netlink::OperState;

    use super::*;

    fn link(index: u32, name: &str, kind: Option<&str>) -> Link {
        Link {
            index,
            name: name.into(),
            alias: None,
            kind: kind.map(str::to_owned),
            mtu: 1500 + index,
            mac: None,
            up: true,
            state: OperState::Up,
            carrier: true,
            master: None,
            peer: None,
        }
    }

    fn address(index: u32, text: &str) -> (u32, IpAddr) {
        let address = text.parse().unwrap_or(IpAddr::from([0, 0, 0, 0]));
        (index, address)
    }

    #[test]
    fn the_way_out_is_the_default_route_and_the_address_is_on_it() {
        let links = [
            link(1, "lo", None),
            link(2, "eth0", None),
            link(3, "eth1", None),
            link(4, "virbr0", Some("bridge")),
        ];
        let addresses = [
            address(4, "192.168.122.1"),
            address(2, "192.0.2.7"),
            address(2, "2001:db8::7"),
            address(3, "198.51.100.7"),
        ];
        let machine = Machine::of("HV7\n", &links, &addresses, &BTreeSet::from([2]));
        assert_eq!(machine.name.as_str(), "hv7");
        assert_eq!(machine.uplinks, ["eth0"]);
        assert_eq!(machine.ipv4, Some(Ipv4Addr::new(192, 0, 2, 7)));
        assert!(machine.ipv6.is_some());
        assert_eq!(machine.mtu(&machine.uplinks), Some(1502));
    }

    #[test]
    fn without_a_default_route_every_addressed_device_leads_out() {
        let links = [link(1, "lo", None), link(2, "up0", Some("veth"))];
        let machine = Machine::of("?", &links, &[address(2, "192.0.2.1")], &BTreeSet::new());
        assert_eq!(machine.name.as_str(), FALLBACK);
        assert_eq!(machine.uplinks, ["up0"]);
    }

    #[test]
    fn a_loopback_address_is_the_best_end_of_tunnels() {
        let links = [
            link(1, "lo", None),
            link(2, "eth0", None),
            link(3, "eth1", None),
        ];
        let addresses = [
            address(2, "10.0.0.2"),
            address(3, "10.0.1.2"),
            address(1, "192.0.2.9"),
        ];
        let machine = Machine::of("hv9", &links, &addresses, &BTreeSet::from([2, 3]));
        assert_eq!(machine.uplinks, ["eth0", "eth1"]);
        assert_eq!(machine.ipv4, Some(Ipv4Addr::new(192, 0, 2, 9)));
    }
}
