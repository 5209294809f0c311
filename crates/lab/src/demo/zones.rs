//! Point 8: a stack of three tiers behind a router and a firewall. Every pair tries every service with real connections; a
//! hostile VM then does what it can, and its neighbours notice nothing of it.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use coax_api::{Port, TraceRequest};
use serde::Serialize;

use super::report::Checks;
use super::world::{World, address, eventually, example, mac};
use crate::error::Error;
use crate::measure;
use crate::measure::frames::{self, Capture};
use crate::measure::udp::{self, Stream};
use crate::vm::CARD;

/// The services of the tiers: web, application, database.
const SERVICES: [u16; 3] = [443, 9000, 5432];
/// How long a connection may take; one that is dropped takes longer.
const PATIENCE: Duration = Duration::from_millis(900);
const LIMIT: Duration = Duration::from_secs(10);
/// The VM that turns hostile, and its neighbour on the same network.
const HOSTILE: &str = "tiers/client-2";
const NEIGHBOUR: &str = "tiers/client-1";
/// A stream that passes the hostile VM's hypervisor: to a VM there.
const BESIDE: [&str; 2] = ["shop/web-1", "shop/web-4"];
const BROADCAST: [u8; 6] = [0xff; 6];
const STRANGER: [u8; 6] = [0x02, 0xba, 0xd0, 0, 0, 1];
const BRIDGES: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0];
/// Frames of each kind of forgery.
const FORGED: usize = 50;
/// Broadcasts at once: ten times what a port may send in a second.
const STORM: usize = 5000;

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
    /// Drops of the hostile VM's frames, by reason.
    pub hostile_drops: Vec<(String, u64)>,
    /// Frames of the hostile VM that a neighbour got although they were forged.
    pub forged_received: usize,
    /// Broadcasts of its storm that the neighbour got.
    pub storm_received: usize,
    /// Datagrams of others lost meanwhile, of those sent.
    pub lost: u64,
    /// Datagrams of others sent meanwhile.
    pub sent: u64,
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
    hostile(world, &mut zones)?;
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

/// A VM forges, serves, storms and bridges, while a stream passes its hypervisor and a neighbour listens.
fn hostile(world: &World, zones: &mut Zones) -> Result<(), Error> {
    let own = mac(&world.port(HOSTILE)?);
    let namespace = world.vm(HOSTILE)?;
    let [from, to] = BESIDE;
    let stream = Stream {
        to: world.socket(to, false, 7100)?,
        rate: 1000,
        size: 64,
        from_port: 0,
    };
    let flow = udp::flow(&world.vm(from)?, &world.vm(to)?, stream)?;
    flow.wait_for(200, LIMIT);
    let filter = "ether proto 0x88b5 or ether proto 0x88b6 or arp or icmp6 or udp port 68";
    let capture = Capture::start(&world.vm(NEIGHBOUR)?, CARD, filter)?;
    let forged = forgeries(own).into_iter();
    let forged = forged.flat_map(|frame| std::iter::repeat_n(frame, FORGED));
    frames::send(&namespace, CARD, forged.collect())?;
    let storm = frames::build(BROADCAST, own, &[0x88, 0xb6], 60, 0);
    frames::send(&namespace, CARD, vec![storm; STORM])?;
    frames::send(&namespace, CARD, vec![bpdu(own)])?;
    let seen = eventually(LIMIT, || {
        zones.hostile_drops = drops(world).unwrap_or_default();
        zones
            .hostile_drops
            .iter()
            .any(|(reason, _)| reason == "bpdu")
    });
    let received = capture.finish()?;
    let of_hostile = received.iter().filter(|frame| is_from(frame, own));
    let (storm, forged): (Vec<_>, Vec<_>) =
        of_hostile.partition(|frame| frame.get(12..14) == Some(&[0x88, 0xb6]));
    zones.storm_received = storm.len();
    zones.forged_received = forged.len();
    flow.wait_for(200, LIMIT);
    let report = flow.finish()?;
    (zones.lost, zones.sent) = (report.lost, report.sent);
    if !seen {
        zones.hostile_drops.push(("bpdu".to_owned(), 0));
    }
    Ok(())
}

