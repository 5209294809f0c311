//! The codes of errors: those of stack files (from the model's rules), of the command line, and of
//! the controller.

use super::{Entry, Subject};

pub(super) const fn code(name: &'static str, meaning: &'static str) -> Entry {
    Entry {
        name,
        subject: Subject::ErrorCode,
        meaning,
        networking: None,
        next: None,
    }
}

pub(super) const fn code_with(
    name: &'static str,
    meaning: &'static str,
    next: &'static str,
) -> Entry {
    Entry {
        name,
        subject: Subject::ErrorCode,
        meaning,
        networking: None,
        next: Some(next),
    }
}

/// All codes.
pub(super) const CODES: &[Entry] = &[
    // Reading a stack file.
    code(
        "syntax",
        "The file is not YAML, or not of the shape of a stack file, at the place shown.",
    ),
    code(
        "unknown-field",
        "The file has a key that Coax does not know. Unknown keys are errors, because a mistyped one \
         would otherwise silently do nothing.",
    ),
    code(
        "missing-field",
        "A key that cannot be left out is not in the file.",
    ),
    code(
        "duplicate-key",
        "The same key stands twice in one table of the file; only one can count.",
    ),
    code(
        "bad-value",
        "A value is not of the kind that the key takes, like a text for an address.",
    ),
    code(
        "several-documents",
        "The file holds several YAML documents; a stack is one.",
    ),
    code(
        "file-version",
        "The file is of a version of the format that this Coax does not know.",
    ),
    // Rules of the model.
    code("vni-range", "A VNI is a number from 1 to 16777215."),
    code(
        "vni-taken",
        "Two networks cannot have the same VNI: their frames could not be told apart.",
    ),
    code("vnis-exhausted", "All VNIs are in use."),
    code(
        "mtu-range",
        "A network's MTU is from 1280, which IPv6 needs, to 9216.",
    ),
    code(
        "mtu-too-large",
        "A packet of that size does not fit through the fabric once it is in its tunnel packet.",
    ),
    code(
        "underlay-too-small",
        "The fabric's MTU leaves too little room for any network.",
    ),
    code(
        "subnet-overlap",
        "Two subnets of one network share addresses.",
    ),
    code(
        "subnet-host-bits",
        "A subnet is written by its first address: 10.10.1.0/24.",
    ),
    code(
        "subnet-too-small",
        "A subnet needs room for a gateway and at least one port.",
    ),
    code(
        "subnet-unusable",
        "The subnet holds addresses that mean something else everywhere.",
    ),
    code("too-many", "A list in the file is longer than allowed."),
    code(
        "unknown-network",
        "A port or VTEP names a network that is not in the file.",
    ),
    code(
        "mac-taken",
        "Two ports of a network cannot have the same MAC address.",
    ),
    code(
        "mac-unusable",
        "The MAC address is a group's or zero, which no network card can have.",
    ),
    code(
        "address-taken",
        "Two ports of a network cannot have the same IP address.",
    ),
    code(
        "address-outside",
        "A port's address lies in no subnet of its network.",
    ),
    code(
        "address-reserved",
        "The first address of a subnet, and the last of IPv4, are nobody's.",
    ),
    code(
        "addresses-exhausted",
        "Every address of the subnet belongs to a port.",
    ),
    code(
        "zero-checksum",
        "Coax sends tunnel packets without UDP checksum. Over IPv6 the receiver must be told to take \
         them (RFC 6935), and the file must say that it was.",
    ),
    code(
        "endpoint-unusable",
        "A VTEP needs an address that packets can be routed to.",
    ),
    code(
        "endpoint-taken",
        "Two VTEPs of a network cannot have the same address.",
    ),
    code(
        "endpoint-is-host",
        "A machine with an agent is a host already and needs no `vteps` entry.",
    ),
    code_with(
        "host-without-address",
        "An agent was started without any tunnel address, so nobody could reach it.",
        "coax agent --help",
    ),
    code(
        "host-is-endpoint",
        "An agent's tunnel address is listed as a foreign VTEP.",
    ),
    // The command line.
    code_with(
        "no-controller",
        "No controller runs on this machine, and none was named.",
        "coax lab list",
    ),
    code_with(
        "several-labs",
        "Several labs run on this machine, and none was named.",
        "coax lab list",
    ),
    code_with(
        "no-such-lab",
        "No lab of that name runs on this machine.",
        "coax lab list",
    ),
    code_with(
        "controller-unreachable",
        "Nobody listens where the controller should be.",
        "coax lab list",
    ),
    code(
        "connection-lost",
        "The connection to the controller broke in the middle of a request.",
    ),
    code(
        "unknown-answer",
        "The controller answered something that this version does not understand.",
    ),
    code("bad-name", "Names consist of a-z, 0-9 and -."),
    code_with(
        "no-such-project",
        "No project has that name.",
        "coax project list",
    ),
    code_with(
        "no-such-network",
        "No network has that name.",
        "coax network list",
    ),
    code_with(
        "no-such-subnet",
        "No network has that prefix.",
        "coax subnet list",
    ),
    code_with("no-such-port", "No port has that name.", "coax port list"),
    code_with(
        "no-such-vtep",
        "No foreign tunnel endpoint has that name.",
        "coax vtep list",
    ),
    code_with("no-such-host", "No host has that name.", "coax host list"),
    code_with(
        "host-attached",
        "The host is to be removed, but its agent is attached: its VMs may be in use.",
        "coax host remove NAME --force",
    ),
    code(
        "ambiguous-name",
        "Objects of several projects have that name; say which is meant.",
    ),
    code(
        "file-unreadable",
        "The file is not there, or you may not read it.",
    ),
    code(
        "file-unwritable",
        "The file or its folder cannot be written.",
    ),
    code("bad-file", "The file has mistakes."),
    code(
        "project-twice",
        "Two files describe the same project; the second would undo the first.",
    ),
    code(
        "several-projects",
        "There are several projects; say which is meant.",
    ),
    code("no-project", "Nothing has been applied yet."),
    code("unknown-word", "`coax explain` does not know the word."),
    code(
        "output-failed",
        "The standard output does not take the data: a full disk?",
    ),
    code(
        "not-representable",
        "The answer has no form in the format that was asked for.",
    ),
    code(
        "runtime-failed",
        "The system refused what the program needs to start: threads, files.",
    ),
    code(
        "bench-failed",
        "The self-test or benchmark could not build its two hypervisors, or traffic between them did not arrive.",
    ),
    // Labs.
    code(
        "lab-file",
        "The lab file has a mistake, at the place shown.",
    ),
    code(
        "lab-plan",
        "The fabric that the lab file describes cannot be built.",
    ),
    code(
        "lab-name",
        "A lab's name consists of a-z, 0-9 and -, because namespaces are named after it.",
    ),
    code(
        "not-root",
        "Labs are made of network namespaces, which only root may create.",
    ),
    code_with(
        "lab-exists",
        "A lab of that name is up already.",
        "coax lab list",
    ),
    code_with(
        "no-such-node",
        "The lab has no node or VM of that name.",
        "coax graph",
    ),
    code_with("no-such-link", "The lab has no such cable.", "coax graph"),
    code_with(
        "not-plugged",
        "The VM's device is on no host.",
        "coax lab status",
    ),
    code_with(
        "process-died",
        "A process of the lab ended right after its start.",
        "coax lab status",
    ),
    code_with(
        "timed-out",
        "Something took longer than it may.",
        "coax lab status",
    ),
    code(
        "kernel-refused",
        "The kernel refused what was asked of it; the message says what.",
    ),
    code(
        "system",
        "A file or process operation failed; the message says which.",
    ),
    code_with(
        "lab-damaged",
        "The record of a running lab cannot be read.",
        "coax lab list",
    ),
    // Traces.
    code("bad-traffic", "A packet is tcp/PORT, udp/PORT or icmp."),
    code("bad-family", "IP families are ipv4 and ipv6."),
    code("same-port", "A trace needs two different ports."),
    code(
        "bad-from-port",
        "Only TCP and UDP have source ports: trace tcp/PORT or udp/PORT, or leave the source port out.",
    ),
    code(
        "bad-flags",
        "Flags of TCP are syn, ack, rst, fin and psh, several of them with commas: `rst,ack`.",
    ),
    code_with(
        "no-common-family",
        "Two ports reach each other by addresses of the same IP family: IPv4 and IPv6 do not talk to each other.",
        "coax port list",
    ),
    // The agent.
    code(
        "no-uplink",
        "The device that was named as uplink does not exist on this host.",
    ),
    code(
        "controller-address",
        "The address of the controller is written like 10.0.0.1:7450.",
    ),
    code(
        "state-folder",
        "The folder for the daemon's memory cannot be used.",
    ),
    code(
        "data-plane",
        "The kernel programs or their tables cannot be loaded or read.",
    ),
    code_with(
        "nothing-to-do",
        "The agent was not told how to run.",
        "coax agent --help",
    ),
    code(
        "task-ended",
        "A part of the agent ended that never should: please report it with the log.",
    ),
    // The controller.
    code_with(
        "no-such-revision",
        "A revision was asked for that does not exist yet.",
        "coax status",
    ),
    code(
        "store-failed",
        "The controller could not store the change: its disk is full, or etcd does not answer.",
    ),
    code(
        "store-damaged",
        "What the controller has stored cannot be read; restore its folder.",
    ),
    code(
        "api-address",
        "The controller cannot listen for users at the address it was given.",
    ),
    code(
        "agents-address",
        "The controller cannot listen for agents at the address it was given.",
    ),
    code(
        "stopping",
        "The controller is stopping and takes no more requests.",
    ),
    code(
        "no-such-path",
        "A program asked the REST interface for a path that does not exist.",
    ),
    code(
        "no-such-method",
        "A program used a method that the path of the REST interface does not take.",
    ),
    code(
        "other-project",
        "A program sent a file to the path of another project.",
    ),
    code("bad-revision", "Revisions are numbers."),
    code(
        "bad-parameter",
        "A program sent the REST interface a parameter that it does not take.",
    ),
    code("bad-timeout", "Times are written like 30s, 500ms or 2m."),
    code(
        "bad-body",
        "A program sent the REST interface something that is not what the path takes.",
    ),
    code(
        "internal",
        "The controller contradicts itself: please report it with its log.",
    ),
    code("refused", "The file breaks a rule."),
];
