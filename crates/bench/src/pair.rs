//! Two VMs in namespaces, joined by one of several datapaths.
//!
//! ```text
//!   vm1 eth0 --- port0 hv1 ul0 ======= ul0 hv2 port0 --- eth0 vm2
//! ```

use crate::Error;
use crate::rows::{self, rows};
use coax_netlink::{Namespace, NextHop, Route, VethEnd, Vxlan};
use coax_vswitch::{Attachment, Capacity, DataPlane, KernelDataPlane, KernelOptions, RowOperation};
use coax_wire::MacAddress;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// UDP port of the tunnels.
pub const UDP_PORT: u16 = coax_wire::vxlan::Vxlan::PORT;

/// Largest packet of the VMs.
pub const MTU: u32 = 1500;

const UNDERLAY_MTU: u32 = 1600;

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

impl Datapath {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Veth => "veth pair",
            Self::Bridge => "bridges, no overlay",
            Self::BridgeVxlan => "bridge + kernel vxlan",
            Self::Coax => "coax",
        }
    }
}

/// One VM and its host's tunnel endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Vm {
    /// MAC address.
    pub mac: MacAddress,
    /// Address in the network.
    pub ipv4: Ipv4Addr,
    /// Address in the network.
    pub ipv6: Ipv6Addr,
    /// Tunnel endpoint of its host.
    pub vtep_ipv4: Ipv4Addr,
    /// Tunnel endpoint of its host.
    pub vtep_ipv6: Ipv6Addr,
}

impl Vm {
    /// VM number 1 or 2.
    pub const fn number(number: u8) -> Self {
        Self {
            mac: MacAddress([0x02, 0, 0, 0, 0, number]),
            ipv4: Ipv4Addr::new(10, 10, 0, number),
            ipv6: Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, number as u16),
            vtep_ipv4: Ipv4Addr::new(192, 0, 2, number),
            vtep_ipv6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number as u16),
        }
    }

    /// Tunnel endpoint of one family.
    pub const fn vtep(&self, ipv6: bool) -> IpAddr {
        if ipv6 {
            IpAddr::V6(self.vtep_ipv6)
        } else {
            IpAddr::V4(self.vtep_ipv4)
        }
    }
}

