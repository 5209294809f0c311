//! Building a fabric in namespaces: nodes, cables, addresses, neighbours, the management network.
//! The kernel of each namespace is the router; nothing of Coax takes part in the fabric's forwarding.

use std::net::{IpAddr, Ipv4Addr};

use coax_fabric::{LinkId, NodeId, Plan, Tier};
use coax_netlink::VethEnd;
use ipnet::{IpNet, Ipv4Net};

use crate::error::Error;
use crate::name::{LabName, MANAGER};
use crate::site::{NodeSite, Site};

/// The device of a hypervisor on the management network.
pub const MANAGEMENT_DEVICE: &str = "mgmt0";
/// The bridge of the management network.
const MANAGEMENT_BRIDGE: &str = "mgmt";
/// The manager's address; hosts follow. Never routed, never seen outside the namespaces.
const MANAGER_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 255, 1);
const MANAGEMENT_PREFIX: u8 = 24;

/// The kernel settings of every node: a router with equal-cost paths by flow that leaves a dead
/// cable at once, and no chatter of its own on the cables.
const NODE_SETTINGS: [(&str, &str); 18] = [
    ("net.ipv4.ip_forward", "1"),
    ("net.ipv6.conf.all.forwarding", "1"),
    ("net.ipv4.fib_multipath_hash_policy", "1"),
    ("net.ipv6.fib_multipath_hash_policy", "1"),
    ("net.ipv4.conf.all.ignore_routes_with_linkdown", "1"),
    ("net.ipv4.conf.default.ignore_routes_with_linkdown", "1"),
    ("net.ipv6.conf.all.ignore_routes_with_linkdown", "1"),
    ("net.ipv6.conf.default.ignore_routes_with_linkdown", "1"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    ("net.ipv6.conf.all.accept_dad", "0"),
    ("net.ipv6.conf.default.accept_dad", "0"),
    ("net.ipv6.conf.default.accept_ra", "0"),
    // Addresses of an uplink survive that it is switched off and on again.
    ("net.ipv6.conf.all.keep_addr_on_down", "1"),
    ("net.ipv6.conf.default.keep_addr_on_down", "1"),
    // No link-local addresses: the host's side of a VM's device must not speak, nor the fabric's links.
    ("net.ipv6.conf.default.addr_gen_mode", "1"),
    // Static neighbours answer all; should one be missing, its absence must show.
    ("net.ipv4.conf.all.arp_ignore", "1"),
    ("net.ipv4.conf.all.send_redirects", "0"),
];

/// Builds a fabric, without routes. Leaves what was built behind on an error: the caller takes it down.
pub async fn build(lab: &LabName, plan: Plan, underlay_mtu: u32) -> Result<Site, Error> {
    let mut nodes = Vec::with_capacity(plan.topology.nodes().len());
    for (_, node) in plan.topology.nodes() {
        nodes.push(create_node(lab, node.name.as_str())?);
    }
    let manager = create_node(lab, MANAGER)?;
    let mut site = Site::new(lab.clone(), plan, nodes, manager);
    for (link, _) in site.plan.topology.links() {
        create_cable(&site, link, underlay_mtu).await?;
    }
    create_management(&site).await?;
    for node in site.nodes_mut() {
        node.refresh().await?;
    }
    for (id, _) in site.plan.topology.nodes() {
        address_node(&site, id).await?;
    }
    // Neighbours only after both ends are up: switching a device on forgets them.
    for (id, _) in site.plan.topology.nodes() {
        set_neighbours(&site, id).await?;
    }
    Ok(site)
}

fn create_node(lab: &LabName, name: &str) -> Result<NodeSite, Error> {
    let node = NodeSite::create(&lab.namespace(name))?;
    let settings = || {
        NODE_SETTINGS
            .iter()
            .try_for_each(|(key, value)| coax_netlink::write_sysctl(key, value))
    };
    node.namespace.run(settings)??;
    Ok(node)
}

/// The MAC address of an end of a cable: locally administered, and readable in a capture.
pub fn link_mac(link: LinkId, upper: bool) -> [u8; 6] {
    // A fabric of more than 65536 links would not fit on a machine.
    let [high, low] = u16::try_from(link.index())
        .unwrap_or(u16::MAX)
        .to_be_bytes();
    [0x02, 0xfa, 0xb0, high, low, if upper { 1 } else { 2 }]
}

async fn create_cable(site: &Site, id: LinkId, mtu: u32) -> Result<(), Error> {
    let link = site.plan.topology.link(id);
    let (upper, lower) = (site.node(link.upper), site.node(link.lower));
    let one = VethEnd::new(&link.upper_device)
        .with_mac(link_mac(id, true))
        .with_mtu(mtu);
    let other = VethEnd::new(&link.lower_device)
        .with_mac(link_mac(id, false))
        .with_mtu(mtu);
    let other = other.in_namespace(&lower.namespace);
    Ok(upper.netlink.create_veth(&one, &other).await?)
}

/// Gives a node its loopback and its ends of the cables, and switches everything on.
async fn address_node(site: &Site, id: NodeId) -> Result<(), Error> {
    let node = site.node(id);
    let loopback = node.device("lo")?;
    node.netlink.set_up(loopback).await?;
    for address in site.plan.addressing.loopback(id).host_nets() {
        node.netlink.add_address(loopback, address).await?;
    }
    for link in site.plan.topology.links_of(id) {
        let (Some(name), Some(pair)) = (
            site.plan.topology.link(*link).device(id),
            site.plan.end(*link, id),
        ) else {
            continue;
        };
        let device = node.device(name)?;
        for address in pair.nets(31, 127) {
            node.netlink.add_address(device, address).await?;
        }
        node.netlink.set_up(device).await?;
    }
    Ok(())
}

/// Enters the far end of each of a node's cables as a permanent neighbour. Devices that are off take
/// none; whoever switches them on calls this again.
pub(crate) async fn set_neighbours(site: &Site, id: NodeId) -> Result<(), Error> {
    for link in site.plan.topology.links_of(id) {
        set_neighbour(site, id, *link).await?;
    }
    Ok(())
}

/// Enters the far end of one cable as a permanent neighbour.
pub(crate) async fn set_neighbour(site: &Site, id: NodeId, link: LinkId) -> Result<(), Error> {
    let node = site.node(id);
    let ends = site.plan.topology.link(link);
    let Some((name, far)) = ends.device(id).zip(ends.other(id)) else {
        return Ok(());
    };
    let device = node.device(name)?;
    let Some(addresses) = site.plan.end(link, far) else {
        return Ok(());
    };
    let mac = link_mac(link, ends.upper == far);
    for address in [IpAddr::V4(addresses.v4), IpAddr::V6(addresses.v6)] {
        node.netlink.set_neighbour(device, address, mac).await?;
    }
    Ok(())
}

/// A bridge in the manager's namespace with a port to every hypervisor.
async fn create_management(site: &Site) -> Result<(), Error> {
    let manager = &site.manager.netlink;
    manager.create_bridge(MANAGEMENT_BRIDGE).await?;
    let bridge = manager.link(MANAGEMENT_BRIDGE).await?.index;
    manager
        .add_address(bridge, management_net(MANAGER_ADDRESS))
        .await?;
    manager.set_up(bridge).await?;
    manager.set_up(manager.link("lo").await?.index).await?;
    for (number, (id, host)) in (2u8..).zip(site.plan.topology.tier(Tier::Host)) {
        let node = site.node(id);
        let port = VethEnd::new(host.name.as_str());
        let inside = VethEnd::new(MANAGEMENT_DEVICE).in_namespace(&node.namespace);
        manager.create_veth(&port, &inside).await?;
        let port = manager.link(host.name.as_str()).await?.index;
        manager.set_master(port, Some(bridge)).await?;
        manager.set_up(port).await?;
        let inside = node.netlink.link(MANAGEMENT_DEVICE).await?.index;
        let [a, b, c, _] = MANAGER_ADDRESS.octets();
        let address = management_net(Ipv4Addr::new(a, b, c, number));
        node.netlink.add_address(inside, address).await?;
        node.netlink.set_up(inside).await?;
    }
    Ok(())
}

fn management_net(address: Ipv4Addr) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(address, MANAGEMENT_PREFIX))
}

/// Where the controller listens for agents.
pub fn manager_address() -> Ipv4Addr {
    MANAGER_ADDRESS
}
