//! Plays scenarios through the kernel's own test-run of the loaded programs.

use super::tap::Tap;
use aya::maps::{Array, Map, MapData, PerCpuArray};
use aya::programs::{TestRun, TestRunOptions};
use coax_pipeline::{Meta, Verdict};
use coax_sim::sink::EXHAUSTED;
use coax_sim::{Enters, Outcome, Punt, Scenario, Side, SimRows, Stand, Tally};
use coax_tables::{Counters, DropReason, FlowRecord, PuntHeader};
use coax_vswitch::{
    Attachment, Capacity, DataPlane, Flows, KernelDataPlane, KernelOptions, Punts, Row,
    RowOperation, Rows,
};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use zerocopy::FromBytes;

/// Counter slots that scenarios use.
pub const SLOTS: u32 = 6;

const CAPACITY: Capacity = Capacity {
    ports: SLOTS,
    networks: 16,
    macs: 64,
    addresses: 64,
    tunnels: 64,
    replicas: 128,
    sources: 64,
    routes: 64,
    classes: 1024,
    services: 512,
    policies: 4096,
    domains: 8,
    connections: 128,
    fragments: 32,
};

const META_BYTES: usize = size_of::<Meta>();
const COUNTER_BYTES: usize = size_of::<Counters>();

/// A data plane on the stand whose programs are run one frame at a time.
pub struct Executor {
    pub stand: Stand,
    pub plane: KernelDataPlane,
    pins: PathBuf,
    meta: PerCpuArray<MapData, [u8; META_BYTES]>,
    counters: PerCpuArray<MapData, [u8; COUNTER_BYTES]>,
    limits: Array<MapData, u64>,
    punts: Box<dyn Punts>,
    flows: Box<dyn Flows>,
    cpu: usize,
    tap: Tap,
}

impl Executor {
    /// Loads the programs, and ties this thread to one processor, because the programs' state is
    /// kept for each.
    pub fn open(label: &str, stand: Stand) -> Self {
        Self::with_connections(label, stand, CAPACITY.connections)
    }

    /// As `open`, with room for so many connections.
    pub fn with_connections(label: &str, stand: Stand, connections: u32) -> Self {
        let pins = PathBuf::from(format!(
            "/sys/fs/bpf/coax-stand-{label}-{}",
            std::process::id()
        ));
        let mut plane = KernelDataPlane::open(&KernelOptions {
            pins: pins.clone(),
            capacity: Capacity {
                connections,
                ..CAPACITY
            },
            take_over_layout: false,
        })
        .unwrap();
        let pinned = |name: &str| MapData::from_pin(pins.join("maps").join(name)).unwrap();
        let meta = Map::PerCpuArray(plane.last_frame().unwrap());
        let counters = Map::PerCpuArray(pinned("COUNTERS"));
        let mut executor = Self {
            stand,
            punts: plane.take_punts().unwrap(),
            flows: plane.take_flows().unwrap(),
            plane,
            meta: PerCpuArray::try_from(meta).unwrap(),
            counters: PerCpuArray::try_from(counters).unwrap(),
            limits: Array::try_from(Map::Array(pinned("LIMITS"))).unwrap(),
            pins: pins.clone(),
            cpu: tie_to_one_processor(),
            tap: Tap::open(),
        };
        executor.begin(&Scenario::default());
        executor
    }

    /// Makes the maps what they are before the scenario's first frame: exactly its rows, all counters
    /// zero, nothing left for the agent.
    pub fn begin(&mut self, scenario: &Scenario) {
        self.change(&scenario.rows);
        for slot in 0..=SLOTS {
            self.plane.reset_counters(slot).unwrap();
        }
        for (slot, limit) in &scenario.exhausted {
            let index = limit.index(*slot);
            self.limits.set(index, EXHAUSTED, 0).unwrap();
        }
        while self.punt().is_some() {}
        self.flows();
        for rule in self.plane.rule_counters().unwrap().into_keys() {
            self.plane.forget_rule(rule).unwrap();
        }
        self.plane.forget_connections();
    }

