//! What the data plane reports of connections and packets that it decided about.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One decision: of the firewall, or to drop a frame that a port sent. Records go through a ring buffer; when there are too many of them, some
/// are left out.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct FlowRecord {
    /// When, in nanoseconds of the monotonic clock.
    pub time: u64,
    /// Sender of the packet, IPv4 in mapped form; zero: it is neither IP nor a question for an address.
    pub source: [u8; 16],
    /// Receiver of the packet, IPv4 in mapped form.
    pub destination: [u8; 16],
    /// Source port in network byte order; zero where the protocol has none.
    pub source_port: [u8; 2],
    /// Destination port in network byte order; ICMP: type and code.
    pub destination_port: [u8; 2],
    /// Network of the port whose policy decided.
    pub network: u32,
    /// Whose policy it is; 0: the packet was dropped elsewhere.
    pub domain: u32,
    /// The rule that decided; 0: none, or what else is in `reason`.
    pub rule: u32,
    /// Counters of the port by which the packet entered; 0: it came from the fabric.
    pub slot: u32,
    /// Why the packet was dropped; `FlowRecord::PASSED` when it was not.
    pub reason: u32,
    /// Bytes of the packet's frame.
    pub bytes: u32,
    /// IP protocol.
    pub protocol: u8,
    /// Bits of the `FlowRecord::…` constants.
    pub flags: u8,
    /// Records that were left out before this one since the last one that was not, at most 65,535.
    pub missed: u16,
}

impl FlowRecord {
    /// The packet went on.
    pub const PASSED: u32 = u32::MAX;

    /// The packet opened a connection.
    pub const NEW: u8 = 1;
    /// The rule asks for records.
    pub const LOG: u8 = 2;
    /// The rule would have refused the packet, but is only audited.
    pub const AUDIT: u8 = 4;
    /// The packet belongs to a connection that a change of policy ended.
    pub const ENDED: u8 = 8;
    /// The frame asks for the owner of an address, and nobody here has it: `source` asks, `destination` is asked for. It was
    /// dropped, or it went to foreign VTEPs.
    pub const ASKS: u8 = 16;

    /// True when `flag` is set.
    #[inline(always)]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_words_of_eight_bytes() {
        assert_eq!(size_of::<FlowRecord>(), 72);
    }
}
