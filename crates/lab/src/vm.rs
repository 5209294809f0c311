//! A VM of the lab: a namespace with one network card. Its other end is a device of the hypervisor
//! whose alias names the port, which is all that the agent there needs, for TAP devices of a real
//! hypervisor as well.

use std::net::IpAddr;
use std::process::Command;

use coax_api::Port;
use coax_fabric::{NodeId, Tier};
use coax_netlink::{Namespace, Netlink, NextHop, Route, VethEnd};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::error::Error;
use crate::name::{alias, vm_device};
use crate::process;
use crate::site::Site;

/// The VM's network card, as the VM calls it.
pub const CARD: &str = "eth0";

/// What a VM's card does not offer: to cut packets of the VM's own tunnels.
const TUNNEL_FEATURES: [&str; 6] = [
    "tx-udp_tnl-segmentation",
    "tx-udp_tnl-csum-segmentation",
    "tx-gre-segmentation",
    "tx-gre-csum-segmentation",
    "tx-ipxip4-segmentation",
    "tx-ipxip6-segmentation",
];

/// The kernel settings of a VM: usable addresses at once, no router solicitations.
const VM_SETTINGS: [(&str, &str); 4] = [
    ("net.ipv6.conf.all.accept_dad", "0"),
    ("net.ipv6.conf.default.accept_dad", "0"),
    ("net.ipv6.conf.default.accept_ra", "0"),
    ("net.ipv6.conf.default.router_solicitations", "0"),
];

/// What a VM is to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmSpec {
    /// Its port, `project/name`.
    pub port: String,
    /// Its card's MAC address.
    pub mac: [u8; 6],
    /// Its card's MTU.
    pub mtu: u32,
    /// Its addresses with their prefixes.
    pub prefixes: Vec<IpNet>,
    /// Where everything else is reached.
    pub gateways: Vec<IpAddr>,
}

impl VmSpec {
    /// The VM of a port; `None` if the API's answer holds no legal MAC address.
    pub fn of(port: &Port) -> Option<Self> {
        Some(Self {
            port: port.id.clone(),
            mac: parse_mac(&port.mac)?,
            mtu: port.mtu,
            prefixes: port
                .prefixes
                .iter()
                .filter_map(|p| p.parse().ok())
                .collect(),
            gateways: port
                .gateways
                .iter()
                .filter_map(|it| it.parse().ok())
                .collect(),
        })
    }
}

/// Reads `02:00:00:00:00:01`.
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let bytes = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).ok());
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

/// Boots a VM on a host. `device_mtu` is what the hypervisor's side takes: more than the VM's own
/// MTU, so that a guest that sends too much meets the vSwitch and not a silent driver.
pub async fn boot(site: &Site, spec: &VmSpec, host: NodeId, device_mtu: u32) -> Result<(), Error> {
    let namespace = Namespace::create(&site.lab.vm_namespace(&spec.port))?;
    let booted = plug_in(site, spec, host, device_mtu, &namespace).await;
    if booted.is_err() {
        remove(site, &spec.port).await?;
    }
    booted
}

async fn plug_in(
    site: &Site,
    spec: &VmSpec,
    host: NodeId,
    device_mtu: u32,
    namespace: &Namespace,
) -> Result<(), Error> {
    let settings = || {
        VM_SETTINGS
            .iter()
            .try_for_each(|(key, value)| coax_netlink::write_sysctl(key, value))
    };
    namespace.run(settings)??;
    let (vm, hypervisor) = (namespace.netlink()?, &site.node(host).netlink);
    let name = vm_device(&spec.port);
    let outside = VethEnd::new(&name).with_mtu(device_mtu);
    let card = VethEnd::new(CARD)
        .in_namespace(namespace)
        .with_mac(spec.mac)
        .with_mtu(spec.mtu);
    hypervisor.create_veth(&outside, &card).await?;
    let device = hypervisor.link(&name).await?.index;
    cut_tunnels(namespace);
    configure(&vm, spec).await?;
    hypervisor.set_alias(device, &alias(&spec.port)).await?;
    hypervisor.set_up(device).await?;
    Ok(())
}

