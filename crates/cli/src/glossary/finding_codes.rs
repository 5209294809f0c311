//! What `coax doctor` finds.

use super::Entry;
use super::codes::{code, code_with};

/// All of them.
pub(super) const CODES: &[Entry] = &[
    code(
        "kernel-too-old",
        "The kernel lacks what the vSwitch's programs need; Linux 6.1 (Debian 12) has all of it.",
    ),
    code(
        "no-bpffs",
        "Tables and programs outlive the agent because they are pinned in a bpf file system, and none is mounted.",
    ),
    code(
        "bpf-jit-off",
        "The kernel interprets the vSwitch's programs instead of compiling them.",
    ),
    code(
        "uplinks-down",
        "None of the devices that lead to the fabric is up: no packet leaves the host.",
    ),
    code(
        "uplink-down",
        "One of the devices that lead to the fabric is down; the others carry its packets.",
    ),
    code(
        "uplink-mtu",
        "An uplink does not carry the tunnel packets of the network with the largest MTU: small packets arrive, large ones do not.",
    ),
    code(
        "vtep-missing",
        "No device of the host has the address at which its tunnels end, so nobody answers for it.",
    ),
    code(
        "vtep-duplicate",
        "Two hosts have the address at which tunnels to one of them end.",
    ),
    code(
        "mac-duplicate",
        "Uplinks of two hosts have one MAC address, as cloned machines do; switches send to one of them at a time.",
    ),
    code(
        "vtep-unreachable",
        "The host has no route to the tunnel endpoint of another host.",
    ),
    code(
        "path-elsewhere",
        "The host's route to another host's tunnel endpoint leads by a device that is no uplink.",
    ),
    code_with(
        "path-blocked",
        "Tunnel packets were sent from one host to another, on several flows, and some of them did not arrive: a cable, a \
         filter or a route between the hosts.",
        "coax trace A B",
    ),
    code(
        "path-mtu",
        "Small tunnel packets arrive from one host at another, and those of the size that the largest network needs do \
         not: something between them carries less.",
    ),
    code(
        "uplink-unused",
        "An uplink is up and no route to another host uses it: half of the bandwidth is missing, and all redundancy.",
    ),
    code(
        "multipath-hash",
        "The kernel chooses among equal-cost paths by addresses alone. Between two hosts these never change, so one path \
         carries everything.",
    ),
    code(
        "rp-filter",
        "Strict reverse path filtering drops packets that come by another device than the answer would leave by, which is \
         usual with two uplinks. Tunnel packets are taken before it; the host's own traffic is not.",
    ),
    code(
        "offload-off",
        "Large sends of VMs travel as one frame as far as the card, if its offloads are on. Off, each packet is cut early.",
    ),
    code(
        "filter-rule",
        "A rule of nftables names the port of tunnels and refuses. The vSwitch's packets pass it by; others do not.",
    ),
    code(
        "clock-offset",
        "The clocks of host and controller differ by seconds.",
    ),
    code(
        "clock-wrong",
        "The clocks of host and controller differ by so much that certificates are not valid yet, or no more.",
    ),
    code_with(
        "authority-ends",
        "The certificate of the deployment's authority ends within half a year. Hosts and controllers of Coax look at the \
         certificates that it signed and not at its own; other programs that trust it stop when it ends.",
        "coax authority renew",
    ),
];