/// Two VMs joined by a datapath. Dropping it removes everything.
#[derive(Debug)]
pub struct Pair {
    /// Namespaces of the VMs.
    pub vms: [Namespace; 2],
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
        let name = |what: &str| format!("coax-{label}-{}-{what}", std::process::id());
        let mut pair = Self {
            vms: [
                Namespace::create(&name("vm1"))?,
                Namespace::create(&name("vm2"))?,
            ],
            hosts: Vec::new(),
            planes: Vec::new(),
            pins: Vec::new(),
        };
        if datapath == Datapath::Veth {
            pair.join_vms().await?;
            return Ok(pair);
        }
        for host in ["hv1", "hv2"] {
            pair.hosts.push(Namespace::create(&name(host))?);
        }
        pair.join_hosts(datapath != Datapath::Bridge).await?;
        for place in 0..2 {
            pair.plug(place).await?;
            match datapath {
                Datapath::Veth => {}
                Datapath::Bridge => pair.bridge(place, "ul0").await?,
                Datapath::BridgeVxlan => {
                    pair.vxlan(place, over_ipv6).await?;
                    pair.bridge(place, "vx0").await?;
                }
                Datapath::Coax => pair.coax(place, label, over_ipv6).await?,
            }
        }
        Ok(pair)
    }

    /// The data planes of the two hosts, when the datapath is Coax.
    pub fn planes(&mut self) -> &mut [KernelDataPlane] {
        &mut self.planes
    }

    /// The namespace of a host: 0 or 1.
    pub fn host(&self, place: usize) -> Option<&Namespace> {
        self.hosts.get(place)
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
        self.address_vm(0).await?;
        self.address_vm(1).await
    }

    async fn address_vm(&self, place: usize) -> Result<(), Error> {
        let namespace = &self.vms[place];
        let vm = Vm::number(place as u8 + 1);
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

    async fn join_hosts(&self, routed: bool) -> Result<(), Error> {
        let (one, other) = (&self.hosts[0], &self.hosts[1]);
        one.netlink()?
            .create_veth(
                &VethEnd::new("ul0").with_mtu(UNDERLAY_MTU),
                &VethEnd::new("ul0")
                    .with_mtu(UNDERLAY_MTU)
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
        if routed {
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
                    link_address(&own, false),
                    link_address(&other, false),
                ),
                (
                    own.vtep(true),
                    other.vtep(true),
                    link_address(&own, true),
                    link_address(&other, true),
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

    async fn plug(&self, place: usize) -> Result<(), Error> {
        let vm = Vm::number(place as u8 + 1);
        let netlink = self.hosts[place].netlink()?;
        netlink
            .create_veth(
                &VethEnd::new("port0").with_mtu(MTU),
                &VethEnd::new("eth0")
                    .with_mac(vm.mac.0)
                    .with_mtu(MTU)
                    .in_namespace(&self.vms[place]),
            )
            .await?;
        self.hosts[place].write_sysctl("net.ipv6.conf.port0.disable_ipv6", "1")?;
        up(&netlink, "port0").await?;
        self.address_vm(place).await
    }

    async fn vxlan(&self, place: usize, over_ipv6: bool) -> Result<(), Error> {
        let (own, other) = (Vm::number(place as u8 + 1), Vm::number(2 - place as u8));
        let netlink = self.hosts[place].netlink()?;
        netlink
            .create_vxlan(&Vxlan {
                name: "vx0",
                vni: rows::NETWORK.0,
                local: own.vtep(over_ipv6),
                remote: Some(other.vtep(over_ipv6)),
                port: UDP_PORT,
                learning: true,
            })
            .await?;
        netlink
            .set_mtu(netlink.link("vx0").await?.index, MTU)
            .await?;
        up(&netlink, "vx0").await
    }

    async fn bridge(&self, place: usize, towards: &str) -> Result<(), Error> {
        let netlink = self.hosts[place].netlink()?;
        netlink.create_bridge("br0").await?;
        let bridge = netlink.link("br0").await?.index;
        for device in ["port0", towards] {
            netlink
                .set_master(netlink.link(device).await?.index, Some(bridge))
                .await?;
        }
        up(&netlink, "br0").await
    }

    async fn coax(&mut self, place: usize, label: &str, over_ipv6: bool) -> Result<(), Error> {
        let pins = PathBuf::from(format!(
            "/sys/fs/bpf/coax-{label}-{}-hv{}",
            std::process::id(),
            place + 1
        ));
        self.pins.push(pins.clone());
        let netlink = self.hosts[place].netlink()?;
        let port = netlink.link("port0").await?.index;
        let uplink = netlink.link("ul0").await?.index;
        let (own, other) = (Vm::number(place as u8 + 1), Vm::number(2 - place as u8));
        let plane = self.hosts[place].run(move || -> Result<KernelDataPlane, Error> {
            let options = KernelOptions {
                pins,
                capacity: Capacity::default(),
                take_over_layout: false,
            };
            let mut plane = KernelDataPlane::open(&options)?;
            for row in rows(&own, &other, port, MTU, over_ipv6) {
                plane.apply(&RowOperation::Put(row))?;
            }
            plane.attach(uplink, Attachment::Uplink)?;
            plane.attach(port, Attachment::Port)?;
            Ok(plane)
        })??;
        self.planes.push(plane);
        Ok(())
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
        for namespace in self.vms.iter().chain(&self.hosts) {
            if let Err(error) = Namespace::delete(namespace.name()) {
                eprintln!("{error}");
            }
        }
    }
}

async fn up(netlink: &coax_netlink::Netlink, device: &str) -> Result<(), Error> {
    Ok(netlink.set_up(netlink.link(device).await?.index).await?)
}

fn link_address(vm: &Vm, ipv6: bool) -> IpAddr {
    let last = vm.vtep_ipv4.octets()[3];
    if ipv6 {
        IpAddr::V6(Ipv6Addr::new(
            0x2001,
            0xdb8,
            1,
            0,
            0,
            0,
            0,
            u16::from(last) + 1,
        ))
    } else {
        IpAddr::V4(Ipv4Addr::new(198, 51, 100, last + 1))
    }
}

fn net(address: IpAddr, length: u8) -> ipnet::IpNet {
    ipnet::IpNet::new_assert(address, length)
}
