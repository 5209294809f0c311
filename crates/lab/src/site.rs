//! A lab's namespaces, open: per node the namespace, a netlink connection inside it and the indexes
//! of its fabric devices. Everything that touches the kernel goes through here.

use std::collections::BTreeMap;

use coax_fabric::{NodeId, Plan, Tier};
use coax_netlink::{Namespace, Netlink};

use crate::error::Error;
use crate::name::{LabName, MANAGER};

/// One node's namespace.
#[derive(Debug, Clone)]
pub struct NodeSite {
    /// The namespace.
    pub namespace: Namespace,
    /// A connection inside it.
    pub netlink: Netlink,
    /// Index of each fabric device by its name.
    pub devices: BTreeMap<String, u32>,
}

impl NodeSite {
    /// Creates the namespace `name` and connects to it.
    pub(crate) fn create(name: &str) -> Result<Self, Error> {
        Self::connect(Namespace::create(name)?)
    }

    /// Connects to a namespace that exists.
    pub(crate) fn open(name: &str) -> Result<Self, Error> {
        Self::connect(Namespace::open(name)?)
    }

    fn connect(namespace: Namespace) -> Result<Self, Error> {
        let netlink = namespace.netlink()?;
        Ok(Self {
            namespace,
            netlink,
            devices: BTreeMap::new(),
        })
    }

    /// The index of a device.
    pub fn device(&self, name: &str) -> Result<u32, Error> {
        let missing = || coax_netlink::Error::NoSuchLink {
            name: name.to_owned(),
        };
        Ok(self.devices.get(name).copied().ok_or_else(missing)?)
    }

    /// Reads the devices anew.
    pub(crate) async fn refresh(&mut self) -> Result<(), Error> {
        let links = self.netlink.links().await?;
        self.devices = links
            .into_iter()
            .map(|link| (link.name, link.index))
            .collect();
        Ok(())
    }
}

/// All namespaces of a lab's fabric.
#[derive(Debug, Clone)]
pub struct Site {
    /// The lab.
    pub lab: LabName,
    /// The fabric.
    pub plan: Plan,
    /// Nodes, by the index of their [`NodeId`].
    nodes: Vec<NodeSite>,
    /// The management network's namespace.
    pub manager: NodeSite,
}

impl Site {
    pub(crate) fn new(lab: LabName, plan: Plan, nodes: Vec<NodeSite>, manager: NodeSite) -> Self {
        Self {
            lab,
            plan,
            nodes,
            manager,
        }
    }

    /// Opens the namespaces of a lab that is up. Needs a running tokio runtime.
    pub async fn open(lab: &LabName, plan: Plan) -> Result<Self, Error> {
        let open = |name: &str| NodeSite::open(&lab.namespace(name));
        let nodes = plan
            .topology
            .nodes()
            .map(|(_, node)| open(node.name.as_str()));
        let mut nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        for node in &mut nodes {
            node.refresh().await?;
        }
        let manager = open(MANAGER)?;
        Ok(Self::new(lab.clone(), plan, nodes, manager))
    }

    /// A node's namespace.
    pub fn node(&self, id: NodeId) -> &NodeSite {
        &self.nodes[id.index()]
    }

    pub(crate) fn nodes_mut(&mut self) -> &mut [NodeSite] {
        &mut self.nodes
    }

    /// A host by its name.
    pub fn host(&self, name: &str) -> Result<(NodeId, &NodeSite), Error> {
        let topology = &self.plan.topology;
        let found = topology
            .find(name)
            .filter(|id| topology.node(*id).tier == Tier::Host);
        let id = found.ok_or_else(|| self.no_such("host", name, &[Tier::Host]))?;
        Ok((id, self.node(id)))
    }

    /// A spine, leaf or host by its name.
    pub fn find(&self, name: &str) -> Result<NodeId, Error> {
        let found = self.plan.topology.find(name);
        found.ok_or_else(|| self.no_such("node", name, &Tier::ALL))
    }

    fn no_such(&self, what: &'static str, name: &str, tiers: &[Tier]) -> Error {
        let nodes = self.plan.topology.nodes();
        let known = nodes.filter(|(_, node)| tiers.contains(&node.tier));
        Error::NoSuchNode {
            lab: self.lab.clone(),
            what,
            name: name.to_owned(),
            known: known.map(|(_, node)| node.name.to_string()).collect(),
        }
    }
}
