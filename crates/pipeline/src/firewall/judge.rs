//! Asking policy: about a packet, about a connection that begins, or about one that it has admitted before.

use super::{conclude, connection, policy, tcp};
use crate::{Continuation, Frame, Meta, Purpose, Sink, Tables, Verdict, report};
use coax_tables::{DomainRow, DropReason, FlowRecord, PolicyRow};
use coax_wire::ip::protocol;

/// Lets policy decide what `Tracking::purpose` says.
#[inline(always)]
pub(crate) fn judge<F: Frame, T: Tables, S: Sink>(
    _frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let verdict = match tables.domain(&meta.policy) {
        Some(domain) if meta.is(Meta::IP) && !meta.is(Meta::OBSCURE) => {
            policy::decide(tables, meta, domain);
            carry_out(tables, sink, meta)
        }
        Some(domain) => unknown(meta, domain),
        // Without the row nobody knows what is allowed.
        None => meta.drop(DropReason::Denied),
    };
    conclude(sink, meta, verdict)
}

/// What policy, which is about addresses and services, cannot say anything about.
#[inline(always)]
fn unknown(meta: &mut Meta, domain: &DomainRow) -> Verdict {
    if meta.is(Meta::IP) {
        meta.drop(DropReason::HeaderChain)
    } else if domain.default_action == PolicyRow::ALLOW {
        Verdict::Next
    } else {
        meta.drop(DropReason::NotAllowed)
    }
}

#[inline(always)]
fn carry_out<T: Tables, S: Sink>(tables: &T, sink: &S, meta: &mut Meta) -> Verdict {
    let (passes, purpose) = (meta.tracking.passes(), meta.tracking.purpose);
    if !passes || purpose != Purpose::Again {
        sink.hit(meta.tracking.rule, meta.tracking.time);
    }
    if !passes {
        if purpose == Purpose::Again {
            connection::end(tables, meta);
        }
        return refuse(meta);
    }
    match purpose {
        Purpose::Packet => {
            if meta.tracking.flags & (PolicyRow::LOG | PolicyRow::AUDIT) != 0 {
                report::decision(sink, meta, FlowRecord::PASSED, 0);
            }
            Verdict::Next
        }
        Purpose::Open => meta.go_on(Continuation::Keep),
        Purpose::Anew => {
            if !connection::begin_anew(tables, meta) {
                return meta.drop(DropReason::NoConnection);
            }
            report::decision(sink, meta, FlowRecord::PASSED, FlowRecord::NEW);
            Verdict::Next
        }
        Purpose::Again => {
            if !connection::judged_again(tables, meta) {
                return meta.drop(DropReason::NoConnection);
            }
            meta.go_on(meta.tracking.asked)
        }
    }
}

/// Ends a packet that policy refuses. Data of a connection whose beginning was not seen is no attempt to open one.
#[inline(always)]
fn refuse(meta: &mut Meta) -> Verdict {
    let stray = meta.tracking.purpose == Purpose::Open
        && meta.protocol == protocol::TCP
        && !meta.tracking.segment.has(tcp::flags::SYN);
    if stray {
        meta.drop(DropReason::NoConnection)
    } else if meta.tracking.action == PolicyRow::REJECT {
        meta.drop(DropReason::Rejected)
    } else {
        meta.drop(DropReason::Denied)
    }
}

/// Remembers a connection that policy admits.
#[inline(always)]
pub(crate) fn keep<F: Frame, T: Tables, S: Sink>(
    _frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let quota = tables.domain(&meta.policy).map_or(0, |domain| domain.quota);
    let verdict = if connection::insert(tables, meta, quota) {
        report::decision(sink, meta, FlowRecord::PASSED, FlowRecord::NEW);
        Verdict::Next
    } else {
        Verdict::Drop
    };
    conclude(sink, meta, verdict)
}
