//! Point 9: a change, and the way back, under traffic. A firewall and a network come, a plan says what that
//! does to connectivity, and a rollback takes both away again; the datagrams of those who may talk before,
//! meanwhile and after notice nothing.

use std::time::Duration;

use coax_api::{RollbackOptions, StackOptions};
use coax_model::StackFile;
use serde::Serialize;

use super::report::Checks;
use super::world::{World, example};
use crate::error::Error;
use crate::measure::udp::{self, Stream};

/// Who talks all the time.
const PAIR: [&str; 2] = ["shop/web-1", "shop/web-4"];
const RATE: u32 = 1000;
const PORT: u16 = 7200;
/// Datagrams between two steps.
const AROUND: u64 = 250;
const LIMIT: Duration = Duration::from_secs(10);
/// What comes into the shop.
const MORE: &str = "
groups:
  web: { match: { vm: \"web-*\" } }
firewall:
  default: deny
  rules:
    - { name: inside, from: group/web, to: group/web, allow: [udp/7200, icmp, icmpv6] }
";
/// What the plan has to say of it.
const LOST: &str = "web-* may no longer reach each other on everything but icmp, udp/7200, icmpv6";

/// What was said and what became of the traffic.
#[derive(Debug, Serialize)]
pub struct Changes {
    /// Connectivity that the plan says is lost.
    pub lost_connectivity: Vec<String>,
    /// Hosts that the plan names.
    pub hosts: usize,
    /// What the file still changes when it is applied.
    pub left: usize,
    /// The revision that brought the change.
    pub revision: u64,
    /// The revision that took it back.
    pub back: u64,
    /// Whether the project is byte for byte what it was.
    pub same: bool,
    /// Datagrams lost.
    pub lost: u64,
    /// Datagrams sent.
    pub sent: u64,
}

pub(super) fn run(world: &World, checks: &mut Checks) -> Result<Changes, Error> {
    // As the examples have it, whatever points before this one did.
    world.apply(example("shop").1)?;
    let text = example("shop").1.replace(
        "networks:\n",
        "networks:\n  spare: { subnets: [10.10.9.0/24] }\n",
    ) + MORE;
    let file = StackFile::parse(&text).map_err(|problem| Error::Output(problem.to_string()))?;
    let before = world.wait(world.client.stack("shop"))?;
    let first = world.wait(world.client.status())?.revision;

    let [from, to] = PAIR;
    let stream = Stream {
        to: world.socket(to, false, PORT)?,
        rate: RATE,
        size: 64,
        from_port: 0,
    };
    let flow = udp::flow(&world.vm(from)?, &world.vm(to)?, stream)?;
    flow.wait_for(AROUND, LIMIT);
    let put = |dry_run, wait| {
        let options = StackOptions {
            dry_run,
            wait,
            reason: Some("the demo tightens the shop".to_owned()),
            ..StackOptions::default()
        };
        world.wait(world.client.put_stack("shop", &file, &options))
    };
    let plan = put(true, None)?;
    let applied = put(false, Some(LIMIT))?;
    flow.wait_for(AROUND, LIMIT);
    let left = put(true, None)?.changes.len();
    let options = RollbackOptions {
        reason: Some("the demo is over".to_owned()),
        ..RollbackOptions::default()
    };
    let newest = world.wait(world.client.revisions(&coax_api::HistoryOptions {
        project: Some("shop".to_owned()),
        before: Some(first + 1),
        limit: Some(1),
    }))?;
    let target = newest.first().map_or(first, |it| it.revision);
    let back = world.wait(world.client.rollback(target, &options))?;
    world.wait(world.client.wait(back.revision, LIMIT))?;
    flow.wait_for(AROUND, LIMIT);
    let report = flow.finish()?;
    let changes = Changes {
        lost_connectivity: plan.lost,
        hosts: plan.hosts.len(),
        left,
        revision: applied.revision,
        back: back.revision,
        same: world.wait(world.client.stack("shop"))? == before,
        lost: report.lost,
        sent: report.sent,
    };
    tell(&changes, world, checks);
    Ok(changes)
}

fn tell(changes: &Changes, world: &World, checks: &mut Checks) {
    let said = &changes.lost_connectivity;
    checks.check(
        "coax diff: connectivity lost by a firewall",
        format!("{} sentences", said.len()),
        format!("among them: {LOST}"),
        said.iter().any(|it| it == LOST),
    );
    checks.equal("hosts that it touches", changes.hosts, world.hosts().len());
    checks.equal("differences left after coax apply", changes.left, 0);
    checks.check(
        "coax rollback: the project is what it was",
        format!("revision {} took {} back", changes.back, changes.revision),
        "the same file, byte for byte",
        changes.same && changes.back > changes.revision,
    );
    let (lost, sent) = (changes.lost, changes.sent);
    checks.check(
        "datagrams lost through apply, diff and rollback",
        format!("{lost} of {sent}"),
        "none",
        lost == 0 && sent > 0,
    );
}
