//! Why a packet does not arrive: stable names, each explained by `coax explain`.

use coax_tables::DropReason;

macro_rules! causes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal;)+) => {
        /// Why a packet does not arrive, where it is not a drop reason of the pipeline.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Cause {
            $($(#[doc = $doc])+ $variant,)+
            /// A stage of the pipeline dropped it.
            Dropped(DropReason),
        }

        impl Cause {
            /// All causes but for the drop reasons.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in JSON and for `coax explain`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Dropped(reason) => reason.name(),
                }
            }

            /// A stage dropped it for the reason of this name.
            pub(crate) fn is_dropped_as(self, name: &str) -> bool {
                matches!(self, Self::Dropped(reason) if reason.name() == name)
            }
        }
    };
}

causes! {
    /// The port is on no host.
    PortUnbound = "port-unbound";
    /// The port has a host, but no device there.
    PortDown = "port-down";
    /// The port's device is on another host than the port.
    ClaimRefused = "claim-refused";
    /// The agent of the host is not attached to the controller.
    HostAway = "host-away";
    /// The agent of the host does not answer.
    HostSilent = "host-silent";
    /// The host has not carried out the latest changes.
    HostBehind = "host-behind";
    /// The host could not carry out a change.
    HostProblem = "host-problem";
    /// The device of the port, or the uplink, is down.
    DeviceDown = "device-down";
    /// The vSwitch's program is not on the device.
    NoProgram = "no-program";
    /// No router joins the two networks.
    NoRouter = "no-router";
    /// The address is in no subnet, and no router leads out.
    NoGateway = "no-gateway";
    /// Another MAC address is answered than the port has.
    StaleAddress = "stale-address";
    /// The packet is sent to a host that the port is not on.
    WrongHost = "wrong-host";
    /// The packet is handed to another port.
    WrongPort = "wrong-port";
    /// The tunnel endpoint is nobody's.
    UnknownEndpoint = "unknown-endpoint";
    /// The packet leaves Coax through a foreign tunnel endpoint.
    ForeignEndpoint = "foreign-endpoint";
    /// The vSwitch does not take the packet for one of its own.
    NotForVswitch = "not-for-vswitch";
    /// The next hop in the fabric does not answer.
    NextHopSilent = "next-hop-silent";
    /// Tunnel packets are lost in the fabric.
    UnderlayBlocked = "underlay-blocked";
    /// Large tunnel packets are lost in the fabric.
    UnderlayMtu = "underlay-mtu-lost";
    /// The tables would deliver, but what the VM really sends is dropped.
    SenderDrops = "sender-drops";
    /// A host's firewall refuses what the rules allow.
    PolicyDiffers = "policy-differs";
    /// The packet goes from host to host without an end.
    Loop = "forwarding-loop";
    /// Model and reality differ.
    Differs = "trace-differs";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_no_drop_reasons() {
        let mut names: Vec<&str> = Cause::ALL.iter().map(|cause| cause.name()).collect();
        names.extend(DropReason::ALL.iter().map(|reason| reason.name()));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
