//! What the pipeline needs of a frame, wherever it is stored.

use coax_tables::PuntHeader;
use coax_wire::VlanTag;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The environment refused to change the frame (no memory, or a kind of packet that it cannot
/// change). The frame may be half changed and must be dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused;

/// The IP family of a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Family {
    /// IPv4.
    Ipv4 = 4,
    /// IPv6.
    Ipv6 = 6,
}

/// The room that a tunnel's headers take in front of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// Family of the outer IP header.
    pub outer: Family,
    /// VLAN tags between the inner Ethernet header and the payload.
    pub tags: u32,
    /// The inner payload is IPv4 or IPv6, so it may be segmented later.
    pub ip: bool,
}

impl Room {
    /// Bytes of outer Ethernet, IP, UDP and VXLAN headers.
    #[inline(always)]
    pub const fn outer_bytes(&self) -> u32 {
        match self.outer {
            Family::Ipv4 => 50,
            Family::Ipv6 => 70,
        }
    }
}

/// A frame, from its Ethernet header on.
///
/// Tags of 802.1Q and 802.1ad are never part of the bytes that `read` and `write` see in front of
/// the payload once `pop_tag` has taken them.
pub trait Frame {
    /// Bytes from the Ethernet header on, tags included.
    fn length(&self) -> u32;

    /// Payload bytes of each segment when the frame stands for several segments of a TCP or UDP
    /// flow that hardware or driver will cut later; 0 for an ordinary frame.
    fn segment_payload(&self) -> u32;

    /// Reads a header at a place known when the program is compiled, within the first 192 bytes.
    fn read<T: FromBytes>(&self, offset: u32) -> Option<T>;

    /// Reads a header at a place that was computed from the frame.
    fn read_at<T: FromBytes>(&self, offset: u32) -> Option<T>;

    /// Copies bytes of the frame to `value`; false when the frame ends before.
    fn copy_to<T: FromBytes + IntoBytes>(&self, offset: u32, value: &mut T) -> bool;

    /// Copies `length` bytes of the frame to the beginning of `value`; false when the frame ends before,
    /// and when they are none or more than the value's.
    fn copy_some<T: FromBytes + IntoBytes>(&self, offset: u32, value: &mut T, length: u32) -> bool;

    /// The bytes of a header at a place known when the program is compiled, to be overwritten;
    /// nothing when they are outside the frame or cannot be made writable.
    fn header<T: FromBytes + IntoBytes + KnownLayout + Unaligned>(
        &mut self,
        offset: u32,
    ) -> Option<&mut T>;

    /// Overwrites bytes of the frame.
    ///
    /// # Errors
    /// `Refused` when the bytes are outside the frame or cannot be made writable.
    fn write<T: IntoBytes + Immutable>(&mut self, offset: u32, value: &T) -> Result<(), Refused>;

    /// Overwrites `length` bytes of the frame with the first ones of `value`.
    ///
    /// # Errors
    /// `Refused` as for `write`, and when they are none or more than the value's.
    fn write_some<T: IntoBytes + Immutable>(
        &mut self,
        offset: u32,
        value: &T,
        length: u32,
    ) -> Result<(), Refused>;

    /// True when a tag follows the MAC addresses.
    fn is_tagged(&self) -> bool;

    /// Takes the outermost tag off.
    ///
    /// # Errors
    /// `Refused` when there is none or it cannot be removed.
    fn pop_tag(&mut self) -> Result<VlanTag, Refused>;

    /// Puts a tag in front of those that are there.
    ///
    /// # Errors
    /// `Refused` when the frame cannot grow.
    fn push_tag(&mut self, tag: VlanTag) -> Result<(), Refused>;

    /// Opens room for tunnel headers. Afterwards the bytes of the outer headers, the inner
    /// Ethernet header and the inner tags are undefined, and the caller writes them all.
    ///
    /// # Errors
    /// `Refused` when the frame cannot grow.
    fn open(&mut self, room: Room) -> Result<(), Refused>;

    /// Puts `bytes` undefined bytes in front of the frame, whose payload is not IP.
    ///
    /// # Errors
    /// `Refused` when the frame cannot grow.
    fn prepend(&mut self, bytes: u32) -> Result<(), Refused>;

    /// Takes away what `open` made room for, or what another host put there. Afterwards the frame
    /// begins with an undefined Ethernet header, which the caller writes; inner tags are gone.
    /// `inner` is the ethertype of the payload. Where `open` made the room, the payload is IP.
    ///
    /// # Errors
    /// `Refused` when the frame cannot shrink.
    fn close(&mut self, room: Room, inner: coax_wire::EtherType) -> Result<(), Refused>;

    /// Cuts the frame at `length` bytes or fills it up to there with zeros. It then is one
    /// ordinary frame, without segments.
    ///
    /// # Errors
    /// `Refused` when the environment cannot.
    fn resize(&mut self, length: u32) -> Result<(), Refused>;

    /// Makes an IP packet's frame one of `length` undefined bytes. Nobody is to cut it into segments
    /// any more, nor to complete the checksum that a VM left to its device.
    ///
    /// # Errors
    /// `Refused` when the environment cannot.
    fn begin_anew(&mut self, length: u32) -> Result<(), Refused>;

    /// Sends a copy of the frame as it is now out of the device `ifindex`.
    ///
    /// # Errors
    /// `Refused` when no copy could be made or the device is down.
    fn send_copy(&mut self, ifindex: u32) -> Result<(), Refused>;

    /// Hands a copy of the frame as it is now to the agent, behind `header`, whose length is filled
    /// in: all bytes, up to [`coax_tables::PUNT_BYTES`].
    ///
    /// # Errors
    /// `Refused` when the agent does not keep up.
    fn punt(&mut self, header: &PuntHeader) -> Result<(), Refused>;
}
