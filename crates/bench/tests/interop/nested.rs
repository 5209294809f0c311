//! Overlays of VMs inside of ours: containers in a VM that are joined by the VM kernel's own vxlan device. Each of their
//! packets stands in two tunnels on the fabric.
//!
//! A kernel describes one tunnel in a frame that stands for many segments, so what a VM's kernel has put into a tunnel must be
//! cut before it leaves the VM. Guests do that by themselves; a namespace does it when its card does not offer to cut tunnels.

use crate::counters::assert_accounted;
use crate::traffic::{must, stream_between};
use coax_bench::pair::Pair;
use coax_bench::plan::{Peer, Plan, Side};
use coax_bench::vm::Vm;
use std::net::IpAddr;

const CUT: &str = "ethtool -K eth0 tx-udp_tnl-segmentation off tx-udp_tnl-csum-segmentation off";

/// The address of a container, in the overlay over a family.
fn container(number: u8, over_ipv6: bool, ipv6: bool) -> IpAddr {
    let overlay = 7 + u8::from(over_ipv6);
    match ipv6 {
        false => IpAddr::from([198, 18, overlay, number]),
        true => IpAddr::from([0xfd00, 0x18, overlay.into(), 0, 0, 0, 0, number.into()]),
    }
}

/// Joins the VMs by an overlay of their own over a family of their addresses.
fn join(pair: &Pair, over_ipv6: bool) {
    let name = if over_ipv6 { "nest6" } else { "nest4" };
    for (place, vm) in pair.vms.iter().enumerate() {
        let number = place as u8 + 1;
        let (own, other) = (Vm::number(number), Vm::number(3 - number));
        let (local, remote) = (own.address(over_ipv6), other.address(over_ipv6));
        let id = 70 + u8::from(over_ipv6);
        let ends = format!("local {local} remote {remote} dev eth0 dstport 8472");
        must(vm, &format!("ip link add {name} type vxlan id {id} {ends}"));
        for (ipv6, rest) in [(false, "/24"), (true, "/64")] {
            let address = container(number, over_ipv6, ipv6);
            let nodad = if ipv6 { " nodad" } else { "" };
            must(
                vm,
                &format!("ip addr add {address}{rest} dev {name}{nodad}"),
            );
        }
        must(vm, &format!("ip link set {name} up"));
    }
}

#[tokio::test]
async fn containers_of_vms_have_an_overlay_of_their_own() {
    for over_ipv6 in [false, true] {
        let label = if over_ipv6 { "nested6" } else { "nested4" };
        let plan = Plan::new(label, [Side::Coax(Peer::Coax); 2]).over_ipv6(over_ipv6);
        let mut pair = Pair::build_plan(&plan).await.unwrap();
        for vm in &pair.vms {
            must(vm, CUT);
        }
        for inside_ipv6 in [false, true] {
            join(&pair, inside_ipv6);
            for ipv6 in [false, true] {
                let target = container(2, inside_ipv6, ipv6);
                stream_between(&pair.vms[0], &pair.vms[1], target, 1 << 20);
            }
        }
        assert_accounted(&mut pair);
    }
}
