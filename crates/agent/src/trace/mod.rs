//! What would become of a frame on this host: the pipeline, run on a copy of the kernel's rows.
//!
//! Pure. [`HostView`] is everything that is known of the host; [`run`] plays frames on it. Ways through
//! the underlay and parts of the connection table that it lacks are told as [`Run::Ask`]: whoever has a netlink socket
//! and the maps looks them up, adds them to the view and runs again. The route lookup is thereby the kernel's own, with
//! its choice among equal-cost paths, and a connection is found where the kernel's program would find it.

mod names;
mod rules;
mod text;

use std::collections::BTreeMap;
use std::net::IpAddr;

use coax_api::question::{
    Answering, Entering, HostFault, HostRun, HostVerdict, SideCounters, TunnelPacket,
};
use coax_api::{TracePath, TraceStage};
use coax_pipeline::{PathState, Verdict};
use coax_sim::tables::Way;
use coax_sim::trace::{Known, Lookup, PathQuestion, Remembered, Traced, Unanswered};
use coax_sim::{Host, Side, SimRows, SimTables};
use coax_tables::{FABRIC_SLOT, HostRow};
use coax_vswitch::{Attachment, ConnectionCopy, Rows, SlotCounters};
use coax_wire::{EtherType, MacAddress, ip};

pub use names::Names;

/// A network device as netlink shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Switched on, and something is plugged in.
    pub up: bool,
    /// Largest packet that it carries, without the Ethernet header.
    pub mtu: u32,
    /// Its MAC address; zero if it has none.
    pub mac: MacAddress,
}

/// A way through the underlay as the kernel chose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownWay {
    /// What the pipeline sees of it.
    pub way: Way,
    /// IP address of the next hop.
    pub next_hop: IpAddr,
}

/// Everything that is known of a host.
#[derive(Clone, Debug, Default)]
pub struct HostView {
    /// What is in the kernel's tables.
    pub rows: Rows,
    /// The devices that have a program.
    pub attached: Vec<(u32, Attachment)>,
    /// Devices by their number.
    pub links: BTreeMap<u32, Link>,
    /// Ways through the underlay, as far as they were asked for; `None`: no route.
    pub ways: BTreeMap<PathQuestion, Option<KnownWay>>,
    /// Connections, as far as they were asked for.
    pub connections: ConnectionCopy,
    /// What numbers and addresses are called.
    pub names: Names,
    /// The revision in the tables.
    pub revision: u64,
    /// What the agent could not do: object and reason.
    pub problems: Vec<(String, String)>,
    /// Counters by slot.
    pub counters: BTreeMap<u32, SlotCounters>,
    /// Nanoseconds of the clock by which the kernel's program measures.
    pub now: u64,
}

/// How far a run came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// To its end.
    Done(Box<HostRun>),
    /// This must be known first.
    Ask(Unanswered),
}

/// Plays the frames one after the other and tells of the last one.
pub fn run(view: &HostView, frames: &[Entering]) -> Run {
    let mut result = HostRun {
        revision: view.revision,
        problems: view.problems.clone(),
        ..HostRun::default()
    };
    let Some((last, before)) = frames.split_last() else {
        return Run::Done(Box::new(result));
    };
    let ways = view.ways.iter();
    let ways = ways.map(|(question, known)| (*question, known.as_ref().map(|known| known.way)));
    let ways = ways.collect();
    let remembered = Remembered::new(
        view.connections.number,
        &view.connections.usage,
        &view.connections.buckets,
    );
    let known = Known {
        ways: &ways,
        remembered: &remembered,
    };
    let host = host(view);
    for earlier in before {
        if let Ok((side, ifindex)) = entrance(view, earlier) {
            let traced = coax_sim::trace::trace(&host, known, side, ifindex, &earlier.frame);
            if !traced.unanswered.is_empty() {
                return Run::Ask(traced.unanswered);
            }
        }
    }
    let (side, ifindex) = match entrance(view, last) {
        Ok(entrance) => entrance,
        Err(fault) => {
            result.fault = Some(fault);
            return Run::Done(Box::new(result));
        }
    };
    let traced = coax_sim::trace::trace(&host, known, side, ifindex, &last.frame);
    if !traced.unanswered.is_empty() {
        return Run::Ask(traced.unanswered);
    }
    result.device = view.device(ifindex);
    result.drops = view.drops_at(side, ifindex);
    tell(view, traced, &mut result);
    Run::Done(Box::new(result))
}

