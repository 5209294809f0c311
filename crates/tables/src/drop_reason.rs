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
    pub const COUNT: u32 = 32;
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
        "The kernel refused to change the frame (out of memory, or an unusual kind of packet).";
    /// A copy could not be made or sent.
    CopyFailed = 21, "copy-failed",
        "A copy of a broadcast could not be made or sent: out of memory, or the device is down.";
    /// The path's uplink cannot take the frame as it is.
    PathTooSmall = 22, "path-too-small",
        "The fabric's MTU towards the other host is smaller than network MTU plus tunnel header: check the uplinks' MTU.";
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
