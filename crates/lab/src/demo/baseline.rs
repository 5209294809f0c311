//! What people run today, for comparison: on every hypervisor of an equal fabric a Linux bridge and a
//! kernel vxlan device per network, with static forwarding entries (head-end replication).

use std::collections::BTreeSet;
use std::net::IpAddr;

use coax_api::Port;
use coax_fabric::NodeId;
use coax_netlink::{Namespace, VethEnd, Vxlan};

use super::world::mac;
use crate::error::Error;
use crate::name::vm_device;
use crate::site::Site;
use crate::vm::{self, VmSpec};

const PORT: u16 = 4789;
const VXLAN_OVERHEAD: u32 = 50;

/// Builds one network on all hosts that have a VM in it, and boots the VMs.
pub async fn build(site: &Site, ports: &[&Port], vni: u32, underlay_mtu: u32) -> Result<(), Error> {
    let mut hosts = BTreeSet::new();
    for port in ports {
        hosts.insert(
            site.host(port.host_wanted.as_deref().unwrap_or_default())?
                .0,
        );
    }
    for host in &hosts {
        bridge(site, *host, &hosts, vni, underlay_mtu).await?;
    }
    for port in ports {
        let (host, _) = site.host(port.host_wanted.as_deref().unwrap_or_default())?;
        let Some(spec) = VmSpec::of(port) else {
            continue;
        };
        boot(site, &spec, host, vni).await?;
        // Static entries, so that the comparison is one of forwarding and not of learning.
        for other in hosts.iter().filter(|other| **other != host) {
            let node = site.node(*other);
            let device = node.netlink.link(&vxlan_name(vni)).await?.index;
            let vtep = IpAddr::V4(site.plan.addressing.loopback(host).v4);
            node.netlink.append_fdb(device, mac(port), vtep).await?;
        }
    }
    Ok(())
}

fn vxlan_name(vni: u32) -> String {
    format!("vx{vni}")
}

fn bridge_name(vni: u32) -> String {
    format!("br{vni}")
}

async fn bridge(
    site: &Site,
    host: NodeId,
    hosts: &BTreeSet<NodeId>,
    vni: u32,
    underlay_mtu: u32,
) -> Result<(), Error> {
    let node = site.node(host);
    // Bridges that call iptables are slower; there are no rules that could be called.
    let off = || {
        for family in ["iptables", "ip6tables", "arptables"] {
            // Absent where the kernel has no bridge netfilter.
            let _ = coax_netlink::write_sysctl(&format!("net.bridge.bridge-nf-call-{family}"), "0");
        }
    };
    node.namespace.run(off)?;
    let (bridge, vxlan) = (bridge_name(vni), vxlan_name(vni));
    node.netlink.create_bridge(&bridge).await?;
    let device = Vxlan {
        name: &vxlan,
        vni,
        local: IpAddr::V4(site.plan.addressing.loopback(host).v4),
        remote: None,
        port: PORT,
        learning: false,
    };
    node.netlink.create_vxlan(&device).await?;
    let [bridge, vxlan] = [
        node.netlink.link(&bridge).await?.index,
        node.netlink.link(&vxlan).await?.index,
    ];
    node.netlink
        .set_mtu(vxlan, underlay_mtu - VXLAN_OVERHEAD)
        .await?;
    node.netlink.set_master(vxlan, Some(bridge)).await?;
    for other in hosts.iter().filter(|other| **other != host) {
        let vtep = IpAddr::V4(site.plan.addressing.loopback(*other).v4);
        node.netlink.append_fdb(vxlan, [0; 6], vtep).await?;
    }
    node.netlink.set_up(vxlan).await?;
    node.netlink.set_up(bridge).await?;
    Ok(())
}

/// A VM as the lab boots them, but plugged into the bridge.
async fn boot(site: &Site, spec: &VmSpec, host: NodeId, vni: u32) -> Result<(), Error> {
    let namespace = Namespace::create(&site.lab.vm_namespace(&spec.port))?;
    vm::prepare(&namespace)?;
    let (netlink, hypervisor) = (namespace.netlink()?, &site.node(host).netlink);
    let name = vm_device(&spec.port);
    let outside = VethEnd::new(&name).with_mtu(spec.mtu);
    let card = VethEnd::new(vm::CARD)
        .in_namespace(&namespace)
        .with_mac(spec.mac);
    hypervisor
        .create_veth(&outside, &card.with_mtu(spec.mtu))
        .await?;
    let device = hypervisor.link(&name).await?.index;
    let bridge = hypervisor.link(&bridge_name(vni)).await?.index;
    hypervisor.set_master(device, Some(bridge)).await?;
    hypervisor.set_up(device).await?;
    vm::configure(&netlink, spec).await
}
