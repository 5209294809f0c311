//! Which nodes there are and how they are cabled: every leaf to every spine, every host to the
//! leaves it names. Checked once when it is built; the rest of the crate relies on it.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::{NameError, NodeName};

/// A node's place in a [`Topology`]: an index, stable for one topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) usize);

/// A link's place in a [`Topology`]: an index, stable for one topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub(crate) usize);

impl NodeId {
    /// The index.
    pub fn index(self) -> usize {
        self.0
    }
}

impl LinkId {
    /// The index.
    pub fn index(self) -> usize {
        self.0
    }
}

/// The three tiers of a fabric, top first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Connects leaves.
    Spine,
    /// Connects hosts to spines.
    Leaf,
    /// A server; never forwards for others.
    Host,
}

impl Tier {
    /// All tiers, top first.
    pub const ALL: [Tier; 3] = [Tier::Spine, Tier::Leaf, Tier::Host];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Spine => "spine",
            Tier::Leaf => "leaf",
            Tier::Host => "host",
        }
    }
}

/// A spine, leaf or host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// Its tier.
    pub tier: Tier,
}

/// A cable. `upper` is the end nearer to the spines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The spine of a spine-leaf link, the leaf of a leaf-host link.
    pub upper: NodeId,
    /// The other end.
    pub lower: NodeId,
    /// Interface at the upper end (named after the lower node).
    pub upper_device: String,
    /// Interface at the lower end: a switch names it after the upper node, a host `up1`, `up2`, ….
    pub lower_device: String,
}

impl Link {
    /// The node at the other end, if `node` is an end of this link.
    pub fn other(&self, node: NodeId) -> Option<NodeId> {
        if node == self.upper {
            Some(self.lower)
        } else if node == self.lower {
            Some(self.upper)
        } else {
            None
        }
    }

    /// The interface of `node` on this link, if `node` is an end of it.
    pub fn device(&self, node: NodeId) -> Option<&str> {
        if node == self.upper {
            Some(&self.upper_device)
        } else if node == self.lower {
            Some(&self.lower_device)
        } else {
            None
        }
    }
}

/// Why a set of nodes is no leaf-and-spine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// A fabric without spines or without leaves.
    #[error("a fabric has at least one {0}")]
    Without(&'static str),
    /// A host names a leaf that does not exist.
    #[error("host {host} names {leaf}, but the leaves are {}", known.join(", "))]
    UnknownLeaf {
        /// The host.
        host: NodeName,
        /// What it names.
        leaf: NodeName,
        /// The leaves that exist.
        known: Vec<String>,
    },
    /// A host without uplinks.
    #[error("host {0} has no leaf, name one or two")]
    NoUplink(NodeName),
    /// A host names a leaf twice.
    #[error("host {host} names {leaf} twice; two links to one leaf are not supported")]
    SameLeafTwice {
        /// The host.
        host: NodeName,
        /// The leaf.
        leaf: NodeName,
    },
    /// A host has the name of a switch.
    #[error("{0} is the name of a switch and of a host")]
    NameTwice(NodeName),
    /// A name is not legal.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// A checked leaf-and-spine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    nodes: Vec<Node>,
    links: Vec<Link>,
    by_name: BTreeMap<NodeName, NodeId>,
    links_of: Vec<Vec<LinkId>>,
}

impl Topology {
    /// Builds `spine1..`, `leaf1..`, every leaf cabled to every spine, and the hosts with the
    /// leaves they name (uplink 1 first).
    pub fn leaf_spine(
        spines: usize,
        leaves: usize,
        hosts: &BTreeMap<NodeName, Vec<NodeName>>,
    ) -> Result<Self, TopologyError> {
        let mut topology = Self {
            nodes: Vec::new(),
            links: Vec::new(),
            by_name: BTreeMap::new(),
            links_of: Vec::new(),
        };
        let spines = topology.add_tier(Tier::Spine, spines)?;
        let leaves = topology.add_tier(Tier::Leaf, leaves)?;
        for leaf in &leaves {
            for spine in &spines {
                let device = topology.name(*spine).to_string();
                topology.cable(*spine, *leaf, device);
            }
        }
        for (host, wanted) in hosts {
            topology.add_host(host, wanted, &leaves)?;
        }
        Ok(topology)
    }

    fn add_tier(&mut self, tier: Tier, count: usize) -> Result<Vec<NodeId>, TopologyError> {
        if count == 0 {
            return Err(TopologyError::Without(tier.name()));
        }
        (1..=count)
            .map(|n| {
                let name = NodeName::try_from(format!("{}{n}", tier.name()))?;
                Ok(self.add_node(name, tier))
            })
            .collect()
    }