/// The simulated twin of the host.
fn host(view: &HostView) -> Host {
    let tables = SimTables {
        rows: sim_rows(&view.rows),
        now: view.now,
        ..SimTables::default()
    };
    let sending = view.links.iter().filter(|(_, link)| link.up);
    Host::new(tables, sending.map(|(index, _)| *index))
}

/// Every table of the kernel as the simulator holds it. A table that is forgotten here does not compile.
pub fn sim_rows(rows: &Rows) -> SimRows {
    let Rows {
        host,
        tunnels,
        macs,
        addresses,
        replicas,
        sources,
        networks,
        ports,
        routes,
        classes,
        services,
        policies,
        domains,
    } = rows;
    SimRows {
        host: *host,
        ports: copied(ports),
        networks: copied(networks),
        macs: copied(macs),
        addresses: copied(addresses),
        routes: copied(routes),
        tunnels: copied(tunnels),
        replicas: copied(replicas),
        sources: copied(sources),
        classes: copied(classes),
        services: copied(services),
        policies: copied(policies),
        domains: copied(domains),
    }
}

fn copied<K: Copy, V: Copy, M: FromIterator<(K, V)>>(table: &BTreeMap<K, V>) -> M {
    table.iter().map(|(key, row)| (*key, *row)).collect()
}

/// Where the frame meets the pipeline, or why it does not.
fn entrance(view: &HostView, entering: &Entering) -> Result<(Side, u32), HostFault> {
    let attached = |ifindex: u32, side| view.attached.contains(&(ifindex, side));
    match &entering.port {
        Some(port) => {
            let ifindex = view.names.device_of(port).ok_or(HostFault::NoDevice)?;
            let device = view.device(ifindex);
            if view.links.get(&ifindex).is_some_and(|link| !link.up) {
                return Err(HostFault::DeviceDown { device });
            }
            if !attached(ifindex, Attachment::Port) {
                return Err(HostFault::NoProgram { device });
            }
            Ok((Side::Port, ifindex))
        }
        None => {
            let uplinks = view.names.uplinks();
            let down = |ifindex: &u32| view.links.get(ifindex).is_some_and(|link| !link.up);
            let ready = uplinks
                .iter()
                .find(|ifindex| attached(**ifindex, Attachment::Uplink) && !down(ifindex));
            if let Some(ifindex) = ready {
                return Ok((Side::Uplink, *ifindex));
            }
            let Some(first) = uplinks.first() else {
                return Err(HostFault::NoDevice);
            };
            let device = view.device(*first);
            Err(if down(first) {
                HostFault::DeviceDown { device }
            } else {
                HostFault::NoProgram { device }
            })
        }
    }
}

fn tell(view: &HostView, traced: Traced, result: &mut HostRun) {
    let stages = traced.steps.iter().map(|step| TraceStage {
        stage: step.stage.name().to_owned(),
        rows: step
            .lookups
            .iter()
            .map(|lookup| text::row(view, lookup))
            .collect(),
    });
    result.stages = stages.collect();
    result.judged = rules::judged(&view.names, &traced);
    result.rule = rules::deciding(&view.names, &traced);
    let outcome = &traced.outcome;
    result.verdict = match outcome.verdict {
        Verdict::Drop | Verdict::Next | Verdict::Continue => HostVerdict::Drop,
        Verdict::Deliver => HostVerdict::Deliver,
        Verdict::Send => HostVerdict::Send,
        Verdict::SendUnresolved => HostVerdict::SendUnresolved,
        Verdict::Answer => HostVerdict::Answer,
        Verdict::Flood => HostVerdict::Flood,
        Verdict::Pass => HostVerdict::Pass,
        Verdict::Punt => HostVerdict::Punt,
    };
    result.reason = outcome.reason.map(|reason| reason.name().to_owned());
    let paths: Vec<TracePath> = traced
        .steps
        .iter()
        .flat_map(|step| &step.lookups)
        .filter_map(|lookup| text::path(view, lookup))
        .collect();
    if outcome.verdict == Verdict::Answer {
        result.answer = outcome.frame.clone().map(|frame| Answering { frame });
        return;
    }
    for (ifindex, bytes) in outcome.sent() {
        match tunnel_destination(&view.rows.host, bytes) {
            Some(to) if view.names.port_on(ifindex).is_none() => {
                let path = paths.iter().find(|path| path.to == to.to_string());
                result.packets.push(TunnelPacket {
                    packet: bytes.to_vec(),
                    path: path.cloned().unwrap_or_default(),
                });
            }
            _ => result.ports.push(view.port_on(ifindex)),
        }
    }
    if result.packets.is_empty() {
        result.path = paths.into_iter().next_back();
    }
}

