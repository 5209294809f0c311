//! The forwarding function of the vSwitch: one pure function, compiled twice.
//!
//! `from_port` takes a frame that a VM sent, `from_uplink` one that came from the fabric. Both read
//! rows through [`Tables`], change the frame through [`Frame`], count through [`Sink`] and return a
//! [`Verdict`]. The crate knows no hook, no map, no socket and no clock; the kernel program and the
//! simulator bring them. It does not allocate and does not panic on any frame.
//!
//! A packet's way is this file, top to bottom; one stage is one module. The list of stages is in
//! [`stage`].

#![cfg_attr(not(test), no_std)]

pub mod continuation;
pub mod decapsulate;
pub mod deliver;
pub mod encapsulate;
pub mod environment;
pub mod firewall;
pub mod flow;
pub mod forward;
pub mod frame;
pub mod guard;
pub mod icmp_error;
pub mod meta;
pub mod mtu;
pub mod parse;
pub mod port;
pub mod punt;
pub mod replicate;
pub mod report;
pub mod resolve;
pub mod route;
pub mod stage;
pub mod underlay;
pub mod verdict;

pub use continuation::{Continuation, finish, go_on};
pub use environment::{Clock, Memory, Path, PathQuery, PathState, Repeat, Sink, Tables};
pub use firewall::Purpose;
pub use frame::{Family, Frame, Refused, Room};
pub use meta::{Fragment, Meta};
pub use stage::Stage;
pub use verdict::Verdict;

use coax_tables::{DropReason, FABRIC_SLOT};

macro_rules! through {
    ($frame:ident, $tables:ident, $sink:ident, $meta:ident: $($stage:ident),+) => {
        $(
            $sink.enter(Stage::$stage);
            match Stage::$stage.run($frame, $tables, $sink, $meta) {
                Verdict::Next => {}
                verdict => return verdict,
            }
        )+
    };
}

/// A frame that a VM sent through the device `ifindex`.
#[inline(always)]
pub fn from_port<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
    ifindex: u32,
) -> Verdict {
    meta.enter(ifindex);
    let verdict = port_stages(frame, tables, sink, meta);
    let verdict = tell(verdict, frame, tables, sink, meta);
    settle(verdict, sink, meta)
}

/// A frame that came from the fabric through the uplink `ifindex`.
#[inline(always)]
pub fn from_uplink<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
    ifindex: u32,
) -> Verdict {
    meta.enter(ifindex);
    let verdict = uplink_stages(frame, tables, sink, meta);
    settle(verdict, sink, meta)
}

#[inline(always)]
fn port_stages<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    through!(frame, tables, sink, meta: Port, Parse, Guard, Mtu, Resolve);
    if punt::is_served(meta) {
        through!(frame, tables, sink, meta: Punt);
    }
    if meta.policy.0 != 0 {
        meta.tracking.then = Continuation::Forward;
        through!(frame, tables, sink, meta: Firewall);
    }
    forward_stages(frame, tables, sink, meta)
}

#[inline(always)]
fn uplink_stages<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    through!(frame, tables, sink, meta: Decapsulate, Forward);
    onward(frame, tables, sink, meta)
}

/// `forward_stages` with what its sender is told about a frame that goes no further.
#[inline(always)]
pub(crate) fn forward_and_tell<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let verdict = forward_stages(frame, tables, sink, meta);
    tell(verdict, frame, tables, sink, meta)
}

#[inline(always)]
fn tell<F: Frame, T: Tables, S: Sink>(
    verdict: Verdict,
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    if verdict == Verdict::Drop && meta.is(Meta::TELLS) {
        return icmp_error::answer(frame, tables, sink, meta);
    }
    verdict
}

/// Finds the place of a frame from a port, in its own network or by way of a router.
#[inline(always)]
fn forward_stages<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    through!(frame, tables, sink, meta: Forward);
    if meta.is(Meta::TO_ROUTER) {
        through!(frame, tables, sink, meta: Route);
    }
    onward(frame, tables, sink, meta)
}

/// What both ways have in common once the next place is known.
#[inline(always)]
fn onward<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    if meta.is(Meta::TO_TUNNEL) {
        through!(frame, tables, sink, meta: Encapsulate, Underlay);
        return meta.drop(DropReason::Malformed);
    }
    if meta.policy.0 != 0 || meta.is(Meta::TO_MANY | Meta::FROM_TUNNEL) {
        match receivers_firewall(frame, tables, sink, meta) {
            Verdict::Next => {}
            verdict => return verdict,
        }
    }
    deliver_stages(frame, tables, sink, meta)
}

/// The firewall of who is about to get the frame.
#[inline(never)]
fn receivers_firewall<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    if meta.is(Meta::TO_MANY) {
        // Receivers of what was sent here belong to the sender's project, which has judged it.
        if !meta.is(Meta::FROM_TUNNEL) {
            return Verdict::Next;
        }
        firewall::policy_of_receivers(tables, meta);
    }
    if meta.policy.0 != 0 {
        meta.tracking.then = Continuation::Deliver;
        through!(frame, tables, sink, meta: Firewall);
    }
    Verdict::Next
}

/// Hands the frame to those who live here, and copies of it to others.
#[inline(always)]
pub(crate) fn deliver_stages<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    if meta.is(Meta::TO_MANY) {
        through!(frame, tables, sink, meta: Replicate);
    }
    through!(frame, tables, sink, meta: Deliver);
    meta.drop(DropReason::Malformed)
}

/// Counts how the frame ended. One that a port sent and that is dropped is reported first, and so is a question that
/// went to foreign VTEPs.
#[inline(always)]
fn settle<S: Sink>(verdict: Verdict, sink: &S, meta: &mut Meta) -> Verdict {
    match verdict {
        Verdict::Drop if meta.slot != FABRIC_SLOT && !meta.is(Meta::REPORTED) => {
            meta.flags |= Meta::REPORTED;
            return meta.go_on(Continuation::Dropped);
        }
        // A question that went abroad: the agent may have to answer it.
        Verdict::Flood if meta.is(Meta::ASKS) && !meta.is(Meta::REPORTED) => {
            meta.flags |= Meta::REPORTED | Meta::ASKED;
            return meta.go_on(Continuation::Dropped);
        }
        Verdict::Drop => sink.dropped(meta.slot, meta.reason),
        Verdict::Punt => sink.punted(meta.slot),
        Verdict::Answer => sink.answered(meta.slot, meta.bytes),
        Verdict::Deliver | Verdict::Send | Verdict::SendUnresolved => {
            sink.sent(meta.out_slot, meta.bytes)
        }
        Verdict::Flood | Verdict::Pass | Verdict::Next | Verdict::Continue => {}
    }
    verdict
}
