//! Addresses: a /31 and a /127 per link, and per node a loopback /32 and /128, which is the VTEP
//! of a host. A node's loopback depends only on its tier and place in it, so that adding a leaf
//! renumbers no host.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::topology::{LinkId, NodeId, Tier, Topology};

/// Where addresses are taken from. A quarter of each loopback prefix goes to each tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefixes {
    /// IPv4 loopbacks.
    pub loopbacks4: Ipv4Net,
    /// IPv6 loopbacks.
    pub loopbacks6: Ipv6Net,
    /// IPv4 link nets.
    pub links4: Ipv4Net,
    /// IPv6 link nets.
    pub links6: Ipv6Net,
}

impl Default for Prefixes {
    /// `10.255.0.0/22` and `fdc0:a0::/64` for loopbacks, `10.254.0.0/16` and `fdc0:a0:0:1::/64`
    /// for links: host 1 is 10.255.2.1 and fdc0:a0::8000:0:0:1.
    fn default() -> Self {
        let v6 = |subnet| Ipv6Addr::new(0xfdc0, 0xa0, 0, subnet, 0, 0, 0, 0);
        Self {
            loopbacks4: Ipv4Net::new_assert(Ipv4Addr::new(10, 255, 0, 0), 22),
            loopbacks6: Ipv6Net::new_assert(v6(0), 64),
            links4: Ipv4Net::new_assert(Ipv4Addr::new(10, 254, 0, 0), 16),
            links6: Ipv6Net::new_assert(v6(1), 64),
        }
    }
}

/// One address of each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressPair {
    /// IPv4.
    pub v4: Ipv4Addr,
    /// IPv6.
    pub v6: Ipv6Addr,
}

impl AddressPair {
    /// Both as prefixes of the given lengths.
    pub fn nets(self, v4_len: u8, v6_len: u8) -> [IpNet; 2] {
        [
            IpNet::V4(Ipv4Net::new_assert(self.v4, v4_len)),
            IpNet::V6(Ipv6Net::new_assert(self.v6, v6_len)),
        ]
    }

    /// Both as host prefixes (/32, /128).
    pub fn host_nets(self) -> [IpNet; 2] {
        self.nets(32, 128)
    }
}

/// The addresses of a link's two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkAddresses {
    /// At the upper end.
    pub upper: AddressPair,
    /// At the lower end.
    pub lower: AddressPair,
}

/// Why a topology does not fit into its prefixes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A prefix is used up.
    #[error("{prefix} has no address left for {what}; give the fabric a shorter prefix")]
    Exhausted {
        /// The prefix.
        prefix: IpNet,
        /// What found none.
        what: String,
    },
}

/// All addresses of a fabric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressing {
    loopbacks: Vec<AddressPair>,
    links: Vec<LinkAddresses>,
}

impl Addressing {
    /// Numbers a topology.
    pub fn plan(topology: &Topology, prefixes: &Prefixes) -> Result<Self, AddressError> {
        let mut loopbacks = Vec::with_capacity(topology.nodes().len());
        for (quarter, tier) in (0u128..).zip(Tier::ALL) {
            for (index, (_, node)) in (1u128..).zip(topology.tier(tier)) {
                let what = || node.name.to_string();
                loopbacks.push(AddressPair {
                    v4: in_quarter4(prefixes.loopbacks4, quarter, index, what)?,
                    v6: in_quarter6(prefixes.loopbacks6, quarter, index, what)?,
                });
            }
        }
        let mut links = Vec::with_capacity(topology.links().len());
        for (index, (_, link)) in (0u128..).zip(topology.links()) {
            let what = || {
                let [upper, lower] = [link.upper, link.lower].map(|end| topology.name(end));
                format!("the link {upper} - {lower}")
            };
            let end = |offset| {
                Ok(AddressPair {
                    v4: nth4(prefixes.links4, offset, what)?,
                    v6: nth6(prefixes.links6, offset, what)?,
                })
            };
            links.push(LinkAddresses {
                upper: end(2 * index)?,
                lower: end(2 * index + 1)?,
            });
        }
        Ok(Self { loopbacks, links })
    }

    /// A node's loopback: of a host, its VTEP.
    pub fn loopback(&self, node: NodeId) -> AddressPair {
        self.loopbacks[node.index()]
    }

