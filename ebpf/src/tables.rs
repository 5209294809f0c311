//! Rows from maps, and the host's routes.

use crate::maps::{ADDRESSES, HOST, MACS, NETWORKS, PORTS, REPLICAS, TUNNELS};
use aya_ebpf::bindings::{
    __sk_buff, BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_SUCCESS,
    bpf_fib_lookup as FibLookup,
};
use aya_ebpf::helpers::generated::{bpf_fib_lookup, bpf_loop};
use coax_pipeline::{Family, Path, PathQuery, PathState, Repeat, Tables};
use coax_tables::{
    AddressKey, AddressRow, HostRow, MacKey, MacRow, NetworkId, NetworkRow, PortKey, PortRow,
    ReplicaKey, ReplicaRow, TunnelKey, TunnelRow,
};
use coax_wire::{MacAddress, ip::protocol};
use core::ffi::c_void;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Tunnel packets are the host's own: routes are looked up as for what it sends itself. The agent
/// turns forwarding on for this one device, which the kernel wants to see for the lookup.
const LOOPBACK: u32 = 1;

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
    fn path(&self, query: &PathQuery<'_>, path: &mut Path) -> PathState {
        // SAFETY: all fields of the structure are numbers, for which zero is a value.
        let mut lookup: FibLookup = unsafe { core::mem::zeroed() };
        lookup.l4_protocol = protocol::UDP;
        lookup.sport = query.source_port.to_be();
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
                self.skb.cast::<c_void>(),
                &mut lookup,
                size_of::<FibLookup>() as i32,
                0,
            )
        };
        path.ifindex = lookup.ifindex;
        path.source = MacAddress(lookup.smac);
        path.destination = MacAddress(lookup.dmac);
        match found as u32 {
            BPF_FIB_LKUP_RET_SUCCESS => PathState::Ready,
            BPF_FIB_LKUP_RET_NO_NEIGH => PathState::Unresolved,
            BPF_FIB_LKUP_RET_FRAG_NEEDED => PathState::TooSmall,
            _ => PathState::Missing,
        }
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
