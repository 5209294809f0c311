//! Point 7: the Linux kernel's own vxlan device, in a namespace beside the fabric, takes part in a
//! network that names it as a `vtep`. One that nobody named is dropped, counted and named.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use coax_fabric::LinkState;
use coax_netlink::{NextHop, Route, VethEnd, Vxlan};
use ipnet::{IpNet, Ipv4Net};
use serde::Serialize;

use super::report::Checks;
use super::world::{World, addresses, example};
use crate::error::Error;
use crate::measure::{self, ping};
use crate::site::NodeSite;

/// Where the foreign machines are cabled to.
const LEAF: &str = "leaf1";
/// A machine that knows nothing of Coax.
struct Machine {
    /// Its namespace, and the leaf's port to it.
    name: &'static str,
    /// Its tunnel endpoint.
    address: Ipv4Addr,
    /// The cable's addresses at the leaf and at the machine.
    cable: [Ipv4Addr; 2],
    /// Its addresses in the tenant's network.
    inside: [&'static str; 2],
}
/// The one that is known as a `vtep`.
const KNOWN: Machine = Machine {
    name: "foreign",
    address: Ipv4Addr::new(192, 0, 2, 99),
    cable: [
        Ipv4Addr::new(198, 51, 100, 0),
        Ipv4Addr::new(198, 51, 100, 1),
    ],
    inside: ["10.10.1.99/24", "fd00:10:1::99/64"],
};
/// The one that nobody named.
const UNKNOWN: Machine = Machine {
    name: "stranger",
    address: Ipv4Addr::new(192, 0, 2, 66),
    cable: [
        Ipv4Addr::new(198, 51, 100, 2),
        Ipv4Addr::new(198, 51, 100, 3),
    ],
    inside: ["10.10.1.66/24", "fd00:10:1::66/64"],
};
const UPLINK: &str = "up1";
const UNDERLAY_MTU: u32 = 9216;
const NETWORK: &str = "shop/web";
const DEVICE: &str = "vxlan0";
const PORT: u16 = 4789;

/// What foreign endpoints could do.
#[derive(Debug, Default, Serialize)]
pub struct Foreign {
    /// VMs of the network, times families.
    pub targets: usize,
    /// Answers that the known endpoint got from VMs.
    pub outward: usize,
    /// Answers that VMs got from the known endpoint.
    pub inward: usize,
    /// Answers that the unknown endpoint got.
    pub unknown_answers: usize,
    /// Drops counted as `not-a-member` for it.
    pub unknown_counted: u64,
}

pub(super) fn run(world: &World, checks: &mut Checks) -> Result<Foreign, Error> {
    let (_, shop) = example("shop");
    let vtep = format!(
        "vteps:\n  legacy: {{ address: {}, networks: [web] }}\n",
        KNOWN.address
    );
    world.apply(&format!("{}\n{vtep}", shop.trim_end()))?;
    let mut foreign = Foreign::default();
    let known = attach(world, &KNOWN)?;
    let unknown = attach(world, &UNKNOWN)?;

    let networks = world.networks()?;
    let web = networks.get(NETWORK).map_or(&[][..], Vec::as_slice);
    let targets: Vec<IpAddr> = web.iter().flat_map(addresses).collect();
    foreign.targets = targets.len();
    foreign.outward = answers(&known, targets.clone(), 3)?;
    let inside: Vec<IpAddr> = KNOWN
        .inside
        .iter()
        .filter_map(|net| parse(net))
        .map(|n| n.addr())
        .collect();
    for port in web {
        let pings = world.ping(&port.id, inside.clone())?;
        foreign.inward += pings.iter().filter(|ping| ping.answered.is_some()).count();
    }
    let before = world.ledger()?.dropped("not-a-member");
    foreign.unknown_answers = answers(&unknown, targets, 1)?;
    foreign.unknown_counted = world.ledger()?.dropped("not-a-member") - before;
    world.apply(shop)?;

    checks.equal(
        "the kernel's vxlan device: VMs that answer it",
        foreign.outward,
        foreign.targets,
    );
    checks.equal(
        "VMs that it answers, IPv4 and IPv6",
        foreign.inward,
        foreign.targets,
    );
    checks.equal(
        "an endpoint that nobody named: answers",
        foreign.unknown_answers,
        0,
    );
    let counted = foreign.unknown_counted;
    checks.check(
        "its frames: dropped and counted as not-a-member",
        counted,
        "> 0",
        counted > 0,
    );
    Ok(foreign)
}

fn parse(net: &str) -> Option<IpNet> {
    net.parse().ok()
}

fn answers(site: &NodeSite, targets: Vec<IpAddr>, tries: u32) -> Result<usize, Error> {
    let options = ping::Options {
        limit: Duration::from_secs(2),
        tries,
        ..ping::Options::default()
    };
    let pings = measure::run(&site.namespace, move || ping::ping(&targets, options))?;
    Ok(pings.iter().filter(|ping| ping.answered.is_some()).count())
}

/// Cables a foreign machine to a leaf, routes to it everywhere, and gives it a vxlan device into the
/// tenant's network, with every host that has a member as destination of its broadcasts.
fn attach(world: &World, machine: &Machine) -> Result<NodeSite, Error> {
    world.wait(async {
        let site = NodeSite::create(&world.lab.namespace(machine.name))?;
        cable(world, &site, machine).await?;
        vxlan(world, &site, machine).await?;
        Ok(site)
    })
}

/// A /31 between leaf and machine, a default route there, and routes to the machine everywhere here.
async fn cable(world: &World, site: &NodeSite, machine: &Machine) -> Result<(), Error> {
    let leaf_id = world.site.find(LEAF)?;
    let leaf = world.site.node(leaf_id);
    let near = VethEnd::new(machine.name).with_mtu(UNDERLAY_MTU);
    let far = VethEnd::new(UPLINK).with_mtu(UNDERLAY_MTU);
    let far = far.in_namespace(&site.namespace);
    leaf.netlink.create_veth(&near, &far).await?;
    let [near, far] = [
        leaf.netlink.link(machine.name).await?.index,
        site.netlink.link(UPLINK).await?.index,
    ];
    let [at_leaf, at_machine] = machine.cable;
    leaf.netlink
        .add_address(near, IpNet::V4(Ipv4Net::new_assert(at_leaf, 31)))
        .await?;
    site.netlink
        .add_address(far, IpNet::V4(Ipv4Net::new_assert(at_machine, 31)))
        .await?;
    leaf.netlink.set_up(near).await?;
    site.netlink.set_up(far).await?;
    let lo = site.netlink.link("lo").await?.index;
    let own = IpNet::from(IpAddr::V4(machine.address));
    site.netlink.set_up(lo).await?;
    site.netlink.add_address(lo, own).await?;
    let everything = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0));
    let out = Route::new(everything, vec![NextHop::via(at_leaf.into(), far)]);
    site.netlink.replace_route(&out).await?;
    let last = Route::new(own, vec![NextHop::via(at_machine.into(), near)]);
    leaf.netlink.replace_route(&last).await?;
    // Everybody else reaches the machine as they reach its leaf.
    let leaf_address = IpAddr::V4(world.site.plan.addressing.loopback(leaf_id).v4);
    for (id, _) in world.site.plan.topology.nodes() {
        let node = world.site.node(id);
        let entries = world.site.plan.routes(id, &LinkState::all_up());
        let to_leaf = entries
            .iter()
            .find(|entry| entry.destination.addr() == leaf_address);
        if let Some(entry) = to_leaf {
            let hops = entry.next_hops.iter();
            let hops = hops.map(|hop| Ok(NextHop::via(hop.via, node.device(&hop.device)?)));
            let hops = hops.collect::<Result<_, Error>>()?;
            node.netlink.replace_route(&Route::new(own, hops)).await?;
        }
    }
    Ok(())
}

async fn vxlan(world: &World, site: &NodeSite, machine: &Machine) -> Result<(), Error> {
    let (project, network) = NETWORK.split_once('/').unwrap_or_default();
    let network = world.client.network(project, network).await?;
    let device = Vxlan {
        name: DEVICE,
        vni: network.vni,
        local: IpAddr::V4(machine.address),
        remote: None,
        port: PORT,
        learning: true,
    };
    site.netlink.create_vxlan(&device).await?;
    let device = site.netlink.link(DEVICE).await?.index;
    site.netlink.set_mtu(device, network.mtu).await?;
    for net in machine.inside.iter().filter_map(|net| parse(net)) {
        site.netlink.add_address(device, net).await?;
    }
    site.netlink.set_up(device).await?;
    let ports = world.client.ports(Some(project)).await?;
    let members = ports.iter().filter(|port| port.network == network.name);
    let hosts: BTreeSet<&str> = members.filter_map(|port| port.host.as_deref()).collect();
    for host in hosts {
        let (id, _) = world.site.host(host)?;
        let vtep = IpAddr::V4(world.site.plan.addressing.loopback(id).v4);
        site.netlink.append_fdb(device, [0; 6], vtep).await?;
    }
    Ok(())
}
