//! Stage `guard`: what a port may not send, whatever the VM behind it believes to be.
//!
//! | part | what it keeps from the network |
//! | --- | --- |
//! | [`sources`] | IP packets from addresses that are not the port's |
//! | [`neighbours`] | ARP and neighbour discovery in somebody else's name |
//! | [`servers`] | DHCP answers, router advertisements, redirects, answers to multicast name queries |
//! | [`bridge`] | spanning tree, which shuts the port, and headers that hide IP |
//! | [`canary`] | the host's own canaries, which shut the port that they come back by |
//! | [`storm`] | more broadcasts, multicasts and floods than the port may send |
//! | [`shared`] | addresses of several ports, announced by others than these |
//!
//! Reads the port's row again where the row decides. Each part limits or shuts the port that the frame came
//! from and nothing else. An ordinary frame, unicast IP from an address in the port's row, is compared
//! and goes on: no table is looked into for it.
//!
//! Tags that a network carries for its VMs lead to address plans that the manager does not know, so
//! senders are not compared behind them. Priority tags (VLAN 0) lead nowhere: behind them everything
//! is as without.

pub(crate) mod bridge;
pub(crate) mod canary;
pub(crate) mod neighbours;
pub(crate) mod servers;
pub(crate) mod shared;
pub(crate) mod sources;
pub(crate) mod storm;

use crate::{Frame, Meta, Sink, Tables, Verdict};
use coax_tables::{DropReason, PortKey, PortRow};
use coax_wire::EtherType;

/// Runs the stage.
#[inline(always)]
pub(crate) fn run<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let ip = meta.is(Meta::IP);
    if !ip || meta.tag_count > 0 || meta.ethernet.destination.is_group() {
        match unusual(frame, tables, sink, meta) {
            Verdict::Next => {}
            verdict => return verdict,
        }
    }
    if ip {
        return packet(frame, tables, meta);
    }
    Verdict::Next
}

#[inline(always)]
fn packet<F: Frame, T: Tables>(frame: &F, tables: &T, meta: &mut Meta) -> Verdict {
    if !meta.is(Meta::ANY_SENDER)
        && !sources::is_own(meta)
        && !sources::is_allowed(frame, tables, meta)
    {
        return meta.drop(DropReason::ForgedAddress);
    }
    if servers::is_watched(meta) {
        return servers::run(frame, tables, meta);
    }
    Verdict::Next
}

/// Frames to groups, with tags, and other than IP.
#[inline(never)]
fn unusual<F: Frame, T: Tables, S: Sink>(
    frame: &F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let group = meta.ethernet.destination.is_group();
    if group && canary::came_back(frame, tables, meta) {
        return meta.drop(DropReason::Loop);
    }
    if group && bridge::is_bpdu(frame, meta) {
        return bridge::refuse(tables, meta);
    }
    if meta.tag_count > 0 {
        if !meta.is(Meta::TAGS_ALLOWED) {
            return meta.drop(DropReason::TaggedFrame);
        }
        if leads_elsewhere(meta) {
            meta.flags |= Meta::ANY_SENDER;
        }
    }
    if !meta.is(Meta::IP) {
        match other_than_ip(frame, tables, meta) {
            Verdict::Next => {}
            verdict => return verdict,
        }
    }
    if group && !storm::is_question(meta) {
        return storm::admit(tables, sink, meta);
    }
    Verdict::Next
}

/// Frames that are not IP, or only claim to be.
#[inline(always)]
fn other_than_ip<F: Frame, T: Tables>(frame: &F, tables: &T, meta: &mut Meta) -> Verdict {
    match meta.ethernet.ethertype {
        EtherType::ARP if !meta.is(Meta::ANY_SENDER) => neighbours::arp(frame, tables, meta),
        // No host takes these either; nothing in them can be compared.
        EtherType::IPV4 | EtherType::IPV6 if !meta.is(Meta::ANY_SENDER) => {
            meta.drop(DropReason::Malformed)
        }
        kind if kind.is_length() && bridge::hides_ip(frame, meta) => {
            meta.drop(DropReason::HeaderChain)
        }
        _ => Verdict::Next,
    }
}

/// True when a tag names a VLAN, not only a priority.
#[inline(always)]
pub(crate) fn leads_elsewhere(meta: &Meta) -> bool {
    let mut elsewhere = false;
    for place in 0..Meta::TAGS {
        elsewhere |= (place as u32) < meta.tag_count && meta.tags[place].vlan() != 0;
    }
    elsewhere
}

/// The row of the port that the frame entered by.
#[inline(always)]
pub(crate) fn port_row<'a, T: Tables>(tables: &'a T, meta: &Meta) -> Option<&'a PortRow> {
    tables.port(&PortKey {
        ifindex: meta.ifindex,
        vlan: meta.trunk_vlan.into(),
    })
}

/// Shuts the port that the frame entered by, if its row says for how long.
#[inline(never)]
pub(crate) fn shut<T: Tables>(tables: &T, meta: &Meta, reason: DropReason) {
    let Some(row) = port_row(tables, meta) else {
        return;
    };
    if row.shut_seconds > 0 {
        let until = seconds(tables).saturating_add(row.shut_seconds);
        tables.set_shut(
            meta.slot,
            &coax_tables::ShutRow {
                until,
                reason: reason as u32,
            },
        );
    }
}

/// Seconds of the monotonic clock.
#[inline(always)]
pub(crate) fn seconds<T: Tables>(tables: &T) -> u32 {
    (tables.now() / 1_000_000_000) as u32
}
