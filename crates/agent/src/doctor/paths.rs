//! Packets that cross the fabric in one piece, or not at all: sent as the vSwitch sends tunnel packets, past the host's own
//! filters, by the device and to the neighbour that the kernel's routes say for their ports.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use coax_api::finding::PathProbe;
use coax_netlink::{FlowPath, Netlink, UdpFlow};
use coax_sim::craft::Tunnel;
use coax_wire::MacAddress;
use coax_wire::vxlan::Vxlan;
use tokio::time::sleep;

use crate::packet_socket::{PacketSocket, probes_only};
use crate::probe;

/// Sends the packets that can be sent, after a while.
pub(crate) async fn send(
    netlink: &Netlink,
    probes: &[PathProbe],
    delay: Duration,
) -> Result<(), String> {
    let text = |error: coax_netlink::Error| error.to_string();
    let mut ways = ways(netlink, probes).await.map_err(text)?;
    let unresolved: BTreeSet<(IpAddr, IpAddr)> = ways
        .iter()
        .filter(|(_, way)| way.as_ref().is_some_and(|way| way.neighbour.is_none()))
        .map(|(probe, _)| (probe.ends.from, probe.ends.to))
        .collect();
    if !unresolved.is_empty() {
        for (from, to) in unresolved {
            // What does not resolve is not sent, and missed at the other end.
            let _ = probe::resolve(from, to).await;
        }
        ways = self::ways(netlink, probes).await.map_err(text)?;
    }
    let links = netlink.links().await.map_err(text)?;
    let mut frames: Vec<(String, Vec<u8>)> = Vec::new();
    for (probe, way) in &ways {
        let Some((path, neighbour)) = way
            .as_ref()
            .and_then(|way| Some((way.path, way.neighbour?)))
        else {
            continue;
        };
        let Some(link) = links.iter().find(|link| link.index == path.link) else {
            continue;
        };
        let own = MacAddress(link.mac.unwrap_or_default());
        frames.push((link.name.clone(), frame(probe, neighbour, own)));
    }
    sleep(delay).await;
    transmit(&frames).await.map_err(|error| error.to_string())
}

/// The way of a packet.
struct Way {
    path: FlowPath,
    /// None: the kernel does not know it yet.
    neighbour: Option<MacAddress>,
}

async fn ways<'a>(
    netlink: &Netlink,
    probes: &'a [PathProbe],
) -> Result<Vec<(&'a PathProbe, Option<Way>)>, coax_netlink::Error> {
    let neighbours = netlink.neighbours().await?;
    let mut ways = Vec::with_capacity(probes.len());
    for probe in probes {
        let flow = UdpFlow {
            source: probe.ends.from,
            destination: probe.ends.to,
            source_port: probe.source_port,
            destination_port: Vxlan::PORT,
        };
        let way = netlink.path_of(&flow).await?.map(|path| Way {
            path,
            neighbour: path.next_hop_mac(&neighbours).map(MacAddress),
        });
        ways.push((probe, way));
    }
    Ok(ways)
}

/// A tunnel packet of no network, so that no vSwitch takes it for one.
fn frame(probe: &PathProbe, to: MacAddress, from: MacAddress) -> Vec<u8> {
    let ip = if probe.ends.to.is_ipv4() { 20 } else { 40 };
    let room = usize::from(probe.length).saturating_sub(ip + 16);
    let mut inner = probe.marker.to_vec();
    inner.resize(room.max(inner.len()), 0);
    let tunnel = Tunnel {
        macs: (to, from),
        source_port: probe.source_port,
        vxlan: [0; 8],
        ..Tunnel::new(probe.ends.from, probe.ends.to, 0)
    };
    tunnel.around(&inner)
}

async fn transmit(frames: &[(String, Vec<u8>)]) -> io::Result<()> {
    let mut by_device: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
    for (device, frame) in frames {
        by_device.entry(device).or_default().push(frame);
    }
    let sockets = by_device
        .into_iter()
        .map(|(device, frames)| Ok((PacketSocket::open(device, &probes_only())?, frames)))
        .collect::<io::Result<Vec<_>>>()?;
    probe::several_times(|| {
        for (socket, frames) in &sockets {
            for frame in frames {
                // Too large for the device, or the device is down: missed at the other end.
                let _ = socket.send(frame);
            }
        }
        Ok(())
    })
    .await
}

#[cfg(test)]
mod tests {
    use coax_api::finding::Ends;

    use super::*;

    #[test]
    fn packets_have_their_length_and_may_not_be_cut() {
        let ends: [(IpAddr, IpAddr); 2] = [
            ([10, 0, 0, 1].into(), [10, 0, 0, 2].into()),
            (
                [0xfd00, 0, 0, 0, 0, 0, 0, 1].into(),
                [0xfd00, 0, 0, 0, 0, 0, 0, 2].into(),
            ),
        ];
        for (from, to) in ends {
            let probe = PathProbe {
                ends: Ends { from, to },
                source_port: 50_000,
                marker: *b"01234567",
                length: 1600,
            };
            let made = frame(&probe, MacAddress([2; 6]), MacAddress([4; 6]));
            assert_eq!(made.len(), 14 + 1600);
            assert!(made.windows(8).any(|bytes| bytes == b"01234567"));
            if from.is_ipv4() {
                assert_eq!(made[20] & 0x40, 0x40, "don't fragment");
            }
        }
    }
}
