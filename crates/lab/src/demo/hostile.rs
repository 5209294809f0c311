//! The second half of point 8: a VM turns hostile, and its neighbours notice nothing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use coax_wire::MacAddress;
use serde::Serialize;

use super::forgeries::{End, Forger};
use super::report::Checks;
use super::world::{World, address, eventually, example, mac};
use crate::error::Error;
use crate::measure::frames::{self, Capture};
use crate::measure::udp::{self, Flow, Stream};
use crate::vm::CARD;

const LIMIT: Duration = Duration::from_secs(10);
/// The VM that turns hostile, its neighbour on the same network, and whom it may open connections to.
const HOSTILE: &str = "tiers/client-2";
const NEIGHBOUR: &str = "tiers/client-1";
const SERVER: &str = "tiers/web-1";
const SERVICE: u16 = 443;
/// A third VM of the network, on the hostile one's hypervisor, and the rule that lets it send to the others.
const THIRD: &str = "tiers/client-3";
const WITH_THIRD: [[&str; 2]; 2] = [
    [
        "  web-1:    {",
        "  client-3: { network: outside, host: hv4 }\n  web-1:    {",
    ],
    [
        "    - { name: users-to-web",
        "    - { name: neighbours, from: network/outside, to: network/outside, allow: [udp/7100-7199] }\n    - { name: users-to-web",
    ],
];
/// Streams that must not suffer: between VMs of other projects on the hostile one's hypervisor, and on its own network.
const BESIDE: [&str; 2] = ["shop/web-1", "shop/web-4"];
const BETWEEN: [&str; 2] = [THIRD, NEIGHBOUR];
/// Frames of each kind of forgery.
const FORGED: usize = 50;
/// Broadcasts at once: ten times what a port may send in a second.
const STORM: usize = 5000;
/// Connections that are opened and never used.
const OPENED: u16 = 4000;

/// What a hostile VM did, and what came of it.
#[derive(Debug, Default, Serialize)]
pub struct Hostile {
    /// The guards whose work it was to drop them.
    pub guards: Vec<String>,
    /// Drops of the hostile VM's frames, by reason.
    pub hostile_drops: Vec<(String, u64)>,
    /// Reasons for which fewer of them were dropped than it sent.
    pub passed: Vec<String>,
    /// Reasons that its port does not name, as `coax port show` shows it.
    pub untold: Vec<String>,
    /// Frames of the hostile VM that a neighbour got although they were forged.
    pub forged_received: usize,
    /// Broadcasts of its storm that the neighbour got.
    pub storm_received: usize,
    /// Datagrams of others lost meanwhile, of those sent.
    pub lost: u64,
    /// Datagrams of others sent meanwhile.
    pub sent: u64,
}

/// A VM forges, serves, hops, cuts, floods, storms and bridges, while streams pass its hypervisor and a neighbour listens.
pub(super) fn run(world: &World) -> Result<Hostile, Error> {
    let mut stack = example("tiers").1.to_owned();
    for [place, more] in WITH_THIRD {
        stack = stack.replace(place, more);
    }
    world.apply(&stack)?;
    let forger = Forger {
        own: end(world, HOSTILE)?,
        neighbour: end(world, NEIGHBOUR)?,
        server: end(world, SERVER)?,
        service: SERVICE,
    };
    let flows = streams(world)?;
    let capture = Capture::start(&world.vm(NEIGHBOUR)?, CARD, "not udp portrange 7100-7199")?;
    let expected = attack(world, &forger)?;
    let mut found = Hostile::default();
    let all = eventually(LIMIT, || {
        found.hostile_drops = drops(world).unwrap_or_default();
        let dropped: BTreeMap<_, _> = found.hostile_drops.iter().cloned().collect();
        let short = expected
            .iter()
            .filter(|(reason, sent)| dropped.get(**reason).is_none_or(|count| count < sent));
        found.passed = short.map(|(reason, _)| (*reason).to_owned()).collect();
        found.passed.is_empty()
    });
    // What is told of it takes a second.
    eventually(LIMIT, || {
        let told = told(world).unwrap_or_default();
        let untold = expected.keys().filter(|reason| !told.contains(**reason));
        found.untold = untold.map(|reason| (*reason).to_owned()).collect();
        !all || found.untold.is_empty()
    });
    found.guards = expected.keys().map(|reason| (*reason).to_owned()).collect();
    let received = capture.finish()?;
    let of_hostile = received.iter().filter(|frame| forger.sent(frame));
    let (storm, forged): (Vec<_>, Vec<_>) = of_hostile.partition(|frame| Forger::is_storm(frame));
    found.storm_received = storm.len();
    found.forged_received = forged.len();
    udp::wait_for_all(&flows, 200, LIMIT);
    for report in udp::finish_all(flows)? {
        found.lost += report.lost;
        found.sent += report.sent;
    }
    Ok(found)
}

