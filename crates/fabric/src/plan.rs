//! Topology and addresses together, in the words that a kernel's routing table needs.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::addressing::{AddressError, AddressPair, Addressing, Prefixes};
use crate::routes::{LinkState, routes};
use crate::topology::{LinkId, NodeId, Topology};

/// One of a route's equal-cost next hops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// The interface.
    pub device: String,
    /// The neighbour's address on that link.
    pub via: IpAddr,
}

/// A route as a node installs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteEntry {
    /// A loopback, as a host prefix.
    pub destination: IpNet,
    /// The node's own loopback: source of what the node itself sends.
    pub source: IpAddr,
    /// At least one.
    pub next_hops: Vec<NextHop>,
}

/// A numbered fabric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Who is cabled to whom.
    pub topology: Topology,
    /// Who has which address.
    pub addressing: Addressing,
}

impl Plan {
    /// Numbers a topology from prefixes.
    pub fn new(topology: Topology, prefixes: &Prefixes) -> Result<Self, AddressError> {
        let addressing = Addressing::plan(&topology, prefixes)?;
        Ok(Self {
            topology,
            addressing,
        })
    }

    /// The address of `node` on `link`, if it is an end of it.
    pub fn end(&self, link: LinkId, node: NodeId) -> Option<AddressPair> {
        let ends = self.topology.link(link);
        let addresses = self.addressing.link(link);
        if ends.upper == node {
            Some(addresses.upper)
        } else {
            (ends.lower == node).then_some(addresses.lower)
        }
    }

    /// Everything that `node` has in its routing tables, IPv4 and IPv6.
    pub fn routes(&self, node: NodeId, state: &LinkState) -> Vec<RouteEntry> {
        let own = self.addressing.loopback(node);
        let mut entries = Vec::new();
        for route in routes(&self.topology, state, node) {
            let [to4, to6] = self.addressing.loopback(route.destination).host_nets();
            let (via4, via6) = route
                .links
                .iter()
                .filter_map(|link| self.next_hops(*link, node))
                .unzip();
            entries.push(RouteEntry {
                destination: to4,
                source: IpAddr::V4(own.v4),
                next_hops: via4,
            });
            entries.push(RouteEntry {
                destination: to6,
                source: IpAddr::V6(own.v6),
                next_hops: via6,
            });
        }
        entries
    }

    fn next_hops(&self, link: LinkId, node: NodeId) -> Option<(NextHop, NextHop)> {
        let ends = self.topology.link(link);
        let far = self.end(link, ends.other(node)?)?;
        let hop = |via| {
            Some(NextHop {
                device: ends.device(node)?.to_owned(),
                via,
            })
        };
        Some((hop(IpAddr::V4(far.v4))?, hop(IpAddr::V6(far.v6))?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::topology::tests::example;

    #[test]
    fn a_host_reaches_every_loopback_over_both_uplinks() {
        let plan = Plan::new(example(), &Prefixes::default()).unwrap();
        let hv1 = plan.topology.find("hv1").unwrap();
        let entries = plan.routes(hv1, &LinkState::all_up());
        assert_eq!(entries.len(), 2 * 10);
        let to_hv5 = |text: &str| {
            let to = text.parse::<IpNet>().unwrap();
            entries.iter().find(|e| e.destination == to).unwrap()
        };
        let v4 = to_hv5("10.255.2.5/32");
        assert_eq!(v4.source.to_string(), "10.255.2.1");
        let hops: Vec<String> = v4
            .next_hops
            .iter()
            .map(|h| format!("{} {}", h.device, h.via))
            .collect();
        assert_eq!(hops, ["up1 10.254.0.12", "up2 10.254.0.14"]);
        let v6 = to_hv5("fdc0:a0::8000:0:0:5/128");
        assert_eq!(v6.next_hops[1].via.to_string(), "fdc0:a0:0:1::e");
    }
}
