//! Between two hosts: packets with the tunnel packet's own addresses and ports are sent for real, a small one and one
//! as large as the network allows, and the other host's agent watches its uplinks for them. So what the fabric
//! does with this very flow is seen, whoever filters or routes there.

use coax_api::TracePath;
use coax_api::question::{
    Entering, Hexadecimal, HostAnswer, HostQuestion, HostVerdict, TunnelPacket,
};

use super::walk::{Journey, Walk};
use super::{Cause, Ending, Hosts, frame};
use crate::doctor::overhead;

/// The other host watches for so long.
const WATCHED: u64 = 700;
/// It has so long to begin.
const LEAD: u64 = 120;

/// Whether packets get from `host` to `next`. `unresolved`: what entered the host, which does not know the next hop's MAC
/// address yet.
pub(super) async fn check<H: Hosts>(
    walk: &mut Walk<'_, H>,
    journey: Journey<'_>,
    (host, next): (&str, &str),
    packet: &TunnelPacket,
    unresolved: Option<&Entering>,
) -> Result<(), Ending> {
    let attached = walk.facts.hosts.get(next).is_some_and(|it| it.connected);
    let mut packet = packet.clone();
    if let Some(entering) = unresolved {
        packet = resolve(walk, journey, (host, next), &packet, entering).await?;
    }
    if !attached {
        return Ok(());
    }
    let path = packet.path.clone();
    let mtu = walk.facts.source.port.as_ref().map_or(0, |port| port.mtu);
    let full = mtu + overhead(!path.to.contains(':'));
    if full > path.mtu {
        return Err(too_small(host, next, &path, full));
    }
    let markers = [walk.hosts.marker(), walk.hosts.marker()];
    let probes = [(markers[0], 0), (markers[1], full)];
    let probes = probes.map(|(marker, length)| frame::probe(&packet.packet, marker, length));
    let probes = probes.into_iter().flatten().map(Hexadecimal).collect();
    let watch = HostQuestion::Watch {
        markers: markers.into(),
        milliseconds: WATCHED,
    };
    let send = HostQuestion::Send {
        device: path.device.clone(),
        packets: probes,
        milliseconds: LEAD,
    };
    let (watched, sent) = tokio::join!(walk.hosts.ask(next, watch), walk.hosts.ask(host, send));
    let seen = match (watched, sent) {
        (Ok(HostAnswer::Watched { seen }), Ok(HostAnswer::Sent)) => seen,
        (watched, sent) => {
            let reasons = [watched, sent]
                .into_iter()
                .filter_map(|answer| match answer {
                    Ok(HostAnswer::Failed { reason }) | Err(reason) => Some(reason),
                    Ok(_) => None,
                });
            let reasons: Vec<String> = reasons.collect();
            walk.notes.push(format!(
                "no packet was sent from {host} to {next} to see whether it arrives: {}",
                reasons.join("; ")
            ));
            return Ok(());
        }
    };
    let [small, large] = [0, 1].map(|index| seen.get(index).copied().unwrap_or(false));
    if let Some(underlay) = walk.hops.last_mut().and_then(|hop| hop.underlay.as_mut()) {
        underlay.probed = Some(small);
    }
    match (small, large) {
        (false, _) => Err(blocked(host, next, &path)),
        (true, false) => Err(lost_when_large(host, next, &path, full)),
        (true, true) => Ok(()),
    }
}

/// Lets the kernel ask for the next hop's MAC address, and tries again.
async fn resolve<H: Hosts>(
    walk: &mut Walk<'_, H>,
    journey: Journey<'_>,
    (host, next): (&str, &str),
    packet: &TunnelPacket,
    entering: &Entering,
) -> Result<TunnelPacket, Ending> {
    let path = &packet.path;
    if let (Ok(from), Ok(to)) = (path.from.parse(), path.to.parse()) {
        let question = HostQuestion::Resolve { from, to };
        // Whether it helped is seen by trying again.
        let _ = walk.hosts.ask(host, question).await;
    }
    walk.hops.pop();
    let run = walk.run(journey, host, entering.clone()).await?;
    let found = run
        .packets
        .into_iter()
        .find(|other| other.path.to == path.to);
    match found {
        Some(found) if run.verdict != HostVerdict::SendUnresolved => Ok(found),
        _ => {
            let TracePath {
                device, next_hop, ..
            } = path;
            let summary = format!(
                "lost between {host} and {next}: the next hop {next_hop} on {device} of {host} does not \
                 answer, so its MAC address is not known"
            );
            let hint =
                format!("`ip neighbour show dev {device}` on {host}; see whether {next_hop} is up");
            Err(Ending::lost(Cause::NextHopSilent, summary, hint))
        }
    }
}

fn too_small(host: &str, next: &str, path: &TracePath, full: u32) -> Ending {
    let TracePath { device, mtu, .. } = path;
    let summary = format!(
        "large packets are lost on {host}: its way to {next} by {device} takes {mtu} bytes, a full packet in \
         its tunnel has {full}"
    );
    let hint = format!("`ip link set {device} mtu {full}` on {host}, and the same in the fabric");
    Ending::lost(Cause::UnderlayMtu, summary, hint)
}

fn blocked(host: &str, next: &str, path: &TracePath) -> Ending {
    let TracePath {
        from,
        to,
        device,
        next_hop,
        source_port,
        ..
    } = path;
    let summary = format!(
        "lost in the fabric between {host} and {next}: tunnel packets from {from} to {to} leave {host} by \
         {device} and do not arrive"
    );
    let hint = format!(
        "look from {next_hop} on for a filter, a cut cable or a missing route: UDP from port {source_port} to \
         4789"
    );
    Ending::lost(Cause::UnderlayBlocked, summary, hint)
}

fn lost_when_large(host: &str, next: &str, path: &TracePath, full: u32) -> Ending {
    let summary = format!(
        "large packets are lost in the fabric between {host} and {next}: small ones arrive, tunnel packets of \
         {full} bytes do not"
    );
    let hint = format!(
        "raise the MTU in the fabric to {full} or more, from {} on, or lower that of the network",
        path.next_hop
    );
    Ending::lost(Cause::UnderlayMtu, summary, hint)
}