    /// A link's addresses.
    pub fn link(&self, link: LinkId) -> LinkAddresses {
        self.links[link.index()]
    }
}

fn in_quarter4(
    net: Ipv4Net,
    quarter: u128,
    index: u128,
    what: impl Fn() -> String,
) -> Result<Ipv4Addr, AddressError> {
    let size = 1u128 << (32 - net.prefix_len());
    nth4(net, within_quarter(size, quarter, index), what)
}

fn in_quarter6(
    net: Ipv6Net,
    quarter: u128,
    index: u128,
    what: impl Fn() -> String,
) -> Result<Ipv6Addr, AddressError> {
    let size = 1u128.checked_shl(u32::from(128 - net.prefix_len()));
    nth6(
        net,
        within_quarter(size.unwrap_or(u128::MAX), quarter, index),
        what,
    )
}

/// The offset of the `index`th address of a quarter, past the end when the quarter is full.
fn within_quarter(size: u128, quarter: u128, index: u128) -> u128 {
    let quarter_size = size / 4;
    if index < quarter_size {
        quarter * quarter_size + index
    } else {
        u128::MAX
    }
}

fn nth4(net: Ipv4Net, offset: u128, what: impl Fn() -> String) -> Result<Ipv4Addr, AddressError> {
    let address = u32::try_from(offset)
        .ok()
        .and_then(|offset| u32::from(net.network()).checked_add(offset))
        .map(Ipv4Addr::from)
        .filter(|address| net.contains(address));
    address.ok_or_else(|| AddressError::Exhausted {
        prefix: IpNet::V4(net),
        what: what(),
    })
}

fn nth6(net: Ipv6Net, offset: u128, what: impl Fn() -> String) -> Result<Ipv6Addr, AddressError> {
    let address = u128::from(net.network())
        .checked_add(offset)
        .map(Ipv6Addr::from)
        .filter(|address| net.contains(address));
    address.ok_or_else(|| AddressError::Exhausted {
        prefix: IpNet::V6(net),
        what: what(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::topology::tests::{any_topology, example};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_example_has_addresses_that_people_can_read() {
        let t = example();
        let a = Addressing::plan(&t, &Prefixes::default()).unwrap();
        let loopback = |name: &str| a.loopback(t.find(name).unwrap());
        assert_eq!(loopback("spine2").v4.to_string(), "10.255.0.2");
        assert_eq!(loopback("leaf1").v4.to_string(), "10.255.1.1");
        assert_eq!(loopback("hv6").v4.to_string(), "10.255.2.6");
        assert_eq!(loopback("hv6").v6.to_string(), "fdc0:a0::8000:0:0:6");
    }

    #[test]
    fn a_prefix_that_is_too_small_is_named() {
        let prefixes = Prefixes {
            links4: "10.0.0.0/28".parse().unwrap(),
            ..Prefixes::default()
        };
        let error = Addressing::plan(&example(), &prefixes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "10.0.0.0/28 has no address left for the link leaf1 - hv2; give the fabric a shorter prefix"
        );
        let prefixes = Prefixes {
            loopbacks4: "10.0.0.0/28".parse().unwrap(),
            ..Prefixes::default()
        };
        let error = Addressing::plan(&example(), &prefixes).unwrap_err();
        assert!(error.to_string().contains("hv4"), "{error}");
    }

    proptest! {
        #[test]
        fn no_address_is_given_twice_and_link_ends_share_a_31_and_a_127(t in any_topology(1)) {
            let a = Addressing::plan(&t, &Prefixes::default()).unwrap();
            let mut seen = BTreeSet::new();
            for (id, _) in t.nodes() {
                let pair = a.loopback(id);
                prop_assert!(seen.insert(pair.v4.to_string()) && seen.insert(pair.v6.to_string()));
            }
            for (id, _) in t.links() {
                let LinkAddresses { upper, lower } = a.link(id);
                for pair in [upper, lower] {
                    prop_assert!(seen.insert(pair.v4.to_string()));
                    prop_assert!(seen.insert(pair.v6.to_string()));
                }
                let nets = [upper, lower].map(|end| end.nets(31, 127).map(|n| n.trunc()));
                prop_assert_eq!(nets[0], nets[1]);
            }
        }
    }
}
