//! Telling the agent what became of packets: what the firewall decides, and of frames that a port sends, what is dropped for any
//! other reason, and questions that only foreign VTEPs were asked. The sink leaves some out when there are too many; counters count
//! them all.

use crate::{Fragment, Frame, Meta, Sink, Tables, Verdict};
use coax_tables::{FlowRecord, PolicyRow};
use coax_wire::{ip::protocol, words};

/// Reports what policy decided about the packet, or why the firewall dropped it.
#[inline(never)]
pub(crate) fn decision<S: Sink>(sink: &S, meta: &Meta, reason: u32, flags: u8) {
    let tracking = &meta.tracking;
    let mut record = record(meta, reason);
    record.time = tracking.time;
    record.domain = meta.policy.0;
    record.rule = tracking.rule;
    record.flags = flags | (tracking.flags & (PolicyRow::LOG | PolicyRow::AUDIT)) << 1;
    let is_icmp = matches!(meta.protocol, protocol::ICMP | protocol::ICMPV6);
    if is_icmp && meta.fragment != Fragment::Later {
        record.destination_port = tracking.service.to_be_bytes();
    }
    add_addresses(meta, &mut record);
    sink.flow(&mut record);
}

/// Reports a frame that was dropped elsewhere, or a question for an address that went to foreign VTEPs, which nobody else answers. In
/// the kernel it is a program of its own, so that the others need no room for it.
#[inline(always)]
pub(crate) fn dropped<F: Frame, T: Tables, S: Sink>(
    _frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let (reason, verdict) = if meta.is(Meta::ASKED) {
        (FlowRecord::PASSED, Verdict::Flood)
    } else {
        (meta.reason as u32, Verdict::Drop)
    };
    let mut record = record(meta, reason);
    record.time = tables.now();
    add_addresses(meta, &mut record);
    if meta.is(Meta::ASKS) {
        record.flags = FlowRecord::ASKS;
        words::copy(&meta.source, &mut record.source);
        words::copy(&meta.speaker, &mut record.destination);
    }
    sink.flow(&mut record);
    verdict
}

#[inline(always)]
fn add_addresses(meta: &Meta, record: &mut FlowRecord) {
    if meta.is(Meta::IP) {
        words::copy(&meta.source, &mut record.source);
        words::copy(&meta.destination, &mut record.destination);
    }
}

#[inline(always)]
fn record(meta: &Meta, reason: u32) -> FlowRecord {
    let [a, b, c, d] = meta.ports;
    FlowRecord {
        source_port: [a, b],
        destination_port: [c, d],
        network: meta.network.0,
        slot: meta.slot,
        reason,
        bytes: meta.bytes,
        protocol: meta.protocol,
        time: 0,
        source: [0; 16],
        destination: [0; 16],
        domain: 0,
        rule: PolicyRow::NO_RULE,
        flags: 0,
        missed: 0,
    }
}