/// The outer destination of a packet of this host's tunnels.
fn tunnel_destination(host: &HostRow, packet: &[u8]) -> Option<IpAddr> {
    let is = |at: usize, bytes: &[u8]| packet.get(at..at + bytes.len()) == Some(bytes);
    let array = |at: usize| -> Option<[u8; 16]> { packet.get(at..at + 16)?.try_into().ok() };
    if is(12, &EtherType::IPV4.0) && is(26, &host.vtep_ipv4) && is(23, &[ip::protocol::UDP]) {
        let bytes: [u8; 4] = packet.get(30..34)?.try_into().ok()?;
        return Some(IpAddr::from(bytes));
    }
    if is(12, &EtherType::IPV6.0) && is(22, &host.vtep_ipv6) && is(20, &[ip::protocol::UDP]) {
        return array(38).map(IpAddr::from);
    }
    None
}

impl HostView {
    /// A device as users know it.
    fn device(&self, ifindex: u32) -> String {
        let link = self.links.get(&ifindex).map(|link| link.name.clone());
        let known = link.or_else(|| self.names.device_name(ifindex));
        known.unwrap_or_else(|| format!("device {ifindex}, which does not exist"))
    }

    /// The port on a device, or the device in brackets if it is no port's.
    fn port_on(&self, ifindex: u32) -> String {
        let port = self.names.port_on(ifindex).map(str::to_owned);
        port.unwrap_or_else(|| format!("({})", self.device(ifindex)))
    }

    fn drops_at(&self, side: Side, ifindex: u32) -> Vec<(String, u64)> {
        let slot = match side {
            Side::Port => {
                let mut rows = self.rows.ports.iter();
                rows.find(|(key, _)| key.ifindex == ifindex)
                    .map(|(_, row)| row.slot)
            }
            Side::Uplink => Some(FABRIC_SLOT),
        };
        let counters = slot.and_then(|slot| self.counters.get(&slot));
        let drops = counters.into_iter().flat_map(|counters| &counters.drops);
        drops
            .map(|(reason, count)| (reason.name().to_owned(), *count))
            .collect()
    }

    /// Counters of the fabric side and of those of the ports that are here.
    pub fn count(&self, ports: &[String]) -> Vec<SideCounters> {
        let slot_of = |port: &str| {
            let ifindex = self.names.device_of(port)?;
            let mut rows = self.rows.ports.iter();
            let (_, row) = rows.find(|(key, _)| key.ifindex == ifindex)?;
            Some(row.slot)
        };
        let ports = ports.iter();
        let ports = ports.filter_map(|port| Some((port.as_str(), slot_of(port)?)));
        let sides = [("fabric", FABRIC_SLOT)].into_iter().chain(ports);
        let counted = sides.filter_map(|(name, slot)| {
            let counted = self.counters.get(&slot)?;
            let drops = counted.drops.iter();
            Some(SideCounters {
                name: name.to_owned(),
                received: counted.counters.received_frames,
                sent: counted.counters.sent_frames,
                drops: drops
                    .map(|(reason, count)| (reason.name().to_owned(), *count))
                    .collect(),
            })
        });
        counted.collect()
    }
}

/// Whether a lookup of a way ended well.
fn is_passable(state: PathState) -> bool {
    matches!(state, PathState::Ready | PathState::Unresolved)
}

/// What a lookup says of the underlay.
fn path_lookup(lookup: &Lookup) -> Option<(&PathQuestion, u32, PathState, Option<&Way>)> {
    match lookup {
        Lookup::Path {
            question,
            length,
            state,
            way,
        } => Some((question, *length, *state, way.as_ref())),
        _ => None,
    }
}
