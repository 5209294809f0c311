//! Rows from maps, and the host's routes.

use crate::maps::{
    ADDRESSES, CLASSES, CONNECTIONS, DOMAINS, FRAGMENTS, HOST, MACS, NETWORKS, PATHS, POLICIES,
    PORTS, QUESTION, REPLICAS, ROUTES, RoutePrefix, SERVICES, SHUT, SOURCES, TUNNELS, USAGE,
    WHOLE_CLASSES, WHOLE_SERVICES,
};
use crate::memory;
use aya_ebpf::bindings::{
    __sk_buff, BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_SUCCESS,
    bpf_fib_lookup as FibLookup,
};
use aya_ebpf::helpers::generated::{
    bpf_fib_lookup, bpf_jiffies64, bpf_ktime_get_coarse_ns, bpf_loop,
};
use aya_ebpf::maps::lpm_trie;
use coax_pipeline::{Clock, Family, Memory, Path, PathQuery, PathState, Repeat, Tables};
use coax_tables::{
    AddressKey, AddressRow, ClassKey, ClassRow, ConnectionBucket, DomainId, DomainRow,
    FragmentBucket, HostRow, MacKey, MacRow, NetworkId, NetworkRow, PolicyKey, PolicyRow, PortKey,
    PortRow, ReplicaKey, ReplicaRow, RouteKey, RouteRow, ServiceKey, ShutRow, SourceKey, SourceRow,
    TunnelKey, TunnelRow,
};
use coax_wire::{MacAddress, ip::protocol};
use core::ffi::c_void;
use core::sync::atomic::AtomicU64;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Tunnel packets are the host's own: routes are looked up as for what it sends itself. The agent
/// turns forwarding on for this one device, which the kernel wants to see for the lookup.
const LOOPBACK: u32 = 1;

/// The range that the pipeline takes source ports of tunnels from.
const SOURCE_PORTS: u16 = 0xc000;

/// Rows from maps, routes from the kernel.
pub struct MapTables {
    skb: *mut __sk_buff,
}

impl MapTables {
    /// For the program that was called with `skb`.
    #[inline(always)]
    pub const fn new(skb: *mut __sk_buff) -> Self {
        Self { skb }
    }
}

impl Clock for MapTables {
    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: takes nothing.
        unsafe { bpf_ktime_get_coarse_ns() }
    }
}

impl Memory for MapTables {
    #[inline(always)]
    fn load(&self, word: &AtomicU64) -> u64 {
        memory::load(word)
    }

    #[inline(always)]
    fn store(&self, word: &AtomicU64, value: u64) {
        memory::store(word, value);
    }

    #[inline(always)]
    fn publish(&self, word: &AtomicU64, value: u64) {
        memory::exchange(word, value);
    }

    #[inline(always)]
    fn add(&self, word: &AtomicU64, value: u64) -> u64 {
        memory::add(word, value)
    }

    #[inline(always)]
    fn replace(&self, word: &AtomicU64, old: u64, new: u64) -> u64 {
        memory::replace(word, old, new)
    }
}

impl Tables for MapTables {
    #[inline(always)]
    fn host(&self) -> Option<&HostRow> {
        HOST.get(0)
    }

    #[inline(always)]
    fn port(&self, key: &PortKey) -> Option<&PortRow> {
        // SAFETY: rows are replaced as a whole; a reader may see the old or the new one.
        unsafe { PORTS.get(*key) }
    }

    #[inline(always)]
    fn network(&self, key: &NetworkId) -> Option<&NetworkRow> {
        // SAFETY: as in `port`.
        unsafe { NETWORKS.get(*key) }
    }

    #[inline(always)]
    fn mac(&self, key: &MacKey) -> Option<&MacRow> {
        // SAFETY: as in `port`.
        unsafe { MACS.get(*key) }
    }

    #[inline(always)]
    fn address(&self, key: &AddressKey) -> Option<&AddressRow> {
        // SAFETY: as in `port`.
        unsafe { ADDRESSES.get(*key) }
    }

    #[inline(always)]
    fn route(&self, key: &RouteKey) -> Option<&RouteRow> {
        // SAFETY: both are a length and the bytes whose bits it counts, and the trie's key may stand
        // anywhere.
        let key = unsafe { &*(&raw const *key).cast::<RoutePrefix>() };
        ROUTES.get(key)
    }

    #[inline(always)]
    fn tunnel(&self, key: &TunnelKey) -> Option<&TunnelRow> {
        // SAFETY: as in `port`.
        unsafe { TUNNELS.get(*key) }
    }

    #[inline(always)]
    fn replica(&self, key: &ReplicaKey) -> Option<&ReplicaRow> {
        // SAFETY: as in `port`.
        unsafe { REPLICAS.get(*key) }
    }

