//! One frame through the pipeline with a note of everything that decided: the stages that it entered, each
//! row that was looked up there, found or not, and the ways through the underlay that were asked for.
//!
//! Ways and connections are known beforehand here ([`Known`]). What is asked for and not among them is told in
//! [`Traced::unanswered`], so that whoever has a kernel can find out and play the frame again. So the
//! real routes and the real connections decide, and nothing in here waits for them.

use crate::tables::Way;
use crate::{Host, Outcome, Side, SimSink, SimTables};
use coax_pipeline::{
    Clock, Family, Memory, Path, PathQuery, PathState, Repeat, Sink, Stage, Tables,
};
use coax_tables::{
    AddressKey, AddressRow, ClassKey, ClassRow, ConnectionBucket, DomainId, DomainRow, DropReason,
    FlowRecord, FragmentBucket, HostRow, Limit, MacKey, MacRow, NetworkId, NetworkRow, PolicyKey,
    PolicyRow, PortKey, PortRow, Rate, ReplicaKey, ReplicaRow, RouteKey, RouteRow, ServiceKey,
    ShutRow, SourceKey, SourceRow, TunnelKey, TunnelRow,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// A question to the underlay whose answer does not depend on the packet's size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PathQuestion {
    /// The own VTEP.
    pub source: IpAddr,
    /// The other VTEP.
    pub destination: IpAddr,
    /// UDP source port: equal-cost paths are chosen by it.
    pub source_port: u16,
    /// UDP destination port.
    pub destination_port: u16,
}

impl PathQuestion {
    /// The question that a query stands for.
    pub fn of(query: &PathQuery<'_>) -> Self {
        // A query over IPv4 counts the last four bytes only.
        let address = |bytes: &[u8; 16]| match (query.family, *bytes) {
            (Family::Ipv4, [.., a, b, c, d]) => IpAddr::from([a, b, c, d]),
            (Family::Ipv6, bytes) => IpAddr::from(Ipv6Addr::from(bytes)),
        };
        Self {
            source: address(query.source),
            destination: address(query.destination),
            source_port: query.source_port,
            destination_port: query.destination_port,
        }
    }
}

/// Ways through the underlay by question; `None`: no route leads there.
pub type Ways = BTreeMap<PathQuestion, Option<Way>>;

/// What the real host remembers of connections, as far as it is known. What a frame changes there stays here.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Buckets of the whole table, less one.
    mask: u32,
    /// Those that are known.
    buckets: BTreeMap<u32, ConnectionBucket>,
    /// Connections by number of the domain.
    usage: Vec<AtomicU64>,
}

impl Remembered {
    /// A table of `number` buckets, a power of two, of which these are known by their words.
    pub fn new(number: u32, usage: &[u64], known: &BTreeMap<u32, Vec<u64>>) -> Self {
        let buckets = known.iter().map(|(index, words)| {
            let bucket = ConnectionBucket::default();
            for (word, value) in bucket.words().zip(words) {
                word.store(*value, Relaxed);
            }
            (*index, bucket)
        });
        Self {
            mask: number.saturating_sub(1),
            buckets: buckets.collect(),
            usage: usage.iter().map(|used| AtomicU64::new(*used)).collect(),
        }
    }
}

/// What is known of a host beside its rows.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Ways through the underlay.
    pub ways: &'a Ways,
    /// Connections.
    pub remembered: &'a Remembered,
}