    /// Makes the rows these, and leaves all else as it is.
    pub fn change(&mut self, rows: &SimRows) {
        let wanted = rows_of(rows);
        let keys: std::collections::BTreeSet<_> = wanted.iter().map(|row| row.key()).collect();
        // The programs write rows of their own, for addresses that are shared.
        let there = self.plane.rows().unwrap();
        let gone = there.iter().filter(|row| !keys.contains(&row.key()));
        let operations: Vec<RowOperation> = gone
            .map(|row| RowOperation::Delete(row.key()))
            .chain(wanted.iter().map(RowOperation::Put))
            .collect();
        for operation in operations {
            self.plane.apply(&operation).unwrap();
        }
    }

    /// What was reported since the last call.
    pub fn flows(&mut self) -> Vec<FlowRecord> {
        let mut records = Vec::new();
        let most = usize::MAX;
        self.flows.wait(Duration::ZERO, most, &mut records).unwrap();
        records
    }

    /// What each firewall rule decided.
    pub fn hits(&self) -> BTreeMap<u32, u64> {
        let rules = self.plane.rule_counters().unwrap().into_iter();
        rules
            .map(|(rule, counters)| (rule, counters.hits))
            .collect()
    }

    /// Runs a program over one frame.
    pub fn frame(&mut self, enters: &Enters) -> Outcome {
        self.plane.age(enters.after);
        let side = match enters.side {
            Side::Port => Attachment::Port,
            Side::Uplink => Attachment::Uplink,
        };
        let context = context(self.stand.index(enters.device), enters.segment_payload);
        let mut out = vec![0; enters.bytes.len() + 512];
        let (flooded, answered) = self.ends();
        self.tap.take();
        let result = self
            .plane
            .program(side)
            .unwrap()
            .test_run(TestRunOptions {
                data_in: Some(&enters.bytes),
                data_out: Some(&mut out),
                ctx_in: Some(&context),
                ..TestRunOptions::default()
            })
            .unwrap();
        let seen = self.tap.take().into_iter().filter(|seen| seen.leaves);
        let copies = seen.map(|seen| (seen.index, seen.bytes)).collect();
        let (flooded_then, answered_then) = self.ends();
        let punt = self.punt();
        out.truncate(result.data_size_out as usize);
        let meta = self.meta();
        let verdict = match result.return_value as i32 {
            -1 => Verdict::Pass,
            2 if flooded_then > flooded => Verdict::Flood,
            2 if punt.is_some() => Verdict::Punt,
            2 => Verdict::Drop,
            7 if answered_then > answered => Verdict::Answer,
            7 if meta.flags & Meta::TO_TUNNEL == 0 => Verdict::Deliver,
            7 if meta.next_hop == [0; 6] => Verdict::SendUnresolved,
            7 => Verdict::Send,
            other => panic!("return code {other}"),
        };
        let leaves = result.return_value == 7;
        // The kernel keeps the outermost tag beside the frame, where a test-run does not show it.
        if matches!(verdict, Verdict::Deliver | Verdict::Answer) {
            let [high, low] = meta.out_vlan.to_be_bytes();
            if meta.out_vlan > 0 {
                out.splice(12..12, [0x81, 0, high, low]);
            } else if meta.tag_count > 0 {
                out.splice(12..12, meta.tag);
            }
        }
        Outcome {
            verdict,
            reason: (verdict == Verdict::Drop).then_some(meta.reason),
            device: leaves.then_some(meta.out_ifindex),
            frame: (leaves || verdict == Verdict::Pass).then_some(out),
            copies,
            punt,
            stages: Vec::new(),
        }
    }

    /// What the agent has been handed and nobody has read yet.
    pub fn punt(&mut self) -> Option<Punt> {
        let punt = self.punts.wait(Duration::ZERO).unwrap()?;
        let header = PuntHeader {
            ifindex: punt.ifindex,
            slot: punt.slot,
            network: punt.network,
            kind: punt.kind as u32,
            length: punt.frame.len() as u32,
            vlan: punt.vlan.into(),
        };
        let frame = punt.frame;
        Some(Punt { header, frame })
    }

    /// Counters of every slot that counted something.
    pub fn tallies(&self) -> BTreeMap<u32, Tally> {
        (0..=SLOTS)
            .map(|slot| {
                let found = self.plane.counters(slot).unwrap();
                let tally = Tally {
                    counters: found.counters,
                    drops: found.drops.into_iter().collect(),
                };
                (slot, tally)
            })
            .filter(|(_, tally)| *tally != Tally::default())
            .collect()
    }

