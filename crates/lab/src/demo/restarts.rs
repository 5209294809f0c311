//! Point 6: an agent is killed and started again under load, and the controller is killed: packets go
//! on, and what was missed is caught up.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::report::Checks;
use super::world::{World, eventually, example};
use crate::error::Error;
use crate::fault::Target;
use crate::measure::tcp;
use crate::measure::udp::{self, Report, Stream};

const SENDER: &str = "shop/web-1";
const RECEIVER: &str = "shop/web-2";
/// Datagrams per second.
const RATE: u32 = 10_000;
/// Datagrams before, between and after.
const AROUND: u64 = 5_000;
const PORT: u16 = 5600;
const LIMIT: Duration = Duration::from_secs(20);

/// What became of traffic while daemons were gone.
#[derive(Debug, Serialize)]
pub struct Restarts {
    /// While the agents of both ends were killed and started again, one after the other.
    pub agents: Report,
    /// While the controller was gone.
    pub controller: Report,
    /// New connections while the controller was gone.
    pub connections: tcp::ConnectionReport,
    /// From the controller's start until all agents were attached and current.
    pub catch_up_ms: f64,
    /// From a change after that until its VM answered.
    pub change_ms: f64,
}

pub(super) fn run(world: &World, checks: &mut Checks) -> Result<Restarts, Error> {
    let agents = agents(world)?;
    let (controller, connections, catch_up_ms) = controller(world)?;
    let change_ms = change(world)?;
    let result = Restarts {
        agents,
        controller,
        connections,
        catch_up_ms,
        change_ms,
    };
    let lossless = |checks: &mut Checks, what: &str, report: &Report| {
        let measured = format!(
            "{} of {} (longest silence {:.1} ms)",
            report.lost, report.sent, report.longest_gap_ms
        );
        let good = report.lost == 0 && report.duplicated == 0 && report.sent > AROUND;
        checks.check(what, measured, "0", good);
    };
    let what = format!("both ends' agents killed and started at {RATE}/s: datagrams lost");
    lossless(checks, &what, &result.agents);
    lossless(
        checks,
        "controller killed: datagrams lost",
        &result.controller,
    );
    let connections = &result.connections;
    checks.check(
        "controller gone: new TCP connections",
        format!(
            "{} made, {} failed",
            connections.completed, connections.failed
        ),
        "0 failed",
        connections.completed > 0 && connections.failed == 0,
    );
    checks.at_most(
        "controller back: until all agents have caught up",
        catch_up_ms,
        10_000.0,
        "ms",
    );
    checks.at_most(
        "a new port: until its VM runs and answers",
        change_ms,
        10_000.0,
        "ms",
    );
    Ok(result)
}

fn stream(world: &World, number: u16) -> Result<udp::Flow, Error> {
    let stream = Stream {
        to: world.socket(RECEIVER, false, PORT + number)?,
        rate: RATE,
        size: 64,
        from_port: 0,
    };
    udp::flow(&world.vm(SENDER)?, &world.vm(RECEIVER)?, stream)
}

fn agents(world: &World) -> Result<Report, Error> {
    let flow = stream(world, 0)?;
    for port in [RECEIVER, SENDER] {
        let host = world.port(port)?.host.unwrap_or_default();
        flow.wait_for(AROUND, LIMIT);
        let agent = Target::Agent(host);
        world.inflict(&agent)?;
        flow.wait_for(AROUND, LIMIT);
        world.heal(&agent)?;
        world.settle()?;
        flow.wait_for(AROUND, LIMIT);
    }
    flow.finish()
}

fn controller(world: &World) -> Result<(Report, tcp::ConnectionReport, f64), Error> {
    let flow = stream(world, 1)?;
    flow.wait_for(AROUND, LIMIT);
    let address = world.socket(RECEIVER, true, 0)?.ip();
    let (from, to) = (world.vm(SENDER)?, world.vm(RECEIVER)?);
    world.inflict(&Target::Controller)?;
    let time = Duration::from_millis(500);
    let connections = tcp::connections(&from, &to, address, PORT + 10, time);
    flow.wait_for(AROUND, LIMIT);
    // Started again also when something went wrong.
    let start = Instant::now();
    world.heal(&Target::Controller)?;
    world.settle()?;
    let current = eventually(LIMIT, || {
        world
            .wait(world.client.status())
            .is_ok_and(|s| s.hosts.current == world.hosts().len())
    });
    let catch_up = if current {
        start.elapsed().as_secs_f64() * 1000.0
    } else {
        f64::INFINITY
    };
    flow.wait_for(AROUND, LIMIT);
    Ok((flow.finish()?, connections?, catch_up))
}

/// A new port after the controller has come back; it goes again afterwards.
fn change(world: &World) -> Result<f64, Error> {
    let (_, shop) = example("shop");
    let more = shop.trim_end().to_owned() + "\n  web-9:  { network: web, host: hv5 }\n";
    let start = Instant::now();
    world.apply(&more)?;
    let targets = vec![world.socket("shop/web-9", false, 0)?.ip()];
    let answered = world
        .ping(SENDER, targets)?
        .iter()
        .any(|ping| ping.answered.is_some());
    let time = start.elapsed().as_secs_f64() * 1000.0;
    world.apply(shop)?;
    Ok(if answered { time } else { f64::INFINITY })
}
