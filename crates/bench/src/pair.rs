//! Two VMs in namespaces, joined by one of several datapaths.
//!
//! ```text
//!   vm1 eth0 --- port0 hv1 ul0 ======= ul0 hv2 port0 --- eth0 vm2
//! ```

mod datapaths;

use crate::Error;
use crate::measure::{RECEIVING_CPU, SENDING_CPU};
use crate::plan::{Plan, Side};
use crate::rows::Tenant;
use crate::vm::Vm;
use coax_netlink::{Namespace, NextHop, Route, VethEnd};
use coax_vswitch::KernelDataPlane;
use std::net::IpAddr;
use std::path::PathBuf;

/// UDP port of the tunnels.
pub const UDP_PORT: u16 = coax_wire::vxlan::Vxlan::PORT;

/// Largest packet of the VMs, unless the plan says otherwise.
pub const MTU: u32 = 1500;

/// Largest packet between the hosts, unless the plan says otherwise.
pub const UNDERLAY_MTU: u32 = 1600;

/// What joins the two VMs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum)]
pub enum Datapath {
    /// One veth pair and nothing else: the limit.
    Veth,
    /// A Linux bridge on each host, no overlay.
    Bridge,
    /// A Linux bridge and the kernel's vxlan device on each host: what people run today.
    BridgeVxlan,
    /// Coax.
    Coax,
}

/// Two VMs joined by a datapath. Dropping it removes everything.
#[derive(Debug)]
pub struct Pair {
    /// Namespaces of the VMs.
    pub vms: [Namespace; 2],
    /// Those of the other project's VMs, if the plan has them.
    pub neighbours: Vec<Namespace>,
    hosts: Vec<Namespace>,
    planes: Vec<KernelDataPlane>,
    pins: Vec<PathBuf>,
}

impl Pair {
    /// Builds two VMs joined by `datapath`, with `label` in the names of the namespaces.
    ///
    /// # Errors
    /// When a namespace, device, route or program cannot be made; what was made is removed.
    pub async fn build(datapath: Datapath, label: &str, over_ipv6: bool) -> Result<Self, Error> {
        Self::build_plan(&Plan::of(datapath, label).over_ipv6(over_ipv6)).await
    }

    /// Builds two VMs as `plan` says, each on a host of its own unless one cable joins them.
    ///
    /// # Errors
    /// As `build`.
    pub async fn build_plan(plan: &Plan) -> Result<Self, Error> {
        let mut pair = Self::vms(plan)?;
        if plan.sides == [Side::Cable; 2] {
            pair.join_vms().await?;
            return Ok(pair);
        }
        for host in ["hv1", "hv2"] {
            pair.hosts.push(Namespace::create(&name(plan, host))?);
        }
        pair.join_hosts(plan).await?;
        for place in 0..2 {
            for tenant in tenants(plan) {
                pair.plug(place, tenant, plan.vm_mtu).await?;
            }
            match plan.sides[place] {
                Side::Bare | Side::Cable => {}
                Side::Bridge => pair.bridge(place, "ul0").await?,
                Side::KernelVxlan(checksums) => {
                    pair.vxlan(place, plan, checksums).await?;
                    pair.bridge(place, "vx0").await?;
                    if let Some(filter) = plan.filter {
                        filter.install(&pair.hosts[place])?;
                    }
                }
                Side::Coax(peer) => pair.coax(place, plan, peer).await?,
            }
        }
        Ok(pair)
    }

    fn vms(plan: &Plan) -> Result<Self, Error> {
        Ok(Self {
            vms: [
                Namespace::create(&name(plan, "vm1"))?,
                Namespace::create(&name(plan, "vm2"))?,
            ],
            neighbours: match plan.neighbours {
                true => vec![
                    Namespace::create(&name(plan, "vm3"))?,
                    Namespace::create(&name(plan, "vm4"))?,
                ],
                false => Vec::new(),
            },
            hosts: Vec::new(),
            planes: Vec::new(),
            pins: Vec::new(),
        })
    }

