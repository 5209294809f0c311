//! What the stages tell each other about one frame.

use crate::firewall::Tracking;
use crate::icmp_error::{self, Problem};
use crate::{Continuation, Path, Verdict, encapsulate};
use coax_tables::{DomainId, DropReason, NetworkId, NetworkRow};
use coax_wire::{Ethernet, VlanTag};

/// Which part of a datagram an IP packet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Fragment {
    /// All of it.
    Whole = 0,
    /// The first part, with the transport header.
    First = 1,
    /// A later part.
    Later = 2,
}

/// The state that stages share. The kernel keeps it in a per-CPU map, because a program's stack has
/// 512 bytes; whoever reuses a value calls `enter` first.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct Meta {
    /// Device by which the frame entered.
    pub ifindex: u32,
    /// Counters of the port by which it entered.
    pub slot: u32,
    /// The frame's network; zero until known.
    pub network: NetworkId,
    /// Largest layer-3 packet of the network.
    pub mtu: u32,
    /// Bits of the `Meta::…` constants.
    pub flags: u32,
    /// Bytes of the VM's frame as counters see it, tags included.
    pub bytes: u32,
    /// Layer-3 bytes of the frame, or of each segment that it stands for.
    pub packet_length: u32,
    /// Hash of the frame's flow.
    pub hash: u32,
    /// Device by which the frame leaves.
    pub out_ifindex: u32,
    /// Counters of the port by which it leaves.
    pub out_slot: u32,
    /// Why the frame was dropped, when it was.
    pub reason: DropReason,
    /// Tags that were taken off: how many of `tags` count.
    pub tag_count: u32,
    /// Offset of the transport header in the frame without tags; zero: there is none to be read
    /// (not IP, a later fragment, a packet that ends before).
    pub transport: u32,
    /// Which part of a datagram the packet is.
    pub fragment: Fragment,
    /// Offset of the IPv6 fragment header in the frame without tags; zero: there is none.
    pub fragment_header: u32,
    /// Flags of the port's row.
    pub port_flags: u32,
    /// The address plan of the port's network (`PortRow::scope`): its router's number. Where the frame is about to be
    /// handed to a port, that one's.
    pub scope: u32,
    /// Hops that a tunnel packet of the frame may still take.
    pub hops: u32,
    /// Sender of the IP packet, IPv4 in mapped form.
    pub source: [u8; 16],
    /// Receiver of the IP packet, IPv4 in mapped form.
    pub destination: [u8; 16],
    /// Source and destination port of TCP, UDP and SCTP as on the wire; zero for others.
    pub ports: [u8; 4],
    /// An IPv6 address that the port may send from; zero: none.
    pub own_ipv6: [u8; 16],
    /// An IPv4 address that the port may send from; zero: none.
    pub own_ipv4: [u8; 4],
    /// VLAN of the trunk that the frame came in; 0: it was untagged, or the port is no trunk.
    pub trunk_vlan: u16,
    /// VLAN of the trunk that the frame leaves in; 0: it leaves untagged.
    pub out_vlan: u16,
    /// Transport protocol, behind extension headers; zero when not IP.
    pub protocol: u8,
    /// DSCP and ECN of the inner IP header; zero for other frames.
    pub traffic_class: u8,
    /// The VM's Ethernet header without tags.
    pub ethernet: Ethernet,
    /// Tags that were taken off, outermost first.
    pub tags: [VlanTag; Meta::TAGS],
    /// The destination's VTEP, IPv4 in mapped form.
    pub vtep: [u8; 16],
    /// The own VTEP that sends, IPv4 in mapped form.
    pub own_vtep: [u8; 16],
    /// The receivers of copies.
    pub receivers: NetworkRow,
    /// Copies that were made. It is kept here and not on the stack, where the kernel's verifier
    /// would follow every value that it can take.
    pub copies: u32,
    /// Where a frame goes on that a stage has handed over.
    pub continuation: Continuation,
    /// The way to the VTEP.
    pub path: Path,
    /// What the sender is told about, where `TELLS` is set.
    pub problem: Problem,
    /// In whose name the sender is told that its packet is refused, IPv4 in mapped form; before that, the address that is
    /// asked for or announced.
    pub speaker: [u8; 16],
    /// Whose firewall policy the frame meets: that of the port by which it enters, then that of the port
    /// by which it leaves.
    pub policy: DomainId,
    /// What the firewall knows of the frame's connection.
    pub tracking: Tracking,
    /// Where headers of answers to the sender are put together.
    pub scratch: [u8; Meta::SCRATCH],
    /// The refused packet as far as it is quoted.
    pub quote: [u32; icmp_error::QUOTE_WORDS],
}

impl Meta {
    /// Most tags that a frame may carry.
    pub const TAGS: usize = 3;

    /// Bytes of the largest answer, but for what it quotes.
    pub const SCRATCH: usize = 96;