    #[inline(always)]
    fn source(&self, key: &SourceKey) -> Option<&SourceRow> {
        // SAFETY: as in `port`.
        unsafe { SOURCES.get(*key) }
    }

    #[inline(always)]
    fn shut(&self, slot: u32) -> ShutRow {
        SHUT.get(slot).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn set_shut(&self, slot: u32, row: &ShutRow) {
        if let Some(place) = SHUT.get_ptr_mut(slot) {
            // SAFETY: not null and aligned. Whoever reads half of it finds the port shut a frame
            // earlier or later.
            unsafe { place.write_volatile(*row) };
        }
    }

    #[inline(always)]
    fn set_address(&self, key: &AddressKey, row: &AddressRow) {
        // A full table keeps what it has; the next announcement tries again.
        let _ = ADDRESSES.insert(*key, *row, 0);
    }

    #[inline(always)]
    fn set_mac(&self, key: &MacKey, row: &MacRow) {
        // As in `set_address`.
        let _ = MACS.insert(*key, *row, 0);
    }

    #[inline(always)]
    fn domain(&self, key: &DomainId) -> Option<&DomainRow> {
        // A row of zeros is one that is not there.
        DOMAINS.get(key.0).filter(|row| row.default_action != 0)
    }

    #[inline(always)]
    fn class(&self, key: &ClassKey) -> Option<&ClassRow> {
        // SAFETY: as in `port`.
        if let Some(row) = unsafe { WHOLE_CLASSES.get(*key) } {
            return Some(row);
        }
        // SAFETY: both are a length and 24 bytes, and the trie's key may stand anywhere.
        let key = unsafe { &*(&raw const *key).cast::<lpm_trie::Key<[u8; 24]>>() };
        CLASSES.get(key)
    }

    #[inline(always)]
    fn service(&self, key: &ServiceKey) -> Option<&ClassRow> {
        // SAFETY: as in `port`.
        if let Some(row) = unsafe { WHOLE_SERVICES.get(*key) } {
            return Some(row);
        }
        // SAFETY: both are a length and 8 bytes, and the trie's key may stand anywhere.
        let key = unsafe { &*(&raw const *key).cast::<lpm_trie::Key<[u8; 8]>>() };
        SERVICES.get(key)
    }

    #[inline(always)]
    fn policy(&self, key: &PolicyKey) -> Option<&PolicyRow> {
        // SAFETY: as in `port`.
        unsafe { POLICIES.get(*key) }
    }

    #[inline(always)]
    fn connection_mask(&self) -> u32 {
        // SAFETY: the static is only ever written by the loader, before the program runs.
        unsafe { core::ptr::read_volatile(&raw const crate::CONNECTION_MASK) }
    }

    #[inline(always)]
    fn connections(&self, index: u32) -> Option<&ConnectionBucket> {
        CONNECTIONS.get(index)
    }

    #[inline(always)]
    fn usage(&self, key: &DomainId) -> Option<&AtomicU64> {
        USAGE.get(key.0)
    }

    #[inline(always)]
    fn fragment_mask(&self) -> u32 {
        // SAFETY: as in `connection_mask`.
        unsafe { core::ptr::read_volatile(&raw const crate::FRAGMENT_MASK) }
    }

    #[inline(always)]
    fn fragments(&self, index: u32) -> Option<&FragmentBucket> {
        FRAGMENTS.get(index)
    }

    #[inline(always)]
    fn path(&self, query: &PathQuery<'_>, path: &mut Path) -> PathState {
        // SAFETY: takes nothing.
        let tick = unsafe { bpf_jiffies64() };
        let known = PATHS.get_ptr_mut(KnownPath::place(query));
        // SAFETY: not null, and a per-CPU value has one user at a time.
        if let Some(known) = known.map(|known| unsafe { &mut *known }) {
            if known.tick == tick && known.is_for(query) && query.length <= known.mtu {
                *path = known.path;
                return PathState::Ready;
            }
            let state = ask(self.skb, query, path, &mut known.mtu);
            known.tick = if state == PathState::Ready { tick } else { 0 };
            known.note(query, path);
            return state;
        }
        PathState::Missing
    }

    #[inline(always)]
    fn repeat<R: Repeat>(&self, times: u32, steps: &mut R) {
        // SAFETY: `step` is called with the context given here, before this call returns.
        unsafe {
            bpf_loop(
                times,
                step::<R> as *mut c_void,
                (steps as *mut R).cast::<c_void>(),
                0,
            );
        }
    }
}

/// A way through the underlay that the kernel has just named. Routes are asked for once in a tick of
/// the kernel's clock (1 to 10 ms) for each VTEP and choice among equal paths, not for every packet.
#[repr(C)]
pub struct KnownPath {
    /// The tick in which the kernel named it; 0: it did not.
    tick: u64,
    destination: [u64; 2],
    choice: u32,
    mtu: u32,
    path: Path,
}

impl KnownPath {
    /// Places for each CPU.
    pub const PLACES: u32 = 4096;
    /// Bits of the tunnel's source port by which the host chooses among its own equal paths. The
    /// fabric behind them chooses by all bits.
    const CHOICES: u16 = 64;