    /// The data planes of the hosts that run Coax, in the order of the hosts.
    pub fn planes(&mut self) -> &mut [KernelDataPlane] {
        &mut self.planes
    }

    /// The namespace of a host: 0 or 1.
    pub fn host(&self, place: usize) -> Option<&Namespace> {
        self.hosts.get(place)
    }

    /// Lets each VM and its host receive on the CPU that the VM's end of the traffic runs on, or on whichever CPU a frame is on.
    /// Two machines have CPUs of their own, and their network cards have receive queues that keep a flow on one; virtual devices
    /// have none. Without steering, a TCP sender that is woken by acknowledgements on the receiver's CPU sends from there, too: its
    /// segments overtake each other on two CPUs, on any of the datapaths, and what is measured is how TCP takes that.
    ///
    /// # Errors
    /// When `ip` cannot be started or the kernel refuses.
    pub fn steer(&self, steered: bool) -> Result<(), Error> {
        for (place, cpu) in [SENDING_CPU, RECEIVING_CPU].into_iter().enumerate() {
            let mask = if steered { 1 << cpu } else { 0 };
            let script = format!(
                "for cpus in /sys/class/net/*/queues/rx-*/rps_cpus; do echo {mask:x} > $cpus; done"
            );
            let namespaces = [self.vms.get(place), self.hosts.get(place)];
            for namespace in namespaces.into_iter().flatten() {
                let status = std::process::Command::new("ip")
                    .args(["netns", "exec", namespace.name(), "sh", "-ec", &script])
                    .status()
                    .map_err(Error::io("start ip"))?;
                if !status.success() {
                    return Err(Error::Traffic {
                        what: "receive packet steering".to_owned(),
                        expected: "success".to_owned(),
                        found: status.to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    async fn join_vms(&self) -> Result<(), Error> {
        let [one, other] = &self.vms;
        let (first, second) = (Vm::number(1), Vm::number(2));
        one.netlink()?
            .create_veth(
                &VethEnd::new("eth0").with_mac(first.mac.0).with_mtu(MTU),
                &VethEnd::new("eth0")
                    .with_mac(second.mac.0)
                    .with_mtu(MTU)
                    .in_namespace(other),
            )
            .await?;
        for (place, namespace) in self.vms.iter().enumerate() {
            address_vm(namespace, &Tenant::First.vm(place)).await?;
        }
        Ok(())
    }

    async fn join_hosts(&self, plan: &Plan) -> Result<(), Error> {
        let (one, other) = (&self.hosts[0], &self.hosts[1]);
        one.netlink()?
            .create_veth(
                &VethEnd::new("ul0").with_mtu(plan.underlay_mtu),
                &VethEnd::new("ul0")
                    .with_mtu(plan.underlay_mtu)
                    .in_namespace(other),
            )
            .await?;
        for place in 0..2 {
            self.hosts[place].write_sysctl("net.ipv6.conf.ul0.accept_dad", "0")?;
            // It slows bridges down without any rule; a fair baseline has it off. Kernels without
            // bridge filtering do not have the switch.
            for family in ["ip", "ip6"] {
                let key = format!("net.bridge.bridge-nf-call-{family}tables");
                let _ = self.hosts[place].write_sysctl(&key, "0");
            }
            let netlink = self.hosts[place].netlink()?;
            up(&netlink, "lo").await?;
            up(&netlink, "ul0").await?;
        }
        if plan.is_routed() {
            self.route_hosts().await
        } else {
            Ok(())
        }
    }

    async fn route_hosts(&self) -> Result<(), Error> {
        let macs = [
            self.hosts[0].netlink()?.link("ul0").await?.mac,
            self.hosts[1].netlink()?.link("ul0").await?.mac,
        ];
        for place in 0..2 {
            let (own, other) = (Vm::number(place as u8 + 1), Vm::number(2 - place as u8));
            let netlink = self.hosts[place].netlink()?;
            let (lo, uplink) = (
                netlink.link("lo").await?.index,
                netlink.link("ul0").await?.index,
            );
            for (own_vtep, vtep, own_link, gateway) in [
                (
                    own.vtep(false),
                    other.vtep(false),
                    own.link_address(false),
                    other.link_address(false),
                ),
                (
                    own.vtep(true),
                    other.vtep(true),
                    own.link_address(true),
                    other.link_address(true),
                ),
            ] {
                let (whole, half) = if vtep.is_ipv4() { (32, 31) } else { (128, 127) };
                netlink.add_address(lo, net(own_vtep, whole)).await?;
                netlink.add_address(uplink, net(own_link, half)).await?;
                if let Some(mac) = macs[1 - place] {
                    netlink.set_neighbour(uplink, gateway, mac).await?;
                }
                let route = Route::new(net(vtep, whole), vec![NextHop::via(gateway, uplink)]);
                netlink.replace_route(&route.with_source(own_vtep)).await?;
            }
        }
        Ok(())
    }

    async fn plug(&self, place: usize, tenant: Tenant, mtu: u32) -> Result<(), Error> {
        let (vm, device) = (tenant.vm(place), tenant.device());
        let namespace = self.vm(place, tenant);
        let netlink = self.hosts[place].netlink()?;
        netlink
            .create_veth(
                &VethEnd::new(device).with_mtu(mtu),
                &VethEnd::new("eth0")
                    .with_mac(vm.mac.0)
                    .with_mtu(mtu)
                    .in_namespace(namespace),
            )
            .await?;
        self.hosts[place].write_sysctl(&format!("net.ipv6.conf.{device}.disable_ipv6"), "1")?;
        up(&netlink, device).await?;
        address_vm(namespace, &vm).await
    }

    fn vm(&self, place: usize, tenant: Tenant) -> &Namespace {
        match tenant {
            Tenant::First => &self.vms[place],
            Tenant::Neighbour => &self.neighbours[place],
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.planes.clear();
        for pins in &self.pins {
            if let Err(error) = KernelDataPlane::remove(pins) {
                eprintln!("{error}");
            }
        }
        for namespace in self.vms.iter().chain(&self.neighbours).chain(&self.hosts) {
            if let Err(error) = Namespace::delete(namespace.name()) {
                eprintln!("{error}");
            }
        }
    }
}

fn tenants(plan: &Plan) -> impl Iterator<Item = Tenant> {
    let neighbour = plan.neighbours.then_some(Tenant::Neighbour);
    [Tenant::First].into_iter().chain(neighbour)
}

fn name(plan: &Plan, what: &str) -> String {
    format!("coax-{}-{}-{what}", plan.label, std::process::id())
}

/// Gives a VM its addresses.
async fn address_vm(namespace: &Namespace, vm: &Vm) -> Result<(), Error> {
    namespace.write_sysctl("net.ipv6.conf.default.accept_dad", "0")?;
    namespace.write_sysctl("net.ipv6.conf.all.accept_dad", "0")?;
    namespace.write_sysctl("net.ipv6.conf.eth0.accept_dad", "0")?;
    let netlink = namespace.netlink()?;
    up(&netlink, "lo").await?;
    let link = netlink.link("eth0").await?;
    netlink
        .add_address(link.index, net(vm.ipv4.into(), 24))
        .await?;
    netlink
        .add_address(link.index, net(vm.ipv6.into(), 64))
        .await?;
    netlink.set_up(link.index).await?;
    Ok(())
}

async fn up(netlink: &coax_netlink::Netlink, device: &str) -> Result<(), Error> {
    Ok(netlink.set_up(netlink.link(device).await?.index).await?)
}

fn net(address: IpAddr, length: u8) -> ipnet::IpNet {
    ipnet::IpNet::new_assert(address, length)
}