    /// The frame came out of a tunnel.
    pub const FROM_TUNNEL: u32 = 1;
    /// The frame goes to more than one receiver.
    pub const TO_MANY: u32 = 2;
    /// The frame goes into a tunnel.
    pub const TO_TUNNEL: u32 = 4;
    /// The VTEP has an IPv6 address.
    pub const TUNNEL_IPV6: u32 = 8;
    /// The payload is IPv4 or IPv6 behind the Ethernet header, at least a whole header of it.
    pub const IP: u32 = 16;
    /// Copies go to foreign VTEPs only.
    pub const FOREIGN_ONLY: u32 = 32;
    /// The destination MAC address is unicast, and unknown.
    pub const UNKNOWN_UNICAST: u32 = 64;
    /// Frames of the network may carry tags.
    pub const TAGS_ALLOWED: u32 = 128;
    /// The local port can take the frame past the host's own queue.
    pub const TO_PEER: u32 = 256;
    /// The payload is IPv6.
    pub const IPV6: u32 = 512;
    /// Room for tunnel headers over IPv4 is open for the copies.
    pub const OPEN: u32 = 1024;
    /// More IPv6 extension headers than are read, or one that ends too early: what the packet carries
    /// is not known.
    pub const OBSCURE: u32 = 2048;
    /// Senders are not compared: the port may use any address, or a tag leads to a VLAN of the VM's own.
    pub const ANY_SENDER: u32 = 4096;
    /// The sender is an isolated port of the network.
    pub const ISOLATED: u32 = 8192;
    /// The frame announces a shared address: everybody is to hear of it.
    pub const ANNOUNCES: u32 = 16_384;
    /// The frame counts against the limit of its kind already.
    pub const METERED: u32 = 32_768;
    /// The frame is for the gateway: its packet goes to the router.
    pub const TO_ROUTER: u32 = 65_536;
    /// The sender is to hear why the packet is dropped (`problem`), from `speaker`.
    pub const TELLS: u32 = 131_072;
    /// The agent has been told why the frame is dropped.
    pub const REPORTED: u32 = 262_144;
    /// An answer to the sender takes the way of a frame of the receiver: the sender is not at the device by which the frame
    /// entered, or its MAC address is not known.
    pub const RETURNS: u32 = 524_288;
    /// The frame asks for the owner of an address: `source` asks, `speaker` is asked for.
    pub const ASKS: u32 = 1_048_576;
    /// The question went to foreign VTEPs.
    pub const ASKED: u32 = 2_097_152;

    /// A value for one frame that entered by the device `ifindex`.
    pub const fn new(ifindex: u32) -> Self {
        Self {
            ifindex,
            slot: 0,
            network: NetworkId(0),
            mtu: 0,
            flags: 0,
            bytes: 0,
            packet_length: 0,
            hash: 0,
            out_ifindex: 0,
            out_slot: 0,
            reason: DropReason::Malformed,
            tag_count: 0,
            transport: 0,
            fragment: Fragment::Whole,
            fragment_header: 0,
            port_flags: 0,
            scope: 0,
            hops: 0,
            source: [0; 16],
            destination: [0; 16],
            ports: [0; 4],
            own_ipv6: [0; 16],
            own_ipv4: [0; 4],
            trunk_vlan: 0,
            out_vlan: 0,
            protocol: 0,
            traffic_class: 0,
            ethernet: Ethernet {
                destination: coax_wire::MacAddress([0; 6]),
                source: coax_wire::MacAddress([0; 6]),
                ethertype: coax_wire::EtherType([0; 2]),
            },
            tags: [VlanTag {
                protocol: coax_wire::EtherType([0; 2]),
                control: [0; 2],
            }; Self::TAGS],
            vtep: [0; 16],
            own_vtep: [0; 16],
            receivers: NetworkRow::EMPTY,
            copies: 0,
            continuation: Continuation::Forward,
            path: Path {
                ifindex: 0,
                destination: coax_wire::MacAddress([0; 6]),
                source: coax_wire::MacAddress([0; 6]),
            },
            problem: Problem::NoRoute,
            speaker: [0; 16],
            policy: DomainId(0),
            tracking: Tracking::EMPTY,
            scratch: [0; Self::SCRATCH],
            quote: [0; icmp_error::QUOTE_WORDS],
        }
    }

    /// Makes a used value ready for the next frame: resets what stages read before they write it.
    #[inline(always)]
    pub(crate) fn enter(&mut self, ifindex: u32) {
        self.ifindex = ifindex;
        self.slot = 0;
        self.network = NetworkId(0);
        self.flags = 0;
        self.hops = encapsulate::HOPS;
        self.policy = DomainId(0);
        self.tracking.judged = 0;
        self.tag_count = 0;
        self.traffic_class = 0;
        self.out_slot = 0;
        self.hash = 0;
        self.bytes = 0;
        self.transport = 0;
        self.fragment = Fragment::Whole;
        self.fragment_header = 0;
        self.port_flags = 0;
        self.trunk_vlan = 0;
        self.out_vlan = 0;
        self.protocol = 0;
        self.ports = [0; 4];
    }

    /// True when all bits of `flag` are set.
    #[inline(always)]
    pub const fn is(&self, flag: u32) -> bool {
        self.flags & flag == flag
    }

    /// True when the port by which the frame entered has `flag` of `PortRow`.
    #[inline(always)]
    pub const fn port_has(&self, flag: u16) -> bool {
        self.port_flags & flag as u32 != 0
    }

    /// Ends the frame for `reason`.
    #[inline(always)]
    pub(crate) fn drop(&mut self, reason: DropReason) -> Verdict {
        self.reason = reason;
        Verdict::Drop
    }

    /// Lets the sender hear of `problem` when the frame is dropped.
    #[inline(always)]
    pub(crate) fn tell(&mut self, problem: Problem) {
        self.problem = problem;
        self.flags |= Self::TELLS;
    }

    /// Hands the frame over to `place`.
    #[inline(always)]
    pub(crate) fn go_on(&mut self, place: Continuation) -> Verdict {
        self.continuation = place;
        Verdict::Continue
    }

    /// Bytes that the frame's tags take.
    #[inline(always)]
    pub const fn tag_bytes(&self) -> u32 {
        self.tag_count * VlanTag::LENGTH
    }
}
