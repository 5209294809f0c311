//! Frames that enter the vSwitch as if a VM had sent them.
//!
//! They are sent by a device of the agent's own, one end of a veth pair that exists just for this. A program on its way out
//! turns them round into the port's device (see [`coax_vswitch::DataPlane::prepare_injection`]), where the vSwitch's program
//! meets them as it meets all others.

use coax_netlink::{Netlink, VethEnd};

use crate::packet_socket::{PacketSocket, probes_only};
use crate::plane::Copies;

/// The device that frames are sent by.
const DEVICE: &str = "coax-inject";
/// The other end of the pair, which nothing reaches.
const OTHER_END: &str = "coax-inject-end";
/// As large as any VM's device.
const MTU: u32 = 65_000;
/// More would be a flood.
const MOST: u32 = 100;

/// Lets a frame enter `times` times by the device `ifindex`.
pub(crate) async fn inject(
    netlink: &Netlink,
    copies: &Copies,
    ifindex: u32,
    frame: &[u8],
    times: u32,
) -> Result<(), String> {
    let text = |error: coax_netlink::Error| error.to_string();
    // Left by an agent that died in the middle.
    if let Ok(link) = netlink.link(DEVICE).await {
        netlink.delete_link(link.index).await.map_err(text)?;
    }
    let ends = [DEVICE, OTHER_END].map(|name| VethEnd::new(name).with_mtu(MTU));
    netlink
        .create_veth(&ends[0], &ends[1])
        .await
        .map_err(text)?;
    let link = netlink.link(DEVICE).await.map_err(text)?;
    let sent = send(netlink, copies, link.index, ifindex, frame, times).await;
    let deleted = netlink.delete_link(link.index).await.map_err(text);
    sent.and(deleted)
}

async fn send(
    netlink: &Netlink,
    copies: &Copies,
    own: u32,
    ifindex: u32,
    frame: &[u8],
    times: u32,
) -> Result<(), String> {
    netlink
        .set_up(own)
        .await
        .map_err(|error| error.to_string())?;
    copies.prepare_injection(DEVICE).await?;
    let failed = |error: std::io::Error| format!("frames cannot be sent by {DEVICE}: {error}");
    let socket = PacketSocket::open(DEVICE, &probes_only()).map_err(failed)?;
    socket.mark(ifindex).map_err(failed)?;
    for _ in 0..times.min(MOST) {
        socket.send(frame).map_err(failed)?;
    }
    Ok(())
}
