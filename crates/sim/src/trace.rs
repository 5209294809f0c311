//! One frame through the pipeline with a note of everything that decided: the stages that it entered, each
//! row that was looked up there, found or not, and the ways through the underlay that were asked for.
//!
//! Ways are known beforehand here ([`Ways`]). What is asked for and not among them is told in
//! [`Traced::unanswered`], so that whoever has a kernel can find out and play the frame again. So the
//! real routes decide, and nothing in here waits for them.

use crate::tables::Way;
use crate::{Host, Outcome, Side, SimSink, SimTables};
use coax_pipeline::{Clock, Family, Path, PathQuery, PathState, Repeat, Sink, Stage, Tables};
use coax_tables::{
    AddressKey, AddressRow, DropReason, HostRow, Limit, MacKey, MacRow, NetworkId, NetworkRow,
    PortKey, PortRow, Rate, ReplicaKey, ReplicaRow, RouteKey, RouteRow, ShutRow, SourceKey,
    SourceRow, TunnelKey, TunnelRow,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

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
    /// Questions to the underlay that nobody had an answer for; where there are any, the outcome is not
    /// the real one.
    pub unanswered: BTreeSet<PathQuestion>,
}

/// Plays a frame on a host, with ways through the underlay that are known beforehand.
pub fn trace(host: &Host, ways: &Ways, side: Side, ifindex: u32, bytes: &[u8]) -> Traced {
    let recorder = Recorder {
        tables: &host.tables,
        sink: &host.sink,
        ways,
        notes: RefCell::default(),
    };
    let outcome = host.frame_through(side, ifindex, bytes, &recorder);
    let Notes { steps, unanswered } = recorder.notes.into_inner();
    Traced {
        outcome,
        steps,
        unanswered,
    }
}

#[derive(Default)]
struct Notes {
    steps: Vec<Step>,
    unanswered: BTreeSet<PathQuestion>,
}

/// Tables and counters of a simulated host that note what is asked of them.
struct Recorder<'a> {
    tables: &'a SimTables,
    sink: &'a SimSink,
    ways: &'a Ways,
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
    }

    fn path(&self, query: &PathQuery<'_>, path: &mut Path) -> PathState {
        let question = PathQuestion::of(query);
        let known = self.ways.get(&question);
        if known.is_none() {
            self.notes.borrow_mut().unanswered.insert(question);
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
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::stand::{Device, Stand, Vtep, host_row};
    use crate::{SimRows, craft};
    use coax_pipeline::Verdict;
    use coax_wire::MacAddress;

    const HERE: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
    const THERE: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);
    const NETWORK: NetworkId = NetworkId(100);

    fn host() -> Host {
        let mut rows = SimRows::new(host_row());
        let port = PortRow {
            network: NETWORK,
            slot: 1,
            mtu: 1500,
            mac: HERE,
            ..PortRow::default()
        };
        rows.port(2, port);
        let behind = MacRow {
            vtep: Vtep::PEER.row(false),
            mtu: 1500,
            ..MacRow::default()
        };
        rows.mac(NETWORK, THERE, behind);
        let tables = SimTables {
            rows,
            ..SimTables::default()
        };
        Host::new(tables, Stand::default().sending())
    }

    fn frame() -> Vec<u8> {
        craft::ethernet(THERE, HERE, craft::EXPERIMENT, &[7; 50])
    }

    #[test]
    fn what_is_not_known_of_the_underlay_is_asked_and_then_decides() {
        let host = host();
        let first = trace(&host, &Ways::new(), Side::Port, 2, &frame());
        assert_eq!(first.outcome.reason, Some(DropReason::NoPath));
        let question = *first.unanswered.first().unwrap();
        assert_eq!(question.destination, Vtep::PEER.address(false));

        let way = Way {
            path: Path {
                ifindex: Stand::default().index(Device::Up1),
                ..Path::default()
            },
            resolved: true,
            mtu: 1600,
        };
        let ways = Ways::from([(question, Some(way))]);
        let second = trace(&host, &ways, Side::Port, 2, &frame());
        assert_eq!(second.outcome.verdict, Verdict::Send);
        assert!(second.unanswered.is_empty());
    }

    #[test]
    fn every_lookup_is_noted_under_its_stage() {
        let host = host();
        let traced = trace(&host, &Ways::new(), Side::Port, 2, &frame());
        let of = |stage| {
            let step = traced.steps.iter().find(|step| step.stage == stage);
            step.map(|step| step.lookups.clone()).unwrap()
        };
        let key = MacKey::new(NETWORK, THERE);
        let row = host.tables.rows.macs.get(&key).copied();
        assert!(row.is_some());
        assert_eq!(of(Stage::Forward), [Lookup::Mac(key, row)]);
        assert!(matches!(of(Stage::Port)[..], [Lookup::Port(_, Some(_))]));
        let stages: Vec<Stage> = traced.steps.iter().map(|step| step.stage).collect();
        assert_eq!(stages, traced.outcome.stages);
    }

    #[test]
    fn a_traced_frame_ends_as_an_ordinary_one() {
        let mut host = host();
        let traced = trace(&host, &Ways::new(), Side::Port, 2, &frame()).outcome;
        host.tables.underlay = crate::Underlay::new();
        assert_eq!(traced, host.port(2, &frame()));
    }
}