/// Lets the VM's kernel cut what its own tunnels send, as a guest's kernel does: a frame that stands for many segments
/// describes one tunnel, and the vSwitch adds another. Without `ethtool` everything else works.
fn cut_tunnels(namespace: &Namespace) {
    let mut ethtool = Command::new("ethtool");
    ethtool.args(["-K", CARD]);
    for feature in TUNNEL_FEATURES {
        ethtool.args([feature, "off"]);
    }
    match namespace.run(move || ethtool.output()) {
        Ok(Ok(output)) if output.status.success() => {}
        other => tracing::debug!(?other, "tunnels of the VM are not cut by its kernel"),
    }
}

/// Gives a VM's namespace its kernel settings.
pub(crate) fn prepare(namespace: &Namespace) -> Result<(), Error> {
    let settings = || {
        VM_SETTINGS
            .iter()
            .try_for_each(|(key, value)| coax_netlink::write_sysctl(key, value))
    };
    Ok(namespace.run(settings)??)
}

/// Gives a VM its addresses and switches its devices on.
pub(crate) async fn configure(vm: &Netlink, spec: &VmSpec) -> Result<(), Error> {
    vm.set_up(vm.link("lo").await?.index).await?;
    let card = vm.link(CARD).await?.index;
    for prefix in &spec.prefixes {
        vm.add_address(card, *prefix).await?;
    }
    vm.set_up(card).await?;
    for gateway in &spec.gateways {
        let everywhere = match gateway {
            IpAddr::V4(_) => IpNet::from(Ipv4Net::default()),
            IpAddr::V6(_) => IpNet::from(Ipv6Net::default()),
        };
        let hop = NextHop::via(*gateway, card);
        vm.replace_route(&Route::new(everywhere, vec![hop])).await?;
    }
    Ok(())
}

/// Where a VM's device is: the host and the device's index there.
pub async fn locate(site: &Site, port: &str) -> Result<Option<(NodeId, u32)>, Error> {
    let name = vm_device(port);
    for (id, _) in site.plan.topology.tier(Tier::Host) {
        match site.node(id).netlink.link(&name).await {
            Ok(link) => return Ok(Some((id, link.index))),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Moves a VM's device to another host, as live migration does at its end. The VM notices nothing.
pub async fn unplug_and_plug(site: &Site, port: &str, to: NodeId) -> Result<(), Error> {
    let found = locate(site, port).await?;
    let (from, device) = found.ok_or_else(|| Error::NotPlugged(port.to_owned()))?;
    if from == to {
        return Ok(());
    }
    let target = site.node(to);
    site.node(from)
        .netlink
        .set_namespace(device, &target.namespace)
        .await?;
    let device = target.netlink.link(&vm_device(port)).await?;
    if device.alias.as_deref() != Some(alias(port).as_str()) {
        target.netlink.set_alias(device.index, &alias(port)).await?;
    }
    target.netlink.set_up(device.index).await?;
    Ok(())
}

/// Switches a VM off: its processes, its card, its namespace. A VM that is gone is fine.
pub async fn remove(site: &Site, port: &str) -> Result<(), Error> {
    let name = site.lab.vm_namespace(port);
    if let Ok(namespace) = Namespace::open(&name) {
        process::inside(&[namespace])
            .into_iter()
            .for_each(process::ProcessId::kill);
    }
    if let Some((host, device)) = locate(site, port).await? {
        match site.node(host).netlink.delete_link(device).await {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
    }
    match Namespace::delete(&name) {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

/// The ports whose VMs exist.
pub fn list(site: &Site) -> Result<Vec<String>, Error> {
    let namespaces = Namespace::list()?;
    Ok(namespaces
        .iter()
        .filter_map(|name| site.lab.vm_port(name))
        .collect())
}

/// The first address of a family among prefixes.
pub fn address(prefixes: &[IpNet], v6: bool) -> Option<IpAddr> {
    prefixes
        .iter()
        .map(IpNet::addr)
        .find(|address| address.is_ipv6() == v6)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn macs_are_read_or_refused() {
        assert_eq!(parse_mac("02:00:0a:00:ff:01"), Some([2, 0, 10, 0, 255, 1]));
        for bad in [
            "",
            "02:00:0a:00:ff",
            "02:00:0a:00:ff:01:02",
            "02:00:0a:00:ff:zz",
        ] {
            assert_eq!(parse_mac(bad), None);
        }
    }
}
