//! Stage `underlay`: finds the uplink and the next hop towards the VTEP, and writes the headers.
//!
//! Reads the host's routes, which choose among equal-cost paths by the tunnel's UDP source port.

use crate::{Family, Frame, Meta, PathQuery, PathState, Sink, Tables, Verdict, encapsulate};
use coax_tables::{DropReason, HostRow};

/// Runs the stage.
#[inline(always)]
pub(crate) fn run<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    _sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let Some(host) = tables.host() else {
        return meta.drop(DropReason::NoTunnelAddress);
    };
    let verdict = match find(tables, host, meta) {
        PathState::Ready => Verdict::Send,
        PathState::Unresolved => Verdict::SendUnresolved,
        PathState::Missing => return meta.drop(DropReason::NoPath),
        PathState::TooSmall => return meta.drop(DropReason::PathTooSmall),
    };
    if encapsulate::write_headers(frame, host, meta).is_err() {
        return meta.drop(DropReason::RewriteFailed);
    }
    verdict
}

/// Asks for the way to `meta.vtep` and keeps it in `meta.path`.
#[inline(never)]
pub(crate) fn find<T: Tables>(tables: &T, host: &HostRow, meta: &mut Meta) -> PathState {
    let room = encapsulate::room(meta);
    let query = PathQuery {
        family: if meta.is(Meta::TUNNEL_IPV6) {
            Family::Ipv6
        } else {
            Family::Ipv4
        },
        source: &meta.own_vtep,
        destination: &meta.vtep,
        source_port: encapsulate::source_port(meta.hash),
        destination_port: u16::from_be_bytes(host.udp_port),
        // An inner Ethernet header counts, the outer one does not; they are equally long.
        length: meta.packet_length + meta.tag_bytes() + room.outer_bytes(),
    };
    let state = tables.path(&query, &mut meta.path);
    meta.out_ifindex = meta.path.ifindex;
    state
}
