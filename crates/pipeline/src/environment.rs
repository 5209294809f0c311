//! What the pipeline needs of its surroundings: rows, the way through the underlay, counters.

use crate::{Family, Stage};
use coax_tables::{
    AddressKey, AddressRow, DropReason, HostRow, Limit, MacKey, MacRow, NetworkId, NetworkRow,
    PortKey, PortRow, Rate, ReplicaKey, ReplicaRow, RouteKey, RouteRow, ShutRow, SourceKey,
    SourceRow, TunnelKey, TunnelRow,
};
use coax_wire::MacAddress;

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

/// The rows of the vSwitch and the routes of its host.
pub trait Tables: Clock {
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
}
