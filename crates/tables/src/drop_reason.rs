//! Why a frame was dropped: one closed list, one meaning per reason.
//!
//! The same names are used by counters, metrics, the CLI, the console, traces and the docs.

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal, $hint:literal;)+) => {
        /// Why a frame was dropped.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u32)]
        pub enum DropReason {
            $($(#[$doc])* $variant = $code,)+
        }

        impl DropReason {
            /// All reasons in the order of their codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name that users see.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What the reason hints at, in a sentence for a server administrator.
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint,)+ }
            }
        }
    };
}

impl DropReason {
    /// Room for counters of each slot; codes stay below it.
    pub const COUNT: u32 = 64;

    /// What guards drop: the VM sends what its port forbids, or more than its port may. What rules of a firewall refuse is not
    /// among them, nor what is dropped because of somebody else.
    pub const GUARDS: &'static [Self] = &[
        Self::ForgedSource,
        Self::TaggedFrame,
        Self::TooManyTags,
        Self::ReservedGroup,
        Self::ForgedAddress,
        Self::ForgedArp,
        Self::ForgedNeighbour,
        Self::RogueServer,
        Self::Bpdu,
        Self::Storm,
        Self::Loop,
        Self::Isolated,
        Self::HeaderChain,
        Self::Fragment,
        Self::PuntLimit,
        Self::VlanNotAllowed,
        Self::AnswerLimit,
    ];

    /// The reason with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.name() == name)
    }
}