fn end(world: &World, id: &str) -> Result<End, Error> {
    let port = world.port(id)?;
    match (address(&port, false), address(&port, true)) {
        (Some(IpAddr::V4(ipv4)), Some(IpAddr::V6(ipv6))) => Ok(End {
            mac: MacAddress(mac(&port)),
            ipv4,
            ipv6,
        }),
        _ => Err(Error::NotPlugged(id.to_owned())),
    }
}

/// Both pairs in both families, when something has arrived of each.
fn streams(world: &World) -> Result<Vec<Flow>, Error> {
    let mut flows = Vec::new();
    for [from, to] in [BESIDE, BETWEEN] {
        for v6 in [false, true] {
            let stream = Stream {
                to: world.socket(to, v6, if v6 { 7106 } else { 7104 })?,
                rate: 1000,
                size: 64,
                from_port: 0,
            };
            flows.push(udp::flow(&world.vm(from)?, &world.vm(to)?, stream)?);
        }
    }
    udp::wait_for_all(&flows, 200, LIMIT);
    Ok(flows)
}

/// Sends everything; the bridge's frame last, since it shuts the port. How many frames must be dropped, by reason.
fn attack(world: &World, forger: &Forger) -> Result<BTreeMap<&'static str, u64>, Error> {
    let namespace = world.vm(HOSTILE)?;
    let forged = forger.all();
    let mut expected: BTreeMap<&str, u64> = BTreeMap::from([("storm", 1), ("bpdu", 1)]);
    for (reason, _) in forged.iter().filter(|(reason, _)| !reason.is_empty()) {
        *expected.entry(reason).or_default() += FORGED as u64;
    }
    let mut frames = Vec::new();
    for (_, frame) in forged {
        frames.extend(std::iter::repeat_n(frame, FORGED));
    }
    frames.extend(forger.syn_flood(OPENED));
    frames.extend(vec![forger.storm(); STORM]);
    frames.push(forger.bpdu());
    frames::send(&namespace, CARD, frames)?;
    Ok(expected)
}

/// Why the hostile VM's frames were dropped.
fn drops(world: &World) -> Result<Vec<(String, u64)>, Error> {
    let drops = world.wait(world.client.drops())?.drops.into_iter();
    let own = drops.filter(|drop| drop.port == HOSTILE);
    Ok(own.map(|drop| (drop.reason, drop.count)).collect())
}

/// The reasons that are told of its port.
fn told(world: &World) -> Result<BTreeSet<String>, Error> {
    let conditions = world.port(HOSTILE)?.status.conditions.into_iter();
    Ok(conditions.map(|condition| condition.code).collect())
}

impl Hostile {
    pub(super) fn tell(&self, checks: &mut Checks) {
        let Self { passed, untold, .. } = self;
        checks.check(
            "a hostile VM: guards that dropped all that it forged",
            match (passed.is_empty(), untold.is_empty()) {
                (true, true) => self.guards.join(", "),
                (false, _) => format!("not {}", passed.join(", ")),
                (true, false) => format!("nothing told of {}", untold.join(", ")),
            },
            "all, and told of its port",
            passed.is_empty() && untold.is_empty() && !self.guards.is_empty(),
        );
        checks.equal(
            "forged frames that its neighbour got",
            self.forged_received,
            0,
        );
        checks.check(
            "broadcasts of its storm that its neighbour got",
            format!("{} of {STORM}", self.storm_received),
            format!("≤ {}", STORM / 5),
            self.storm_received <= STORM / 5,
        );
        let (lost, sent) = (self.lost, self.sent);
        checks.check(
            "datagrams lost by VMs beside it",
            format!("{lost} of {sent}"),
            "none",
            lost == 0 && sent > 0,
        );
    }
}
