//! A new length for a frame that the kernel on the other end of a veth pair has put into a tunnel.
//!
//! Its mark (`skb->encapsulation`) outlives the tunnel, nothing that a program may call takes it away, and `bpf_skb_change_tail` refuses
//! such frames with -ENOTSUPP (Linux 6.1 to 6.18). `bpf_skb_adjust_room` changes them behind their Ethernet header. For a frame that is
//! written from its beginning to its end afterwards that is the same.
//!
//! What `change_tail` would have done besides has to be done here. A frame that stands for segments of TCP gets room without
//! `FIXED_GSO`, by which the kernel makes its segments smaller, until they have no size. And an order to complete a checksum goes when the place where the sum
//! starts is taken away. That place is counted from the frame's end, and a whole IP header has to stay, so all but that is taken first.
//! Behind a payload shorter than this the order stays, and concerns nobody: all checksums are complete, and receivers compute the sum or
//! trust the order. What it could harm is a device on the way back that completes checksums itself, and such a device would have done so
//! on the way here.

use aya_ebpf::bindings::{__sk_buff, BPF_F_ADJ_ROOM_FIXED_GSO};
use aya_ebpf::helpers::generated::{bpf_skb_adjust_room, bpf_skb_pull_data};
use coax_pipeline::Refused;
use coax_wire::{EtherType, Ethernet};

use crate::frame::{ADJ_ROOM_MAC, LEAST_PAYLOAD_IPV4, LEAST_PAYLOAD_IPV6};

/// Most bytes that one call adds or takes.
const STEP: u32 = 0xfff;

/// What is taken away at the front stays in the buffer, in front of the headers, whose places are numbers of 16 bits
/// counted from the buffer's start. This leaves 900 bytes for what stood there before.
const MOST: u32 = 64_600;

/// Whole steps in so many bytes.
const STEPS: u32 = MOST / STEP;

/// Makes the frame one of `length` undefined bytes, at least a whole IP header behind the one of Ethernet.
#[inline(never)]
pub fn begin(skb: *mut __sk_buff, length: u32) -> Result<(), Refused> {
    // SAFETY: the kernel hands programs a valid context; its fields are plain numbers.
    let (bytes, segment, protocol) = unsafe { ((*skb).len, (*skb).gso_size, (*skb).protocol) };
    if bytes > MOST {
        return Err(Refused);
    }
    // One large piece at once instead of sixteen that each grow by a bit. Where there is no memory for it, the next call says so.
    // SAFETY: the context is valid.
    unsafe { bpf_skb_pull_data(skb, bytes) };
    let least = if protocol == u32::from(EtherType::IPV6.get().to_be()) {
        Ethernet::LENGTH + LEAST_PAYLOAD_IPV6
    } else {
        Ethernet::LENGTH + LEAST_PAYLOAD_IPV4
    };
    let fixed = u64::from(BPF_F_ADJ_ROOM_FIXED_GSO);
    change(skb, bytes.wrapping_sub(least), -1, fixed)?;
    if segment != 0 {
        change(skb, segment, 1, 0)?;
        change(skb, segment, -1, fixed)?;
    }
    adjust(skb, length.wrapping_sub(least) as i32, fixed)
}

/// Adds bytes or takes them, with hardly a branch for the verifier to follow.
#[inline(never)]
fn change(skb: *mut __sk_buff, bytes: u32, sign: i32, flags: u64) -> Result<(), Refused> {
    adjust(skb, (bytes % STEP) as i32 * sign, flags)?;
    let mut steps = bytes / STEP;
    for _ in 0..STEPS {
        if steps == 0 {
            return Ok(());
        }
        steps -= 1;
        adjust(skb, STEP as i32 * sign, flags)?;
    }
    if steps == 0 { Ok(()) } else { Err(Refused) }
}

#[inline(always)]
fn adjust(skb: *mut __sk_buff, bytes: i32, flags: u64) -> Result<(), Refused> {
    // SAFETY: the context is valid.
    match unsafe { bpf_skb_adjust_room(skb, bytes, ADJ_ROOM_MAC, flags) } {
        0 => Ok(()),
        _ => Err(Refused),
    }
}
