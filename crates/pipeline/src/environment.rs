//! What the pipeline needs of its surroundings: rows, the way through the underlay, counters.

use crate::{Family, Stage};
use coax_tables::{
    AddressKey, AddressRow, ClassKey, ClassRow, ConnectionBucket, DomainId, DomainRow, DropReason,
    FlowRecord, FragmentBucket, HostRow, Limit, MacKey, MacRow, NetworkId, NetworkRow, PolicyKey,
    PolicyRow, PortKey, PortRow, Rate, ReplicaKey, ReplicaRow, RouteKey, RouteRow, ServiceKey,
    ShutRow, SourceKey, SourceRow, TunnelKey, TunnelRow,
};
use coax_wire::MacAddress;
use core::sync::atomic::AtomicU64;

/// A question to the underlay: by which next hop does a tunnel packet go?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PathQuery<'a> {
    /// Family of both addresses.
    pub family: Family,
    /// The own VTEP, IPv4 in mapped form.
    pub source: &'a [u8; 16],
    /// The other VTEP, IPv4 in mapped form.
    pub destination: &'a [u8; 16],
    /// UDP source port of the tunnel packet: equal-cost paths are chosen by it.
    pub source_port: u16,
    /// UDP destination port of the tunnel packet.
    pub destination_port: u16,
    /// Bytes of the tunnel packet, or of each segment of it, from its IP header on.
    pub length: u32,
}

/// The next hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Path {
    /// Kernel index of the uplink.
    pub ifindex: u32,
    /// MAC address of the next hop.
    pub destination: MacAddress,
    /// MAC address of the uplink.
    pub source: MacAddress,
}

/// How the question was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum PathState {
    /// The path is complete.
    Ready = 0,
    /// Uplink and next hop are known, the next hop's MAC address is not.
    Unresolved = 1,
    /// No route.
    Missing = 2,
    /// The uplink's MTU is too small.
    TooSmall = 3,
}

/// One step of a loop whose length is only known when it runs.
pub trait Repeat {
    /// Runs the step; false ends the loop.
    fn step(&mut self, index: u32) -> bool;
}

/// The time, for what expires or is limited.
pub trait Clock {
    /// Nanoseconds of a clock that never goes back and stands still with the machine. Steps of some
    /// milliseconds are fine.
    fn now(&self) -> u64;
}

/// How words are read and written that several processors share. The kernel's compiler has no operations
/// of its own for them.
pub trait Memory {
    /// Reads a word, at once. Nothing is said about the order of reads and writes of several words.
    fn load(&self, word: &AtomicU64) -> u64;
    /// Writes a word, at once.
    fn store(&self, word: &AtomicU64, value: u64);
    /// Writes a word after everything that was written before.
    fn publish(&self, word: &AtomicU64, value: u64);
    /// Adds to a word, modulo 2^64; gives what was there.
    fn add(&self, word: &AtomicU64, value: u64) -> u64;
    /// Writes a word if it is `old`, after everything that was written before. Gives what was there: `old`
    /// when it was written.
    fn replace(&self, word: &AtomicU64, old: u64, new: u64) -> u64;
}

/// The rows of the vSwitch, the connections and the routes of its host.
pub trait Tables: Clock + Memory {
    /// The host's own tunnel endpoint.
    fn host(&self) -> Option<&HostRow>;
    /// A local port.
    fn port(&self, key: &PortKey) -> Option<&PortRow>;
    /// A network.
    fn network(&self, key: &NetworkId) -> Option<&NetworkRow>;
    /// Where a MAC address lives.
    fn mac(&self, key: &MacKey) -> Option<&MacRow>;
    /// Who owns an IP address.
    fn address(&self, key: &AddressKey) -> Option<&AddressRow>;
    /// The route with the longest prefix of the key's address, in the key's router.
    fn route(&self, key: &RouteKey) -> Option<&RouteRow>;
    /// A VTEP that is a member of a VNI.
    fn tunnel(&self, key: &TunnelKey) -> Option<&TunnelRow>;
    /// A receiver of copies.
    fn replica(&self, key: &ReplicaKey) -> Option<&ReplicaRow>;
    /// An address that a port may send from, beyond those in its row.
    fn source(&self, key: &SourceKey) -> Option<&SourceRow>;
    /// Whether a guard has shut the port with the counters `slot`.
    fn shut(&self, slot: u32) -> ShutRow;
    /// Shuts or opens the port with the counters `slot`.
    fn set_shut(&self, slot: u32, row: &ShutRow);
    /// Notes the new owner of a shared address. Whether the same frame already meets it is left open.
    fn set_address(&self, key: &AddressKey, row: &AddressRow);
    /// Notes where the MAC address of a shared address lives, as in `set_address`.
    fn set_mac(&self, key: &MacKey, row: &MacRow);
    /// A policy domain.
    fn domain(&self, key: &DomainId) -> Option<&DomainRow>;
    /// The class of an address: the longest prefix that it has in common with a row. The key is whole.
    fn class(&self, key: &ClassKey) -> Option<&ClassRow>;
    /// The class of a service, as for addresses.
    fn service(&self, key: &ServiceKey) -> Option<&ClassRow>;
    /// What a combination of classes may do.
    fn policy(&self, key: &PolicyKey) -> Option<&PolicyRow>;
    /// Buckets of the connection table less one; their number is a power of two.
    fn connection_mask(&self) -> u32;
    /// A bucket of the connection table.
    fn connections(&self, index: u32) -> Option<&ConnectionBucket>;
    /// How many connections a domain has.
    fn usage(&self, key: &DomainId) -> Option<&AtomicU64>;
    /// Buckets of the fragment table less one; their number is a power of two.
    fn fragment_mask(&self) -> u32;
    /// A bucket of the fragment table.
    fn fragments(&self, index: u32) -> Option<&FragmentBucket>;
    /// The next hop of a tunnel packet.
    fn path(&self, query: &PathQuery<'_>, path: &mut Path) -> PathState;
    /// Runs `steps` for 0, 1, … `times - 1`.
    fn repeat<R: Repeat>(&self, times: u32, steps: &mut R);
}

/// Where counters go. Slots are those of the rows.
pub trait Sink {
    /// A frame reaches a stage; only simulators listen.
    #[inline(always)]
    fn enter(&self, _stage: Stage) {}
    /// A frame entered the vSwitch.
    fn received(&self, slot: u32, bytes: u32);
    /// A frame, or a copy of one, left the vSwitch.
    fn sent(&self, slot: u32, bytes: u32);
    /// A frame was turned into an answer, which left where the frame came from.
    fn answered(&self, slot: u32, bytes: u32);
    /// A frame was handed to the agent.
    fn punted(&self, slot: u32);
    /// True when the port may do once more, at the moment `now`, what `limit` is about.
    fn permit(&self, limit: Limit, slot: u32, rate: &Rate, now: u64) -> bool;
    /// A frame went into replication, which made `copies` copies.
    fn flooded(&self, slot: u32, copies: u32, unknown_unicast: bool);
    /// A frame, or a copy of one, was dropped.
    fn dropped(&self, slot: u32, reason: DropReason);
    /// A firewall rule decided about a connection, or about a packet outside connections, at `time`.
    /// Rule 0 is none.
    fn hit(&self, rule: u32, time: u64);
    /// The firewall decided. Listeners may leave records out when there are too many, and say so in the
    /// next one.
    fn flow(&self, record: &mut FlowRecord);
}
