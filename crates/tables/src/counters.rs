//! Counters of a port and of the fabric side of a host.
//!
//! They obey one law, exactly, on every host and at any quiet moment, summed over all slots:
//!
//! `received + copies = sent + flooded + punted + sum of all drops`
//!
//! A frame that enters is forwarded (sent once), answered in place (sent once, to where it came
//! from), flooded (the original ends, each copy is sent or dropped), punted (handed to the agent) or
//! dropped for a reason.

use crate::DropReason;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The slot that counts what comes from and goes to the fabric through tunnels.
pub const FABRIC_SLOT: u32 = 0;

/// Counters of one slot.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Counters {
    /// Frames that entered the vSwitch here.
    pub received_frames: u64,
    /// Their bytes, from the inner Ethernet header on.
    pub received_bytes: u64,
    /// Frames that left the vSwitch here.
    pub sent_frames: u64,
    /// Their bytes, from the inner Ethernet header on.
    pub sent_bytes: u64,
    /// Of the received ones: answered by the vSwitch itself.
    pub answered: u64,
    /// Of the received ones: handed to replication.
    pub flooded: u64,
    /// Copies that replication made of them.
    pub copies: u64,
    /// Of the received ones: unicast to an unknown MAC address, handed to replication.
    pub unknown_unicast: u64,
    /// Of the received ones: handed to the agent.
    pub punted: u64,
}

/// Index of the drop counter of `slot` and `reason`.
#[inline(always)]
pub const fn drop_index(slot: u32, reason: DropReason) -> u32 {
    slot * DropReason::COUNT + reason as u32
}
