//! Point 7: the Linux kernel's own vxlan device, in a namespace beside the fabric, takes part in a
//! network that names it as a `vtep`. One that nobody named is dropped, counted and named.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use coax_fabric::LinkState;
use coax_netlink::{NextHop, Route, VethEnd, Vxlan};
use ipnet::IpNet;
use serde::Serialize;

use super::report::Checks;
use super::world::{World, addresses, example};
use crate::error::Error;
use crate::measure::{self, ping};
use crate::site::NodeSite;

/// Where the foreign machines are cabled to.
const LEAF: &str = "leaf1";
/// The foreign endpoint that is known, and the one that is not.
const KNOWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);
const UNKNOWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 66);
/// Addresses of the known one in the tenant's network.
const INSIDE: [&str; 2] = ["10.10.1.99/24", "fd00:10:1::99/64"];
const INSIDE_UNKNOWN: [&str; 2] = ["10.10.1.66/24", "fd00:10:1::66/64"];
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
    let vtep = format!("vteps:\n  legacy: {{ address: {KNOWN}, networks: [web] }}\n");
    world.apply(&format!("{}\n{vtep}", shop.trim_end()))?;
    let mut foreign = Foreign::default();
    let known = attach(world, "foreign", KNOWN, &INSIDE)?;
    let unknown = attach(world, "stranger", UNKNOWN, &INSIDE_UNKNOWN)?;

    let networks = world.networks()?;
    let web = networks.get(NETWORK).map_or(&[][..], Vec::as_slice);
    let targets: Vec<IpAddr> = web.iter().flat_map(addresses).collect();
    foreign.targets = targets.len();
    foreign.outward = answers(&known, targets.clone(), 3)?;
    let inside: Vec<IpAddr> = INSIDE
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
fn attach(
    world: &World,
    name: &str,
    address: Ipv4Addr,
    inside: &[&str],
) -> Result<NodeSite, Error> {
    let site = NodeSite::create(&world.lab.namespace(name))?;
    world.wait(async {
        cable(world, &site, name, address).await?;
        vxlan(world, &site, address, inside).await
    })?;
    Ok(site)
}

async fn cable(world: &World, site: &NodeSite, name: &str, address: Ipv4Addr) -> Result<(), Error> {
    let topology = &world.site.plan.topology;
    let leaf_id = world.site.find(LEAF)?;
    let leaf = world.site.node(leaf_id);
    let mtu = 9216;
    let far = VethEnd::new("up1")
        .with_mtu(mtu)
        .in_namespace(&site.namespace);
    leaf.netlink
        .create_veth(&VethEnd::new(name).with_mtu(mtu), &far)
        .await?;
    let (port, uplink) = (
        leaf.netlink.link(name).await?,
        site.netlink.link("up1").await?,
    );
    let own = IpNet::from(IpAddr::V4(address));
    site.netlink.add_address(uplink.index, own).await?;
    leaf.netlink.set_up(port.index).await?;
    site.netlink.set_up(uplink.index).await?;
    let lo = site.netlink.link("lo").await?.index;
    site.netlink.set_up(lo).await?;
    // The leaf is reached on the cable, everything else through it.
    let gateway = IpAddr::V4(world.site.plan.addressing.loopback(leaf_id).v4);
    let on_link = Route::new(IpNet::from(gateway), vec![NextHop::on_link(uplink.index)]);
    site.netlink.replace_route(&on_link).await?;
    for (id, _) in topology.nodes().filter(|(id, _)| *id != leaf_id) {
        let loopback = IpAddr::V4(world.site.plan.addressing.loopback(id).v4);
        let route = Route::new(
            IpNet::from(loopback),
            vec![NextHop::via(gateway, uplink.index)],
        );
        site.netlink.replace_route(&route).await?;
    }
    leaf.netlink
        .replace_route(&Route::new(own, vec![NextHop::on_link(port.index)]))
        .await?;
    for (id, _) in topology.nodes().filter(|(id, _)| *id != leaf_id) {
        let node = world.site.node(id);
        let entries = world.site.plan.routes(id, &LinkState::all_up());
        for entry in entries
            .iter()
            .filter(|entry| entry.destination.addr() == gateway)
        {
            let hops = entry.next_hops.iter();
            let hops = hops.map(|hop| Ok(NextHop::via(hop.via, node.device(&hop.device)?)));
            let hops = hops.collect::<Result<_, Error>>()?;
            node.netlink.replace_route(&Route::new(own, hops)).await?;
        }
    }
    Ok(())
}

async fn vxlan(
    world: &World,
    site: &NodeSite,
    address: Ipv4Addr,
    inside: &[&str],
) -> Result<(), Error> {
    let (project, network) = NETWORK.split_once('/').unwrap_or_default();
    let network = world.client.network(project, network).await?;
    let device = Vxlan {
        name: DEVICE,
        vni: network.vni,
        local: IpAddr::V4(address),
        remote: None,
        port: PORT,
        learning: true,
    };
    site.netlink.create_vxlan(&device).await?;
    let device = site.netlink.link(DEVICE).await?.index;
    site.netlink.set_mtu(device, network.mtu).await?;
    for net in inside.iter().filter_map(|net| parse(net)) {
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
