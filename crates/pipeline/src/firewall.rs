//! Stage `firewall`: lets pass what belongs to a connection that policy admits.
//!
//! Reads the policy tables and the connections of this host. A frame meets the stage where it enters from a
//! port with a firewall and where it is about to be handed to one; between two ports of one network on one
//! host, once. The first packet of a connection is judged by policy, and the connection is remembered with
//! the generation of the policy that admitted it. Packets of both directions then need one look into the
//! table, until policy changes: the next packet is judged again, from the view of who opened the
//! connection.
//!
//! - TCP is followed by flags, sequence numbers and windows ([`tcp`]). A segment that belongs to no
//!   connection may begin one only if it is a SYN, or plain data: then its beginning was seen elsewhere (the
//!   VM has moved here, the firewall was just switched on), and policy decides as it would about the SYN.
//!   So connections survive, and nothing passes that its sender could not have opened.
//! - UDP, SCTP and all other protocols are followed by addresses and ports; ICMP echo by its identifier.
//! - ICMP errors pass when the packet that they quote belongs to a connection.
//! - Broadcasts, multicasts and other ICMP messages are judged one by one.
//! - Of a datagram in fragments the first one decides ([`fragment`]).
//! - Neighbour discovery passes, as ARP does: guards watch both.
//!
//! The stage is many programs in the kernel ([`Continuation`](crate::Continuation)), so that each is small: what follows
//! TCP ([`follow`]) and all other exchanges, what asks policy ([`judge`]), what keeps new connections, what minds
//! fragments, and what tells senders. A frame of a connection that stands goes through one of them. Where it goes when it
//! may pass is in `Tracking::then`.

mod connection;
mod follow;
mod fragment;
mod icmp;
mod judge;
mod policy;
mod reject;
mod segment;
pub mod tcp;
mod tracking;
pub mod windows;

pub(crate) use follow::{exchange, tcp_segment};
pub(crate) use fragment::{first as first_fragment, later as later_fragment};
pub(crate) use icmp::error as icmp_error;
pub(crate) use judge::{judge, keep};
pub(crate) use reject::answer as reject;
pub use tracking::{Purpose, Tracking};

use crate::{Continuation, Fragment, Frame, Meta, Sink, Tables, Verdict, parse, report};
use coax_tables::{DropReason, PortKey, ReplicaKey};
use coax_wire::{EtherType, ip::protocol};

/// Runs the stage. Who has no firewall does not come here.
#[inline(always)]
pub(crate) fn run<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    _sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let judging = u64::from(meta.network.0) << 32 | u64::from(meta.policy.0);
    if meta.tracking.judged == judging || meta.ethernet.ethertype == EtherType::ARP {
        return Verdict::Next;
    }
    meta.tracking.judged = judging;
    start(frame, tables, meta)
}

/// Hands the frame to the program that is for its kind.
#[inline(never)]
fn start<F: Frame, T: Tables>(frame: &mut F, tables: &T, meta: &mut Meta) -> Verdict {
    meta.tracking.begin(tables.now());
    if meta.is(Meta::FROM_TUNNEL) && !meta.is(Meta::IP) {
        parse::payload(frame, meta);
    }
    let known = meta.is(Meta::IP) && !meta.is(Meta::OBSCURE);
    let Some(domain) = tables.domain(&meta.policy).filter(|_| known) else {
        return ask(meta, Purpose::Packet, 0);
    };
    meta.tracking.domain = meta.policy.0;
    meta.tracking.generation = domain.generation;
    let place = if meta.fragment == Fragment::Later {
        Continuation::LaterFragment
    } else if meta.protocol == protocol::TCP && !is_to_group(meta) {
        Continuation::Tcp
    } else {
        Continuation::Exchange
    };
    meta.go_on(place)
}

/// Lets policy decide about the packet at hand, whose destination offers `service`.
#[inline(always)]
fn ask(meta: &mut Meta, purpose: Purpose, service: u16) -> Verdict {
    meta.tracking.purpose = purpose;
    meta.tracking.service = service;
    meta.tracking.reversed = 0;
    meta.go_on(Continuation::Judge)
}

/// What a part of the stage ends with: a packet that passes goes on, one that does not is reported, and its
/// sender told where a rule says so.
#[inline(always)]
fn conclude<S: Sink>(sink: &S, meta: &mut Meta, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Next if meta.fragment == Fragment::First => {
            meta.go_on(Continuation::FirstFragment)
        }
        Verdict::Next => meta.go_on(meta.tracking.then),
        Verdict::Drop => refused(sink, meta),
        verdict => verdict,
    }
}

#[inline(always)]
fn refused<S: Sink>(sink: &S, meta: &mut Meta) -> Verdict {
    report::decision(sink, meta, meta.reason as u32, 0);
    meta.flags |= Meta::REPORTED;
    if meta.reason == DropReason::Rejected {
        meta.go_on(Continuation::Reject)
    } else {
        Verdict::Drop
    }
}

/// Finds whose policy a broadcast or multicast from the fabric meets: that of the network's ports here,
/// which belong to one project.
#[inline(never)]
pub(crate) fn policy_of_receivers<T: Tables>(tables: &T, meta: &mut Meta) {
    let first = ReplicaKey {
        network: meta.network,
        generation: meta.receivers.generation,
        slot: 0,
    };
    if let Some(replica) = tables.replica(&first)
        && let Some(port) = tables.port(&PortKey {
            ifindex: replica.ifindex,
            vlan: replica.vlan.into(),
        })
    {
        meta.policy = port.policy;
        meta.scope = port.scope;
    }
}

/// The packet is for more than one receiver.
#[inline(always)]
fn is_to_group(meta: &Meta) -> bool {
    let [first, .., a, _, _, _] = meta.destination;
    meta.ethernet.destination.is_group()
        || if meta.is(Meta::IPV6) {
            first == 0xff
        } else {
            a >= 224
        }
}

/// The secret of the host's hashes.
#[inline(always)]
fn seed<T: Tables>(tables: &T) -> u64 {
    tables.host().map_or(0, |host| host.seed)
}

/// Ends a packet whose transport header is not all there.
#[inline(always)]
fn too_short(meta: &mut Meta) -> Verdict {
    if meta.fragment == Fragment::First {
        meta.drop(DropReason::Fragment)
    } else {
        meta.drop(DropReason::Truncated)
    }
}

/// Destination port in host byte order; zero for protocols without ports.
#[inline(always)]
const fn destination_port(meta: &Meta) -> u16 {
    let [_, _, high, low] = meta.ports;
    u16::from_be_bytes([high, low])
}
