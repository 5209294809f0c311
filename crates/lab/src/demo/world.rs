//! The demo's lab as its points see it: VMs by port name, the API, faults, and short words for what
//! they do again and again.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use coax_api::{Client, Port, StackOptions};
use coax_fabric::Tier;
use coax_model::StackFile;
use coax_netlink::Namespace;
use tokio::runtime::Handle;

use crate::accounting::{self, Ledger};
use crate::error::Error;
use crate::fault::{self, Target};
use crate::measure::{self, ping};
use crate::name::LabName;
use crate::site::Site;
use crate::{status, vm};

/// How long hosts and VMs may take to be as wanted.
const LIMIT: Duration = Duration::from_secs(30);
/// How long counters may take to come to rest.
const REST: Duration = Duration::from_secs(3);

/// A lab with VMs on it.
#[derive(Debug)]
pub struct World {
    /// The lab.
    pub lab: LabName,
    /// Its namespaces.
    pub site: Site,
    /// Its controller.
    pub client: Client,
    runtime: Handle,
}

impl World {
    /// Opens a lab that is up.
    pub fn open(lab: &LabName, runtime: Handle) -> Result<Self, Error> {
        let site = runtime.block_on(crate::commands::open(lab))?;
        Ok(Self {
            lab: lab.clone(),
            site,
            client: crate::client(lab),
            runtime,
        })
    }

    /// Waits for something asynchronous.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Applies a stack file and waits until every host has it and all VMs run.
    pub fn apply(&self, text: &str) -> Result<(), Error> {
        let file = StackFile::parse(text).map_err(|problem| Error::Output(problem.to_string()))?;
        let options = StackOptions {
            dry_run: false,
            wait: Some(LIMIT),
            ..StackOptions::default()
        };
        self.wait(
            self.client
                .put_stack(file.project.as_str(), &file, &options),
        )?;
        self.settle()
    }

    /// Waits until all agents are attached and all VMs run.
    pub fn settle(&self) -> Result<(), Error> {
        let status = self.wait(status::wait(&self.lab, LIMIT))?;
        if status.ready {
            return Ok(());
        }
        Err(Error::TimedOut {
            what: "getting ready".into(),
            limit: LIMIT,
            detail: status.missing.join("; "),
        })
    }

    /// A port.
    pub fn port(&self, id: &str) -> Result<Port, Error> {
        let (project, name) = id.split_once('/').unwrap_or(("", id));
        Ok(self.wait(self.client.port(project, name))?)
    }

    /// All ports by network: `shop/web` to its ports in the order of their names.
    pub fn networks(&self) -> Result<BTreeMap<String, Vec<Port>>, Error> {
        let mut networks = BTreeMap::<String, Vec<Port>>::new();
        for port in self.wait(self.client.ports(None))? {
            let network = format!("{}/{}", port.project, port.network);
            networks.entry(network).or_default().push(port);
        }
        Ok(networks)
    }

    /// The namespace of a port's VM.
    pub fn vm(&self, id: &str) -> Result<Namespace, Error> {
        Ok(Namespace::open(&self.lab.vm_namespace(id))?)
    }

    /// A VM's address and port number.
    pub fn socket(&self, id: &str, v6: bool, number: u16) -> Result<SocketAddr, Error> {
        let address = address(&self.port(id)?, v6);
        let address = address.ok_or_else(|| Error::NotPlugged(id.to_owned()))?;
        Ok(SocketAddr::new(address, number))
    }

    /// Pings from a VM.
    pub fn ping(&self, from: &str, targets: Vec<IpAddr>) -> Result<Vec<ping::Pinged>, Error> {
        let options = ping::Options::default();
        measure::run(&self.vm(from)?, move || ping::ping(&targets, options))
    }

