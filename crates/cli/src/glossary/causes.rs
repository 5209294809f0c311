//! The causes that `coax trace` names, beside the drop reasons.

use super::{Entry, Subject};

const fn cause(name: &'static str, meaning: &'static str, next: &'static str) -> Entry {
    Entry {
        name,
        subject: Subject::TraceCause,
        meaning,
        networking: None,
        next: Some(next),
    }
}

/// All causes.
pub(super) const CAUSES: &[Entry] = &[
    cause(
        "port-unbound",
        "The port is on no host. A port comes to a host with its device: a tap or veth whose alias is \
         `coax:PROJECT/PORT`.",
        "coax port list",
    ),
    cause(
        "port-down",
        "The port has a host, but no device there: the VM is off, or its device has lost its alias.",
        "coax port show NAME",
    ),
    cause(
        "claim-refused",
        "A host has a device for the port, but the port belongs to another host, by its file or because \
         that one still has its device. Two hosts with one port would both get its packets.",
        "coax port show NAME",
    ),
    cause(
        "host-away",
        "The agent of the host is not attached to the controller: the host is off, the agent is stopped, or \
         the network between them is cut. The host forwards by what it had.",
        "coax host list",
    ),
    cause(
        "host-silent",
        "The agent of the host is attached but does not answer: it is stopped, overloaded, or older than the \
         controller.",
        "coax host show NAME",
    ),
    cause(
        "host-behind",
        "The host has not carried out the latest changes, so its tables are those of an earlier revision.",
        "coax host show NAME",
    ),
    cause(
        "host-problem",
        "The host could not carry out a change, mostly because a table is full. What was there before is \
         still there.",
        "coax host show NAME",
    ),
    cause(
        "device-down",
        "The VM's device or the uplink is switched off, or nothing is plugged in at its other end.",
        "coax host show NAME",
    ),
    cause(
        "no-program",
        "The vSwitch's program is not on the device, so the host's own stack gets its frames. Somebody took \
         it off; the agent puts it back when it starts.",
        "coax host show NAME",
    ),
    cause(
        "no-router",
        "The two ports are in different networks, and no router joins these. Networks are separate cables.",
        "coax network list",
    ),
    cause(
        "no-gateway",
        "The address is in no subnet of the sender's network, and no router leads out of it.",
        "coax network show NAME",
    ),
    cause(
        "stale-address",
        "The sender's host answers ARP or neighbour discovery with another MAC address than the port has, so \
         packets go to somebody else.",
        "coax host show NAME",
    ),
    cause(
        "wrong-host",
        "The sender's host sends the packet to a host on which the port is not: its row for the MAC address \
         names the wrong tunnel endpoint.",
        "coax port show NAME",
    ),
    cause(
        "wrong-port",
        "The packet is handed to another device than the port's.",
        "coax port show NAME",
    ),
    cause(
        "policy-differs",
        "The host's firewall refuses a connection that the rules allow: its rows are not what they should be. A restarted \
         agent writes them anew.",
        "coax host show NAME",
    ),
    cause(
        "unknown-endpoint",
        "The packet is sent to a tunnel endpoint that no host has, and no foreign endpoint of the file.",
        "coax host list -o wide",
    ),
    cause(
        "foreign-endpoint",
        "The packet leaves Coax through a foreign tunnel endpoint. What is behind it Coax cannot see.",
        "coax vtep list",
    ),
    cause(
        "not-for-vswitch",
        "The host does not take the tunnel packet for one of its own, so its own stack gets it: its tunnel \
         endpoint or UDP port is another one than the sender believes.",
        "coax host show NAME",
    ),
    cause(
        "next-hop-silent",
        "The next router or host in the fabric does not answer ARP or neighbour discovery, so packets cannot \
         be sent to it.",
        "coax host show NAME",
    ),
    cause(
        "underlay-blocked",
        "Packets that were sent through the fabric with the addresses and ports of the tunnel did not arrive \
         at the other host: a filter, a cut cable, a missing route.",
        "coax graph",
    ),
    cause(
        "underlay-mtu-lost",
        "Small packets get through the fabric and large ones do not: somewhere its MTU is smaller than the \
         network's MTU and the tunnel's header. Connections open and then hang.",
        "coax explain mtu",
    ),
    cause(
        "sender-drops",
        "The tables would deliver a well-formed packet, but what the VM really sends is dropped at its port: \
         another source address than the port has, tags, or something that no VM may send.",
        "coax drops",
    ),
    cause(
        "forwarding-loop",
        "Hosts send the packet to each other without an end.",
        "coax port show NAME",
    ),
    cause(
        "trace-differs",
        "What the tables say and what a packet that was really sent did are not the same. One of both is a \
         fault: please report it.",
        "coax drops",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;

    #[test]
    fn every_cause_of_a_trace_is_explained_and_no_other() {
        for cause in coax_controller::trace::Cause::ALL {
            assert!(find(cause.name()).is_some(), "{}", cause.name());
        }
        assert_eq!(CAUSES.len(), coax_controller::trace::Cause::ALL.len());
    }
}
