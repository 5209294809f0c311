//! Point 5: an uplink, then a spine is cut under traffic: how long nothing came, and which paths carry
//! the flows afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::report::Checks;
use super::world::World;
use crate::error::Error;
use crate::fault::Target;
use crate::measure::udp::{self, Flow, Stream};

/// Between hosts under different leaves, so that half of the flows cross the spines.
const SENDER: &str = "shop/web-1";
const RECEIVER: &str = "shop/web-3";
/// Flows, so many that each path gets some: half of them choose between the spines.
const FLOWS: u16 = 64;
/// Datagrams per second and flow.
const RATE: u32 = 100;
const PORT: u16 = 5500;
/// Datagrams of each flow before and after a cut.
const AROUND: u64 = 30;
const LIMIT: Duration = Duration::from_secs(10);
/// The longest silence that a cut may cause in any flow.
const GAP_MS: f64 = 250.0;
/// Packets below which a path counts as unused: what other VMs say now and then.
const QUIET: u64 = 5;

/// One cut.
#[derive(Debug, Serialize)]
pub struct Cut {
    /// What was cut.
    pub what: String,
    /// The longest silence of any flow.
    pub gap_ms: f64,
    /// Datagrams lost, of all flows.
    pub lost: u64,
    /// Datagrams sent, of all flows.
    pub sent: u64,
    /// Flows that went on.
    pub flows_alive: usize,
    /// Packets by path before the cut: uplinks of the sender's host, and spines.
    pub before: BTreeMap<String, u64>,
    /// The same after the cut.
    pub after: BTreeMap<String, u64>,
    /// Paths that should be unused after the cut.
    pub dead: Vec<String>,
}

pub(super) fn run(world: &World, checks: &mut Checks) -> Result<Vec<Cut>, Error> {
    let from = world.port(SENDER)?.host.unwrap_or_default();
    let to = world.port(RECEIVER)?.host.unwrap_or_default();
    let cuts = [
        (
            format!("uplink 1 of {from}"),
            Target::Uplink(from.clone(), 1),
            Some(format!("{from} up1")),
        ),
        (
            format!("uplink 1 of {to}"),
            Target::Uplink(to.clone(), 1),
            None,
        ),
        (
            "spine1".to_owned(),
            Target::Node("spine1".into()),
            Some("spine1".to_owned()),
        ),
    ];
    let mut done = Vec::new();
    for (what, target, dead) in cuts {
        let cut = cut(world, &from, what, &target, dead);
        // Healed also when something went wrong, or the next point would meet a broken fabric.
        world.heal(&target)?;
        let cut = cut?;
        tell(&cut, checks);
        done.push(cut);
        let networks = world.networks()?;
        let web = networks.get("shop/web").map_or(&[][..], Vec::as_slice);
        super::world::eventually(LIMIT, || {
            world
                .silent_pairs(web)
                .is_ok_and(|silent| silent.is_empty())
        });
    }
    Ok(done)
}

fn cut(
    world: &World,
    host: &str,
    what: String,
    target: &Target,
    dead: Option<String>,
) -> Result<Cut, Error> {
    let flows = (0..FLOWS).map(|n| {
        let stream = Stream {
            to: world.socket(RECEIVER, false, PORT + n)?,
            rate: RATE,
            size: 64,
            from_port: PORT + 100 + n,
        };
        udp::flow(&world.vm(SENDER)?, &world.vm(RECEIVER)?, stream)
    });
    let flows: Vec<Flow> = flows.collect::<Result<_, _>>()?;
    let hear = || udp::wait_for_all(&flows, AROUND, LIMIT);
    hear();
    let before = paths(world, host, hear)?;
    world.inflict(target)?;
    hear();
    let mut flows_alive = 0;
    let after = paths(world, host, || {
        flows_alive = hear();
        flows_alive
    })?;
    let reports = udp::finish_all(flows)?;
    Ok(Cut {
        what,
        gap_ms: reports
            .iter()
            .map(|report| report.longest_gap_ms)
            .fold(0.0, f64::max),
        lost: reports.iter().map(|report| report.lost).sum(),
        sent: reports.iter().map(|report| report.sent).sum(),
        flows_alive,
        before,
        after,
        dead: dead.into_iter().collect(),
    })
}

/// Packets that each uplink of a host and each spine sends while `meanwhile` runs.
fn paths(
    world: &World,
    host: &str,
    meanwhile: impl FnOnce() -> usize,
) -> Result<BTreeMap<String, u64>, Error> {
    let count = || -> Result<BTreeMap<String, u64>, Error> {
        let uplinks = world.sent_packets(host)?;
        let mut counts: BTreeMap<String, u64> = uplinks
            .into_iter()
            .map(|(device, sent)| (format!("{host} {device}"), sent))
            .collect();
        for spine in ["spine1", "spine2"] {
            counts.insert(spine.to_owned(), world.sent_packets(spine)?.values().sum());
        }
        Ok(counts)
    };
    let first = count()?;
    meanwhile();
    let last = count()?;
    let moved = |(path, count): (String, u64)| {
        let before = first.get(&path).copied().unwrap_or(0);
        (path, count.saturating_sub(before))
    };
    Ok(last.into_iter().map(moved).collect())
}

fn tell(cut: &Cut, checks: &mut Checks) {
    let show = |paths: &BTreeMap<String, u64>| {
        let paths = paths.iter().map(|(path, count)| format!("{path} {count}"));
        paths.collect::<Vec<_>>().join(", ")
    };
    let what = &cut.what;
    let used = cut.before.values().all(|count| *count > QUIET);
    checks.check(
        format!("before: packets by path ({FLOWS} flows)"),
        show(&cut.before),
        "all used",
        used,
    );
    checks.at_most(
        format!("{what} cut: longest silence of a flow"),
        cut.gap_ms,
        GAP_MS,
        "ms",
    );
    checks.tell(
        "  datagrams lost of those sent",
        format!("{} of {}", cut.lost, cut.sent),
    );
    checks.equal("  flows that go on", cut.flows_alive, usize::from(FLOWS));
    let unused = cut
        .dead
        .iter()
        .all(|path| cut.after.get(path).is_none_or(|n| *n <= QUIET));
    let wanted = match cut.dead.as_slice() {
        [] => "told".to_owned(),
        dead => format!("none over {}", dead.join(", ")),
    };
    checks.check("  after: packets by path", show(&cut.after), wanted, unused);
}
