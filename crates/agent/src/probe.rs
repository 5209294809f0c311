//! Packets that a trace sends through the fabric for real, and watching for them.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use coax_api::question::Hexadecimal;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::packet_socket::{PacketSocket, probes_only};

/// Every packet is sent so often: one lost packet proves nothing.
const TIMES: u32 = 3;
/// And with this time between.
const APART: Duration = Duration::from_millis(60);
/// How long the kernel has to find out a MAC address: ARP asks again after a second.
const RESOLUTION: Duration = Duration::from_millis(300);
/// A port that nobody listens at (RFC 863).
const DISCARD: u16 = 9;
/// Bytes of frames that wait to be looked at: many hosts send packets of full size at the same moment, and a watcher that has to
/// wait for its turn on a busy host must not take them for lost.
const ROOM: usize = 32 << 20;
/// The largest frame that is looked at.
const LARGEST: usize = 65_535;

/// For each marker whether a probe with it came in by one of the devices in `time`.
pub(crate) async fn watch(
    devices: Vec<String>,
    markers: &[[u8; 8]],
    time: Duration,
) -> io::Result<Vec<bool>> {
    let sockets: io::Result<Vec<PacketSocket>> = devices
        .iter()
        .map(|device| {
            let socket = PacketSocket::open(device, &probes_only())?;
            socket.make_room(ROOM)?;
            Ok(socket)
        })
        .collect();
    let mut watchers = JoinSet::new();
    for socket in sockets? {
        let markers = markers.to_vec();
        watchers.spawn_blocking(move || watch_one(&socket, &markers, time));
    }
    let mut seen = vec![false; markers.len()];
    while let Some(watched) = watchers.join_next().await {
        let watched = watched.map_err(io::Error::other)??;
        for (seen, here) in seen.iter_mut().zip(watched) {
            *seen |= here;
        }
        if seen.iter().all(|seen| *seen) {
            break;
        }
    }
    Ok(seen)
}

fn watch_one(socket: &PacketSocket, markers: &[[u8; 8]], time: Duration) -> io::Result<Vec<bool>> {
    let end = Instant::now() + time;
    let mut seen = vec![false; markers.len()];
    let mut missing = markers.len();
    let places: HashMap<[u8; 8], usize> = markers.iter().copied().zip(0..).collect();
    let mut buffer = vec![0; LARGEST];
    while Instant::now() < end && missing > 0 {
        let Some(passing) = socket.receive(&mut buffer)? else {
            continue;
        };
        let frame = buffer.get(..passing.length).unwrap_or_default();
        let Some(marker) = marker_of(frame).filter(|_| !passing.outgoing) else {
            continue;
        };
        if let Some(place) = places.get(&marker) {
            missing -= usize::from(!seen[*place]);
            seen[*place] = true;
        }
    }
    Ok(seen)
}

/// What a probe holds: the eight bytes behind its VXLAN header.
fn marker_of(frame: &[u8]) -> Option<[u8; 8]> {
    let over_ipv6 = frame.get(12..14)? == [0x86, 0xdd];
    let at = 14 + if over_ipv6 { 40 } else { 20 } + 16;
    frame.get(at..)?.first_chunk().copied()
}

/// Sends packets by a device as they are, after a while.
pub(crate) async fn send(device: &str, packets: &[Hexadecimal], delay: Duration) -> io::Result<()> {
    let socket = PacketSocket::open(device, &probes_only())?;
    sleep(delay).await;
    several_times(|| {
        packets
            .iter()
            .try_for_each(|Hexadecimal(packet)| socket.send(packet))
    })
    .await
}

/// Does it as often as a probe is sent.
pub(crate) async fn several_times(mut send: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    for time in 0..TIMES {
        if time > 0 {
            sleep(APART).await;
        }
        send()?;
    }
    Ok(())
}

/// Makes the kernel look for the MAC address of the next hop, as any packet would.
pub(crate) async fn resolve(from: IpAddr, to: IpAddr) -> io::Result<()> {
    let socket = tokio::net::UdpSocket::bind((from, 0)).await?;
    socket.send_to(&[0], (to, DISCARD)).await?;
    sleep(RESOLUTION).await;
    Ok(())
}