    /// Everybody pings everybody of a network; pairs that got no answer.
    pub fn silent_pairs(&self, ports: &[Port]) -> Result<Vec<String>, Error> {
        let mut silent = Vec::new();
        for from in ports {
            let others = ports.iter().filter(|port| port.id != from.id);
            let targets = others.flat_map(addresses).collect();
            let answers = self.ping(&from.id, targets)?;
            let missing = answers
                .into_iter()
                .filter(|answer| answer.answered.is_none());
            silent.extend(missing.map(|answer| format!("{} to {}", from.id, answer.target)));
        }
        Ok(silent)
    }

    /// Breaks something.
    pub fn inflict(&self, target: &Target) -> Result<(), Error> {
        self.wait(fault::inflict(&self.site, target)).map(drop)
    }

    /// Heals something.
    pub fn heal(&self, target: &Target) -> Result<(), Error> {
        self.wait(fault::heal(&self.site, target)).map(drop)
    }

    /// The books of all hosts when nothing moves.
    pub fn ledger(&self) -> Result<Ledger, Error> {
        self.wait(accounting::settled(&self.client, REST))
    }

    /// Packets that a node has sent out of each of its fabric devices.
    pub fn sent_packets(&self, node: &str) -> Result<BTreeMap<String, u64>, Error> {
        let id = self.site.find(node)?;
        let lines = measure::run(&self.site.node(id).namespace, || {
            std::fs::read_to_string("/proc/thread-self/net/dev")
        })?;
        let links = self.site.plan.topology.links_of(id).iter();
        let devices = links.filter_map(|link| self.site.plan.topology.link(*link).device(id));
        Ok(devices
            .filter_map(|device| {
                let mut fields = lines.lines().filter_map(|line| line.split_once(':'));
                let (_, counts) = fields.find(|(name, _)| name.trim() == device)?;
                Some((
                    device.to_owned(),
                    counts.split_whitespace().nth(9)?.parse().ok()?,
                ))
            })
            .collect())
    }

    /// Names of all hosts.
    pub fn hosts(&self) -> Vec<String> {
        let hosts = self.site.plan.topology.tier(Tier::Host);
        hosts.map(|(_, node)| node.name.to_string()).collect()
    }

    /// Whether two hosts are cabled to the same leaves.
    pub fn same_leaves(&self, a: &str, b: &str) -> Result<bool, Error> {
        let topology = &self.site.plan.topology;
        let leaves = |name: &str| -> Result<Vec<_>, Error> {
            let links = topology.links_of(self.site.host(name)?.0).iter();
            let mut leaves: Vec<_> = links.map(|link| topology.link(*link).upper).collect();
            leaves.sort_unstable();
            Ok(leaves)
        };
        Ok(leaves(a)? == leaves(b)?)
    }
}

/// A port's address of a family.
pub fn address(port: &Port, v6: bool) -> Option<IpAddr> {
    let addresses = port
        .addresses
        .iter()
        .filter_map(|text| text.parse::<IpAddr>().ok());
    addresses
        .into_iter()
        .find(|address| address.is_ipv6() == v6)
}

/// All addresses of a port.
pub fn addresses(port: &Port) -> Vec<IpAddr> {
    port.addresses
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect()
}

/// A port's MAC address.
pub fn mac(port: &Port) -> [u8; 6] {
    vm::parse_mac(&port.mac).unwrap_or_default()
}

/// Does something again until it is true; says whether it became so.
pub fn eventually(limit: Duration, mut so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if so() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads a file of the examples; the demo brings its own copy along.
pub fn example(name: &str) -> (&'static Path, &'static str) {
    match name {
        "lab" => (
            Path::new("examples/leaf-spine.yaml"),
            include_str!("../../../../examples/leaf-spine.yaml"),
        ),
        "tiers" => (
            Path::new("examples/three-tier.yaml"),
            include_str!("../../../../examples/three-tier.yaml"),
        ),
        "bank" => (
            Path::new("examples/bank.yaml"),
            include_str!("../../../../examples/bank.yaml"),
        ),
        _ => (
            Path::new("examples/shop.yaml"),
            include_str!("../../../../examples/shop.yaml"),
        ),
    }
}
