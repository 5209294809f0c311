//! Point 2: broadcast and multicast reach exactly the members of the network, address resolution ends
//! at the edge, unknown unicast is dropped and counted, and whatever is delivered is byte-identical.

use std::time::Duration;

use coax_api::Port;
use serde::Serialize;

use super::report::Checks;
use super::sniffer::Sniffer;
use super::world::{World, mac};
use crate::error::Error;
use crate::measure::frames::{self, Capture};
use crate::vm::CARD;

/// An ethertype for local experiments (IEEE 802): nobody else's traffic has it.
const EXPERIMENT: [u8; 2] = [0x88, 0xb5];
const BROADCAST: [u8; 6] = [0xff; 6];
/// What multicast DNS is sent to, IPv4 and IPv6.
const MULTICASTS: [[u8; 6]; 2] = [[0x01, 0, 0x5e, 0, 0, 0xfb], [0x33, 0x33, 0, 0, 0, 0xfb]];
/// A locally administered MAC address that no port has.
const NOBODY: [u8; 6] = [0x02, 0xde, 0xad, 0xbe, 0xef, 0x01];
/// Frames of each kind.
const COUNT: usize = 20;
/// How long frames may be on their way.
const LIMIT: Duration = Duration::from_secs(5);
/// How long a frame that must not come is waited for.
const PATIENCE: Duration = Duration::from_millis(300);
/// Header of a frame, and of a VLAN tag.
const HEADER: usize = 14;
const TAG: usize = 4;

/// Where copies went.
#[derive(Debug, Default, Serialize)]
pub struct Flood {
    /// Group frames sent, and copies that members got of them.
    pub group_sent: usize,
    /// Copies that should have come: one per frame and other member.
    pub group_wanted: usize,
    /// Copies that came.
    pub group_received: usize,
    /// Copies that came to the sender or to VMs of other networks.
    pub group_strays: usize,
    /// Frames of tenants' ARP and neighbour discovery seen on the fabric since the VMs were booted.
    pub resolution_on_fabric: usize,
    /// Requests that vSwitches answered.
    pub answered: u64,
    /// Unicast frames sent to nobody.
    pub unknown_sent: usize,
    /// Copies of them seen anywhere.
    pub unknown_copies: usize,
    /// Drops counted as `unknown-unicast` for them.
    pub unknown_counted: u64,
    /// Unicast frames of all kinds sent, and those that arrived byte-identical.
    pub frames_sent: usize,
    /// Those that arrived exactly as they were sent.
    pub frames_identical: usize,
}

pub(super) fn run(
    world: &World,
    sniffer: Option<Sniffer>,
    checks: &mut Checks,
) -> Result<Flood, Error> {
    let mut flood = Flood::default();
    let networks = world.networks()?;
    let all: Vec<&Port> = networks.values().flatten().collect();
    for ports in networks.values() {
        group(world, ports, &all, &mut flood)?;
    }
    let web = networks.get("shop/web").map_or(&[][..], Vec::as_slice);
    unknown(world, web, &all, &mut flood)?;
    let db = networks.get("shop/db").map_or(&[][..], Vec::as_slice);
    for pair in db.windows(2) {
        identical(world, &pair[0], &pair[1], &mut flood)?;
    }
    flood.resolution_on_fabric = sniffer.map_or(Ok(0), Sniffer::finish)?;
    let counters = world.wait(world.client.counters())?;
    flood.answered = counters
        .ports
        .iter()
        .map(|port| port.counters.answered)
        .sum();

    let (sent, wanted) = (flood.group_sent, flood.group_wanted);
    checks.tell("broadcast and multicast frames sent", sent);
    checks.equal(
        "copies received by other members of the network",
        flood.group_received,
        wanted,
    );
    checks.equal("copies anywhere else", flood.group_strays, 0);
    let answered = flood.answered;
    checks.check(
        "ARP and ND requests answered at the edge",
        answered,
        "> 0",
        answered > 0,
    );
    checks.equal(
        "tenants' ARP and ND frames on the fabric",
        flood.resolution_on_fabric,
        0,
    );
    checks.equal("unknown unicast: copies", flood.unknown_copies, 0);
    let counted = flood.unknown_counted;
    let unknown = flood.unknown_sent as u64;
    checks.check(
        "unknown unicast: drops counted",
        counted,
        format!("≥ {unknown}"),
        counted >= unknown,
    );
    let kinds = "frames of all types, tagged, up to the MTU: byte-identical";
    checks.equal(kinds, flood.frames_identical, flood.frames_sent);
    Ok(flood)
}

fn capture_all(world: &World, ports: &[&Port]) -> Result<Vec<Capture>, Error> {
    let vms = ports
        .iter()
        .map(|port| world.vm(&port.id))
        .collect::<Result<Vec<_>, _>>()?;
    frames::capture_all(&vms, CARD, "ether proto 0x88b5")
}

