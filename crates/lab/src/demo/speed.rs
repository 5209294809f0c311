//! Point 3: throughput, packets per second and round trip next to the same fabric with Linux bridge
//! and kernel vxlan device, in the same run, round by round in turn. The ratios are told; whether they reach
//! what is asked for is for `coax bench` to judge, which takes its time and has the machine to itself.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use coax_api::Port;
use coax_netlink::Namespace;
use serde::Serialize;

use super::plug;
use super::report::Checks;
use super::sniffer::Sniffer;
use super::world::{World, address};
use crate::error::Error;
use crate::measure::{self, ping, speed, tcp};
use crate::name::LabName;
use crate::site::Site;

const CLIENT: &str = "shop/web-1";
const SERVER: &str = "shop/web-2";
/// Rounds; the median of their ratios counts.
const ROUNDS: u16 = 9;
const TCP_TIME: Duration = Duration::from_millis(500);
const UDP_TIME: Duration = Duration::from_millis(400);
const CONNECTION_TIME: Duration = Duration::from_millis(300);
const SAMPLES: usize = 2000;
const PORT: u16 = 5300;
/// Between two rounds: what the processors do then, others do.
const PAUSE: Duration = Duration::from_millis(100);
/// The share of others from which on the ratios say little.
const TOO_BUSY: f64 = 0.1;

/// One datapath's figures of one round.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Figures {
    /// Gigabits per second of one TCP stream.
    pub tcp_gbit: f64,
    /// Thousands of small datagrams per second.
    pub udp_kpps: f64,
    /// Median round trip, in microseconds.
    pub round_trip_us: f64,
    /// TCP connections opened, used and closed per second.
    pub connections: f64,
}

/// All rounds.
#[derive(Debug, Serialize)]
pub struct Speed {
    /// Coax.
    pub coax: Vec<Figures>,
    /// Linux bridge and kernel vxlan device.
    pub baseline: Vec<Figures>,
    /// The share of the processors that others used between the rounds.
    pub busy: f64,
    /// Frames of address resolution on the baseline's fabric for the first ping of two VMs: that there
    /// are some shows that point 2 would have seen them.
    pub resolution_on_baseline: usize,
    /// Milliseconds from the API call to the first answered packet of a new port, sorted.
    pub new_port_ms: Vec<f64>,
}

pub(super) fn run(world: &World, baseline: &LabName, checks: &mut Checks) -> Result<Speed, Error> {
    let (client, server) = (world.port(CLIENT)?, world.port(SERVER)?);
    let theirs = |port: &Port| Namespace::open(&baseline.vm_namespace(&port.id));
    let ours = [world.vm(CLIENT)?, world.vm(SERVER)?];
    let theirs = [theirs(&client)?, theirs(&server)?];
    let address = address(&server, false).ok_or_else(|| Error::NotPlugged(SERVER.into()))?;
    let mut result = Speed {
        coax: Vec::new(),
        baseline: Vec::new(),
        busy: 0.0,
        resolution_on_baseline: first_contact(world, baseline, &theirs[0], address)?,
        new_port_ms: Vec::new(),
    };
    for round in 0..ROUNDS {
        let at = SocketAddr::new(address, PORT + round * 20);
        // In turn, and who is first in turn too: neither meets a warmer machine.
        for coax in if round % 2 == 0 {
            [true, false]
        } else {
            [false, true]
        } {
            result.busy += speed::busy(PAUSE)? / f64::from(2 * ROUNDS);
            if coax {
                result.coax.push(figures(&ours, at)?);
            } else {
                result.baseline.push(figures(&theirs, at)?);
            }
        }
    }
    tell(&result, checks);
    result.new_port_ms = plug::run(world, checks)?;
    Ok(result)
}

/// Looks at the baseline's fabric while one VM pings another for the first time.
fn first_contact(
    world: &World,
    baseline: &LabName,
    client: &Namespace,
    server: IpAddr,
) -> Result<usize, Error> {
    let site = world.wait(Site::open(baseline, world.site.plan.clone()))?;
    let sniffer = Sniffer::start(&site)?;
    measure::run(client, move || {
        ping::ping(&[server], ping::Options::default())
    })?;
    sniffer.finish()
}

fn figures([client, server]: &[Namespace; 2], at: SocketAddr) -> Result<Figures, Error> {
    let next = |offset| SocketAddr::new(at.ip(), at.port() + offset);
    Ok(Figures {
        round_trip_us: speed::round_trip(client, server, next(0), SAMPLES)?.p50_us,
        tcp_gbit: speed::tcp_stream(client, server, next(1), TCP_TIME)?,
        udp_kpps: speed::udp_flood(client, server, next(2), UDP_TIME)?,
        connections: tcp::connections(client, server, at.ip(), at.port() + 3, CONNECTION_TIME)?
            .rate,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn tell(speed: &Speed, checks: &mut Checks) {
    let busy = format!("{:.0} %", speed.busy * 100.0);
    let remark = if speed.busy < TOO_BUSY {
        ""
    } else {
        " (the ratios say little)"
    };
    checks.tell("processors busy with other work", format!("{busy}{remark}"));
    type Get = fn(&Figures) -> f64;
    let rows: [(&str, &str, Get); 4] = [
        ("one TCP stream", "Gbit/s", |f| f.tcp_gbit),
        ("UDP, 64 byte frames", "kpps", |f| f.udp_kpps),
        ("round trip, median", "us", |f| f.round_trip_us),
        ("TCP connections", "/s", |f| f.connections),
    ];
    let (what, seen) = (
        "ARP frames on the fabric of the baseline",
        speed.resolution_on_baseline,
    );
    checks.check(format!("{what} for one first ping"), seen, "> 0", seen > 0);
    for (what, unit, get) in rows {
        let of = |figures: &[Figures]| median(figures.iter().map(get).collect());
        let pairs = speed.coax.iter().zip(&speed.baseline);
        let ratio = median(
            pairs
                .map(|(ours, theirs)| get(ours) / get(theirs))
                .collect(),
        );
        let measured = format!(
            "{ratio:.2} times ({:.1} to {:.1} {unit})",
            of(&speed.coax),
            of(&speed.baseline)
        );
        checks.tell(format!("{what}: Coax to bridge and vxlan"), measured);
    }
}