    #[inline(always)]
    const fn choice(query: &PathQuery<'_>) -> u16 {
        query.source_port & (Self::CHOICES - 1)
    }

    #[inline(always)]
    fn place(query: &PathQuery<'_>) -> u32 {
        let [high, low] = halves(query.destination);
        let mixed = (low ^ high ^ low >> 32) as u32 ^ Self::choice(query) as u32;
        mixed.wrapping_mul(0x9e37_79b1) >> 20
    }

    #[inline(always)]
    fn is_for(&self, query: &PathQuery<'_>) -> bool {
        self.choice == u32::from(Self::choice(query))
            && self.destination == halves(query.destination)
    }

    #[inline(always)]
    fn note(&mut self, query: &PathQuery<'_>, path: &Path) {
        self.destination = halves(query.destination);
        self.choice = u32::from(Self::choice(query));
        self.path = *path;
    }
}

#[inline(always)]
fn halves(address: &[u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *address;
    [
        u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
        u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
    ]
}

/// Room for the kernel's structure, in words of eight bytes. It is too large for the stack of a program
/// that is some calls deep.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Question([u64; size_of::<FibLookup>() / 8]);

/// Asks the kernel for the way, and for the MTU of it.
#[inline(always)]
fn ask(skb: *mut __sk_buff, query: &PathQuery<'_>, path: &mut Path, mtu: &mut u32) -> PathState {
    let Some(lookup) = QUESTION.get_ptr_mut(0) else {
        return PathState::Missing;
    };
    // SAFETY: not null, and a per-CPU value has one user at a time; the map's values are as large and
    // as aligned as the structure, all fields of which are numbers.
    let lookup = unsafe {
        *lookup = Question([0; _]);
        &mut *lookup.cast::<FibLookup>()
    };
    lookup.l4_protocol = protocol::UDP;
    lookup.sport = (SOURCE_PORTS | KnownPath::choice(query)).to_be();
    lookup.dport = query.destination_port.to_be();
    lookup.ifindex = LOOPBACK;
    lookup.__bindgen_anon_1.tot_len = query.length as u16;
    match query.family {
        Family::Ipv4 => {
            let [.., a, b, c, d] = *query.source;
            let [.., e, f, g, h] = *query.destination;
            lookup.family = AF_INET;
            lookup.__bindgen_anon_3.ipv4_src = u32::from_ne_bytes([a, b, c, d]);
            lookup.__bindgen_anon_4.ipv4_dst = u32::from_ne_bytes([e, f, g, h]);
        }
        Family::Ipv6 => {
            lookup.family = AF_INET6;
            lookup.__bindgen_anon_3.ipv6_src = words(query.source);
            lookup.__bindgen_anon_4.ipv6_dst = words(query.destination);
        }
    }
    // SAFETY: context and structure are valid, the size is the structure's own.
    let found = unsafe {
        bpf_fib_lookup(
            skb.cast::<c_void>(),
            lookup,
            size_of::<FibLookup>() as i32,
            0,
        )
    };
    path.ifindex = lookup.ifindex;
    path.source = MacAddress(lookup.smac);
    path.destination = MacAddress(lookup.dmac);
    // SAFETY: a number in either meaning.
    *mtu = u32::from(unsafe { lookup.__bindgen_anon_1.mtu_result });
    match found as u32 {
        BPF_FIB_LKUP_RET_SUCCESS => PathState::Ready,
        BPF_FIB_LKUP_RET_NO_NEIGH => PathState::Unresolved,
        BPF_FIB_LKUP_RET_FRAG_NEEDED => PathState::TooSmall,
        _ => PathState::Missing,
    }
}

#[inline(always)]
fn words(address: &[u8; 16]) -> [u32; 4] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *address;
    [
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
        u32::from_ne_bytes([i, j, k, l]),
        u32::from_ne_bytes([m, n, o, p]),
    ]
}

#[inline(never)]
extern "C" fn step<R: Repeat>(index: u32, steps: *mut c_void) -> i64 {
    // SAFETY: `repeat` passes a pointer to an `R` that nobody else uses during the loop.
    let steps = unsafe { &mut *steps.cast::<R>() };
    i64::from(!steps.step(index))
}