/// Broadcast and multicast from the first VM of a network.
fn group(world: &World, ports: &[Port], all: &[&Port], flood: &mut Flood) -> Result<(), Error> {
    let Some((sender, others)) = ports.split_first() else {
        return Ok(());
    };
    let captures = capture_all(world, all)?;
    let groups = [BROADCAST].into_iter().chain(MULTICASTS);
    let frames: Vec<Vec<u8>> = groups
        .flat_map(|to| (0..COUNT).map(move |n| (to, n)))
        .map(|(to, n)| frames::build(to, mac(sender), &EXPERIMENT, 60 + n, n as u8))
        .collect();
    flood.group_sent += frames.len();
    flood.group_wanted += frames.len() * others.len();
    frames::send(&world.vm(&sender.id)?, CARD, frames.clone())?;
    let is_member = |port: &Port| others.iter().any(|other| other.id == port.id);
    for (port, capture) in all
        .iter()
        .zip(&captures)
        .filter(|(port, _)| is_member(port))
    {
        if !capture.wait_for(frames.len(), LIMIT) {
            tracing::warn!(port = %port.id, "not all copies came");
        }
    }
    for (port, got) in all.iter().zip(frames::finish_all(captures)?) {
        // What is more than one copy of each is as wrong as what comes to others.
        let wanted = if is_member(port) {
            frames.as_slice()
        } else {
            &[]
        };
        let right = wanted.iter().filter(|frame| got.contains(frame)).count();
        flood.group_received += right;
        flood.group_strays += got.len() - right;
    }
    Ok(())
}

/// Unicast to a MAC address that nobody has.
fn unknown(world: &World, ports: &[Port], all: &[&Port], flood: &mut Flood) -> Result<(), Error> {
    let Some(sender) = ports.first() else {
        return Ok(());
    };
    let before = world.ledger()?.dropped("unknown-unicast");
    let captures = capture_all(world, all)?;
    let frame = |n: usize| frames::build(NOBODY, mac(sender), &EXPERIMENT, 60, n as u8);
    let frames: Vec<Vec<u8>> = (0..COUNT).map(frame).collect();
    flood.unknown_sent = frames.len();
    frames::send(&world.vm(&sender.id)?, CARD, frames)?;
    if let Some(capture) = captures.last() {
        // One wait is enough for all captures.
        capture.wait_for(1, PATIENCE);
    }
    flood.unknown_copies = frames::finish_all(captures)?.iter().map(Vec::len).sum();
    flood.unknown_counted = world.ledger()?.dropped("unknown-unicast") - before;
    Ok(())
}

/// Unicast frames of many kinds and lengths.
fn identical(world: &World, from: &Port, to: &Port, flood: &mut Flood) -> Result<(), Error> {
    let (source, target) = (mac(from), mac(to));
    let largest = usize::try_from(from.mtu).unwrap_or(0) + HEADER;
    let mut sent = Vec::new();
    // Experimental, MPLS, PPPoE, PROFINET, AoE, IEEE 802.3 length fields (which are no types).
    let types: [&[u8]; 6] = [
        &EXPERIMENT,
        &[0x88, 0x47],
        &[0x88, 0x64],
        &[0x88, 0x92],
        &[0x88, 0xa2],
        &[0x00, 0x20],
    ];
    for (seed, kind) in (0u8..).zip(types) {
        for length in [60, 61, 127, 590, 1514, largest - 1, largest] {
            sent.push(frames::build(target, source, kind, length, seed));
        }
    }
    // One tag, with priority and number, which does not count into the MTU; and two, as providers do,
    // of which a Linux device takes the first for payload.
    let tagged: [(&[u8], usize); 2] = [
        (&[0x81, 0x00, 0x60, 0x64, 0x88, 0xb5], largest + TAG),
        (
            &[0x88, 0xa8, 0x00, 0x07, 0x81, 0x00, 0x20, 0x08, 0x88, 0xb5],
            largest,
        ),
    ];
    for (seed, (kind, largest)) in (100u8..).zip(tagged) {
        for length in [64, 1000, 1518, largest] {
            sent.push(frames::build(target, source, kind, length, seed));
        }
    }
    let filter = format!("ether src {} and not ip and not ip6 and not arp", from.mac);
    let capture = Capture::start(&world.vm(&to.id)?, CARD, &filter)?;
    flood.frames_sent += sent.len();
    frames::send(&world.vm(&from.id)?, CARD, sent.clone())?;
    capture.wait_for(sent.len(), LIMIT);
    let got = capture.finish()?;
    flood.frames_identical += sent.iter().filter(|frame| got.contains(frame)).count();
    Ok(())
}