    /// How many frames were flooded and answered so far.
    fn ends(&self) -> (u64, u64) {
        (0..=SLOTS).fold((0, 0), |(flooded, answered), slot| {
            let values = self.counters.get(&slot, 0).unwrap();
            let counters = Counters::read_from_bytes(&values[self.cpu]).unwrap();
            (flooded + counters.flooded, answered + counters.answered)
        })
    }

    fn meta(&self) -> MetaView {
        let values = self.meta.get(&0, 0).unwrap();
        let bytes = &values[self.cpu];
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        let reason = word(std::mem::offset_of!(Meta, reason));
        let next_hop = std::mem::offset_of!(Meta, path)
            + std::mem::offset_of!(coax_pipeline::Path, destination);
        let tags = std::mem::offset_of!(Meta, tags);
        let out_vlan = std::mem::offset_of!(Meta, out_vlan);
        MetaView {
            flags: word(std::mem::offset_of!(Meta, flags)),
            out_ifindex: word(std::mem::offset_of!(Meta, out_ifindex)),
            tag_count: word(std::mem::offset_of!(Meta, tag_count)),
            reason: DropReason::ALL[reason as usize],
            next_hop: bytes[next_hop..next_hop + 6].try_into().unwrap(),
            tag: bytes[tags..tags + 4].try_into().unwrap(),
            out_vlan: u16::from_ne_bytes(bytes[out_vlan..out_vlan + 2].try_into().unwrap()),
        }
    }
}

/// What of the programs' own state says how a frame ended.
struct MetaView {
    flags: u32,
    out_ifindex: u32,
    tag_count: u32,
    reason: DropReason,
    next_hop: [u8; 6],
    tag: [u8; 4],
    out_vlan: u16,
}

impl Drop for Executor {
    fn drop(&mut self) {
        KernelDataPlane::remove(&self.pins).unwrap();
    }
}

fn tie_to_one_processor() -> usize {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let cpu = (0..CpuSet::count())
        .find(|cpu| allowed.is_set(*cpu).unwrap())
        .unwrap();
    let mut one = CpuSet::new();
    one.set(cpu).unwrap();
    sched_setaffinity(Pid::from_raw(0), &one).unwrap();
    cpu
}

/// A `struct __sk_buff` that says by which device the frame entered.
fn context(ifindex: u32, segment_payload: u32) -> [u8; 192] {
    let mut context = [0; 192];
    context[40..44].copy_from_slice(&ifindex.to_ne_bytes());
    context[176..180].copy_from_slice(&segment_payload.to_ne_bytes());
    context
}

fn rows_of(rows: &SimRows) -> Rows {
    let mut all = Rows {
        host: rows.host,
        ..Rows::default()
    };
    let tunnels = rows
        .tunnels
        .iter()
        .map(|(key, row)| Row::Tunnel(*key, *row));
    let macs = rows.macs.iter().map(|(key, row)| Row::Mac(*key, *row));
    let addresses = rows
        .addresses
        .iter()
        .map(|(key, row)| Row::Address(*key, *row));
    let replicas = rows
        .replicas
        .iter()
        .map(|(key, row)| Row::Replica(*key, *row));
    let networks = rows
        .networks
        .iter()
        .map(|(key, row)| Row::Network(*key, *row));
    let ports = rows.ports.iter().map(|(key, row)| Row::Port(*key, *row));
    for row in tunnels.chain(macs).chain(addresses).chain(replicas) {
        all.put(row);
    }
    let routes = rows.routes.iter().map(|(key, row)| Row::Route(*key, *row));
    let sources = rows
        .sources
        .iter()
        .map(|(key, row)| Row::Source(*key, *row));
    for row in routes.chain(sources).chain(networks).chain(ports) {
        all.put(row);
    }
    let classes = rows.classes.iter().map(|(key, row)| Row::Class(*key, *row));
    let services = rows
        .services
        .iter()
        .map(|(key, row)| Row::Service(*key, *row));
    let policies = rows
        .policies
        .iter()
        .map(|(key, row)| Row::Policy(*key, *row));
    let domains = rows
        .domains
        .iter()
        .map(|(key, row)| Row::Domain(*key, *row));
    for row in classes.chain(services).chain(policies).chain(domains) {
        all.put(row);
    }
    all
}