drop_reasons! {
    /// The frame ends inside a header.
    Truncated = 0, "truncated",
        "The frame ends in the middle of a header: a broken driver, or somebody probing the switch.";
    /// A header contradicts itself.
    Malformed = 1, "malformed",
        "A header has an impossible version or length: a broken sender, or somebody probing the switch.";
    /// A device with the program attached has no port row.
    UnknownPort = 2, "unknown-port",
        "The device is attached to the vSwitch, but no port is configured for it: check `coax port list`.";
    /// The source MAC address is not the port's.
    ForgedSource = 3, "forged-source",
        "The VM sent with a MAC address that is not its own: nested VMs, a bridge inside the VM, or an attack.";
    /// A frame with a VLAN tag on a port that takes none.
    TaggedFrame = 4, "tagged-frame",
        "A frame with a VLAN tag on a network that is not `vlan_transparent`.";
    /// More VLAN tags than the vSwitch reads.
    TooManyTags = 5, "too-many-tags",
        "More than three VLAN tags in a row.";
    /// The destination is one of the group addresses that no bridge forwards.
    ReservedGroup = 6, "reserved-group",
        "Link-local control frames (STP, LACP, LLDP, pause) end at the port, as on every switch.";
    /// Larger than the network's MTU; the sender was told where possible.
    TooBig = 7, "too-big",
        "Larger than the network's MTU: set the VM's interface to the MTU that `coax network show` prints.";
    /// Unicast to a MAC address that nobody in the network has.
    UnknownUnicast = 8, "unknown-unicast",
        "Nobody in the network has this destination MAC address: a VM that was deleted, or a stale ARP entry.";
    /// An address resolution for an address that nobody in the network has.
    UnknownAddress = 9, "unknown-address",
        "A VM asks (ARP or neighbour discovery) for an address that nobody in its network has.";
    /// An announcement or probe for the sender's own address, absorbed at the edge.
    OwnAddress = 10, "own-address",
        "Gratuitous ARP and duplicate address detection of a VM's own address end at the edge: everybody knows it already.";
    /// The destination is the port that the frame came from.
    Hairpin = 11, "hairpin",
        "The frame's destination is the very port that sent it.";
    /// A broadcast or multicast, and nobody else is in the network.
    NoReceiver = 12, "no-receiver",
        "A broadcast or multicast in a network without any other member.";
    /// The host has no tunnel address of the family that the peer needs.
    NoTunnelAddress = 13, "no-tunnel-address",
        "The other host is reached over an IP family for which this host has no VTEP address.";
    /// The underlay has no route to the peer's VTEP.
    NoPath = 14, "no-path",
        "The IP fabric has no route to the other host's VTEP: check the uplinks and the routing.";
    /// A tunnel frame without the I flag.
    NoVni = 15, "no-vni",
        "A VXLAN header without the flag that makes its VNI valid.";
    /// A tunnel frame from a VTEP that is no member of the VNI, or for a VNI not on this host.
    NotMember = 16, "not-a-member",
        "A tunnel frame from an endpoint that is not a member of that network: a foreign VTEP that Coax was not told about, or an attack.";
    /// A fragment of a tunnel packet.
    TunnelFragment = 17, "tunnel-fragment",
        "A fragmented tunnel packet: the fabric's MTU is smaller than the sender believes.";
    /// A congestion mark that the inner packet cannot carry (RFC 6040).
    CongestionMark = 18, "congestion-mark",
        "The fabric marked congestion on a packet whose sender does not understand the mark: as RFC 6040 asks, it counts as loss.";
    /// A tunnel frame whose destination MAC address is not here.
    NotHere = 19, "not-here",
        "Another host believes that the destination lives here: it moved away, or that host is behind with its updates.";
    /// The frame could not be rewritten: the kernel refused.
    RewriteFailed = 20, "rewrite-failed",
        "The kernel refused to change the frame: out of memory, or a large packet of a tunnel of the VM's own, see `Containers with an overlay of their own` in docs/how-to/attach-a-vm.md.";
    /// A copy could not be made or sent.
    CopyFailed = 21, "copy-failed",
        "A copy of a broadcast could not be made or sent: out of memory, or the device is down.";
    /// The path's uplink cannot take the frame as it is.
    PathTooSmall = 22, "path-too-small",
        "The fabric's MTU towards the other host is smaller than network MTU plus tunnel header: check the uplinks' MTU.";
    /// The source IP address is not one of the port's.
    ForgedAddress = 23, "forged-address",
        "The VM sent from an IP address that is not its own: a second address that Coax was not told about (`allowed_addresses`), or an attack.";
    /// An ARP message that claims somebody else's address.
    ForgedArp = 24, "forged-arp",
        "The VM claimed an address that is not its own in an ARP message: a wrong static address, or an attempt to take over a neighbour's traffic.";
    /// A neighbour discovery message that claims somebody else's address.
    ForgedNeighbour = 25, "forged-neighbour",
        "The VM claimed an address that is not its own in neighbour discovery: a wrong static address, or an attempt to take over a neighbour's traffic.";
    /// A port that may not serve sent DHCP answers or router advertisements.
    RogueServer = 26, "rogue-server",
        "The VM answers DHCP or advertises itself as a router, and its port may not: set `may_serve` if it is meant to.";
    /// A spanning tree frame; it shut the port.
    Bpdu = 27, "bpdu",
        "The VM takes part in spanning tree, so it is a bridge: its port was shut before it could make a loop.";
    /// A guard has shut the port.
    PortShut = 28, "port-shut",
        "A guard has shut the port for a while: `coax port show` says which and until when.";
    /// More broadcasts, multicasts or frames to unknown addresses than the port may send.
    Storm = 29, "storm",
        "The VM sends more broadcasts, multicasts or frames to unknown addresses than its network allows (`storm_control`).";
    /// The host's own canary came back; it shut the port.
    Loop = 30, "loop",
        "A frame that Coax sent out of one port came back by another: a VM bridges two of its ports. This one was shut.";
    /// From one isolated port to another.
    Isolated = 31, "isolated",
        "Both ports are isolated: they reach the other ports of their network, but not each other.";
    /// Extension headers that hide what the packet is.
    HeaderChain = 32, "header-chain",
        "More extension headers than the switch reads, or headers that hide what the packet is: nearly always an attack.";
    /// A firewall rule denies it.
    Denied = 33, "denied",
        "A firewall rule denies it, or none allows it: `coax trace` says which.";
    /// A firewall rule rejects it; the sender was told where possible.
    Rejected = 34, "rejected",
        "A firewall rule rejects it, and the sender was told: `coax trace` says which rule.";
    /// Not IP, on a port with a firewall.
    NotAllowed = 35, "not-allowed",
        "Not an IP packet, and the port has a firewall whose default is to deny: rules are about IP.";
    /// Does not belong to any connection in its state.
    NoConnection = 36, "no-connection",
        "The packet belongs to no open connection, or is outside its window: a late packet, a connection that timed out, or a forged reset.";
    /// The project has as many connections on this host as it may.
    ConnectionQuota = 37, "connection-quota",
        "The project has as many connections on this host as its quota allows: a scan, or a quota that is too small.";
    /// No room for another connection.
    ConnectionsFull = 38, "connections-full",
        "The host has no room for another connection: raise the capacity of the table `connections`.";
    /// A fragment without a decision.
    Fragment = 39, "fragment",
        "A fragment that came before its first one, overlaps another, or is too short: evasion, or a path that reorders fragments.";
    /// The router has no route.
    NoRoute = 40, "no-route",
        "The router has no route to the destination; the sender was told.";
    /// The packet has used up its hops; the sender was told.
    TimeToLive = 41, "time-to-live",
        "The packet has used up its hops at a router: a routing loop, or a traceroute.";
    /// More requests for the host's services than the port may send.
    PuntLimit = 42, "punt-limit",
        "The VM asks for DHCP, router advertisements or names more often than a port may.";
    /// A VLAN that the trunk port does not carry.
    VlanNotAllowed = 43, "vlan-not-allowed",
        "The trunk port does not carry this VLAN: add it to the port's `trunk` list.";
    /// Not IP unicast, for a router or on a routed network.
    NotRoutable = 44, "not-routable",
        "A router, and a network of type `routed`, carries IP unicast only, and no addresses that mean nothing beyond their link.";
    /// Routed to an address that nobody has.
    NoNeighbour = 45, "no-neighbour",
        "Routed into a network where nobody has the address; the sender was told.";
    /// To the gateway's own address, which serves nothing of the kind.
    NotServed = 46, "not-served",
        "A packet to the gateway's own address, which answers pings, and DHCP and DNS where the network has them.";
    /// More ARP requests, neighbour solicitations or pings of the gateway than are answered.
    AnswerLimit = 47, "answer-limit",
        "The VM asks for addresses or pings its gateway more than a thousand times in a second: a scan, or a broken program.";
    /// The program that goes on with the frame is not there.
    ProgramMissing = 48, "program-missing",
        "A part of the kernel's program is missing, so the frame could not be judged: restart the agent, and report it.";
}

#[cfg(test)]
mod tests {
    use super::DropReason;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_dense_and_names_unique() {
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
        assert!(DropReason::ALL.len() <= DropReason::COUNT as usize);
        let names: BTreeSet<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), DropReason::ALL.len());
    }
}