    fn add_node(&mut self, name: NodeName, tier: Tier) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.by_name.insert(name.clone(), id);
        self.nodes.push(Node { name, tier });
        self.links_of.push(Vec::new());
        id
    }

    fn add_host(
        &mut self,
        host: &NodeName,
        wanted: &[NodeName],
        leaves: &[NodeId],
    ) -> Result<(), TopologyError> {
        if self.by_name.contains_key(host) {
            return Err(TopologyError::NameTwice(host.clone()));
        }
        if wanted.is_empty() {
            return Err(TopologyError::NoUplink(host.clone()));
        }
        let id = self.add_node(host.clone(), Tier::Host);
        let mut seen = BTreeSet::new();
        for (index, name) in wanted.iter().enumerate() {
            let leaf = self.by_name.get(name).copied();
            let Some(leaf) = leaf.filter(|leaf| leaves.contains(leaf)) else {
                return Err(TopologyError::UnknownLeaf {
                    host: host.clone(),
                    leaf: name.clone(),
                    known: leaves.iter().map(|l| self.name(*l).to_string()).collect(),
                });
            };
            if !seen.insert(leaf) {
                return Err(TopologyError::SameLeafTwice {
                    host: host.clone(),
                    leaf: name.clone(),
                });
            }
            self.cable(leaf, id, format!("up{}", index + 1));
        }
        Ok(())
    }

    fn cable(&mut self, upper: NodeId, lower: NodeId, lower_device: String) {
        let id = LinkId(self.links.len());
        let upper_device = self.name(lower).to_string();
        self.links.push(Link {
            upper,
            lower,
            upper_device,
            lower_device,
        });
        self.links_of[upper.0].push(id);
        self.links_of[lower.0].push(id);
    }

    /// All nodes: spines, leaves, hosts.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, n)| (NodeId(i), n))
    }

    /// The nodes of one tier.
    pub fn tier(&self, tier: Tier) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes().filter(move |(_, node)| node.tier == tier)
    }

    /// All links.
    pub fn links(&self) -> impl ExactSizeIterator<Item = (LinkId, &Link)> {
        self.links.iter().enumerate().map(|(i, l)| (LinkId(i), l))
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// A node's name.
    pub fn name(&self, id: NodeId) -> &NodeName {
        &self.nodes[id.0].name
    }

    /// A link.
    pub fn link(&self, id: LinkId) -> &Link {
        &self.links[id.0]
    }

    /// The links of a node, in cabling order (a host's uplinks: 1 first).
    pub fn links_of(&self, node: NodeId) -> &[LinkId] {
        &self.links_of[node.0]
    }

    /// Finds a node by its name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        let name = name.parse::<NodeName>().ok()?;
        self.by_name.get(&name).copied()
    }

    /// The link between two nodes.
    pub fn link_between(&self, a: NodeId, b: NodeId) -> Option<LinkId> {
        self.links_of(a)
            .iter()
            .copied()
            .find(|link| self.link(*link).other(a) == Some(b))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn names(names: &[&str]) -> Vec<NodeName> {
        names.iter().map(|n| n.parse().unwrap()).collect()
    }

    /// The topology of the project's example: 2 spines, 3 leaves, 6 dual-homed hosts.
    pub(crate) fn example() -> Topology {
        let mut hosts = BTreeMap::new();
        let pairs = [["leaf1", "leaf2"], ["leaf2", "leaf3"], ["leaf3", "leaf1"]];
        for n in 0..6 {
            let name = format!("hv{}", n + 1).parse().unwrap();
            hosts.insert(name, names(&pairs[n / 2]));
        }
        Topology::leaf_spine(2, 3, &hosts).unwrap()
    }

    /// Any fabric with at least `redundancy` spines and uplinks per host.
    pub(crate) fn any_topology(redundancy: usize) -> impl Strategy<Value = Topology> {
        (redundancy..=4usize, redundancy.max(1)..=6usize).prop_flat_map(move |(spines, leaves)| {
            let uplinks = proptest::sample::subsequence(
                (1..=leaves).collect::<Vec<_>>(),
                redundancy..=leaves.min(3),
            )
            .prop_shuffle();
            proptest::collection::vec(uplinks, 2..8).prop_map(move |hosts| {
                let hosts = hosts.iter().enumerate().map(|(n, uplinks)| {
                    let leaves = uplinks.iter().map(|l| format!("leaf{l}").parse().unwrap());
                    (format!("hv{n}").parse().unwrap(), leaves.collect())
                });
                Topology::leaf_spine(spines, leaves, &hosts.collect()).unwrap()
            })
        })
    }

    #[test]
    fn the_example_is_cabled_as_drawn() {
        let t = example();
        assert_eq!(t.nodes().len(), 11);
        assert_eq!(t.links().len(), 2 * 3 + 6 * 2);
        let hv3 = t.find("hv3").unwrap();
        let leaf3 = t.find("leaf3").unwrap();
        let link = t.link(t.link_between(hv3, leaf3).unwrap());
        assert_eq!(link.device(hv3), Some("up2"));
        assert_eq!(link.device(leaf3), Some("hv3"));
        assert_eq!(link.other(leaf3), Some(hv3));
        assert_eq!(t.link_between(hv3, t.find("leaf1").unwrap()), None);
    }

    #[test]
    fn what_is_no_fabric_is_refused() {
        let host = |leaves: &[&str]| BTreeMap::from([("hv1".parse().unwrap(), names(leaves))]);
        let build = |hosts| Topology::leaf_spine(1, 2, &hosts).unwrap_err();
        assert!(matches!(
            Topology::leaf_spine(0, 2, &BTreeMap::new()),
            Err(TopologyError::Without("spine"))
        ));
        assert!(matches!(build(host(&[])), TopologyError::NoUplink(_)));
        assert!(matches!(
            build(host(&["leaf1", "leaf1"])),
            TopologyError::SameLeafTwice { .. }
        ));
        assert_eq!(
            build(host(&["leaf7"])).to_string(),
            "host hv1 names leaf7, but the leaves are leaf1, leaf2"
        );
        assert!(matches!(
            build(host(&["spine1"])),
            TopologyError::UnknownLeaf { .. }
        ));
        let clash = BTreeMap::from([("leaf1".parse().unwrap(), names(&["leaf1"]))]);
        assert!(matches!(build(clash), TopologyError::NameTwice(_)));
    }
}