/// One look into a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// The host's own tunnel endpoint.
    Host(Option<HostRow>),
    /// A local port.
    Port(PortKey, Option<PortRow>),
    /// A network.
    Network(NetworkId, Option<NetworkRow>),
    /// Where a MAC address lives.
    Mac(MacKey, Option<MacRow>),
    /// Who owns an IP address.
    Address(AddressKey, Option<AddressRow>),
    /// The route of a router to an address.
    Route(RouteKey, Option<RouteRow>),
    /// A VTEP that is a member of a VNI.
    Tunnel(TunnelKey, Option<TunnelRow>),
    /// A receiver of copies.
    Replica(ReplicaKey, Option<ReplicaRow>),
    /// An address that a port may send from.
    Source(SourceKey, Option<SourceRow>),
    /// Whether a guard has shut a port, by its counters; only looked up for ports that are shut.
    Shut(u32, ShutRow),
    /// A policy domain.
    Domain(DomainId, Option<DomainRow>),
    /// The class of an address.
    Class(ClassKey, Option<ClassRow>),
    /// The class of a service.
    Service(ServiceKey, Option<ClassRow>),
    /// What a combination of classes may do.
    Policy(PolicyKey, Option<PolicyRow>),
    /// The way through the underlay, for a packet of so many bytes.
    Path {
        /// What was asked.
        question: PathQuestion,
        /// Bytes of the tunnel packet from its IP header on.
        length: u32,
        /// The answer.
        state: PathState,
        /// The way, as far as there is one.
        way: Option<Way>,
    },
}

/// What happened in one stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The stage.
    pub stage: Stage,
    /// Its lookups, in order.
    pub lookups: Vec<Lookup>,
}

/// A frame's way through one vSwitch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Traced {
    /// What became of it.
    pub outcome: Outcome,
    /// The stages that it entered.
    pub steps: Vec<Step>,
    /// What the firewall decided about it, in order.
    pub flows: Vec<FlowRecord>,
    /// What was asked for and is not known; where there is any, the outcome is not the real one.
    pub unanswered: Unanswered,
}

/// What nobody had an answer for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Unanswered {
    /// Questions to the underlay.
    pub ways: BTreeSet<PathQuestion>,
    /// Buckets of connections.
    pub buckets: BTreeSet<u32>,
}

impl Unanswered {
    /// Everything was known.
    pub fn is_empty(&self) -> bool {
        self.ways.is_empty() && self.buckets.is_empty()
    }
}

/// Plays a frame on a host, with what is known of it beforehand.
pub fn trace(host: &Host, known: Known<'_>, side: Side, ifindex: u32, bytes: &[u8]) -> Traced {
    let recorder = Recorder {
        tables: &host.tables,
        sink: &host.sink,
        known,
        notes: RefCell::default(),
    };
    let outcome = host.frame_through(side, ifindex, bytes, &recorder);
    let Notes { steps, unanswered } = recorder.notes.into_inner();
    Traced {
        flows: host.sink.take_flows(),
        outcome,
        steps,
        unanswered,
    }
}

#[derive(Default)]
struct Notes {
    steps: Vec<Step>,
    unanswered: Unanswered,
}

/// Tables and counters of a simulated host that note what is asked of them.
struct Recorder<'a> {
    tables: &'a SimTables,
    sink: &'a SimSink,
    known: Known<'a>,
    notes: RefCell<Notes>,
}

impl Recorder<'_> {
    fn note(&self, lookup: Lookup) {
        if let Some(step) = self.notes.borrow_mut().steps.last_mut() {
            step.lookups.push(lookup);
        }
    }
}

/// Hands each lookup on and notes it.
macro_rules! noted {
    ($($method:ident($key:ty) -> $row:ty = $lookup:ident;)+) => {
        $(fn $method(&self, key: &$key) -> Option<&$row> {
            let row = self.tables.$method(key);
            self.note(Lookup::$lookup(*key, row.copied()));
            row
        })+
    };
}

impl Clock for Recorder<'_> {
    fn now(&self) -> u64 {
        self.tables.now()
    }
}

impl Memory for Recorder<'_> {
    fn load(&self, word: &AtomicU64) -> u64 {
        self.tables.load(word)
    }

    fn store(&self, word: &AtomicU64, value: u64) {
        self.tables.store(word, value);
    }

    fn publish(&self, word: &AtomicU64, value: u64) {
        self.tables.publish(word, value);
    }

    fn add(&self, word: &AtomicU64, value: u64) -> u64 {
        self.tables.add(word, value)
    }

    fn replace(&self, word: &AtomicU64, old: u64, new: u64) -> u64 {
        self.tables.replace(word, old, new)
    }
}