fn is_from(frame: &[u8], own: [u8; 6]) -> bool {
    let from = frame.get(6..12);
    from == Some(&own[..]) || from == Some(&STRANGER[..])
}

/// Why the hostile VM's frames were dropped.
fn drops(world: &World) -> Result<Vec<(String, u64)>, Error> {
    let drops = world.wait(world.client.drops())?.drops.into_iter();
    let own = drops.filter(|drop| drop.port == HOSTILE);
    Ok(own.map(|drop| (drop.reason, drop.count)).collect())
}

/// One frame of each kind: another MAC address, the gateway's address by ARP, another IPv4 address, a router advertisement,
/// an answer of a DHCP server.
fn forgeries(own: [u8; 6]) -> Vec<Vec<u8>> {
    let mut arp = [&BROADCAST[..], &own, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], &own].concat();
    arp.extend([10, 20, 0, 1]);
    arp.extend(BROADCAST);
    arp.extend([10, 20, 0, 1]);

    let mut ipv4 = [&BROADCAST[..], &own, &[8, 0]].concat();
    ipv4.extend(ipv4_header([10, 20, 0, 250], 253, 20));

    let mut advertisement = [&[0x33, 0x33, 0, 0, 0, 1][..], &own, &[0x86, 0xdd]].concat();
    advertisement.extend([0x60, 0, 0, 0, 0, 16, 58, 255]);
    advertisement.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0]);
    advertisement.extend([
        own[0] ^ 2,
        own[1],
        own[2],
        0xff,
        0xfe,
        own[3],
        own[4],
        own[5],
    ]);
    advertisement.extend([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    advertisement.extend([134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0]);

    let mut offer = [&BROADCAST[..], &own, &[8, 0]].concat();
    offer.extend(ipv4_header([10, 20, 0, 3], 17, 28 + 240));
    offer.extend([0, 67, 0, 68, 0, 248, 0, 0, 2, 1, 6, 0]);
    offer.resize(14 + 28 + 240, 0);

    vec![
        frames::build(BROADCAST, STRANGER, &[0x88, 0xb5], 60, 0),
        arp,
        ipv4,
        advertisement,
        offer,
    ]
}

/// A header without options to everybody, with its checksum.
fn ipv4_header(from: [u8; 4], protocol: u8, length: u16) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    let mut header = vec![0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0];
    header.extend(from);
    header.extend([255; 4]);
    let words = header
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

/// What a bridge says to other bridges.
fn bpdu(own: [u8; 6]) -> Vec<u8> {
    let mut frame = [&BRIDGES[..], &own, &[0, 38, 0x42, 0x42, 0x03]].concat();
    frame.resize(60, 0);
    frame
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
    let reasons = [
        "forged-source",
        "forged-arp",
        "forged-address",
        "rogue-server",
        "storm",
        "bpdu",
    ];
    let counted = |reason: &&&str| {
        let mut drops = zones.hostile_drops.iter();
        drops.any(|(name, count)| name == **reason && *count > 0)
    };
    let missing: Vec<&str> = reasons.iter().filter(|it| !counted(it)).copied().collect();
    checks.check(
        "a hostile VM: reasons for which its frames were dropped",
        match missing.is_empty() {
            true => reasons.join(", "),
            false => format!("not for {}", missing.join(", ")),
        },
        "all of its forgeries",
        missing.is_empty(),
    );
    checks.equal(
        "forged frames that its neighbour got",
        zones.forged_received,
        0,
    );
    checks.check(
        "broadcasts of its storm that its neighbour got",
        format!("{} of {STORM}", zones.storm_received),
        format!("≤ {}", STORM / 5),
        zones.storm_received <= STORM / 5,
    );
    let (lost, sent) = (zones.lost, zones.sent);
    let measured = format!("{lost} of {sent}");
    checks.check(
        "datagrams lost by VMs beside it",
        measured,
        "none",
        lost == 0,
    );
}
