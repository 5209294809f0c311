//! Point 1: every VM reaches every VM of its network, IPv4 and IPv6, and nobody of another project,
//! although the addresses are the same.

use std::time::Duration;

use coax_api::Port;
use serde::Serialize;

use super::report::Checks;
use super::world::{World, address, addresses, mac};
use crate::error::Error;
use crate::measure::frames::{self, Capture};
use crate::measure::{self, ping};
use crate::vm::CARD;

/// The place of the sender's MAC address in a frame.
const SOURCE: std::ops::Range<usize> = 6..12;
/// How long strangers are waited for.
const PATIENCE: Duration = Duration::from_millis(600);

/// Who reached whom.
#[derive(Debug, Default, Serialize)]
pub struct Reach {
    /// Pairs of one network that were tried, per family.
    pub pairs: usize,
    /// Pairs that answered over IPv4.
    pub answered_ipv4: usize,
    /// Pairs that answered over IPv6.
    pub answered_ipv6: usize,
    /// Pairs whose hosts are cabled to different leaves.
    pub pairs_across_leaves: usize,
    /// Pairs that needed a second try.
    pub slow: usize,
    /// Addresses that VMs of two projects have in common.
    pub shared_addresses: usize,
    /// Answers from addresses that only another project has.
    pub strangers_that_answered: usize,
    /// Frames of one project that came to a VM of another.
    pub frames_across_projects: usize,
}

pub(super) fn run(world: &World, checks: &mut Checks) -> Result<Reach, Error> {
    let networks = world.networks()?;
    let all: Vec<&Port> = networks.values().flatten().collect();
    let mut reach = Reach::default();
    let watched = watch(world, &all)?;
    for ports in networks.values() {
        within(world, ports, &mut reach)?;
    }
    strangers(world, &all, &mut reach)?;
    reach.frames_across_projects = count_foreign(watched, &all)?;
    let mut v4: Vec<_> = all.iter().filter_map(|port| address(port, false)).collect();
    v4.sort_unstable();
    reach.shared_addresses = v4.windows(2).filter(|pair| pair[0] == pair[1]).count();

    checks.tell(
        "networks, VMs",
        format!("{}, {}", networks.len(), all.len()),
    );
    checks.equal(
        "IPv4: pairs of one network that reach each other",
        reach.answered_ipv4,
        reach.pairs,
    );
    checks.equal(
        "IPv6: pairs of one network that reach each other",
        reach.answered_ipv6,
        reach.pairs,
    );
    checks.equal("of them only at a second try", reach.slow, 0);
    let across = reach.pairs_across_leaves;
    checks.check("pairs under different leaves", across, "> 0", across > 0);
    let shared = reach.shared_addresses;
    checks.check(
        "IPv4 addresses that two projects use",
        shared,
        "> 0",
        shared > 0,
    );
    checks.equal(
        "answers from the other project",
        reach.strangers_that_answered,
        0,
    );
    checks.equal(
        "frames of the other project seen by a VM",
        reach.frames_across_projects,
        0,
    );
    Ok(reach)
}

fn within(world: &World, ports: &[Port], reach: &mut Reach) -> Result<(), Error> {
    for from in ports {
        let others: Vec<&Port> = ports.iter().filter(|port| port.id != from.id).collect();
        reach.pairs += others.len();
        for other in &others {
            let hosts = from.host.as_deref().zip(other.host.as_deref());
            if let Some((a, b)) = hosts.filter(|(a, b)| a != b) {
                reach.pairs_across_leaves += usize::from(!world.same_leaves(a, b)?);
            }
        }
        let targets = others.into_iter().flat_map(addresses).collect();
        for answer in world.ping(&from.id, targets)? {
            let answered = usize::from(answer.answered.is_some());
            if answer.target.is_ipv6() {
                reach.answered_ipv6 += answered;
            } else {
                reach.answered_ipv4 += answered;
            }
            reach.slow += usize::from(answer.tries > 1);
        }
    }
    Ok(())
}

/// Every VM pings the addresses that only VMs of other projects have; all VMs at the same time.
fn strangers(world: &World, all: &[&Port], reach: &mut Reach) -> Result<(), Error> {
    let mut running = Vec::new();
    for from in all {
        let of_project = |own: bool| {
            let ports = all
                .iter()
                .filter(move |port| (port.project == from.project) == own);
            ports.flat_map(|port| addresses(port))
        };
        let own: Vec<_> = of_project(true).collect();
        let targets: Vec<_> = of_project(false)
            .filter(|address| !own.contains(address))
            .collect();
        let options = ping::Options {
            limit: PATIENCE,
            tries: 1,
            ..ping::Options::default()
        };
        let vm = world.vm(&from.id)?;
        running.push(measure::start(&vm, move || ping::ping(&targets, options)));
    }
    for pings in running {
        let answered = pings
            .join()?
            .into_iter()
            .filter(|ping| ping.answered.is_some());
        reach.strangers_that_answered += answered.count();
    }
    Ok(())
}

/// A capture at every VM.
fn watch(world: &World, all: &[&Port]) -> Result<Vec<Capture>, Error> {
    let vms = all
        .iter()
        .map(|port| world.vm(&port.id))
        .collect::<Result<Vec<_>, _>>()?;
    frames::capture_all(&vms, CARD, "ip or ip6 or arp")
}

/// Frames that a VM got from a MAC address of another project.
fn count_foreign(watched: Vec<Capture>, all: &[&Port]) -> Result<usize, Error> {
    let mut foreign = 0;
    for (port, frames) in all.iter().zip(frames::finish_all(watched)?) {
        let others = all.iter().filter(|other| other.project != port.project);
        let macs: Vec<[u8; 6]> = others.map(|other| mac(other)).collect();
        let from_others = frames.iter().filter(|frame| {
            let source = frame.get(SOURCE).and_then(|mac| mac.try_into().ok());
            source.is_some_and(|source: [u8; 6]| macs.contains(&source))
        });
        foreign += from_others.count();
    }
    Ok(foreign)
}
