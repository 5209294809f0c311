//! The pipeline bound to the kernel: two programs, one `match` over the verdict each; those that go on with
//! frames which some stages hand over; and one that lets the agent try them.
//!
//! `coax_port` sits on the host's side of every VM's device, `coax_uplink` on every uplink. All
//! policy and all header arithmetic are in the `pipeline` crate; this one says how a frame is read
//! from an skb (`frame`), a row from a map (`tables`), and what a verdict means to the kernel.

#![no_std]
#![no_main]
// Debian's compiler is let use what the kernel's atomics need.
#![feature(core_intrinsics)]
#![allow(internal_features)]
#![feature(asm_experimental_arch)]

mod anew;
mod atomic;
mod bytes;
mod frame;
mod maps;
mod memory;
mod sink;
mod tables;

use aya_ebpf::bindings::{__sk_buff, BPF_F_INGRESS, TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::helpers::generated::{
    bpf_redirect, bpf_redirect_neigh, bpf_redirect_peer, bpf_skb_change_type,
};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use coax_pipeline::{Continuation, Meta, Sink, Verdict};
use coax_tables::DropReason;
use coax_wire::EtherType;
use frame::SkbFrame;
use sink::MapSink;
use tables::MapTables;

/// Set by the loader when the kernel can be told that the IP family changes while a tunnel is taken
/// off (Linux 6.3). Older ones are told in a step of its own.
#[unsafe(no_mangle)]
static CAN_CHANGE_FAMILY: u32 = 0;

/// Set by the loader: the number of buckets of connections, less one.
#[unsafe(no_mangle)]
static CONNECTION_MASK: u32 = 0;

/// Set by the loader: the number of buckets of fragments, less one.
#[unsafe(no_mangle)]
static FRAGMENT_MASK: u32 = 0;

const PACKET_HOST: u32 = 0;

/// Frames that a VM sent.
#[classifier]
pub fn coax_port(context: TcContext) -> i32 {
    let Some(meta) = maps::meta() else {
        return TC_ACT_SHOT;
    };
    let skb = context.skb.skb;
    let mut frame = SkbFrame::new(skb);
    let ifindex = frame.ifindex();
    let verdict =
        coax_pipeline::from_port(&mut frame, &MapTables::new(skb), &MapSink, meta, ifindex);
    carry_out(&context, verdict, meta)
}

/// Frames that came from the fabric.
#[classifier]
pub fn coax_uplink(context: TcContext) -> i32 {
    let Some(meta) = maps::meta() else {
        return TC_ACT_SHOT;
    };
    let skb = context.skb.skb;
    let mut frame = SkbFrame::new(skb);
    let ifindex = frame.ifindex();
    let verdict =
        coax_pipeline::from_uplink(&mut frame, &MapTables::new(skb), &MapSink, meta, ifindex);
    carry_out(&context, verdict, meta)
}

/// Programs that go on with frames of the two above.
macro_rules! continuations {
    ($($program:ident: $place:ident;)+) => {
        $(
            #[doc = concat!("Goes on at `Continuation::", stringify!($place), "`.")]
            #[classifier]
            pub fn $program(context: TcContext) -> i32 {
                go_on(&context, Continuation::$place)
            }
        )+
    };
}

continuations! {
    coax_forward: Forward;
    coax_deliver: Deliver;
    coax_tcp: Tcp;
    coax_exchange: Exchange;
    coax_icmp_error: IcmpError;
    coax_judge: Judge;
    coax_keep: Keep;
    coax_fragment: FirstFragment;
    coax_follower: LaterFragment;
    coax_reject: Reject;
    coax_dropped: Dropped;
}

#[inline(always)]
fn go_on(context: &TcContext, place: Continuation) -> i32 {
    let Some(meta) = maps::meta() else {
        return TC_ACT_SHOT;
    };
    let skb = context.skb.skb;
    let mut frame = SkbFrame::new(skb);
    let tables = MapTables::new(skb);
    let verdict = coax_pipeline::go_on(place, &mut frame, &tables, &MapSink, meta);
    carry_out(context, verdict, meta)
}

/// Frames that the agent sends by a device of its own, to enter the vSwitch where their mark says: as if the VM on that
/// device had sent them.
#[classifier]
pub fn coax_inject(context: TcContext) -> i32 {
    let skb = context.skb.skb;
    // SAFETY: the kernel hands programs a valid context; its fields are plain numbers.
    let ifindex = unsafe { (*skb).mark };
    // The frame goes on as any other.
    // SAFETY: as above; a classifier may write the mark.
    unsafe { (*skb).mark = 0 };
    // SAFETY: takes numbers only.
    unsafe { bpf_redirect(ifindex, BPF_F_INGRESS as u64) as i32 }
}

#[inline(always)]
fn carry_out(context: &TcContext, verdict: Verdict, meta: &mut Meta) -> i32 {
    let skb = context.skb.skb;
    match verdict {
        Verdict::Continue => jump(context, meta),
        Verdict::Pass => TC_ACT_UNSPEC,
        Verdict::Deliver => deliver(skb, meta),
        Verdict::Send | Verdict::Answer => redirect(meta.out_ifindex),
        // SAFETY: a null pointer asks the kernel to look the next hop up itself.
        Verdict::SendUnresolved => unsafe {
            bpf_redirect_neigh(meta.out_ifindex, core::ptr::null_mut(), 0, 0) as i32
        },
        Verdict::Drop | Verdict::Flood | Verdict::Punt | Verdict::Next => TC_ACT_SHOT,
    }
}

/// Leaves the frame to another program. It is done in the program's own frame: with more than 256 bytes of stack in
/// use, the kernel allows it nowhere else. When the kernel comes back, the frame ends here.
#[inline(always)]
fn jump(context: &TcContext, meta: &mut Meta) -> i32 {
    // SAFETY: nothing here is to be dropped, and the state is in a map.
    unsafe { maps::PROGRAMS.tail_call(context, meta.continuation as u32) };
    meta.reason = DropReason::ProgramMissing;
    MapSink.dropped(meta.slot, DropReason::ProgramMissing);
    TC_ACT_SHOT
}

/// Hands the frame to a local port: past the host's own queue where the kernel allows it, which
/// are unicast IP frames whose family the skb states rightly.
#[inline(always)]
fn deliver(skb: *mut __sk_buff, meta: &Meta) -> i32 {
    let ethertype = meta.ethernet.ethertype;
    // SAFETY: the kernel hands programs a valid context; its fields are plain numbers.
    let stated = unsafe { (*skb).protocol as u16 }.to_ne_bytes();
    let ip = ethertype == EtherType::IPV4 || ethertype == EtherType::IPV6;
    if !meta.is(Meta::TO_PEER) || !ip || stated != ethertype.0 || meta.tag_count > 0 {
        return redirect(meta.out_ifindex);
    }
    if !meta.is(Meta::FROM_TUNNEL) {
        // SAFETY: the context is valid. To the host's own device the frame was somebody else's; the
        // VM that gets it now must not think so.
        unsafe { bpf_skb_change_type(skb, PACKET_HOST) };
    }
    // SAFETY: takes numbers only.
    unsafe { bpf_redirect_peer(meta.out_ifindex, 0) as i32 }
}

#[inline(always)]
fn redirect(ifindex: u32) -> i32 {
    // SAFETY: takes numbers only; no flag means "out of the device".
    unsafe { bpf_redirect(ifindex, 0) as i32 }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
