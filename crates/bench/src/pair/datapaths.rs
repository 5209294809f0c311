//! What joins a VM to its host's uplink: bridges, the kernel's vxlan device, Coax.

use super::{Pair, name, tenants, up};
use crate::plan::{Checksums, Peer, Plan};
use crate::rows::{self, Site, Tenant};
use crate::vm::Vm;
use crate::{Error, routed};
use coax_netlink::Vxlan;
use coax_vswitch::{Attachment, Capacity, DataPlane, KernelDataPlane, KernelOptions, RowOperation};
use std::path::PathBuf;

impl Pair {
    pub(super) async fn vxlan(
        &self,
        place: usize,
        plan: &Plan,
        checksums: Checksums,
    ) -> Result<(), Error> {
        let (own, other) = (Vm::number(place as u8 + 1), Vm::number(2 - place as u8));
        let netlink = self.hosts[place].netlink()?;
        let (local, remote) = (own.vtep(plan.over_ipv6), other.vtep(plan.over_ipv6));
        if checksums != Checksums::Usual {
            self.vxlan_by_command(place, plan, checksums == Checksums::Sent)?;
        } else {
            netlink
                .create_vxlan(&Vxlan {
                    name: "vx0",
                    vni: rows::NETWORK.0,
                    local,
                    remote: Some(remote),
                    port: plan.udp_port,
                    learning: true,
                })
                .await?;
        }
        netlink
            .set_mtu(netlink.link("vx0").await?.index, plan.mtu)
            .await?;
        up(&netlink, "vx0").await
    }

    /// For the device's options that the netlink library does not have.
    fn vxlan_by_command(&self, place: usize, plan: &Plan, checksums: bool) -> Result<(), Error> {
        let checksums = match (plan.over_ipv6, checksums) {
            (true, true) => "noudp6zerocsumtx udp6zerocsumrx",
            (true, false) => "udp6zerocsumtx udp6zerocsumrx",
            (false, true) => "udpcsum",
            (false, false) => "noudpcsum",
        };
        let (own, other) = (Vm::number(place as u8 + 1), Vm::number(2 - place as u8));
        let text = format!(
            "link add vx0 type vxlan id {} dstport {} local {} remote {} {checksums}",
            rows::NETWORK.0,
            plan.udp_port,
            own.vtep(plan.over_ipv6),
            other.vtep(plan.over_ipv6),
        );
        let mut command = std::process::Command::new("ip");
        let status = self.hosts[place]
            .spawn(command.args(text.split(' ')))?
            .wait()
            .map_err(Error::io("wait for ip"))?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Traffic {
            what: format!("ip {text}"),
            expected: "success".to_owned(),
            found: status.to_string(),
        })
    }

    pub(super) async fn bridge(&self, place: usize, towards: &str) -> Result<(), Error> {
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

    pub(super) async fn coax(
        &mut self,
        place: usize,
        plan: &Plan,
        peer: Peer,
    ) -> Result<(), Error> {
        let pins = PathBuf::from(format!("/sys/fs/bpf/{}", name(plan, ["hv1", "hv2"][place])));
        self.pins.push(pins.clone());
        let netlink = self.hosts[place].netlink()?;
        let uplink = netlink.link("ul0").await?.index;
        let (mut rows, mut ports) = (Vec::new(), Vec::new());
        for tenant in tenants(plan) {
            let ifindex = netlink.link(tenant.device()).await?.index;
            let site = site(plan, place, tenant, peer, ifindex);
            rows.extend(match plan.between_networks {
                true => routed::rows(&site),
                false => rows::rows(&site),
            });
            if let Some(filter) = plan.filter {
                rows.extend(filter.rows(tenant)?);
            }
            if plan.between_networks {
                routed::direct(&self.vms[place], &site).await?;
            }
            ports.push(ifindex);
        }
        let plane = self.hosts[place].run(move || -> Result<KernelDataPlane, Error> {
            let options = KernelOptions {
                pins,
                capacity: Capacity::default(),
                take_over_layout: false,
            };
            let mut plane = KernelDataPlane::open(&options)?;
            for row in rows {
                plane.apply(&RowOperation::Put(row))?;
            }
            plane.attach(uplink, Attachment::Uplink)?;
            for port in ports {
                plane.attach(port, Attachment::Port)?;
            }
            Ok(plane)
        })??;
        self.planes.push(plane);
        Ok(())
    }
}

/// One place of a tenant's network.
fn site(plan: &Plan, place: usize, tenant: Tenant, peer: Peer, ifindex: u32) -> Site {
    Site {
        tenant,
        local: tenant.vm(place),
        remote: tenant.vm(1 - place),
        peer,
        ifindex,
        mtu: plan.mtu,
        over_ipv6: plan.over_ipv6,
        vlan_transparent: plan.vlan_transparent,
        udp_port: plan.udp_port,
        filtered: plan.filter.is_some(),
        guarded: plan.guarded,
    }
}
