//! The maps. The loader sets their sizes and pins them by these names.

use crate::sink::FlowLimit;
use crate::tables::{KnownPath, Question};
use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC};
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, ProgramArray, RingBuf};
use coax_pipeline::{Continuation, Meta};
use coax_tables::{
    AddressKey, AddressRow, ClassKey, ClassRow, ConnectionBucket, Counters, DomainRow,
    FragmentBucket, HostRow, Limit, MacKey, MacRow, NetworkId, NetworkRow, PolicyKey, PolicyRow,
    PortKey, PortRow, ReplicaKey, ReplicaRow, RouteKey, RouteRow, RuleCounters, ServiceKey,
    ShutRow, SourceKey, SourceRow, TunnelKey, TunnelRow,
};
use core::sync::atomic::AtomicU64;

/// Version of the layout that these maps have; written by the loader.
#[map]
static LAYOUT: Array<u32> = Array::with_max_entries(1, 0);

#[map]
pub static HOST: Array<HostRow> = Array::with_max_entries(1, 0);

#[map]
pub static PORTS: HashMap<PortKey, PortRow> = HashMap::with_max_entries(4096, BPF_F_NO_PREALLOC);

#[map]
pub static NETWORKS: HashMap<NetworkId, NetworkRow> =
    HashMap::with_max_entries(4096, BPF_F_NO_PREALLOC);

#[map]
pub static MACS: HashMap<MacKey, MacRow> = HashMap::with_max_entries(131_072, BPF_F_NO_PREALLOC);

#[map]
pub static ADDRESSES: HashMap<AddressKey, AddressRow> =
    HashMap::with_max_entries(262_144, BPF_F_NO_PREALLOC);

#[map]
pub static TUNNELS: HashMap<TunnelKey, TunnelRow> =
    HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

#[map]
pub static REPLICAS: HashMap<ReplicaKey, ReplicaRow> =
    HashMap::with_max_entries(131_072, BPF_F_NO_PREALLOC);

/// By number of the domain.
#[map]
pub static DOMAINS: Array<DomainRow> = Array::with_max_entries(1024, 0);

/// Classes of whole addresses.
#[map]
pub static WHOLE_CLASSES: HashMap<ClassKey, ClassRow> =
    HashMap::with_max_entries(524_288, BPF_F_NO_PREALLOC);

/// Classes of shorter prefixes: keys are `ClassKey` without its length.
#[map]
pub static CLASSES: LpmTrie<[u8; 24], ClassRow> = LpmTrie::with_max_entries(524_288, 0);

/// Classes of whole services.
#[map]
pub static WHOLE_SERVICES: HashMap<ServiceKey, ClassRow> =
    HashMap::with_max_entries(131_072, BPF_F_NO_PREALLOC);

/// Classes of shorter prefixes: keys are `ServiceKey` without its length.
#[map]
pub static SERVICES: LpmTrie<[u8; 8], ClassRow> = LpmTrie::with_max_entries(131_072, 0);

#[map]
pub static POLICIES: HashMap<PolicyKey, PolicyRow> =
    HashMap::with_max_entries(1_048_576, BPF_F_NO_PREALLOC);

#[map]
pub static RULES: HashMap<u32, RuleCounters> =
    HashMap::with_max_entries(1_048_576, BPF_F_NO_PREALLOC);

/// Agents map the memory of these three, and read and change words of it as programs do.
#[map]
pub static CONNECTIONS: Array<ConnectionBucket> = Array::with_max_entries(32_768, BPF_F_MMAPABLE);

#[map]
pub static FRAGMENTS: Array<FragmentBucket> = Array::with_max_entries(1024, BPF_F_MMAPABLE);

/// Connections by number of the domain.
#[map]
pub static USAGE: Array<AtomicU64> = Array::with_max_entries(1024, BPF_F_MMAPABLE);

/// Records of flows, in bytes.
#[map]
pub static FLOWS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

#[map]
pub static FLOW_LIMITS: PerCpuArray<FlowLimit> =
    PerCpuArray::with_max_entries(FlowLimit::PLACES, 0);

#[map]
pub static SOURCES: HashMap<SourceKey, SourceRow> =
    HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// Bytes of a route's key behind the length of its prefix.
const ROUTE_BYTES: usize = size_of::<RouteKey>() - size_of::<u32>();

/// A route's key as the map takes it.
pub type RoutePrefix = Key<[u8; ROUTE_BYTES]>;

#[map]
pub static ROUTES: LpmTrie<[u8; ROUTE_BYTES], RouteRow> =
    LpmTrie::with_max_entries(65_536, BPF_F_NO_PREALLOC);

#[map]
pub static SHUT: Array<ShutRow> = Array::with_max_entries(4097, 0);

#[map]
pub static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(4097, 0);

#[map]
pub static DROPS: PerCpuArray<u64> = PerCpuArray::with_max_entries(4097 * 64, 0);

#[map]
pub static PATHS: PerCpuArray<KnownPath> = PerCpuArray::with_max_entries(KnownPath::PLACES, 0);

#[map]
pub static QUESTION: PerCpuArray<Question> = PerCpuArray::with_max_entries(1, 0);
/// Words of the limits of each port.
#[map]
pub static LIMITS: Array<u64> = Array::with_max_entries(4097 * Limit::COUNT, 0);

/// Frames for the agent. Bytes, not entries.
#[map]
pub static PUNTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// The programs that go on with a frame, by `Continuation`. As `META` it belongs to the programs that were loaded with
/// it, never to others: what one of them has left there, no other version reads.
#[map]
pub static PROGRAMS: ProgramArray =
    ProgramArray::with_max_entries(Continuation::ALL.len() as u32, 0);

#[map]
static META: PerCpuArray<Meta> = PerCpuArray::with_max_entries(1, 0);

/// The state of the frame that this CPU works on. A program cannot be interrupted by another one
/// of ours on the same CPU, so there is one user at a time.
#[inline(always)]
pub fn meta() -> Option<&'static mut Meta> {
    // SAFETY: the pointer is checked for null by `get_ptr_mut`, and nobody else on this CPU uses the
    // value until the program ends.
    META.get_ptr_mut(0).map(|meta| unsafe { &mut *meta })
}
