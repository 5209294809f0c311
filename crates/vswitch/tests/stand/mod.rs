//! The stand of `coax_sim::Stand` in the kernel: namespaces, veth pairs, routes and neighbours, and
//! one data plane on it.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod executor;
pub mod tap;
pub mod wire;

use coax_netlink::{Netlink, NextHop, Route, ScopedNamespace, VethEnd};
use coax_sim::stand::Vtep;
use coax_sim::{Device, Stand};
use executor::Executor;
use ipnet::IpNet;
use tap::Tap;
use wire::Wire;

/// The namespaces of a stand; they end with the value.
pub struct KernelStand {
    host: ScopedNamespace,
    far: ScopedNamespace,
    stand: Stand,
    far_indices: Vec<(Device, u32)>,
}

impl KernelStand {
    /// Builds a stand, with `label` in the names of its namespaces.
    pub fn build(label: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(build(label)).unwrap()
    }

    /// Opens a data plane on the stand and does `work` with it, on a thread in the namespace of
    /// the host.
    pub fn run<T: Send>(&self, label: &str, work: impl FnOnce(&mut Executor) -> T + Send) -> T {
        let stand = self.stand.clone();
        let run = || work(&mut Executor::open(label, stand));
        self.host.run(run).unwrap()
    }

    /// As `run`, with the programs attached to the devices and taps on both ends.
    pub fn wire<T: Send>(&self, label: &str, work: impl FnOnce(&mut Wire<'_>) -> T + Send) -> T {
        let far = self.far.run(Tap::open).unwrap();
        self.run(label, |executor| {
            work(&mut Wire::new(executor, far, self.far_indices.clone()))
        })
    }
}

async fn build(label: &str) -> Result<KernelStand, coax_netlink::Error> {
    let host = ScopedNamespace::create(&format!("coax-stand-{label}"))?;
    let far = ScopedNamespace::create(&format!("coax-stand-{label}-far"))?;
    far.write_sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
    // Nobody speaks on the stand but the tests: no router solicitations, no group reports.
    for (key, value) in [
        ("accept_dad", "0"),
        ("addr_gen_mode", "1"),
        ("accept_ra", "0"),
    ] {
        host.write_sysctl(&format!("net.ipv6.conf.default.{key}"), value)?;
    }
    let netlink = host.netlink()?;
    let far_netlink = far.netlink()?;
    netlink.set_up(1).await?;
    for family in ["ipv4", "ipv6"] {
        host.write_sysctl(&format!("net.{family}.conf.lo.forwarding"), "1")?;
    }
    for ipv6 in [false, true] {
        netlink.add_address(1, whole(Vtep::OWN, ipv6)).await?;
    }
    let (mut indices, mut far_indices) = (Vec::new(), Vec::new());
    for device in Device::ALL {
        let name = device.name();
        let near_end = VethEnd::new(name)
            .with_mac(device.mac().0)
            .with_mtu(device.mtu());
        let far_end = VethEnd::new(name)
            .with_mac(device.next_hop().0)
            .with_mtu(device.mtu())
            .in_namespace(&far);
        netlink.create_veth(&near_end, &far_end).await?;
        if !device.is_uplink() {
            host.write_sysctl(&format!("net.ipv6.conf.{name}.disable_ipv6"), "1")?;
        }
        let index = netlink.link(name).await?.index;
        let far_index = far_netlink.link(name).await?.index;
        far_netlink.set_up(far_index).await?;
        far_indices.push((device, far_index));
        if device.is_up() {
            netlink.set_up(index).await?;
        }
        indices.push((device, index));
    }
    let stand = Stand::new(indices);
    route(&netlink, &stand).await?;
    Ok(KernelStand {
        host,
        far,
        stand,
        far_indices,
    })
}

async fn route(netlink: &Netlink, stand: &Stand) -> Result<(), coax_netlink::Error> {
    for (vtep, device, resolved) in Vtep::ROUTES {
        let link = stand.index(device);
        for ipv6 in [false, true] {
            let next_hops = vec![NextHop::on_link(link)];
            let route = Route::new(whole(vtep, ipv6), next_hops);
            let own = Vtep::OWN.address(ipv6);
            netlink.replace_route(&route.with_source(own)).await?;
            if resolved {
                let mac = device.next_hop().0;
                netlink.set_neighbour(link, vtep.address(ipv6), mac).await?;
            }
        }
    }
    Ok(())
}

/// A VTEP's address as a prefix of its own.
fn whole(vtep: Vtep, ipv6: bool) -> IpNet {
    IpNet::from(vtep.address(ipv6))
}