impl Tables for Recorder<'_> {
    fn host(&self) -> Option<&HostRow> {
        let row = self.tables.host();
        self.note(Lookup::Host(row.copied()));
        row
    }

    noted! {
        port(PortKey) -> PortRow = Port;
        network(NetworkId) -> NetworkRow = Network;
        mac(MacKey) -> MacRow = Mac;
        address(AddressKey) -> AddressRow = Address;
        route(RouteKey) -> RouteRow = Route;
        tunnel(TunnelKey) -> TunnelRow = Tunnel;
        replica(ReplicaKey) -> ReplicaRow = Replica;
        source(SourceKey) -> SourceRow = Source;
        domain(DomainId) -> DomainRow = Domain;
        class(ClassKey) -> ClassRow = Class;
        service(ServiceKey) -> ClassRow = Service;
        policy(PolicyKey) -> PolicyRow = Policy;
    }

    fn connection_mask(&self) -> u32 {
        self.known.remembered.mask
    }

    fn connections(&self, index: u32) -> Option<&ConnectionBucket> {
        let bucket = self.known.remembered.buckets.get(&index);
        if bucket.is_none() {
            self.notes.borrow_mut().unanswered.buckets.insert(index);
        }
        bucket
    }

    fn usage(&self, key: &DomainId) -> Option<&AtomicU64> {
        self.known.remembered.usage.get(key.0 as usize)
    }

    fn fragment_mask(&self) -> u32 {
        self.tables.fragment_mask()
    }

    fn fragments(&self, index: u32) -> Option<&FragmentBucket> {
        self.tables.fragments(index)
    }

    fn path(&self, query: &PathQuery<'_>, path: &mut Path) -> PathState {
        let question = PathQuestion::of(query);
        let known = self.known.ways.get(&question);
        if known.is_none() {
            self.notes.borrow_mut().unanswered.ways.insert(question);
        }
        let way = known.copied().flatten();
        *path = way.map_or_else(Path::default, |way| way.path);
        let state = way.map_or(PathState::Missing, |way| way.state(query.length));
        self.note(Lookup::Path {
            question,
            length: query.length,
            state,
            way,
        });
        state
    }

    fn shut(&self, slot: u32) -> ShutRow {
        let row = self.tables.shut(slot);
        if row.until != 0 {
            self.note(Lookup::Shut(slot, row));
        }
        row
    }

    // A trace changes nothing.
    fn set_shut(&self, _slot: u32, _row: &ShutRow) {}

    fn set_address(&self, _key: &AddressKey, _row: &AddressRow) {}

    fn set_mac(&self, _key: &MacKey, _row: &MacRow) {}

    fn repeat<R: Repeat>(&self, times: u32, steps: &mut R) {
        self.tables.repeat(times, steps);
    }
}

impl Sink for Recorder<'_> {
    fn enter(&self, stage: Stage) {
        self.sink.enter(stage);
        self.notes.borrow_mut().steps.push(Step {
            stage,
            lookups: Vec::new(),
        });
    }

    fn received(&self, slot: u32, bytes: u32) {
        self.sink.received(slot, bytes);
    }

    fn sent(&self, slot: u32, bytes: u32) {
        self.sink.sent(slot, bytes);
    }

    fn answered(&self, slot: u32, bytes: u32) {
        self.sink.answered(slot, bytes);
    }

    fn flooded(&self, slot: u32, copies: u32, unknown_unicast: bool) {
        self.sink.flooded(slot, copies, unknown_unicast);
    }

    fn punted(&self, slot: u32) {
        self.sink.punted(slot);
    }

    fn permit(&self, limit: Limit, slot: u32, rate: &Rate, now: u64) -> bool {
        self.sink.permit(limit, slot, rate, now)
    }

    fn dropped(&self, slot: u32, reason: DropReason) {
        self.sink.dropped(slot, reason);
    }

    fn hit(&self, rule: u32, time: u64) {
        self.sink.hit(rule, time);
    }

    fn flow(&self, record: &mut FlowRecord) {
        self.sink.flow(record);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
