//! Point 8: a stack of three tiers behind a router and a firewall. Every pair tries every service with real connections; a
//! hostile VM then does what it can, and its neighbours notice nothing of it.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use coax_api::{Port, TraceRequest};
use serde::Serialize;

use super::hostile::{self, Hostile};
use super::report::Checks;
use super::world::{World, address, example};
use crate::error::Error;
use crate::measure;

/// The services of the tiers: web, application, database.
const SERVICES: [u16; 3] = [443, 9000, 5432];
/// How long a connection may take; one that is dropped takes longer.
const PATIENCE: Duration = Duration::from_millis(900);
/// What passed and what did not.
#[derive(Debug, Default, Serialize)]
pub struct Zones {
    /// Connections that rules allow, and those of them that were made.
    pub allowed: usize,
    /// Those of them that were made.
    pub made: usize,
    /// Connections that no rule allows.
    pub forbidden: usize,
    /// Those of them that were made all the same.
    pub leaks: Vec<String>,
    /// Those that are allowed and were not made.
    pub failures: Vec<String>,
    /// What a trace says of a forbidden one.
    pub trace: String,
    /// What a hostile VM did.
    #[serde(flatten)]
    pub hostile: Hostile,
}

pub(super) fn run(world: &World, checks: &mut Checks) -> Result<Zones, Error> {
    world.apply(example("tiers").1)?;
    let ports: Vec<Port> = world.wait(world.client.ports(Some("tiers")))?;
    let mut zones = Zones::default();
    pairs(world, &ports, &mut zones)?;
    let request = TraceRequest {
        from: "tiers/client-1".into(),
        to: "tiers/db-1".into(),
        traffic: Some("tcp/5432".into()),
        ..TraceRequest::default()
    };
    zones.trace = world.wait(world.client.trace(&request))?.summary;
    zones.hostile = hostile::run(world)?;
    tell(&zones, checks);
    Ok(zones)
}

/// Every VM tries every service of every other one, in both families.
fn pairs(world: &World, ports: &[Port], zones: &mut Zones) -> Result<(), Error> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for port in ports {
        listeners.extend(measure::run(&world.vm(&port.id)?, || {
            let bound = SERVICES.map(|service| TcpListener::bind(("::", service)));
            bound.into_iter().collect::<io::Result<Vec<_>>>()
        })?);
    }
    let mut running = Vec::new();
    for from in ports {
        let mut tries = Vec::new();
        for to in ports.iter().filter(|to| to.id != from.id) {
            for service in SERVICES {
                for v6 in [false, true] {
                    let Some(target) = address(to, v6) else {
                        continue;
                    };
                    let what = format!("{} to {} {target}:{service}", from.name, to.name);
                    let wanted = is_allowed(&from.network, &to.network, service);
                    tries.push((what, wanted, SocketAddr::new(target, service)));
                }
            }
        }
        let work = move || Ok(try_all(tries));
        running.push(measure::start(&world.vm(&from.id)?, work));
    }
    for work in running {
        for (what, wanted, made) in work.join()? {
            zones.allowed += usize::from(wanted);
            zones.made += usize::from(wanted && made);
            zones.forbidden += usize::from(!wanted);
            match (wanted, made) {
                (true, false) => zones.failures.push(what),
                (false, true) => zones.leaks.push(what),
                _ => {}
            }
        }
    }
    Ok(())
}

type Try = (String, bool, SocketAddr);

/// Tries all at once; who waits in vain waits no longer than the others.
fn try_all(tries: Vec<Try>) -> Vec<(String, bool, bool)> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = tries
            .into_iter()
            .map(|(what, wanted, to)| {
                let made = scope.spawn(move || TcpStream::connect_timeout(&to, PATIENCE).is_ok());
                (what, wanted, made)
            })
            .collect();
        let done = threads.into_iter();
        done.map(|(what, wanted, made)| (what, wanted, made.join().unwrap_or(false)))
            .collect()
    })
}

/// What the example's rules say, in one line each.
fn is_allowed(from: &str, to: &str, service: u16) -> bool {
    matches!(
        (from, to, service),
        ("outside", "web", 443) | ("web", "app", 9000) | ("app", "db", 5432)
    )
}

fn tell(zones: &Zones, checks: &mut Checks) {
    let Zones { allowed, made, .. } = zones;
    checks.check(
        "connections that rules allow: made",
        format!("{made} of {allowed}"),
        "all",
        allowed == made && *allowed > 0,
    );
    let leaks = zones.leaks.len();
    checks.check(
        "connections that no rule allows: made",
        format!("{leaks} of {}", zones.forbidden),
        "none",
        leaks == 0 && zones.forbidden > 0,
    );
    checks.check(
        "coax trace client-1 db-1 tcp/5432",
        &zones.trace,
        "dropped on hv1",
        zones.trace.contains("dropped on hv1"),
    );
    zones.hostile.tell(checks);
}
