//! The one list of stages: enum, names, order, documentation and dispatch come from it.

use crate::{Frame, Meta, Sink, Tables, Verdict};
use coax_tables::DropReason;

macro_rules! stages {
    ($($variant:ident = $module:ident, $summary:literal, drops: [$($reason:ident),*];)+) => {
        /// A stage of the pipeline.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u32)]
        pub enum Stage {
            $(#[doc = $summary] $variant,)+
        }

        impl Stage {
            /// All stages in the order in which a frame may meet them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in traces, docs and the CLI; also the name of the stage's source file.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($module),)+ }
            }

            /// What the stage does, in one sentence.
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)+ }
            }

            /// The reasons for which the stage drops frames.
            pub const fn drops(self) -> &'static [DropReason] {
                match self { $(Self::$variant => &[$(DropReason::$reason),*],)+ }
            }

            /// Runs the stage.
            #[inline(always)]
            pub(crate) fn run<F: Frame, T: Tables, S: Sink>(
                self,
                frame: &mut F,
                tables: &T,
                sink: &S,
                meta: &mut Meta,
            ) -> Verdict {
                match self { $(Self::$variant => crate::$module::run(frame, tables, sink, meta),)+ }
            }
        }
    };
}

stages! {
    Port = port, "Finds the port that a VM's frame entered by, and with it the network; checks the source.",
        drops: [UnknownPort, Truncated, PortShut, ForgedSource, VlanNotAllowed, Loop, Bpdu, RewriteFailed];
    Decapsulate = decapsulate, "Takes a tunnel frame that is meant for this host out of its tunnel, if its sender is a member of the network.",
        drops: [Truncated, Malformed, TunnelFragment, NoVni, NotMember, TaggedFrame, TooManyTags, CongestionMark, RewriteFailed];
    Parse = parse, "Takes VLAN tags off and finds the frame's flow.",
        drops: [Truncated, TaggedFrame, TooManyTags, RewriteFailed];
    Guard = guard, "Keeps forged senders, servers that nobody asked for, bridges, loops and storms at their port.",
        drops: [Truncated, Malformed, TaggedFrame, ForgedAddress, ForgedArp, ForgedNeighbour, RogueServer, HeaderChain, Bpdu, Loop, Storm];
    Mtu = mtu, "Refuses what is larger than the network's MTU and tells the sender.",
        drops: [TooBig, RewriteFailed];
    Resolve = resolve, "Answers ARP and neighbour discovery at the edge.",
        drops: [Truncated, Malformed, OwnAddress, UnknownAddress, AnswerLimit, RewriteFailed];
    Punt = punt, "Hands DHCP, router solicitations and DNS queries to the agent, which answers them.",
        drops: [PuntLimit];
    Firewall = firewall, "Lets pass what belongs to a connection that policy admits.",
        drops: [Denied, Rejected, NotAllowed, NoConnection, ConnectionQuota, ConnectionsFull, Fragment, HeaderChain, Truncated, Malformed, RewriteFailed];
    Forward = forward, "Finds where the destination MAC address lives.",
        drops: [ReservedGroup, UnknownUnicast, Hairpin, Isolated, Storm, NotHere, NoReceiver, NotRoutable, TooBig];
    Route = route, "Sends a packet to the gateway on into the network of its destination, and answers for the gateway.",
        drops: [NotRoutable, NoRoute, NoNeighbour, Isolated, Hairpin, TooBig, TimeToLive, Malformed, NotServed, AnswerLimit, RewriteFailed];
    Replicate = replicate, "Sends a copy to every receiver of a broadcast, multicast or unknown unicast.",
        drops: [NoReceiver, NoTunnelAddress, NoPath, PathTooSmall, CopyFailed, RewriteFailed];
    Encapsulate = encapsulate, "Puts the frame into a tunnel packet for the destination's VTEP.",
        drops: [NoTunnelAddress, RewriteFailed];
    Underlay = underlay, "Finds the uplink and the next hop towards the VTEP.",
        drops: [NoPath, PathTooSmall, RewriteFailed];
    Deliver = deliver, "Gives the frame its VLAN tags back and hands it to a local port.",
        drops: [RewriteFailed];
}
